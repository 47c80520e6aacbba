"""Label samples in parallel processes. A killed run loses no finished chunk.

A chunk is a file in a work folder. It is written under another name, synced and renamed, so it is
always complete. It depends only on the recipe, so neither the number of processes nor an
interruption can change a label.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from activation_data.ranges import (
    GEOMETRIC_STANDARD_DEVIATION,
    range_table,
    split_columns,
)
from activation_data.sampling import SPLITS, sample_split
from activation_data.solver import (
    ParcelOptions,
    ParcelResult,
    build,
    compiler_version,
    solve_modes,
    source_hash,
)
from emufort import signals

#: Seconds between two checks for a signal.
_LOOK_SECONDS = 0.1
#: Results of a sample in the order in which a chunk stores them.
RESULT_COLUMNS = (
    "max_supersaturation",
    "temperature_at_smax",
    "height_of_smax",
    "time_of_smax",
    "status",
    "steps",
)


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the values of a data set.

    Attributes
    ----------
    train, validation, test : int
        Samples of each split.
    seed : int
        Seed of the training split; validation and test use the next two.
    bins : int
        Cells per mode.
    half_width : float
        Half width of the range of cells of a mode [standard deviations of ln radius].
    chunk : int
        Samples per chunk.
    options : ParcelOptions
        Options of the parcel model.
    """

    train: int
    validation: int
    test: int
    seed: int = 1
    bins: int = 100
    half_width: float = 5.0
    chunk: int = 256
    options: ParcelOptions = field(default_factory=ParcelOptions)

    def sizes(self) -> dict[str, int]:
        """Return the number of samples of each split, in storage order."""
        return {split: getattr(self, split) for split in SPLITS}

    def samples(self) -> NDArray[np.float32]:
        """Return all samples, shape (n, 15), split after split."""
        return np.concatenate(
            [sample_split(split, n, self.seed) for split, n in self.sizes().items()]
        )

    def split_flags(self) -> NDArray[np.int8]:
        """Return the flag of the split of each sample, shape (n,)."""
        return np.repeat(np.arange(len(SPLITS), dtype=np.int8), list(self.sizes().values()))

    def fingerprint(self) -> str:
        """Return the hash that names the work folder: recipe, solver sources, compiler, ranges."""
        text = json.dumps(
            [asdict(self), source_hash(), compiler_version(), range_table()], sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Write a file that appears under its name only when it is complete and on disk.

    Parameters
    ----------
    path : Path
        File to write.
    data : bytes or memoryview
        Content of the file.

    Raises
    ------
    OSError
        The file cannot be written; no partial file remains.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself must survive a power failure
    finally:
        os.close(folder)


def label(samples: NDArray[np.float32], recipe: Recipe) -> NDArray[np.float64]:
    """Label samples in this process.

    Parameters
    ----------
    samples : ndarray, shape (n, 15), float32
        Rows in the order of `ranges.RANGES`.
    recipe : Recipe
        Cells and options of the parcel model.

    Returns
    -------
    ndarray, shape (n, 6), float64
        Columns `RESULT_COLUMNS`.
    """
    result: ParcelResult = solve_modes(
        split_columns(samples),
        GEOMETRIC_STANDARD_DEVIATION,
        bins=recipe.bins,
        half_width=recipe.half_width,
        options=recipe.options,
    )
    return np.column_stack(
        [np.asarray(getattr(result, name), dtype=np.float64) for name in RESULT_COLUMNS]
    )


def _chunk_path(folder: Path, index: int) -> Path:
    return folder / f"chunk_{index:06d}.f64"


def _read_chunk(path: Path, rows: int) -> NDArray[np.float64] | None:
    """Return a finished chunk, or None if there is none of the right size."""
    try:
        values = np.fromfile(path, dtype="<f8")
    except FileNotFoundError:
        return None
    if values.size != rows * len(RESULT_COLUMNS):
        return None
    return values.reshape(rows, len(RESULT_COLUMNS))


def _label_chunk(index: int, samples: NDArray[np.float32], recipe: Recipe, folder: Path) -> int:
    """Label one chunk and store it; runs in a worker process."""
    values = np.ascontiguousarray(label(samples, recipe), dtype="<f8")
    write_atomically(_chunk_path(folder, index), values.tobytes())
    return index


def _end_with_parent(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _start_worker() -> None:
    """Make a worker end when the main process is killed, instead of waiting for work forever."""
    signals.start_worker()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def label_in_parallel(
    samples: NDArray[np.float32],
    recipe: Recipe,
    folder: Path,
    workers: int,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """Label samples, continuing from the finished chunks in a work folder.

    Parameters
    ----------
    samples : ndarray, shape (n, 15), float32
        Rows in the order of `ranges.RANGES`.
    recipe : Recipe
        Recipe of the samples and of the work folder.
    folder : Path
        Work folder, made if needed.
    workers : int
        Number of processes.
    progress : callable, optional
        Called with the number of samples each time some are finished.

    Returns
    -------
    ndarray, shape (n, 6), float64
        Columns `RESULT_COLUMNS`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".*.part"):
        leftover.unlink(missing_ok=True)
    build()  # once, before the workers look for the library
    starts = list(range(0, len(samples), recipe.chunk))
    rows = [samples[start : start + recipe.chunk] for start in starts]
    todo = []
    for index, chunk in enumerate(rows):
        if _read_chunk(_chunk_path(folder, index), len(chunk)) is None:
            todo.append(index)
        elif progress is not None:
            progress(len(chunk))
    if todo:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(max(1, min(workers, len(todo))), context, _start_worker) as pool:
            with signals.hidden_from_children():
                pending: set[Future[int]] = {
                    pool.submit(_label_chunk, i, rows[i], recipe, folder) for i in todo
                }
            try:
                while pending:
                    signals.check()
                    done, pending = wait(pending, _LOOK_SECONDS, FIRST_COMPLETED)
                    for future in done:
                        try:
                            index = future.result()
                        except BrokenProcessPool:
                            # A signal may kill a worker before this process receives it.
                            if signals.received(settle=signals.SETTLE_SECONDS):
                                signals.check()
                            raise
                        if progress is not None:
                            progress(len(rows[index]))
            except BaseException:
                processes = list((pool._processes or {}).values())
                pool.shutdown(wait=False, cancel_futures=True)
                for process in processes:
                    process.kill()  # chunks are complete or absent
                raise
    chunks = [
        _read_chunk(_chunk_path(folder, index), len(chunk)) for index, chunk in enumerate(rows)
    ]
    finished = [chunk for chunk in chunks if chunk is not None]
    if len(finished) != len(chunks):
        raise OSError(f"chunks disappeared from the work folder {folder}; run the command again")
    return np.concatenate(finished) if finished else np.empty((0, len(RESULT_COLUMNS)))
