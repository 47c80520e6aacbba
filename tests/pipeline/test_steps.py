"""The table of steps: complete, and the only list of them."""

from __future__ import annotations

import hashlib
import inspect
import json
from pathlib import Path

import pytest

import emufort.api as ef
from emufort import steps
from emufort.cli import app
from emufort.config import Config
from emufort.errors import EmufortError
from emufort.files import write_json
from emufort.run import display, status
from emufort.run.finished import fingerprint
from emufort.selection.entry import BaselineEntry, Entry
from emufort.selection.select import Selection
from emufort.steps import STEP_NAMES, STEPS, earlier, later, read_selection, titles

#: Parts of a configuration that no result of a step depends on: where to compute, what names the
#: inputs (whose hashes count), and the options of `emufort search --advise`, which is no step.
WITHOUT_STEP = {"contract", "data", "preset", "labels", "workers", "device", "advice", "cluster"}


def test_every_section_of_the_configuration_belongs_to_one_step() -> None:
    sections = [section for step in STEPS.values() for section in step.sections]
    assert len(sections) == len(set(sections))
    assert set(sections) == Config.model_fields.keys() - WITHOUT_STEP


def test_every_step_has_a_function_a_command_and_something_to_show() -> None:
    commands = {
        command.callback.__name__ for command in app.registered_commands if command.callback
    }
    for name in STEP_NAMES:
        assert inspect.isfunction(getattr(steps, name))
        assert inspect.isfunction(getattr(ef, name))
    assert set(STEP_NAMES) <= commands
    assert set(STEP_NAMES) == display.CLOSING.keys()
    assert status.COUNTS.keys() <= set(STEP_NAMES)


def test_results_of_different_steps_are_different_files() -> None:
    results = [pattern for step in STEPS.values() for pattern in step.results]
    assert len(results) == len(set(results))
    for step in STEPS.values():
        if step.is_resumable:
            assert all(pattern.startswith(f"{step.name}/") for pattern in step.results)


def test_steps_before_and_behind_one() -> None:
    for name in STEP_NAMES:
        assert (*earlier(name), name, *later(name)) == STEP_NAMES
    assert earlier("search") == later("report") == ()


def test_a_step_depends_on_its_options_and_those_before_it() -> None:
    """A changed option puts its step and all later ones out of date, and no earlier one."""
    usual = Config()
    for changed, options in (
        ("search", {"seed": 2}),
        ("retrain", {"retrain": {"steps": 7}}),
        ("time", {"timing": {"repeats": 2}}),
        ("select", {"select": {"rule": "best"}}),
        ("export", {"export": {"golden": 7}}),
        ("verify", {"verify": {"rows": 7}}),
    ):
        other = Config.from_dict(options)
        for name in STEP_NAMES:
            same = fingerprint(name, usual, "data") == fingerprint(name, other, "data")
            assert same == (name in earlier(changed)), (changed, name)
    elsewhere = Config.from_dict({"workers": 3, "cluster": {"scheduler": "tcp://node:1"}})
    assert fingerprint("report", usual, "data") == fingerprint("report", elsewhere, "data")
    assert fingerprint("search", usual, "data") != fingerprint("search", usual, "other data")


def test_an_option_that_came_later_leaves_earlier_runs_finished() -> None:
    content = Config().model_dump(mode="json")
    for name in ("warm_start", "precision", "microbatch"):
        del content["retrain"][name]
    for name in ("enqueue", "objectives", "side_by_side"):
        del content["search"][name]
    relevant = {key: content[key] for key in ("seed", "search", "retrain")}
    canonical = json.dumps([relevant, "data"], sort_keys=True)
    before = hashlib.sha256(canonical.encode()).hexdigest()
    assert fingerprint("retrain", Config(), "data") == before
    changed = Config.from_dict({"retrain": {"warm_start": True}})
    assert fingerprint("retrain", changed, "data") != before
    assert fingerprint("search", changed, "data") == fingerprint("search", Config(), "data")
    for options in ({"objectives": ["skill", "time"]}, {"side_by_side": True}):
        other = Config.from_dict({"search": options})
        assert fingerprint("search", other, "data") != fingerprint("search", Config(), "data")


def test_the_title_of_the_timing_says_what_is_timed() -> None:
    onnx = Config.from_dict({"timing": {"backend": "onnxruntime"}})
    assert titles(onnx, ("time", "select")) == {
        "time": "time: ONNX Runtime",
        "select": "select: Pareto front",
    }
    assert titles(Config(), STEP_NAMES) == {name: step.title for name, step in STEPS.items()}


def test_a_selection_is_read_as_it_was_written(tmp_path: Path) -> None:
    entries = tuple(Entry(f"t{i}", f"3-{i}-1 relu", 0.1 * i, 50.0 / i) for i in (1, 2, 3))
    schemes = (BaselineEntry("classical", 0.5, None), BaselineEntry("timed", 0.4, 20.0))
    written = Selection(
        "best", 8, entries[0], "Because.", entries[:2], entries, schemes, "onnxruntime"
    )
    path = tmp_path / "selection.json"
    write_json(path, written.to_dict())
    models = ef.Models(tmp_path, (), None)  # type: ignore[arg-type]
    found = read_selection(path, models)
    assert found == written  # the networks do not count
    assert found.models is models
    assert found.caveat == written.caveat != ""


@pytest.mark.parametrize("spoil", ["choice", "all", "baselines", "front"])
def test_a_damaged_selection_is_named(tmp_path: Path, spoil: str) -> None:
    entry = {"id": "a", "label": "l", "rmse": 0.1, "ns_per_sample": 1.0}
    content = {
        "rule": "knee", "ncol": 16, "choice": "a", "reason": "", "front": [entry],
        "all": [entry], "baselines": [], "backend": "fortran", "caveat": "",
    }  # fmt: skip
    path = tmp_path / "selection.json"
    models = ef.Models(tmp_path, (), None)  # type: ignore[arg-type]
    path.write_text(json.dumps(content))
    assert read_selection(path, models).choice == Entry("a", "l", 0.1, 1.0)
    path.write_text(json.dumps({**content, spoil: [{"x": 1}]}))
    with pytest.raises(EmufortError, match=r"selection\.json is damaged; select again"):
        read_selection(path, models)
