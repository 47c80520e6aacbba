"""The run folder: where each step's results are, which steps are finished, who may write."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emufort.config import Config
from emufort.errors import EmufortError, StorageError, UsageError
from emufort.files import read_json, sweep, write_json, write_text
from emufort.lock import only_writer
from emufort.provenance import file_sha256
from emufort.run.record import essences, hashes, read_record, remove_damaged, write_record

STEPS = ("search", "retrain", "time", "select", "export", "verify", "report")

#: Sections of the configuration that a step's result depends on, besides those of earlier steps.
#: The contract and the data count by their hashes: where their files are does not matter.
_SECTIONS = {
    "search": ("seed", "search"),
    "retrain": ("retrain",),
    "time": ("timing",),
    "select": ("select",),
    "export": ("export",),
    "verify": ("verify",),
    "report": (),
}
#: What each step leaves behind, as patterns below the run folder.
_RESULTS = {
    "search": (
        "search/trials.csv",
        "search/subset.json",
        "search/search.json",
        "search/study.journal",
        "search/cost_model.json",
    ),
    "retrain": (
        "retrain/candidates.csv",
        "retrain/ranking.csv",
        "retrain/predictions.csv",
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

    @contextmanager
    def driver(self) -> Iterator[None]:
        """Be the only process that writes here, see `only_writer`; remove what a kill has left."""
        with only_writer(self.path):
            bundle = self.bundle.resolve()
            sweep(self.path)
            sweep(self.work)
            sweep(bundle.parent, f".{bundle.name}.*")
            yield

    def log(self, text: str) -> None:
        """Append a line with the time to run.log; a link in its place is replaced."""
        path = self.path / "run.log"
        try:
            if path.is_symlink():
                path.unlink()
            with open(path, "a", opener=_no_link) as stream:
                stream.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n")
        except OSError as error:
            raise StorageError(
                f"cannot write {path}: {error.strerror}; free some space or choose another --out"
            ) from error

    # ---------------------------------------------------------- configuration

    @property
    def holds_run(self) -> bool:
        """Whether a run has begun here."""
        return self.config.exists() or "config" in self._record

    def read_config(self) -> tuple[Config | None, str]:
        """Return the options of the run, and what was wrong with config.toml.

        What counts is what the last command recorded: config.toml shows it. Where the record is
        lost, config.toml counts, and where that is damaged, what the search says of itself.

        Raises
        ------
        UsageError
            config.toml is damaged, and there is nothing that it could be made from.
        """
        recorded = self._record.get("config")
        if recorded is not None:
            config = Config.from_dict(recorded, str(self.path / "steps.json"))
            if self._shows(recorded):
                return config, ""
            return config, (
                f"{self.config} is not as the last command left it: the options that it recorded "
                "are used; change options on the command line or in a configuration of your own"
            )
        if not (self.config.is_file() or self.config.is_dir()):
            return None, ""
        try:
            return Config.load(self.config), ""
        except UsageError as error:
            try:
                content = read_json(self.search / "search.json")["config"]
                return Config.from_dict({**content, "cluster": {}}), (
                    f"{self.config} is damaged: the options that the search recorded are used"
                )
            except (EmufortError, KeyError, TypeError, UnicodeDecodeError):
                raise UsageError(
                    f"{error}; remove {self.config} and give the options or the configuration again"
                ) from error

    def path_of(self, what: str) -> str | None:
        """Return where the ``"data"`` or the ``"contract"`` of the run was last."""
        found = self._record.get("config", {}).get(what)
        return None if found is None else str(found)

    def _shows(self, content: dict[str, Any]) -> bool:
        """Whether config.toml holds `content`."""
        import tomli_w

        try:
            shown = self.config.read_bytes() if self.config.is_file() else None
            return shown == tomli_w.dumps(content).encode()
        except OSError:
            return False

    @property
    def targets(self) -> tuple[dict[str, str], dict[str, str]]:
        """Target -> SHA-256 of its contract; target -> where its file is, if that has moved."""
        hashes, files = self._record.get("targets", ({}, {}))
        return hashes, files

    def keep_config(
        self,
        config: Config,
        inputs: dict[str, str],
        targets: tuple[dict[str, str], dict[str, str]] = ({}, {}),
    ) -> None:
        """Write config.toml; a search or retraining that is under way is never given up for it.

        Parameters
        ----------
        inputs
            ``"data"`` and ``"contract"`` -> SHA-256.
        targets
            As `targets` returns them.

        Raises
        ------
        UsageError
            The folder holds a search or retraining with other options, or of other data.
        """
        import tomli_w

        record = self._record
        begun = [step for step in _PRECIOUS if (self.path / step).exists()]
        if begun:
            for what, sha256 in record.get("inputs", {}).items():
                if inputs.get(what) != sha256:
                    raise UsageError(
                        f"{self.path} holds a run of another {what}: its SHA-256 begins with "
                        f"{sha256[:12]}; give the same {what} or choose another --out"
                    )
            try:
                stored = self.read_config()[0] or config
            except UsageError:
                stored = config  # the search itself knows what it was made with
            for step in begun:
                change = _first_change(stored, config, _SECTIONS[step])
                if change:
                    raise UsageError(
                        f"{self.path} holds a run with {change}; give the old value or choose "
                        "another --out"
                    )
        # Where a run is computed is no part of it: the next session may be elsewhere.
        content = config.model_dump(mode="json", exclude_none=True, exclude={"cluster"})
        if not self._shows(content):
            write_text(self.config, tomli_w.dumps(content))
        known = {"config": content, "inputs": inputs, "targets": list(targets)}
        if not known.items() <= record.items():
            self._keep({**record, **known})

    def keep_provenance(self, describe: Callable[[], dict[str, Any]]) -> None:
        """Write provenance.json unless it is there as it was written."""
        path, record = self.path / "provenance.json", self._record
        if path.is_file() and record.get("provenance") == file_sha256(path):
            return
        write_json(path, describe())
        self._keep({**record, "provenance": file_sha256(path)})

    # ------------------------------------------------------------------ steps

    @property
    def _record(self) -> dict[str, Any]:
        return read_record(self.path / "steps.json")

    def _keep(self, record: dict[str, Any]) -> None:
        write_record(self.path / "steps.json", record)

    def _finished(self) -> dict[str, Any]:
        found: dict[str, Any] = self._record.get("steps", {})
        return found

    def is_finished(self, step: str, config: Config, inputs: str) -> bool:
        """Say whether `step` is finished for this configuration and these `inputs` (a hash).

        It is not when one of its results is missing or is not as the step left it.
        """
        done = self._finished().get(step)
        return (
            done is not None
            and done["fingerprint"] == fingerprint(step, config, inputs)
            and done["results"] == hashes(self.path, _RESULTS[step])
        )

    def damaged(self, step: str) -> list[str]:
        """Return the results of `step` that are missing or not as it left them."""
        results = self._finished().get(step, {}).get("results", {})
        found = hashes(self.path, _RESULTS[step])
        return [name for name, sha256 in results.items() if found.get(name) != sha256]

    def begin(self, step: str, config: Config, inputs: str) -> None:
        """Remove results of `step` that are damaged: it makes again what is missing."""
        done = self._finished().get(step)
        if done is not None and done["fingerprint"] == fingerprint(step, config, inputs):
            for name in remove_damaged(self.path, _RESULTS[step], done["results"]):
                self.log(f"{step}: {name} is not as it was left, and is made again")

    def is_recorded(self, step: str, config: Config) -> bool:
        """Say what `is_finished` says, for the inputs that the step was done with."""
        inputs = self._finished().get(step, {}).get("inputs")
        return inputs is not None and self.is_finished(step, config, inputs)

    def finish(self, step: str, config: Config, inputs: str, seconds: float) -> None:
        """Record that `step` is finished; what came after it is out of date if it has changed."""
        finished = self._finished()
        before = finished.get(step, {})
        results = hashes(self.path, _RESULTS[step])
        made = {
            "fingerprint": fingerprint(step, config, inputs),
            "inputs": inputs,
            "essences": essences(self.path, results),
        }
        later = STEPS[STEPS.index(step) + 1 :]
        if made.items() <= before.items():
            later = ()
        kept = {name: entry for name, entry in finished.items() if name not in later}
        kept[step] = {
            **made,
            "seconds": round(before.get("seconds", 0.0) + seconds, 3),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "results": results,
        }
        self._keep({**self._record, "steps": kept})

    def seconds(self) -> dict[str, float]:
        """Return the wall time of each finished step (of the last session that worked on it)."""
        return {step: float(entry["seconds"]) for step, entry in self._finished().items()}


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


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
