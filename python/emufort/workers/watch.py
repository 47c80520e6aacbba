"""Progress within trainings that worker processes carry out.

A worker writes the share of its training that is done into a cell of a file, which lies beside the
data that all workers see; the driver looks at the cells once a second. Nothing waits for anything,
so trainings keep their speed and their bits, and a worker that is killed disturbs nothing.
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

#: Seconds between two looks of the driver, and between two words of a worker.
LOOK_SECONDS = 1.0
_WORD = struct.Struct("<d")


@dataclass(frozen=True)
class Cell:
    """Where one training says how far it is.

    Attributes
    ----------
    path
        The file of all cells.
    index
        Place in it.
    seconds
        Least time between two words, in s.
    """

    path: Path
    index: int
    seconds: float = LOOK_SECONDS

    def teller(self) -> Callable[[float], None]:
        """Return what writes the share that is done, now and then.

        Progress is for people: where it cannot be written, the training goes on without.
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
    """A training that is under way or finished since `Watch.at`."""

    count: float
    work: float
    finished: bool = False


class Watch:
    """Tells a `Reporter` how far the trainings of a step are, also while they are under way.

    Parameters
    ----------
    report
        Who is told. Where it raises an exception, the next call of a method here raises it.
    step, total
        Name of the step, and the number of its units.
    folder
        Where the cells are; all workers see it.
    work
        All the work of the step in any unit, for the time left; default: `total`.
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
        """Say that `done` units are finished and none is under way; `work` as `done` if None.

        A `total` replaces the number of units, of which the work is then one each.
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
        """Say that trainings begin, with their work and how many units each is (as `work`)."""
        with self._lock:
            first = self._first_cell + len(self._items)
            self._items += [_Item(*pair) for pair in zip(counts or work, work, strict=True)]
            with suppress(OSError), open(self._path, "ab") as stream:
                stream.truncate(_WORD.size * (first + len(work)))
            return [Cell(self._path, first + i, LOOK_SECONDS) for i in range(len(work))]

    def finished(self, cell: Cell, note: str | None = None) -> None:
        """Say that a training is finished; with a `note`, tell of it at once."""
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
        """Return the share of each training that is done; what is no share counts as none."""
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
