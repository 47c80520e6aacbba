"""Label samples in parallel processes. A killed run loses no finished chunk.

A chunk is a file in a work folder, written atomically. It depends only on the recipe, so neither
the number of processes nor an interruption can change a label.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emufort import signals
from emufort.errors import StorageError
from emufort.files import make_directory, sweep, write_bytes
from emufort.processes.aerosol_activation.labelling.inputs import split_columns
from emufort.processes.aerosol_activation.labelling.parcel_model import (
    ParcelResult,
    build,
    solve_modes,
)
from emufort.processes.aerosol_activation.labelling.recipe import Recipe

#: Seconds between two checks for a signal.
_LOOK_SECONDS = 0.1
#: Default number of samples per chunk.
CHUNK = 256
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
class _Chunk:
    """Samples that one process labels at a time, and the file for the result."""

    path: Path
    samples: NDArray[np.float32]
    bins: int

    def read(self) -> NDArray[np.float64] | None:
        """Return the labels, or None if there are none of the right size."""
        try:
            values = np.fromfile(self.path, dtype="<f8")
        except FileNotFoundError:
            return None
        shape = (len(self.samples), len(RESULT_COLUMNS))
        return values.reshape(shape) if values.size == shape[0] * shape[1] else None


def label(
    samples: NDArray[np.float32], recipe: Recipe, bins: int, library: Path | None = None
) -> NDArray[np.float64]:
    """Label samples in this process.

    Parameters
    ----------
    samples : ndarray, shape (n, n_inputs), float32
        Rows in the order of `recipe.inputs`.
    recipe : Recipe
        Recipe of the data set.
    bins : int
        Cells per mode.
    library : Path, optional
        The compiled parcel model; default: it is compiled if needed.

    Returns
    -------
    ndarray, shape (n, 6), float64
        Columns `RESULT_COLUMNS`.
    """
    result: ParcelResult = solve_modes(
        split_columns(samples, recipe.inputs),
        recipe.geometric_standard_deviation,
        bins=bins,
        half_width=recipe.half_width,
        constants=recipe.preset.physical_constants(),
        options=recipe.options,
        library=library,
    )
    return np.column_stack(
        [np.asarray(getattr(result, name), dtype=np.float64) for name in RESULT_COLUMNS]
    )


def _label_chunk(chunk: _Chunk, recipe: Recipe, library: Path) -> int:
    """Label one chunk and store it; runs in a worker process. Return the number of samples."""
    values = label(chunk.samples, recipe, chunk.bins, library)
    write_bytes(chunk.path, np.ascontiguousarray(values, dtype="<f8").tobytes())
    return len(values)


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
    recipe: Recipe,
    folder: Path,
    workers: int,
    advance: Callable[[int], object] | None = None,
    chunk: int = CHUNK,
) -> NDArray[np.float64]:
    """Label the samples of a recipe, continuing from the finished chunks in a work folder.

    Parameters
    ----------
    recipe : Recipe
        Recipe of the samples; a work folder belongs to one recipe.
    folder : Path
        Work folder, made if needed.
    workers : int
        Number of processes.
    advance : callable, optional
        Called with the number of samples each time some are finished.
    chunk : int
        Samples per chunk.

    Returns
    -------
    ndarray, shape (n, 6), float64
        Columns `RESULT_COLUMNS`, for all splits in storage order.

    Raises
    ------
    EmufortError
        The parcel model cannot be compiled, or a chunk cannot be written.
    """
    library = build()
    # Chunks of two builds differ by the error of the solver. They are never mixed in one file, so
    # that the same recipe and build give the same bytes.
    place = make_directory(folder / f"{library.parent.name}_{chunk}")
    sweep(place)
    chunks = [
        _Chunk(place / f"{split}_{start:08d}.f64", rows[start : start + chunk], bins)
        for split, rows in recipe.samples().items()
        for bins in [recipe.bins_of(split)]
        for start in range(0, len(rows), chunk)
    ]
    todo = []
    for one in chunks:
        if one.read() is None:
            todo.append(one)
        elif advance is not None:
            advance(len(one.samples))
    if todo:
        _label_all(todo, recipe, library, workers, advance)
    finished = [values for values in (one.read() for one in chunks) if values is not None]
    if len(finished) != len(chunks):
        raise StorageError(f"files disappeared from {place}; run the command again")
    return np.concatenate(finished) if finished else np.empty((0, len(RESULT_COLUMNS)))


def _label_all(
    chunks: list[_Chunk],
    recipe: Recipe,
    library: Path,
    workers: int,
    advance: Callable[[int], object] | None,
) -> None:
    """Label chunks in worker processes."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(1, min(workers, len(chunks))), context, _start_worker) as pool:
        with signals.hidden_from_children():
            pending: set[Future[int]] = {
                pool.submit(_label_chunk, one, recipe, library) for one in chunks
            }
        try:
            while pending:
                signals.check()
                done, pending = wait(pending, _LOOK_SECONDS, FIRST_COMPLETED)
                for future in done:
                    try:
                        labelled = future.result()
                    except BrokenProcessPool:
                        # A signal may kill a worker before this process receives it.
                        if signals.received(settle=signals.SETTLE_SECONDS):
                            signals.check()
                        raise
                    if advance is not None:
                        advance(labelled)
        except BaseException:
            processes = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()  # chunks are complete or absent
            raise
