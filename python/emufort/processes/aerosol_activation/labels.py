"""Make data sets of aerosol activation with the parcel model of a checkout (data_prep)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from emufort.errors import EmufortError

if TYPE_CHECKING:
    import xarray as xr


def make_labels(samples: int, seed: int, advance: Callable[[int], object]) -> xr.Dataset:
    """Label samples with the compiled parcel model, on all available cores.

    Repeating an interrupted call continues it. There is one validation sample per 8 training
    samples and one test sample per 4 training samples.

    Raises
    ------
    EmufortError
        emufort was installed without data_prep, or the parcel model cannot be compiled.
    """
    folder = Path(str(resources.files("emufort"))).parent.parent / "data_prep"
    if not (folder / "activation_data").is_dir():
        raise EmufortError(
            "the labels of aerosol activation are made by a parcel model that is part of a "
            "checkout of emufort only; install emufort from a checkout in development mode, or use "
            "the data set that comes with it ('emufort data')"
        )
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # the worker processes need it as well
    made: xr.Dataset = importlib.import_module("activation_data.dataset").make(
        samples, seed, advance
    )
    return made


def labelled(preset, samples, seed, report):  # replaced by the branch labels
    raise EmufortError("not merged")
