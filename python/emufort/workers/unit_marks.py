"""Marks of the units of work that are running, so that a dead worker blames the right unit.

Dask counts a dead worker against all units that it had been given, also those that only waited
there. Therefore a worker makes a small file beside the training data when it starts a unit, and
removes it afterwards. The files that remain belong to workers that died.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emufort.files import make_directory

#: What a worker does while a mark exists: it loads the training data, or works on a unit.
LOADING, WORKING = "loading", "working"


@dataclass(frozen=True)
class Death:
    """A worker that died.

    Attributes
    ----------
    address
        Address of the worker.
    worker
        Name of the worker.
    """

    address: str
    worker: str


@dataclass(frozen=True)
class UnitMarks:
    """The marks of the units of one call.

    Attributes
    ----------
    folder
        Folder of the files, on a disk that all workers share with the driver.
    """

    folder: Path

    @classmethod
    def in_folder(cls, parent: Path) -> UnitMarks:
        """Make a new folder for marks."""
        return cls(make_directory(parent / f"units-{uuid.uuid4().hex}"))

    @contextmanager
    def during(self, position: int, what: str, worker: Death) -> Iterator[None]:
        """Mark a unit as running in this block, in a worker.

        Parameters
        ----------
        position
            Position of the unit.
        what
            `LOADING` or `WORKING`.
        worker
            The worker, if it dies in this block.
        """
        path = self.folder / f"{position}.{what}.{uuid.uuid4().hex}"
        path.write_text(json.dumps([worker.address, worker.worker]))
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    def left(self, what: str, position: int | None = None) -> list[Death]:
        """Return the workers whose marks exist, for one unit or for all.

        A unit that is running has a mark too, so ask only when it has been given up.
        """
        unit = "*" if position is None else str(position)
        deaths = []
        for path in sorted(self.folder.glob(f"{unit}.{what}.*")):
            try:
                address, worker = json.loads(path.read_text())
            except (OSError, ValueError):
                address = worker = ""  # the worker died while it wrote
            deaths.append(Death(str(address), str(worker)))
        return deaths
