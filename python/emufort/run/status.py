"""The progress of a run, from the files of its folder only; the data are not read."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from emufort.brief import brief
from emufort.config import Config
from emufort.errors import EmufortError, UsageError
from emufort.files import read_json
from emufort.lock import held_by
from emufort.run.configuration import read_config
from emufort.run.finished import FinishedSteps
from emufort.run.folder import RunFolder
from emufort.search.identity import study_sha256
from emufort.steps import STEP_NAMES, STEPS

State = Literal["running", "finished", "killed", "stopped", "unfinished"]

_WORDS: dict[State, str] = {
    "running": "{folder} is running: {detail}",
    "finished": "{folder} is finished: nothing is left to do",
    "killed": "{folder} was killed {detail}",
    "stopped": "{folder} was stopped {detail}",
    "unfinished": "{folder} is unfinished",
}
#: Text in run.log about a step that an error or a signal ended, see `emufort.run.pipeline.Run.do`.
_STOPPED = "stopped: "


@dataclass(frozen=True)
class StepStatus:
    """Progress of one step.

    Attributes
    ----------
    name
        The step.
    state
        ``"finished"``, ``"begun"`` (running, stopped or killed) or ``"to do"``.
    done, total
        Number of finished units and of all units: candidates of the search, trainings of step 2
        (those planned so far), rounds of the timing; for other steps the step itself.
    seconds
        Wall time of a finished step [s], else None.
    """

    name: str
    state: Literal["finished", "begun", "to do"]
    done: int
    total: int
    seconds: float | None


@dataclass(frozen=True)
class RunStatus:
    """Progress of a run.

    Attributes
    ----------
    folder
        The run folder.
    state
        ``"running"`` (a process is working in the folder), ``"finished"``, ``"killed"`` (the
        process ended without a log entry), ``"stopped"`` (by an error or by the user) or
        ``"unfinished"`` (the last command has finished its steps, but others remain).
    detail
        The running process, what stopped the run, or why a finished run is not verified.
    steps
        All steps in their order.
    """

    folder: Path
    state: State
    detail: str
    steps: tuple[StepStatus, ...]

    @classmethod
    def of(cls, path: Path) -> RunStatus:
        """Read the progress from a run folder.

        Raises
        ------
        UsageError
            The folder holds no run.
        """
        folder = RunFolder(path)
        must_hold_a_run(folder)
        config = read_config(folder)[0] or Config()
        last, event = _last_event(folder)
        steps = tuple(
            _step(
                name,
                folder,
                config,
                name == last and (event == "begins" or event.startswith(_STOPPED)),
            )
            for name in STEP_NAMES
        )
        holder = held_by(path)
        if holder is not None:
            return cls(path, "running", holder, steps)
        if all(step.state == "finished" for step in steps):
            return cls(path, "finished", _what_is_not_verified(folder), steps)
        if event == "begins":
            return cls(path, "killed", f"during the step '{last}'", steps)
        if event.startswith(_STOPPED):
            return cls(path, "stopped", f"in the step '{last}': {event[len(_STOPPED) :]}", steps)
        return cls(path, "unfinished", "", steps)

    def __repr__(self) -> str:
        finished = sum(step.state == "finished" for step in self.steps)
        steps = f"{finished} of {len(self.steps)} steps finished"
        return brief(self, str(self.folder), self.state, self.detail, steps)

    @property
    def next_command(self) -> str:
        """Command that continues the run; empty if nothing is left to do."""
        if self.state == "running" or (self.state == "finished" and not self.detail):
            return ""
        return f"emufort run --out {shlex.quote(str(self.folder))}"

    @property
    def words(self) -> str:
        """One line with the state of the run and what to do next."""
        if self.state == "finished" and self.detail:
            return (
                f"{self.folder} is finished, but {self.detail}; '{self.next_command}' verifies it "
                "where there is a compiler"
            )
        words = _WORDS[self.state].format(folder=self.folder, detail=self.detail)
        return words + (f"; '{self.next_command}' continues it" if self.next_command else "")

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


def _step(name: str, folder: RunFolder, config: Config, begun: bool) -> StepStatus:
    done, total = COUNTS[name](folder, config) if name in COUNTS else (0, 1)
    if FinishedSteps(folder).is_recorded(name, config):
        total = done if name == "retrain" else total
        seconds = folder.seconds().get(name)
        return StepStatus(name, "finished", total, total, seconds)
    begun = begun or bool(done) or (STEPS[name].is_resumable and (folder.path / name).exists())
    return StepStatus(name, "begun" if begun else "to do", done, total, None)


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file, empty if it is missing or incomplete."""
    try:
        content = read_json(path)
    except EmufortError:
        return {}
    return content if isinstance(content, dict) else {}


def _candidates(folder: RunFolder, config: Config) -> tuple[int, int]:
    return int(_read(folder.search / "search.json").get("trials", 0)), config.search.trials


def _trainings(folder: RunFolder, config: Config) -> tuple[int, int]:
    """Return the number of finished and of planned trainings; every round may plan more.

    A training of the time before the search grew counts when step 2 has taken it over.
    """
    try:
        study = study_sha256(folder.search)
    except EmufortError:
        study = None
    names = [_study_of(_read(path)) for path in folder.retrain.glob("*/metrics.json")]
    done = sum(None in (study, name) or name == study for name in names)
    planned = _read(folder.retrain / "retrain.json").get("planned")
    return done, max(done, planned) if isinstance(planned, int) else max(done, 1)


def _study_of(metrics: dict[str, Any]) -> str | None:
    provenance = metrics.get("provenance")
    found = provenance.get("study_sha256") if isinstance(provenance, dict) else None
    return found if isinstance(found, str) else None


def _rounds(folder: RunFolder, config: Config) -> tuple[int, int]:
    rounds = len(_read(folder.work / "rounds.json").get("rounds", ()))
    return min(rounds, config.timing.repeats), config.timing.repeats


#: Step -> number of finished units and of all units; a step that is not listed is one unit.
COUNTS = {"search": _candidates, "retrain": _trainings, "time": _rounds}


def _what_is_not_verified(folder: RunFolder) -> str:
    found = _read(folder.verification)
    return "" if found.get("passed") else str(found.get("reason", ""))


def _last_event(folder: RunFolder) -> tuple[str, str]:
    """Return the step that the last line of run.log names, and the event."""
    try:
        lines = (folder.path / "run.log").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    _, _, last = (lines[-1] if lines else "").partition(" ")
    step, _, event = last.partition(": ")
    return step, event
