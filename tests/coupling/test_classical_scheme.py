"""The classical scheme whose cost is compared with the emulator, against ARG2000 in Python."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.processes.aerosol_activation import arg2000
from emufort.processes.aerosol_activation.fortran import constants_of, widths
from emufort.processes.aerosol_activation.head import activated_fractions
from emufort.processes.aerosol_activation.kohler import kelvin_length
from tests.coupling.conftest import COUPLING, run
from tests.export.emulators import inputs

pytestmark = pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")

MODULE = COUPLING / "aerosol_activation" / "timing" / "classical_activate_modal.F90"
DRIVER = """
program classical
  use classical_activate_modal, only: classical_init, classical_activate
  implicit none
  integer, parameter :: r8 = kind(1.0d0)
  integer :: n, k, i
  real(r8) :: constants(6), w, sigw, wdiab, t, rho, length, full
  real(r8), allocatable :: sigma(:), na(:), volume(:), hygro(:), f(:, :)
  read (*, *) n, k
  allocate (sigma(k), na(k), volume(k), hygro(k), f(k, 4))
  read (*, *) constants, sigma
  do i = 1, n
    read (*, *) w, sigw, wdiab, t, rho, length, na, volume, hygro
    call classical_init(constants(1), constants(2), constants(3), constants(4), constants(5), &
      constants(6), sigma, length)
    call classical_activate(w, sigw, wdiab, 0.0_r8, 50.0_r8, t, rho, na, k, volume, hygro, &
      f(:, 1), f(:, 2), f(:, 3), f(:, 4), full)
    print '(*(es24.16))', f, full
  end do
end program classical
"""
NAMES = (
    *("gravity", "gas_constant_air", "gas_constant_vapour", "heat_capacity_air"),
    *("latent_heat", "density_water"),
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classical")
    (folder / "driver.F90").write_text(DRIVER)
    strict = ("-std=f2018", "-Wall", "-Wextra", "-Werror", "-Wno-maybe-uninitialized")
    run("gfortran", "-O1", *strict, MODULE, "driver.F90", "-o", "classical", cwd=folder)
    return folder / "classical"


def answers(
    program: Path, x: NDArray[np.float64], width: float, diabatic: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the fractions and fluxes (n, 4, mode) and the flux of full activation (n,)."""
    contract = Contract.load("activation")
    constants, sigma = constants_of(contract), np.array(widths(contract))
    t, p, w = x[:, :3].T
    number, radius, kappa = np.split(x[:, 3:], 3, axis=1)
    volume = number * 4.0 / 3.0 * np.pi * radius**3 * np.exp(4.5 * np.log(sigma) ** 2)
    rho = p / (constants.gas_constant_air * t)
    length = kelvin_length(t, constants)
    more = np.stack([w - diabatic, t * 0 + width, t * 0 + diabatic, t, rho, length])
    rows = np.concatenate([more.T, number, volume, kappa], axis=1)
    lines = [f"{len(x)} {len(sigma)}", " ".join(repr(float(getattr(constants, n))) for n in NAMES)]
    lines += [" ".join(map(repr, map(float, row))) for row in (sigma, *rows)]
    (program.parent / "rows").write_text("\n".join(lines) + "\n")
    found = run("sh", "-c", f"{program} < {program.parent / 'rows'}")
    values = np.array([line.split() for line in found.splitlines()], dtype=np.float64)
    return values[:, :-1].reshape(len(x), 4, len(sigma)), values[:, -1]


@pytest.mark.parametrize("diabatic", [0.0, 0.004])
def test_single_updrafts_are_those_of_arg2000(program: Path, diabatic: float) -> None:
    contract = Contract.load("activation")
    x = inputs(contract, 400)
    sigma = np.array(widths(contract))
    number, radius, kappa = np.split(x[:, 3:], 3, axis=1)
    constants = constants_of(contract)
    t, p, w = x[:, :3].T
    smax = arg2000.max_supersaturation(t, p, w, number, radius, kappa, sigma, constants)
    context = {
        "air_temperature": x[:, 0],
        "dry_median_radius": radius,
        "hygroscopicity": kappa,
        "geometric_standard_deviation": sigma,
        **{name: getattr(constants, name) for name in NAMES},
    }
    wanted = activated_fractions(context, smax)["number_activated_fraction"]
    found, full = answers(program, x, 0.0, diabatic)
    # the saturation pressure is interpolated in a table, with an error of at most 6e-4
    assert np.abs(found[:, 0] - wanted).max() < 1e-3
    assert np.abs(found[:, 0] - wanted).mean() < 1e-4
    assert (found[:, 1] >= found[:, 0] - 1e-12).all()
    assert np.allclose(found[:, 2:], found[:, :2] * full[:, None, None], rtol=1e-12)
    assert np.allclose(full, x[:, 2] - diabatic)


def test_a_spectrum_is_the_integral_over_updrafts(program: Path) -> None:
    x = inputs(Contract.load("activation"), 3, seed=2)
    x[:, 2] = 0.4
    width = 0.3
    found, full = answers(program, x, width, 0.0)
    w = np.linspace(1e-6, 0.4 + 3 * width, 2001)
    density = np.exp(-0.5 * ((w - 0.4) / width) ** 2) / (np.sqrt(2 * np.pi) * width)
    for i, row in enumerate(x):
        many = np.tile(row, (len(w), 1))
        many[:, 2] = w
        single, _ = answers(program, many, 0.0, 0.0)
        wanted = np.trapezoid(single * density[:, None, None], w, axis=0)
        # half a step of the trapezoids, where large particles activate in any updraft above 0
        assert np.abs(found[i] - wanted).max() < 0.5 * (0.4 + 3 * width) / 60 * density.max()
    assert np.allclose(full, np.trapezoid(w * density, w), rtol=5e-3)
