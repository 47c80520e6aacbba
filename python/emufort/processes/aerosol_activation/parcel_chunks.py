"""Label one chunk of samples with the parcel model and store it: what a worker process does.

The module imports little, because every worker process imports it when it starts.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emufort import signals
from emufort.files import write_bytes
from emufort.processes.aerosol_activation.constants import PhysicalConstants
from emufort.processes.aerosol_activation.parcel_model import ParcelOptions, solve_modes

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
class Chunk:
    """Samples that one process labels at a time, and the file for their labels.

    Attributes
    ----------
    path : Path
        File of the labels, float64 of shape (n, 6) with the columns `RESULT_COLUMNS`.
    columns : mapping of str to ndarray
        Inputs of the samples, see `parcel_model.solve_modes`.
    bins : int
        Cells per mode.
    """

    path: Path
    columns: Mapping[str, NDArray[np.float64]]
    bins: int

    @property
    def rows(self) -> int:
        """Number of samples."""
        return len(self.columns["air_temperature"])

    def read(self) -> NDArray[np.float64] | None:
        """Return the labels, or None if there are none of the right size."""
        try:
            values = np.fromfile(self.path, dtype="<f8")
        except FileNotFoundError:
            return None
        shape = (self.rows, len(RESULT_COLUMNS))
        return values.reshape(shape) if values.size == shape[0] * shape[1] else None


@dataclass(frozen=True)
class Settings:
    """What all chunks of a data set have in common, see `parcel_model.solve_modes`."""

    geometric_standard_deviation: NDArray[np.float64]
    half_width: float
    constants: PhysicalConstants
    options: ParcelOptions
    library: Path


def label_chunk(chunk: Chunk, settings: Settings) -> int:
    """Label a chunk and write its file; return the number of samples."""
    result = solve_modes(
        chunk.columns,
        settings.geometric_standard_deviation,
        bins=chunk.bins,
        half_width=settings.half_width,
        constants=settings.constants,
        options=settings.options,
        library=settings.library,
    )
    values = np.column_stack([getattr(result, name) for name in RESULT_COLUMNS])
    write_bytes(chunk.path, np.ascontiguousarray(values, dtype="<f8").tobytes())
    return chunk.rows


def start_worker() -> None:
    """Make a worker end when the main process is killed, instead of waiting for work forever."""
    signals.start_worker()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def _end_with_parent(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
