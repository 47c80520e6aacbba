"""Label samples in parallel processes. A killed run loses no finished chunk.

A chunk is a file in a work folder, written atomically. It depends only on the recipe, so neither
the number of processes nor an interruption can change a label.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emufort import signals
from emufort.errors import StorageError
from emufort.files import make_directory, sweep
from emufort.processes.aerosol_activation.labelling.inputs import split_columns
from emufort.processes.aerosol_activation.labelling.recipe import Recipe
from emufort.processes.aerosol_activation.parcel_chunks import (
    RESULT_COLUMNS,
    Chunk,
    Settings,
    label_chunk,
    start_worker,
)
from emufort.processes.aerosol_activation.parcel_model import build
from emufort.workers.main_module import without_main

#: Seconds between two checks for a signal.
_LOOK_SECONDS = 0.1
#: Default number of samples per chunk.
CHUNK = 256


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
        Columns `parcel_chunks.RESULT_COLUMNS`, for all splits in storage order.

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
    settings = Settings(
        recipe.geometric_standard_deviation,
        recipe.half_width,
        recipe.preset.physical_constants(),
        recipe.options,
        library,
    )
    chunks = [
        Chunk(
            place / f"{split}_{start:08d}.f64",
            split_columns(rows[start : start + chunk], recipe.inputs),
            recipe.bins_of(split),
        )
        for split, rows in recipe.samples().items()
        for start in range(0, len(rows), chunk)
    ]
    todo = []
    for one in chunks:
        if one.read() is None:
            todo.append(one)
        elif advance is not None:
            advance(one.rows)
    if todo:
        _label_all(todo, settings, workers, advance)
    finished = [values for values in (one.read() for one in chunks) if values is not None]
    if len(finished) != len(chunks):
        raise StorageError(f"files disappeared from {place}; run the command again")
    return np.concatenate(finished) if finished else np.empty((0, len(RESULT_COLUMNS)))


def _label_all(
    chunks: list[Chunk],
    settings: Settings,
    workers: int,
    advance: Callable[[int], object] | None,
) -> None:
    """Label chunks in worker processes."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(1, min(workers, len(chunks))), context, start_worker) as pool:
        with without_main(), signals.hidden_from_children():
            pending: set[Future[int]] = {pool.submit(label_chunk, one, settings) for one in chunks}
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
