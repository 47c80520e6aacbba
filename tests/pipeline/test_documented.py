"""What a reader of README.md, or of `help`, is told is so."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

import emufort.api as ef
from emufort.config import (
    AdviceConfig,
    ClusterConfig,
    ExportConfig,
    RetrainConfig,
    SearchConfig,
    SelectConfig,
    SpaceConfig,
    TimingConfig,
    VerifyConfig,
)
from emufort.contract import Contract
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator, dense_parameters
from emufort.network.scaler import Scaler
from emufort.search.result import SearchResult
from emufort.search.trials import Trial
from emufort.selection.entry import Entry
from emufort.selection.select import Selection
from emufort.timing.measure import Time
from emufort.verification import Comparison, Verification
from tests.conftest import PACKAGE, SYNTHETIC_CONTRACT, synthetic_data

TOP = Path(__file__).resolve().parents[2]

# ------------------------------------------------------------------------- README

#: Options of README's script -> options that make it small.
SMALL = {
    "trials=200": "trials=4, batch=4, subset=64, validation=64, rungs=(1,), "
    "space={'depth': (1, 1), 'width': (8,)}",
    "top=10, seeds=2": "top=2, seeds=1, steps=100",
    "ef.time(models, ": "ef.time(models, repeats=1, ncol=(1, 16), ",
}


def test_the_script_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", (TOP / "README.md").read_text(), re.DOTALL)
    for given, small in SMALL.items():
        assert script.count(given) == 1
        script = script.replace(given, small)
    (tmp_path / "script.py").write_text(script + "\nprint(predicted.sizes, repr(study), selection)")
    done = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": PACKAGE},
    )
    assert done.returncode == 0, done.stderr
    assert "'sample': 45056" in done.stdout
    assert (tmp_path / "runs" / "a" / "bundle" / "manifest.json").exists()


def test_commands_that_the_readme_names_exist() -> None:
    from emufort.cli import app

    commands = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    text = (TOP / "README.md").read_text()
    named = set(re.findall(r"`emufort ([a-z]+)", text))
    (steps,) = re.findall(r"`emufort (search \|.*?)`", text, re.DOTALL)
    assert named | set(re.split(r"[\s|]+", steps)) <= commands


# ---------------------------------------------------------------------- docstrings


def documented(function: Callable[..., Any]) -> dict[str, list[Any]]:
    """Return the parameters of a docstring with their defaults, nested ones too."""
    found: dict[str, list[Any]] = {}
    text = inspect.getdoc(function) or ""
    for name, default in re.findall(r"^ *(\w+) : .*, default (.+)$", text, re.MULTILINE):
        if default.startswith("`"):
            module, _, thing = default.strip("`").rpartition(".")
            value = getattr(importlib.import_module(module), thing)
        else:
            value = eval(default, {})
        found.setdefault(name, []).append(value)
    return found


SECTIONS: list[tuple[Callable[..., Any], list[type[BaseModel]]]] = [
    (ef.search, [SearchConfig, SpaceConfig]),
    (ef.advise, [AdviceConfig]),
    (ef.retrain, [RetrainConfig]),
    (ef.time, [TimingConfig]),
    (ef.select, [SelectConfig]),
    (ef.export, [ExportConfig]),
    (ef.verify, [VerifyConfig]),
]


@pytest.mark.parametrize(("function", "sections"), SECTIONS, ids=[f.__name__ for f, _ in SECTIONS])
def test_every_option_of_a_section_is_in_the_docstring_with_its_default(
    function: Callable[..., Any], sections: list[type[BaseModel]]
) -> None:
    told = documented(function)
    for section in sections:
        for name, info in section.model_fields.items():
            default = info.get_default(call_default_factory=True)
            if isinstance(default, BaseModel):
                default = {}
            assert name in told, f"{function.__name__} does not tell of {name}"
            assert default in told[name], f"{name}: {default!r} is not {told[name]}"


@pytest.mark.parametrize("name", [n for n in ef.__all__ if inspect.isfunction(getattr(ef, n))])
def test_every_parameter_is_in_the_docstring_with_its_default(name: str) -> None:
    function = getattr(ef, name)
    text, told = inspect.getdoc(function) or "", documented(function)
    if name in ("load", "load_search"):  # functions of other modules, described there
        return
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        assert re.search(rf"^ *{parameter.name} : ", text, re.MULTILINE), parameter.name
        if parameter.default is not inspect.Parameter.empty:
            assert parameter.default in told[parameter.name], parameter.name


def test_the_options_of_a_cluster_are_described_where_the_docstrings_say() -> None:
    assert inspect.getdoc(ClusterConfig)


def test_annotations_are_shipped() -> None:
    assert (resources.files("emufort") / "py.typed").is_file()


# ------------------------------------------------------------------ representations


def wide_contract(n: int) -> Contract:
    """Return a contract with that many inputs and outputs, of long names."""
    name = "a_name_that_is_as_long_as_fortran_allows_it_to_be"
    return Contract.from_dict(
        {
            "name": "wide",
            "input": [{"name": f"{name}_{i}", "units": "K"} for i in range(n)],
            "output": [{"name": f"{name}_out_{i}", "units": "K"} for i in range(n)],
        }
    )


def objects(tmp_path: Path) -> list[object]:
    n = 200
    contract = wide_contract(n)
    shape = Architecture(n, (2048,) * 3, n, "silu")
    scaler = Scaler.from_dict(Scaler.fit(contract.input_columns, np.random.rand(9, n)).to_dict())
    weights = tuple(
        np.zeros((o, i), np.float32) for i, o in zip(shape.sizes, shape.sizes[1:], strict=False)
    )
    emulator = Emulator(
        contract,
        shape,
        scaler,
        scaler,
        dense_parameters(weights, [np.zeros(len(w), np.float32) for w in weights]),
    )
    data = ef.Dataset.from_xarray(synthetic_data(), Contract.from_toml(SYNTHETIC_CONTRACT))
    trials = tuple(
        Trial(i, shape, 1e-3, 32, 0.1 + i, 9, None, 1.0, i // 32, ((9, 0.1),)) for i in range(500)
    )
    entries = tuple(Entry(f"t{i:05d}-s1", shape.label, 0.1 + i, 10.0 + i) for i in range(500))
    comparisons = tuple(Comparison("form" * 20, "numpy", 9, 1.0, 0.1) for _ in range(50))
    return [
        contract,
        shape,
        emulator,
        data,
        SearchResult(tmp_path, trials, {}),
        ef.Models(tmp_path, (), data),
        Selection("knee", 16, entries[0], "because " * 500, entries, entries),
        Verification(str(tmp_path), "0" * 64, 9, 0.1, comparisons),
    ]


def test_a_representation_is_one_screen_at_most(tmp_path: Path) -> None:
    for thing in objects(tmp_path):
        text = repr(thing)
        assert len(text) <= 1000, type(thing)
        assert text.count("\n") < 24
        assert len(str(thing)) <= 1000, type(thing)


def test_the_times_of_a_run_are_a_screen() -> None:
    times = [
        Time(
            f"t{i:05d}-s1",
            "candidate",
            "fortran",
            "GNU " * 50,
            "-O3 " * 50,
            ncol,
            20.0,
            1.0,
            3.0,
            7,
        )
        for i in range(10)
        for ncol in (1, 16, 1152)
    ]
    assert repr(times[1]) == "<Time t00000-s1: 20 ns at ncol 16>"
    assert len(repr(times)) <= 24 * 80


def test_a_representation_says_what_matters(tmp_path: Path) -> None:
    by_kind = {type(thing).__name__: repr(thing) for thing in objects(tmp_path)}
    assert "500 trials; best 200-2048-2048-2048-200 silu, loss 0.1" in by_kind["SearchResult"]
    assert "600 samples (train 480, validation 60, test 60)" in by_kind["Dataset"]
    assert "(200 in all)" in by_kind["Contract"]
    assert "500 of 500 candidates on the front" in by_kind["Selection"]
    assert "failed; 0 of 50 comparisons agree on 9 rows" in by_kind["Verification"]


# -------------------------------------------------------------------- paths as text


class AsPath(os.PathLike[str]):
    """A path that is neither text nor a `pathlib.Path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


@pytest.mark.parametrize("kind", [str, AsPath, Path])
def test_paths_may_be_of_any_kind(kind: Callable[[Path], Any], synthetic: Path) -> None:
    contract = ef.Contract.load(kind(synthetic / "evaporation.toml"))
    data = ef.Dataset.open(
        kind(synthetic / "evaporation.nc"), contract, kind(synthetic / "scratch")
    )
    search = {"trials": 2, "batch": 2, "subset": 64, "validation": 32, "rungs": (1,)}
    out = kind(synthetic / "search")
    ef.search(data, out=out, workers=1, space={"depth": (1, 1), "width": (4,)}, **search)
    study = ef.load_search(out)
    out = kind(synthetic / "retrain")
    ef.retrain(study, data, out=out, workers=1, top=1, seeds=1, steps=20)
    models = ef.Models.load(out, data)
    times = ef.time(
        models, out=kind(synthetic / "timing.csv"), ncol=(16,), repeats=1, backend="onnxruntime"
    )
    selection = ef.select(models, times, out=kind(synthetic / "selection.json"))
    bundle = ef.export(selection, data, kind(synthetic / "bundle"))
    assert json.loads((synthetic / "selection.json").read_text())["choice"] == selection.choice.id
    assert ef.load(kind(synthetic / "bundle"), backend="onnxruntime").bundle.hash == bundle.hash
    assert ef.Bundle.open(kind(synthetic / "bundle")).hash == bundle.hash
    emulator = selection.emulator()
    emulator.save(kind(synthetic / "copy.safetensors"))
    copy = ef.Emulator.load(kind(synthetic / "copy.safetensors"))
    assert all(np.array_equal(a, b) for a, b in zip(copy.weights, emulator.weights, strict=True))
    assert repr(bundle).startswith("<Bundle ")
    assert len(repr(bundle.manifest)) < 1000
