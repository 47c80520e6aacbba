"""Shared pieces of the data preparation tests."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

ROOT = Path(__file__).resolve().parent.parent.parent
if str(ROOT / "data_prep") not in sys.path:
    sys.path.insert(0, str(ROOT / "data_prep"))

from activation_data import solver  # noqa: E402
from activation_data.ranges import GEOMETRIC_STANDARD_DEVIATION, VARIABLES  # noqa: E402

FIXTURE = ROOT / "tests" / "fixtures" / "pyrcel_smax.nc"


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def pyrcel_fixture() -> xr.Dataset:
    return xr.load_dataset(FIXTURE)


@pytest.fixture(scope="session")
def fixture_inputs(pyrcel_fixture: xr.Dataset) -> dict[str, np.ndarray]:
    columns = {name: pyrcel_fixture[name].values for name in VARIABLES}
    return columns | {"geometric_standard_deviation": np.array(GEOMETRIC_STANDARD_DEVIATION)}


@pytest.fixture(scope="session")
def gfortran() -> str:
    path = solver.compiler()
    if path is None:
        pytest.skip("no Fortran compiler: install gfortran or set FC")
    return path
