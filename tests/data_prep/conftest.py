"""Shared pieces of the data preparation tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from emufort.errors import EmufortError
from emufort.processes.aerosol_activation import parcel_model
from emufort.processes.aerosol_activation.labelling.inputs import (
    sampled_inputs,
    split_columns,
    variables,
)
from emufort.processes.aerosol_activation.labelling.sampling import sample_split
from emufort.processes.aerosol_activation.preset import Preset

ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURE = ROOT / "tests" / "fixtures" / "pyrcel_smax.nc"

#: The preset of the embedded data set, whose modes and ranges the frozen fixture has too.
PRESET = Preset.load("e3sm_mam4")
INPUTS = sampled_inputs(PRESET)
VARIABLES = variables(INPUTS)
SIGMA = np.array([mode.sigma for mode in PRESET.modes.values()])


def columns_of(n: int, preset: Preset = PRESET) -> dict[str, np.ndarray]:
    """Inputs of n test samples by name."""
    inputs = sampled_inputs(preset)
    return split_columns(sample_split("test", n, 77, inputs), inputs)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def pyrcel_fixture() -> xr.Dataset:
    return xr.load_dataset(FIXTURE)


@pytest.fixture(scope="session")
def fixture_inputs(pyrcel_fixture: xr.Dataset) -> dict[str, np.ndarray]:
    columns = {name: pyrcel_fixture[name].values for name in VARIABLES}
    return columns | {"geometric_standard_deviation": SIGMA}


@pytest.fixture(scope="session")
def gfortran() -> str:
    try:
        return str(parcel_model.compiler().path)
    except EmufortError:
        pytest.skip("no Fortran compiler: install gfortran or set FC")
