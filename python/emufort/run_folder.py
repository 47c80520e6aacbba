"""The run folder: where each step's results are, which steps are finished, who may write."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emufort.config import Config
from emufort.errors import StorageError, UsageError
from emufort.files import write_json, write_text
from emufort.lock import only_writer
from emufort.provenance import file_sha256

STEPS = ("search", "retrain", "time", "select", "export", "verify", "report")

#: Sections of the configuration that a step's result depends on, besides those of earlier steps.
_SECTIONS = {
    "search": ("contract", "data", "seed", "search"),
    "retrain": ("retrain",),
    "time": ("timing",),
    "select": ("select",),
    "export": ("export",),
    "verify": ("verify",),
    "report": (),
}
#: What each step leaves behind, as patterns below the run folder.
_RESULTS = {
    "search": ("search/trials.csv", "search/subset.json"),
    "retrain": (
        "retrain/candidates.csv",
        "retrain/retrain.json",
        "retrain/agreement.json",
        "retrain/*/weights.safetensors",
        "retrain/*/metrics.json",
        "retrain/*/curve.csv",
    ),
    "time": ("timing.csv",),
    "select": ("selection.json",),
    "export": ("bundle/*",),
    "verify": ("verification.json",),
    "report": ("report.html",),
}
#: Steps whose finished work is too dear to be overwritten because an option changed.
_PRECIOUS = ("search", "retrain")


@dataclass(frozen=True)
class RunFolder:
    """Paths and finished steps of one run.

    Attributes
    ----------
    path
        The folder, as given with ``--out``.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The configuration of the run."""
        return self.path / "config.toml"

    @property
    def search(self) -> Path:
        """Results of step 1."""
        return self.path / "search"

    @property
    def retrain(self) -> Path:
        """Results of step 2."""
        return self.path / "retrain"

    @property
    def timing(self) -> Path:
        """Measured times of the candidates and baselines."""
        return self.path / "timing.csv"

    @property
    def selection(self) -> Path:
        """The Pareto front and the choice on it."""
        return self.path / "selection.json"

    @property
    def bundle(self) -> Path:
        """What a host model takes."""
        return self.path / "bundle"

    @property
    def verification(self) -> Path:
        """Agreement of all forms of the emulator."""
        return self.path / "verification.json"

    @property
    def report(self) -> Path:
        """The report for a person."""
        return self.path / "report.html"

    @property
    def work(self) -> Path:
        """Compiled helpers and the like; may be removed at any time."""
        return self.path / "work"

    def weights(self, identity: str) -> Path:
        """Return the weights of a retrained candidate."""
        return self.retrain / identity / "weights.safetensors"

    # ----------------------------------------------------------------- driver

    def driver(self) -> AbstractContextManager[None]:
        """Be the only process that writes here; see `only_writer`."""
        return only_writer(self.path)

    def log(self, text: str) -> None:
        """Append a line with the time to run.log."""
        try:
            with open(self.path / "run.log", "a") as stream:
                stream.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n")
        except OSError as error:
            raise StorageError(
                f"cannot write {self.path / 'run.log'}: {error.strerror}; free some space or "
                "choose another --out"
            ) from error

    # ---------------------------------------------------------- configuration

    def keep_config(self, config: Config) -> None:
        """Write config.toml; a search or retraining that is under way is never given up for it.

        Raises
        ------
        UsageError
            The folder holds a search or retraining with other options.
        """
        import tomli_w

        if self.config.exists():
            begun = [step for step in _PRECIOUS if (self.path / step).exists()]
            stored = Config.load(self.config)
            for step in begun:
                change = _first_change(stored, config, _SECTIONS[step])
                if change:
                    raise UsageError(
                        f"{self.path} holds a run with {change}; give the old value or choose "
                        "another --out"
                    )
        # Where a run is computed is no part of it: the next session may be elsewhere.
        content = config.model_dump(mode="json", exclude_none=True, exclude={"cluster"})
        write_text(self.config, tomli_w.dumps(content))

    # ------------------------------------------------------------------ steps

    def _finished(self) -> dict[str, Any]:
        try:
            content = json.loads((self.path / "steps.json").read_text())
        except (OSError, ValueError):
            # Missing or damaged: every step looks anew at what it has, and does what is lacking.
            return {}
        return content if isinstance(content, dict) else {}

    def _results(self, step: str) -> dict[str, str]:
        """Return the files that `step` has left behind, with their SHA-256."""
        found = (path for pattern in _RESULTS[step] for path in self.path.glob(pattern))
        return {
            path.relative_to(self.path).as_posix(): file_sha256(path)
            for path in sorted(found)
            if path.is_file()
        }

    def is_finished(self, step: str, config: Config, inputs: str) -> bool:
        """Say whether `step` is finished for this configuration and these `inputs` (a hash).

        It is not when one of its results is missing or is not as the step left it.
        """
        done = self._finished().get(step)
        return (
            done is not None
            and done["fingerprint"] == fingerprint(step, config, inputs)
            and done.get("results") == self._results(step)
        )

    def is_recorded(self, step: str, config: Config) -> bool:
        """Say what `is_finished` says, for the inputs that the step was done with."""
        inputs = self._finished().get(step, {}).get("inputs")
        return inputs is not None and self.is_finished(step, config, inputs)

    def finish(self, step: str, config: Config, inputs: str, seconds: float) -> None:
        """Record that `step` is finished; what came after it is out of date."""
        finished = self._finished()
        later = STEPS[STEPS.index(step) + 1 :]
        kept = {name: entry for name, entry in finished.items() if name not in later}
        before = finished.get(step, {}).get("seconds", 0.0)
        kept[step] = {
            "fingerprint": fingerprint(step, config, inputs),
            "inputs": inputs,
            "seconds": round(before + seconds, 3),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "results": self._results(step),
        }
        write_json(self.path / "steps.json", kept)

    def seconds(self) -> dict[str, float]:
        """Return the wall time of each finished step (of the last session that worked on it)."""
        return {step: float(entry["seconds"]) for step, entry in self._finished().items()}


def fingerprint(step: str, config: Config, inputs: str) -> str:
    """Hash what the result of `step` depends on: its options, those before it, the data."""
    content = config.model_dump(mode="json")
    sections = [key for name in STEPS[: STEPS.index(step) + 1] for key in _SECTIONS[name]]
    relevant = {key: content[key] for key in sections}
    canonical = json.dumps([relevant, inputs], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _first_change(stored: Config, wanted: Config, sections: tuple[str, ...]) -> str | None:
    """Describe the first option among `sections` that differs, or return None."""
    old, new = stored.model_dump(mode="json"), wanted.model_dump(mode="json")

    def differ(a: Any, b: Any, place: str) -> str | None:
        if isinstance(a, dict) and isinstance(b, dict):
            for key in a:
                found = differ(a[key], b.get(key), f"{place}.{key}")
                if found:
                    return found
            return None
        return None if a == b else f"{place} = {a!r}, not {b!r}"

    for section in sections:
        found = differ(old[section], new[section], section)
        if found:
            return found
    return None


class Stopwatch:
    """Wall time since it was made, in seconds."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start
