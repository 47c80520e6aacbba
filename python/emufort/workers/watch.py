"""Progress within trainings that worker processes carry out.

A worker writes the finished share of its training into a cell of a file, which is in the folder of
the shared data. The driver reads the cells once a second. No process waits for another, so
trainings keep their speed and their bits, and a killed worker does not disturb the others.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from emufort.progress import Reporter, silent

#: Time between two reads by the driver, and between two writes by a worker [s].
LOOK_SECONDS = 1.0
_WORD = struct.Struct("<d")


@dataclass(frozen=True)
class Cell:
    """Place where one training writes its progress.

    Attributes
    ----------
    path
        The file of all cells.
    index
        Index of the cell in the file.
    seconds
        Shortest time between two writes [s].
    """

    path: Path
    index: int
    seconds: float = LOOK_SECONDS

    def teller(self) -> Callable[[float], None]:
        """Return a function that writes the finished share, at most once every `seconds`.

        A write that fails is ignored, because progress only informs people.
        """
        last = time.monotonic()

        def tell(share: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last < self.seconds:
                return
            last = now
            with suppress(OSError), open(self.path, "r+b") as stream:
                stream.seek(_WORD.size * self.index)
                stream.write(_WORD.pack(share))

        return tell


@dataclass
class _Item:
    """A training that has started or finished since the last call of `Watch.at`."""

    count: float
    work: float
    finished: bool = False


class Watch:
    """Reports the progress of the trainings of a step to a `Reporter`, also while they run.

    Parameters
    ----------
    report
        The reporter. If it raises an exception, the next call of a method here raises it again.
    step, total
        Name of the step, and the number of its units.
    folder
        Folder of the file of cells, which all workers can read.
    work
        Total work of the step in any unit, used to estimate the time left; default: `total`.
    """

    def __init__(
        self, report: Reporter, step: str, total: int, folder: Path, work: float | None = None
    ) -> None:
        self._report, self._step, self._total = report, step, total
        self._path = folder / "progress.bin"
        self._all_work = float(total if work is None else work)
        self._done = self._work = 0.0
        self._note = ""
        self._items: list[_Item] = []
        self._first_cell = 0
        self._begun: tuple[float, float] | None = None
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        if self._report is not silent:
            self._thread.start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    # ------------------------------------------------------------------ the driver says

    def at(
        self, done: float, note: str = "", work: float | None = None, total: int | None = None
    ) -> None:
        """Record that `done` units are finished and none is running.

        Parameters
        ----------
        done
            Number of finished units.
        note
            Text that is shown with the progress.
        work
            Finished work; default: `done`.
        total
            New number of units, with a work of 1 each; default: unchanged.
        """
        with self._lock:
            if total is not None:
                self._total, self._all_work = total, float(total)
            self._first_cell += len(self._items)
            self._items = []
            self._done, self._note = done, note
            self._work = float(done if work is None else work)
            self._tell()

    def begin(self, work: Sequence[float], counts: Sequence[float] | None = None) -> list[Cell]:
        """Record that trainings start, and return their cells.

        Parameters
        ----------
        work
            Work of each training.
        counts
            Number of units that each training counts for; default: `work`.
        """
        with self._lock:
            first = self._first_cell + len(self._items)
            self._items += [_Item(*pair) for pair in zip(counts or work, work, strict=True)]
            with suppress(OSError), open(self._path, "ab") as stream:
                stream.truncate(_WORD.size * (first + len(work)))
            return [Cell(self._path, first + i, LOOK_SECONDS) for i in range(len(work))]

    def finished(self, cell: Cell, note: str | None = None) -> None:
        """Record that a training is finished; a `note` is reported at once."""
        with self._lock:
            self._items[cell.index - self._first_cell].finished = True
            if note is not None:
                self._note = note
                self._tell()

    # -------------------------------------------------------------------------- inside

    def _look(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            with self._lock:
                try:
                    self._tell()
                except BaseException as error:
                    self._failure = error
                    return

    def _tell(self) -> None:
        if self._failure is not None:
            raise self._failure
        shares = self._shares()
        done = self._done + sum(i.count * s for i, s in zip(self._items, shares, strict=True))
        work = self._work + sum(i.work * s for i, s in zip(self._items, shares, strict=True))
        now = time.monotonic()
        if self._begun is None:
            self._begun = now, work
        begun, before = self._begun
        left = None
        if work > before:
            left = max(0.0, self._all_work - work) * (now - begun) / (work - before)
        self._report(self._step, min(done, self._total), self._total, self._note, left)

    def _shares(self) -> list[float]:
        """Return the finished share of each training; values that are not a share count as 0."""
        n = len(self._items)
        content = b""
        with suppress(OSError), open(self._path, "rb") as stream:
            stream.seek(_WORD.size * self._first_cell)
            content = stream.read(_WORD.size * n)
        content += bytes(_WORD.size * n - len(content))
        words = [word for (word,) in _WORD.iter_unpack(content)]
        return [
            1.0 if item.finished else word if 0.0 <= word < 1.0 else 0.0
            for item, word in zip(self._items, words, strict=True)
        ]
