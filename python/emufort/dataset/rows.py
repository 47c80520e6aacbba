"""Tables of many rows, kept on disk and read block by block, so that memory does not grow.

A table of up to `BLOCK` rows is an array in memory. A longer table is an array that is mapped from
a file without a name. Rows that are read take memory only until `forget`. The file disappears with
the last array that maps it, even if the process is killed.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from emufort.errors import StorageError

#: Rows of a block; tables with at most this many rows are processed at once.
BLOCK = 32768


def blocks(n: int, size: int | None = None) -> Iterator[slice]:
    """Cut `n` rows into blocks of `size` rows, by default `BLOCK` rows."""
    size = BLOCK if size is None else size
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


class Table:
    """A table that grows at its end.

    Parameters
    ----------
    scratch
        Folder for a long table, created if necessary; default: the folder of temporary files.
    """

    def __init__(self, scratch: Path | None = None) -> None:
        self._scratch = scratch
        self._waiting: list[NDArray[Any]] = []
        self._n = 0
        self._file: IO[bytes] | None = None

    def add(self, part: NDArray[Any]) -> None:
        """Append rows (n, ...), all of one type and width.

        Raises
        ------
        StorageError
            The disk is full, or the folder is not writable.
        """
        self._waiting.append(part)
        self._n += len(part)
        if self._n > BLOCK:
            with self._writing():
                if self._file is None:
                    if self._scratch is not None:
                        self._scratch.mkdir(parents=True, exist_ok=True)
                    self._file = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115, mapped
                for one in self._waiting:
                    self._file.write(np.ascontiguousarray(one).data)
            self._waiting = [part[:0].copy()]

    def finish(self) -> NDArray[Any]:
        """Return the table as one array, read-only if it is long; the errors are those of `add`."""
        if self._file is None:
            return self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        like = self._waiting[0]
        with self._writing():
            self._file.flush()
            shape = (self._n, *like.shape[1:])
            return np.asarray(np.memmap(self._file, dtype=like.dtype, mode="r", shape=shape))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"cannot write {self._scratch or tempfile.gettempdir()}: {error.strerror}; long "
                "tables of data are stored there temporarily: free some space"
            ) from error


def tables(
    parts: Iterable[tuple[NDArray[Any], ...]], scratch: Path | None = None
) -> tuple[NDArray[Any], ...]:
    """Join parts (at least one) of several tables; see `Table`."""
    found: list[Table] = []
    for part in parts:
        found = found or [Table(scratch) for _ in part]
        for one, values in zip(found, part, strict=True):
            one.add(values)
    return tuple(one.finish() for one in found)


def forget(array: NDArray[Any]) -> None:
    """Release the memory of the rows read from a mapped array; do nothing for other arrays."""
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    if base is not None and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)


def take(
    array: NDArray[Any], indices: NDArray[np.int64], scratch: Path | None = None
) -> NDArray[Any]:
    """Return the rows at `indices`; consecutive rows are not copied."""
    if len(indices) == 0:
        return array[:0]
    first = int(indices[0])
    if int(indices[-1]) - first == len(indices) - 1 and _ascend(indices):
        return array[first : first + len(indices)]
    if len(indices) <= BLOCK:
        found = array[indices]
        forget(array)
        return found

    joined = Table(scratch)
    for part in blocks(len(indices)):
        joined.add(array[indices[part]])
        forget(array)
    return joined.finish()


def _ascend(indices: NDArray[np.int64]) -> bool:
    return all(
        bool((np.diff(indices[part.start : part.stop + 1]) == 1).all())
        for part in blocks(len(indices))
    )
