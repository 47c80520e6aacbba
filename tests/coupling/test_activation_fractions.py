"""The activated fractions in Fortran: against the Python head, in one call, in any batch."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from emufort.contract import Contract
from emufort.export.fortran import fortran_source, runtime_source
from emufort.export.weights_file import WeightsFile
from emufort.processes.aerosol_activation.fortran import (
    CONTRACT_MODULE,
    WIDTHS,
    constants_of,
    contract_source,
    scheme_sources,
    widths,
)
from emufort.processes.aerosol_activation.head import activated_fractions
from emufort.processes.aerosol_activation.preset import Preset
from tests.export.emulators import inputs, random_emulator

pytestmark = pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")

FLAGS = ["-std=f2018", "-Wall", "-Wextra", "-Werror", "-O2", "-march=native", "-fopenmp-simd"]
#: Stated in the module's header.
LARGEST_ERROR = 1e-6

DRIVER = Path(__file__).with_name("fractions_driver.F90")


def with_contract(contract: Contract, folder: Path) -> list[Path]:
    """Sources of the fractions, with the module of a contract."""
    generated = folder / f"{CONTRACT_MODULE}.F90"
    generated.write_text(contract_source(contract))
    sources = scheme_sources("activation_fractions")
    return [generated if path.name == generated.name else path for path in sources]


@pytest.mark.parametrize(
    ("preset", "double"),
    [(None, False), (None, True), ("mam3", False), ("e3sm_mam5", True), ("mam7", False)],
)
def test_fractions_in_one_call(tmp_path: Path, preset: str | None, double: bool) -> None:
    contract = Preset.load(preset).contract() if preset else Contract.load("activation")
    emulator = random_emulator(contract, (32, 24), "silu")
    x = inputs(contract, 200)
    x[2, 5] = np.nan
    modes = len(widths(contract))
    n = len(x)
    (tmp_path / "x.bin").write_bytes(np.array([n], "<i4").tobytes() + x.tobytes(order="F"))
    WeightsFile.from_emulator(emulator).write(tmp_path / "weights.bin")
    (tmp_path / "emufort_runtime.F90").write_text(runtime_source())
    (tmp_path / "activation_emulator.F90").write_text(
        fortran_source(emulator, "0" * 64, name="activation")
    )
    scheme = with_contract(contract, tmp_path)
    flags = [*FLAGS, "-DEMUFORT_DOUBLE"] if double else FLAGS
    for source in ("emufort_runtime.F90", "activation_emulator.F90", *scheme):
        subprocess.run(["gfortran", *flags, "-c", str(source)], cwd=tmp_path, check=True)
    modules = ("emufort_runtime", "activation_emulator", *(source.stem for source in scheme))
    objects = [f"{module}.o" for module in modules]
    command = ["gfortran", "-O1", str(DRIVER), *objects, "-o", "driver"]
    subprocess.run(command, cwd=tmp_path, check=True)
    subprocess.run(["./driver"], cwd=tmp_path, check=True)

    values = np.fromfile(tmp_path / "y.bin")
    smax, found = values[:n], values[n:].reshape((2, modes, n)).transpose(0, 2, 1)
    assert np.isnan(smax[2]) and np.isnan(found[:, 2]).all()
    good = np.arange(n) != 2
    expected = activated_fractions(
        {
            "air_temperature": x[good, 0],
            "dry_median_radius": x[good, 3 + modes : 3 + 2 * modes],
            "hygroscopicity": x[good, 3 + 2 * modes :],
            WIDTHS: np.array(widths(contract)),
            **asdict(constants_of(contract)),
        },
        smax[good],
    )
    number, mass = found[:, good]
    largest = LARGEST_ERROR if not double else 1e-13
    assert np.abs(number - expected["number_activated_fraction"]).max() < largest
    assert np.abs(mass - expected["mass_activated_fraction"]).max() < largest
    assert (mass >= number).all() and (number >= 0).all() and (mass <= 1).all()
    assert 0.01 < number.mean() < 0.99
