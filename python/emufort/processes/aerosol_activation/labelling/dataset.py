"""Make the data set of a preset, and keep it in the cache folder of the user."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from emufort import signals
from emufort.errors import EmufortError
from emufort.files import read_json, write_json
from emufort.lock import held_by, only_writer
from emufort.paths import cache_folder
from emufort.processes.aerosol_activation.labelling.netcdf_writer import write_dataset
from emufort.processes.aerosol_activation.labelling.parallel import CHUNK, label_in_parallel
from emufort.processes.aerosol_activation.labelling.recipe import Recipe
from emufort.processes.aerosol_activation.preset import Preset
from emufort.provenance import file_sha256

#: Seconds between two looks at a folder in which another process is at work.
_LOOK_SECONDS = 0.2


def _nothing(samples: int) -> None:
    pass


def labelled(
    preset: Preset,
    samples: int,
    seed: int = 1,
    advance: Callable[[int], object] = _nothing,
    *,
    workers: int | None = None,
) -> Path:
    """Return the data set of a preset as a file; make it unless the cache folder has it.

    The file is named after the hash of its recipe (`Recipe.fingerprint`), and its content is
    compared with a stored hash before it is used again. An interrupted call keeps what it has
    labelled, and the same call continues. If another process makes the same data set, this call
    waits for it.

    Parameters
    ----------
    preset
        Modes, ranges and constants of a host.
    samples
        Number of training samples; preferably a power of two. There is one validation sample per 8
        training samples and one test sample per 4.
    seed
        Random seed.
    advance
        Called with the number of samples that were labelled since its last call, `Recipe.rows` in
        total; not called if the file is there.
    workers
        Number of processes; default: one per available core.

    Returns
    -------
    Path
        A netCDF file, which satisfies the contract of the preset. It is in the cache folder: copy
        it if you want to keep it.

    Raises
    ------
    EmufortError
        The parcel model cannot be compiled, or a file cannot be written.
    """
    recipe = Recipe.of(preset, samples, seed)
    folder = cache_folder() / "labels" / f"{preset.name}_{recipe.fingerprint()}"
    path = folder / f"{preset.name}.nc"
    if not _is_intact(path):
        with _alone_in(folder):
            if not _is_intact(path):  # another process may have made it meanwhile
                write_labels(path, recipe, advance, workers=workers)
                write_json(_stamp(path), {"sha256": file_sha256(path)})
    return path


def make(
    preset: Preset,
    samples: int,
    seed: int = 1,
    advance: Callable[[int], object] = _nothing,
    *,
    workers: int | None = None,
) -> xr.Dataset:
    """Return the data set of a preset in memory; parameters and errors are those of `labelled`."""
    return xr.load_dataset(labelled(preset, samples, seed, advance, workers=workers))


def write_labels(
    path: Path,
    recipe: Recipe,
    advance: Callable[[int], object] = _nothing,
    *,
    workers: int | None = None,
    chunk: int = CHUNK,
) -> NDArray[np.float64]:
    """Label the samples of a recipe and write the data set to a file of the caller.

    Finished chunks are kept in a folder beside the file, ``<name>.work``, until the file is
    complete.

    Parameters
    ----------
    path
        File to write; an existing file is replaced.
    recipe
        Recipe of the data set.
    advance
        Called with the number of samples that were labelled since its last call.
    workers
        Number of processes; default: one per available core.
    chunk
        Samples that are labelled and stored at a time.

    Returns
    -------
    ndarray, shape (n, 6), float64
        The labels, see `parcel_chunks.RESULT_COLUMNS`.

    Raises
    ------
    EmufortError
        The parcel model cannot be compiled, or a file cannot be written.
    """
    work = path.with_name(f"{path.name}.work")
    cores = workers or len(os.sched_getaffinity(0))
    labels = label_in_parallel(recipe, work / recipe.fingerprint(), cores, advance, chunk)
    write_dataset(path, recipe, labels)
    shutil.rmtree(work, ignore_errors=True)
    return labels


def _stamp(path: Path) -> Path:
    return path.with_suffix(".json")


def _is_intact(path: Path) -> bool:
    """Return whether the file exists with the content that its writer has recorded."""
    try:
        return bool(read_json(_stamp(path))["sha256"] == file_sha256(path))
    except (EmufortError, OSError, KeyError, TypeError):
        return False


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Lock the folder; wait as long as another process works in it."""
    while held_by(folder):
        signals.check()
        time.sleep(_LOOK_SECONDS)
    with only_writer(folder):
        yield
