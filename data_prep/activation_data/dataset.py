"""The label maker of the process `aerosol_activation`: a whole data set in memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import xarray as xr

from activation_data.labelling import Recipe, label_in_parallel
from activation_data.netcdf_writer import write_dataset
from activation_data.solver import BuildError, cache_folder
from emufort.errors import EmufortError


def make(samples: int, seed: int, advance: Callable[[int], object]) -> xr.Dataset:
    """Label samples. The finished part of an interrupted call is kept in the cache folder.

    Parameters
    ----------
    samples
        Number of training samples; preferably a power of two.
    seed
        Random seed.
    advance
        Called with the number of samples that were labelled since its last call.

    Returns
    -------
    xarray.Dataset
        The variables of the data set, with the dimensions sample and mode.

    Raises
    ------
    EmufortError
        The parcel model cannot be compiled.
    """
    recipe = Recipe(
        train=samples, validation=max(1, samples // 8), test=max(1, samples // 4), seed=seed
    )
    try:
        work = cache_folder() / "labels" / recipe.fingerprint()
        rows = recipe.samples()
        labels = label_in_parallel(rows, recipe, work, len(os.sched_getaffinity(0)), advance)
    except BuildError as error:
        raise EmufortError(f"cannot make labels: {' '.join(str(error).split())[:400]}") from error
    with tempfile.TemporaryDirectory(prefix="emufort_") as folder:
        path = Path(folder) / "data.nc"
        write_dataset(path, recipe, rows, labels)
        made = xr.load_dataset(path)
    shutil.rmtree(work, ignore_errors=True)
    return made
