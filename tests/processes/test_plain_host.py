"""The glue for a host with make or CMake, for contracts whose process adds nothing to it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export import export
from emufort.export.host import write_host
from emufort.export.host_plain import middle_of_ranges
from tests.conftest import SYNTHETIC_CONTRACT, synthetic_data
from tests.export.emulators import random_emulator

#: Names of the generated program and of Fortran, as far as a contract may have them.
NAMES = ("status", "real64", "evaporation_emulator_predict", "error_unit", "print")

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def compiled(folder: Path, compiler: str) -> dict[str, np.ndarray]:
    """Build and run the example; return what it prints by name."""
    strict = "-std=f2018 -Werror" + (" -Wall -Wextra" if compiler == "gfortran" else "")
    done = subprocess.run(
        ["make", "-s", "run", f"FC={compiler}", f"FFLAGS={strict}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for line in done.stdout.splitlines()[1:]:
        name, *values = line.rsplit(maxsplit=16)
        found[name] = np.array(values, dtype=float)
    return found


@pytest.mark.parametrize("compiler", ["gfortran", "flang-22"])
@needs_make
def test_the_generated_host_predicts_in_the_middle_of_the_ranges(
    tmp_path: Path, compiler: str
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    text = SYNTHETIC_CONTRACT.replace("range = [273.0, 310.0]\n", "")  # one input without a range
    contract = Contract.from_toml(text)
    data = Dataset.from_xarray(synthetic_data(), contract, Path("pond.nc"), "d" * 64)
    bundle = export(random_emulator(contract, (8,)), data, tmp_path / "bundle", golden=8)
    glue = write_host(bundle, "plain")
    assert glue.path == tmp_path / "host" / "plain"
    found = compiled(glue.path, compiler)
    x = middle_of_ranges(contract, bundle.golden.x)
    assert x[0] == pytest.approx(np.sqrt(0.1 * 30.0)) and 280.0 < x[2] < 300.0
    predicted = bundle.emulator().predict(x[None])[0]
    for name, value in zip(("evaporation_rate", "cooling"), predicted, strict=True):
        assert found[name].shape == (16,)
        np.testing.assert_allclose(found[name], value, rtol=1e-5)


@pytest.mark.parametrize("compiler", ["gfortran", "flang-22"])
@needs_make
def test_names_that_clash_with_those_of_the_host(tmp_path: Path, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    old = ("wind_speed", "relative_humidity", "water_temperature", "evaporation_rate", "cooling")
    names = dict(zip(old, NAMES, strict=True))
    text = SYNTHETIC_CONTRACT
    for before, after in names.items():
        text = text.replace(f'"{before}"', f'"{after}"')
    contract = Contract.from_toml(text)
    data = Dataset.from_xarray(synthetic_data().rename(names), contract, Path("p.nc"), "d" * 64)
    bundle = export(random_emulator(contract, (4,)), data, tmp_path / "bundle", golden=4)
    found = compiled(write_host(bundle, "plain").path, compiler)
    assert set(found) == {"error_unit", "print"}


def test_contracts_that_the_activation_scheme_cannot_call_get_the_same_glue(tmp_path: Path) -> None:
    contract = Contract.load("activation_fractions")
    emulator = random_emulator(contract, (4,))
    bundle = export(emulator, Dataset.open(None, contract), tmp_path / "bundle", golden=4)
    files = write_host(bundle, "plain").files
    assert "src/emufort_host.F90" not in files and "example_host.F90" in files
