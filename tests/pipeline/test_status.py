"""What `emufort status` says of a run that is at work, killed, stopped, begun or finished."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from emufort import cli, steps
from emufort.errors import EmufortError, UsageError
from emufort.files import read_csv, read_json, write_json
from emufort.run.folder import RunFolder
from emufort.run.status import RunStatus

COMMAND = [sys.executable, "-m", "emufort.cli"]


def waited_for(out: Path, process: subprocess.Popen[bytes], step: str, total: int = 0) -> RunStatus:
    """Look until `step` is begun or finished, and is known to have `total` units at least."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, "the run ended too early"
        if (out / "config.toml").exists():
            found = RunStatus.of(out)
            this = next(s for s in found.steps if s.name == step)
            if this.state != "to do" and this.total >= total:
                return found
        time.sleep(0.02)
    raise AssertionError(f"the step {step} never began")


def test_a_run_at_work_then_killed_then_finished(
    synthetic: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = synthetic / "run.toml"
    config.write_text(config.read_text().replace("steps = 400", "steps = 20000"))
    out = synthetic / "out"
    process = subprocess.Popen(
        [*COMMAND, "run", str(config), "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        found = waited_for(out, process, "retrain", total=7)
        assert found.state == "running"
        assert found.detail.startswith(f"process {process.pid} on ")
        search, retrain = found.steps[:2]
        assert (search.state, search.done, search.total) == ("finished", 8, 8)
        # Half of the eight are the control group, three more are chosen; then come other seeds.
        assert retrain.state == "begun"
        assert retrain.total >= 7
        assert found.next_command == ""
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    found = RunStatus.of(out)
    assert (found.state, found.detail) == ("killed", "during the step 'retrain'")
    assert cli.execute(["status", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert f"'{found.next_command}' continues it" in text
    assert f"of {retrain.total}" in text
    # Where the data are does not matter to the status.
    (synthetic / "evaporation.nc").rename(synthetic / "moved.nc")
    assert RunStatus.of(out) == found
    (synthetic / "moved.nc").rename(synthetic / "evaporation.nc")
    program, *arguments = shlex.split(found.next_command)
    assert program == "emufort"
    subprocess.run([*COMMAND, *arguments, "-q"], check=True, timeout=600)
    found = RunStatus.of(out)
    assert (found.state, found.next_command) == ("finished", "")
    assert all(step.done == step.total for step in found.steps)


def fail(*arguments: object) -> None:
    raise EmufortError("the program does not run")


def test_a_step_alone_and_an_error(synthetic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = synthetic / "out"
    assert cli.execute(["search", str(synthetic / "run.toml"), "--out", str(out), "-q"]) == 0
    found = RunStatus.of(out)
    assert (found.state, found.detail) == ("unfinished", "")
    assert [step.state for step in found.steps] == ["finished", *["to do"] * 6]
    assert cli.execute(["retrain", "--out", str(out), "-q"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(steps, "time", fail)
        assert cli.execute(["time", "--out", str(out), "-q"]) == 1
    found = RunStatus.of(out)
    assert found.state == "stopped"
    assert found.detail == "in the step 'time': the program does not run"
    # Another option for a later step: what it has left is of no use any more.
    assert cli.execute(["time", "--out", str(out), "-q", "--flags=-O1"]) == 0
    assert [step.state for step in RunStatus.of(out).steps[:3]] == ["finished"] * 3


def test_a_step_at_work_is_begun_and_an_interrupt_is_called_so(
    synthetic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = synthetic / "a folder"
    config = str(synthetic / "run.toml")
    seen = []

    def interrupt(*arguments: object) -> None:
        seen.append(RunStatus.of(out))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(steps, "time", interrupt)
        assert cli.execute(["run", config, "--out", str(out), "-q"]) == 130
    states = ["finished", "finished", "begun", *["to do"] * 4]
    assert [step.state for step in seen[0].steps] == states
    assert seen[0].state == "running"
    found = RunStatus.of(out)
    assert [step.state for step in found.steps] == states
    assert found.words == (
        f"{out} was stopped in the step 'time': interrupted; "
        f"'emufort run --out {shlex.quote(str(out))}' continues it"
    )


def test_a_signal_is_named_as_what_stopped_a_step(synthetic: Path) -> None:
    config = synthetic / "run.toml"
    config.write_text(config.read_text().replace("steps = 400", "steps = 20000"))
    out = synthetic / "out"
    process = subprocess.Popen(
        [*COMMAND, "run", str(config), "--out", str(out), "-q"],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        waited_for(out, process, "retrain")
        process.terminate()
        assert process.wait(30) == 143
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    found = RunStatus.of(out)
    assert (found.state, found.detail) == ("stopped", "in the step 'retrain': terminated")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "holds no run: there is no such folder"),
        (lambda path: path.mkdir(), "holds no run: it has no config.toml"),
        (lambda path: path.write_text(""), "holds no run: it is a file"),
    ],
    ids=["absent", "empty", "file"],
)
def test_what_is_no_run_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: object, words: str
) -> None:
    path = tmp_path / "out"
    make(path)  # type: ignore[operator]
    assert cli.execute(["status", "--out", str(path)]) == 2
    err = capsys.readouterr().err
    assert err == f"error: {path} {words}; 'emufort run --out DIR' begins a run in DIR\n"
    with pytest.raises(UsageError):
        RunStatus.of(path)


def test_trainings_are_counted_against_those_that_are_planned_so_far(
    synthetic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The total grows with the rounds of step 2; no look sees more done than planned."""
    from emufort.retrain import jobs as of_jobs

    # The package has a function of the name of the module.
    driver = sys.modules["emufort.retrain.driver"]
    out = synthetic / "out"
    seen: list[tuple[int, int]] = []

    class Looking(driver._Step2):  # type: ignore[name-defined, misc]
        def do(self, jobs: Sequence[of_jobs.Job]) -> Any:
            rows = super().do(jobs)
            step = RunStatus.of(out).steps[1]
            seen.append((step.done, step.total))
            return rows

    monkeypatch.setattr(driver, "_Step2", Looking)
    assert cli.execute(["search", str(synthetic / "run.toml"), "--out", str(out), "-q"]) == 0
    assert cli.execute(["retrain", "--out", str(out), "-q"]) == 0
    rows = read_csv(out / "retrain" / "candidates.csv")
    chosen = len({row["trial"] for row in rows})
    n = len(list((out / "retrain").glob("*/metrics.json")))
    assert seen == [(4, 7), (7, 7), (n, n)]
    assert n > chosen == 7
    kept = read_json(out / "retrain" / "retrain.json")
    assert (kept["finished"], kept["planned"]) == (True, n)
    step = RunStatus.of(out).steps[1]
    assert (step.state, step.done, step.total) == ("finished", n, n)
    # A folder that is gone through again ends with the same file.
    (out / "steps.json").unlink()
    assert cli.execute(["search", "--out", str(out), "-q"]) == 0
    assert cli.execute(["retrain", "--out", str(out), "-q"]) == 0
    assert read_json(out / "retrain" / "retrain.json") == kept
    # Trainings of a search that has grown count when step 2 has taken them over.
    assert cli.execute(["search", "--out", str(out), "--trials", "20", "-q"]) == 0
    assert RunStatus.of(out).steps[1].done == 0
    seen.clear()
    assert cli.execute(["retrain", "--out", str(out), "-q"]) == 0
    kept = read_json(out / "retrain" / "retrain.json")
    assert [done for done, _ in seen] == [9, 12, kept["planned"]]
    assert all(done <= total for done, total in seen)


@pytest.mark.parametrize(
    ("content", "total"),
    [("{", 2), ("{}", 2), ('{"planned": "x"}', 2), ('{"planned": 1}', 2), ('{"planned": 9}', 9)],
)
def test_trainings_of_a_damaged_or_earlier_folder(tmp_path: Path, content: str, total: int) -> None:
    folder = RunFolder(tmp_path)
    folder.config.write_text("")
    for name in ("t00000-s1", "t00001-s1"):
        (folder.retrain / name).mkdir(parents=True)
        (folder.retrain / name / "metrics.json").write_text("{}")
    (folder.retrain / "retrain.json").write_text(content)
    step = RunStatus.of(tmp_path).steps[1]
    assert (step.done, step.total) == (2, total)


def test_damaged_counts_are_no_error(tmp_path: Path) -> None:
    """The status of a damaged run is still worth having."""
    folder = RunFolder(tmp_path)
    folder.config.write_text("[search]\ntrials = 4\n")
    folder.search.mkdir()
    for content in ("", "[]", "{", '{"trials": 3}'):
        (folder.search / "search.json").write_text(content)
        found = RunStatus.of(tmp_path)
        assert found.steps[0].total == 4
        assert found.steps[0].done == (3 if "3" in content else 0)
    write_json(tmp_path / "steps.json", {"search": {"fingerprint": "x"}})
    assert RunStatus.of(tmp_path).steps[0].state == "begun"
