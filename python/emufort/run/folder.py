"""The run folder: paths of results, the lock of its writer, and the record steps.json."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emufort.errors import StorageError
from emufort.files import sweep, write_json
from emufort.lock import only_writer
from emufort.provenance import file_sha256
from emufort.run.record import read_record, write_record


@dataclass(frozen=True)
class RunFolder:
    """Paths and finished steps of one run.

    Attributes
    ----------
    path
        The folder that ``--out`` names.
    """

    path: Path

    @property
    def config(self) -> Path:
        """Path of the configuration of the run."""
        return self.path / "config.toml"

    @property
    def search(self) -> Path:
        """Folder with the results of step 1."""
        return self.path / "search"

    @property
    def retrain(self) -> Path:
        """Folder with the results of step 2."""
        return self.path / "retrain"

    @property
    def timing(self) -> Path:
        """Path of the table of measured times of candidates and baselines."""
        return self.path / "timing.csv"

    @property
    def selection(self) -> Path:
        """Path of the file with the Pareto front and the selected network."""
        return self.path / "selection.json"

    @property
    def bundle(self) -> Path:
        """Folder of the bundle for host models."""
        return self.path / "bundle"

    @property
    def verification(self) -> Path:
        """Path of the file with the comparison of all forms of the emulator."""
        return self.path / "verification.json"

    @property
    def report(self) -> Path:
        """Path of the HTML report."""
        return self.path / "report.html"

    @property
    def work(self) -> Path:
        """Folder with compiled programs and similar files; it may be removed at any time."""
        return self.path / "work"

    # ----------------------------------------------------------------- driver

    @contextmanager
    def driver(self) -> Iterator[None]:
        """Lock the folder for this process, see `only_writer`; remove files of killed processes."""
        with only_writer(self.path):
            bundle = self.bundle.resolve()
            sweep(self.path)
            sweep(self.work)
            sweep(bundle.parent, f".{bundle.name}.*")
            yield

    def log(self, text: str) -> None:
        """Append a line with the time to run.log; a link in its place is replaced.

        Raises
        ------
        StorageError
            The file cannot be written.
        """
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

    # ----------------------------------------------------------------- record

    @property
    def record(self) -> dict[str, Any]:
        """Record of the run: options, inputs and finished steps."""
        return read_record(self.path / "steps.json")

    def remember(self, **entries: Any) -> None:
        """Replace entries of `record`."""
        write_record(self.path / "steps.json", {**self.record, **entries})

    @property
    def holds_run(self) -> bool:
        """Return whether the folder holds a run."""
        return self.config.exists() or "config" in self.record

    @property
    def finished(self) -> dict[str, dict[str, Any]]:
        """Record of each finished step."""
        found: dict[str, dict[str, Any]] = self.record.get("steps", {})
        return found

    def seconds(self) -> dict[str, float]:
        """Return the wall time of each finished step [s] (of the last session that ran it)."""
        return {step: float(entry["seconds"]) for step, entry in self.finished.items()}

    def keep_provenance(self, describe: Callable[[], dict[str, Any]]) -> None:
        """Write provenance.json unless it exists undamaged."""
        path = self.path / "provenance.json"
        if path.is_file() and self.record.get("provenance") == file_sha256(path):
            return
        write_json(path, describe())
        self.remember(provenance=file_sha256(path))


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)
