"""Data of a process that has nothing to do with aerosols, for tests of the whole pipeline."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import emufort
from emufort.processes import registry as processes
from tests import compiler_cache

#: Folder of the package under test, for processes that tests start: installed, or of the checkout.
PACKAGE = str(Path(emufort.__file__).resolve().parents[1])

SYNTHETIC_CONTRACT = """
name = "evaporation"
title = "Evaporation and surface cooling of a pond (synthetic)"
[[input]]
name = "wind_speed"
units = "m s-1"
transform = "ln"
range = [0.1, 30.0]
[[input]]
name = "relative_humidity"
units = "1"
transform = "logit"
range = [0.05, 0.95]
[[input]]
name = "water_temperature"
units = "K"
range = [273.0, 310.0]
[[output]]
name = "evaporation_rate"
units = "kg m-2 s-1"
transform = "ln"
lower_bound = 0.0
[[output]]
name = "cooling"
units = "K"
"""

SYNTHETIC_CONFIG = """
contract = "evaporation.toml"
data = "evaporation.nc"
workers = 2
[search]
trials = 8
batch = 4
subset = 128
validation = 100
rungs = [1, 4]
[search.space]
depth = [1, 2]
width = [4, 8]
learning_rate = [3e-3, 1e-2]
[retrain]
top = 3
seeds = 2
steps = 400
longer = 1
batch_size = 32
[timing]
ncol = [1, 16]
repeats = 2
[verify]
rows = 500
"""


def install_process(site: Path, name: str, value: str, package: str = "pond_package") -> Path:
    """Write the metadata of an installed package that registers a process; return `site`.

    Parameters
    ----------
    site
        Folder to put on ``sys.path``.
    name, value
        Of the entry point, such as ``"pond"`` and ``"pond_package.process:PROCESS"``.
    """
    info = site / f"{package}-1.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(f"[emufort.processes]\n{name} = {value}\n")
    return site


@pytest.fixture(autouse=True, scope="session")
def _cached_compilers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Compile equal sources with equal flags once per session, see compiler_cache.

    The scripts have the same path in each session, because keys of builds contain it.
    """
    cache = getattr(request.config, "cache", None)
    if cache is None:
        yield
        return
    scripts = cache.mkdir("compilers")
    for name in ("gfortran", "f95", "flang-22", "flang-new-22"):  # CMake prefers f95
        if (found := shutil.which(name)) is not None:
            program = [sys.executable, "-I", "-S", compiler_cache.__file__, found]
            made = scripts / f"{name}.{os.getpid()}"
            made.write_text(f'#!/bin/sh\nexec {shlex.join(program)} "$@"\n')
            made.chmod(0o755)
            made.replace(scripts / name)
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        (folder / "compiled").mkdir(exist_ok=True)
        patch.setenv(compiler_cache.VARIABLE, str(folder / "compiled"))
        patch.setenv("PATH", str(scripts), prepend=os.pathsep)
        yield


@pytest.fixture(autouse=True, scope="module")
def _forget_processes() -> Iterator[None]:
    """Let no module see a process that another one registered."""
    yield
    processes.process.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "pond_package"]:
        del sys.modules[name]


def synthetic_data(n: int = 600, seed: int = 0) -> xr.Dataset:
    """Return a smooth process with 3 inputs and 2 outputs."""
    rng = np.random.default_rng(seed)
    wind = np.exp(rng.uniform(np.log(0.1), np.log(30.0), n))
    humidity = rng.uniform(0.05, 0.95, n)
    temperature = rng.uniform(273.0, 310.0, n)
    rate = 1e-6 * (1 + wind) ** 0.7 * (1 - humidity) * np.exp(0.06 * (temperature - 273.0))
    return xr.Dataset(
        {
            "wind_speed": ("sample", wind, {"units": "m s-1"}),
            "relative_humidity": ("sample", humidity, {"units": "1"}),
            "water_temperature": ("sample", temperature, {"units": "K"}),
            "evaporation_rate": ("sample", rate, {"units": "kg m-2 s-1"}),
            "cooling": ("sample", -1e5 * rate, {"units": "K"}),
        }
    )


@pytest.fixture
def synthetic(tmp_path: Path) -> Path:
    """Write contract, data and configuration of the synthetic process; return their folder."""
    (tmp_path / "evaporation.toml").write_text(SYNTHETIC_CONTRACT)
    (tmp_path / "run.toml").write_text(SYNTHETIC_CONFIG)
    synthetic_data().to_netcdf(tmp_path / "evaporation.nc")
    return tmp_path
