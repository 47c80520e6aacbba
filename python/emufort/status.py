"""How far a run is, from the files of its folder alone: the data are not read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from emufort.brief import brief
from emufort.config import Config
from emufort.errors import EmufortError, UsageError
from emufort.files import read_json
from emufort.lock import held_by
from emufort.run_folder import STEPS, RunFolder

State = Literal["running", "finished", "killed", "stopped", "unfinished"]


@dataclass(frozen=True)
class StepStatus:
    """How far one step is.

    Attributes
    ----------
    name
        The step.
    state
        ``"finished"``, ``"begun"`` or ``"to do"``.
    done, total
        Units that are finished, and all of them: candidates of the search, trainings of step 2,
        rounds of the timing; for other steps the step itself.
    seconds
        Wall time of a finished step, else None.
    """

    name: str
    state: Literal["finished", "begun", "to do"]
    done: int
    total: int
    seconds: float | None


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes
    ----------
    folder
        The run folder.
    state
        ``"running"`` while a process is at work, ``"finished"``, ``"killed"`` (the process ended
        without a word), ``"stopped"`` (by an error or by the user) or ``"unfinished"`` (the last
        command has done its steps, others are to do).
    detail
        The process that is at work, or what stopped the run.
    steps
        All steps in their order.
    """

    folder: Path
    state: State
    detail: str
    steps: tuple[StepStatus, ...]

    @classmethod
    def of(cls, path: Path) -> RunStatus:
        """Look at a run folder.

        Raises
        ------
        UsageError
            The folder holds no run.
        """
        folder = RunFolder(path)
        must_hold_a_run(folder)
        config = folder.read_config()[0] or Config()
        steps = tuple(_step(name, folder, config) for name in STEPS)
        holder = held_by(path)
        if holder is not None:
            return cls(path, "running", holder, steps)
        if all(step.state == "finished" for step in steps):
            return cls(path, "finished", "", steps)
        return cls(path, *_how_it_ended(folder), steps)

    def __repr__(self) -> str:
        finished = sum(step.state == "finished" for step in self.steps)
        steps = f"{finished} of {len(self.steps)} steps finished"
        return brief(self, str(self.folder), self.state, self.detail, steps)

    @property
    def next_command(self) -> str:
        """The command that goes on; empty where there is nothing to do."""
        return "" if self.state in ("running", "finished") else f"emufort run --out {self.folder}"

    @property
    def words(self) -> str:
        """One line that says how the run is and what to do."""
        if self.state == "finished":
            return f"nothing is left to do in {self.folder}"
        detail = f": {self.detail}" if self.detail else ""
        go_on = f"; '{self.next_command}' continues it" if self.next_command else ""
        return f"{self.folder} is {self.state}{detail}{go_on}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "folder": str(self.folder),
            "state": self.state,
            "detail": self.detail,
            "next_command": self.next_command,
            "steps": [asdict(step) for step in self.steps],
        }


def must_hold_a_run(folder: RunFolder) -> None:
    """Raise `UsageError` unless `folder` holds a run."""
    if folder.holds_run:
        return
    if not folder.path.exists():
        what = "holds no run: there is no such folder"
    elif not folder.path.is_dir():
        what = "holds no run: it is a file"
    else:
        what = "holds no run: it has no config.toml"
    raise UsageError(f"{folder.path} {what}; 'emufort run --out DIR' begins a run in DIR")


def _step(name: str, folder: RunFolder, config: Config) -> StepStatus:
    done, total = _UNITS[name](folder, config) if name in _UNITS else (0, 1)
    if folder.is_recorded(name, config):
        total = done if name == "retrain" else total
        seconds = folder.seconds().get(name)
        return StepStatus(name, "finished", total, total, seconds)
    return StepStatus(name, "begun" if done or _begun(name, folder) else "to do", done, total, None)


def _begun(name: str, folder: RunFolder) -> bool:
    places = {"search": folder.search, "retrain": folder.retrain}
    return name in places and places[name].exists()


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file that may be missing or half there."""
    try:
        content = read_json(path)
    except EmufortError:
        return {}
    return content if isinstance(content, dict) else {}


def _candidates(folder: RunFolder, config: Config) -> tuple[int, int]:
    return int(_read(folder.search / "search.json").get("trials", 0)), config.search.trials


def _trainings(folder: RunFolder, config: Config) -> tuple[int, int]:
    summary = _read(folder.search / "search.json")
    converged = summary.get("trials", config.search.trials) - summary.get("diverged", 0)
    total = min(config.retrain.top, converged) * config.retrain.seeds
    return min(len(list(folder.retrain.glob("*/metrics.json"))), total), total


def _rounds(folder: RunFolder, config: Config) -> tuple[int, int]:
    rounds = len(_read(folder.work / "rounds.json").get("rounds", ()))
    return min(rounds, config.timing.repeats), config.timing.repeats


_UNITS = {"search": _candidates, "retrain": _trainings, "time": _rounds}


def _how_it_ended(folder: RunFolder) -> tuple[State, str]:
    try:
        lines = (folder.path / "run.log").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    _, _, last = (lines[-1] if lines else "").partition(" ")
    step, _, what = last.partition(": ")
    if what == "begins":
        return "killed", f"during the step '{step}'"
    if what.startswith("stopped by "):
        return "stopped", f"in the step '{step}' by {what.removeprefix('stopped by ')}"
    return "unfinished", ""
