"""`activate_modal`, one parcel per call: the bits of a chunk, with the fast path and without."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export import export
from emufort.export.host import write_host
from tests.coupling.conftest import run
from tests.export.emulators import random_emulator

COMPILERS = [name for name in ("gfortran", "flang-22") if shutil.which(name)]
pytestmark = pytest.mark.skipif(not COMPILERS or not shutil.which("make"), reason="no compiler")

DRIVER = """
program compare
  use, intrinsic :: iso_fortran_env, only: int64
  use, intrinsic :: ieee_arithmetic, only: ieee_is_nan
  use emufort_runtime, only: emulator_type, status_type
  use emufort_aerosol_activation, only: activation_constants_type, activation_counts_type, &
    hk => activation_kind
  use emufort_activate_modal, only: activate_modal_init, activate_modal, actdrop_mam_calc, &
    activate_modal_scheme
  use emufort_aerosol_binding, only: emufort_aerosol_predict, emufort_aerosol_copy, &
    emufort_aerosol_contract_hash
  use emufort_aerosol_contract
  implicit none
  integer, parameter :: n = 3000, k = aerosol_modes, spare = 3
  type(emulator_type) :: emulator
  type(activation_constants_type) :: constants
  type(activation_counts_type) :: counts, total, one
  type(status_type) :: status
  real(hk) :: w(n), sigma(n), wdiab(n), zero(n), most(n), t(n), rho(n)
  real(hk) :: number(n, k), volume(n, k), kappa(n, k), f(n, k, 4), full(n)
  real(hk) :: g(k + spare, 4), h(2*k, 4), flux, u(aerosol_inputs), nan
  character(len=1024) :: weights
  integer :: i, j, m, way
  call get_command_argument(1, weights)
  constants%gravity = aerosol_gravity
  constants%gas_constant_air = aerosol_gas_constant_air
  constants%gas_constant_vapour = aerosol_gas_constant_vapour
  constants%heat_capacity_air = aerosol_heat_capacity_air
  constants%latent_heat = aerosol_latent_heat
  constants%density_water = aerosol_density_water
  nan = 0.0_hk
  nan = sqrt(nan - 1.0_hk)
  do i = 1, n
    do j = 1, aerosol_inputs
      u(j) = 0.001_hk + 0.998_hk*modulo(i*1.22074408460576_hk**(-j), 1.0_hk)
      if (j < 3) then
        u(j) = real(aerosol_lower(j) + u(j)*(aerosol_upper(j) - aerosol_lower(j)), hk)
      else
        u(j) = real(aerosol_lower(j)*(aerosol_upper(j)/aerosol_lower(j))**u(j), hk)
      end if
    end do
    ! every second column has an input on, next to or beyond a limit
    j = 1 + modulo(i/2, aerosol_inputs)
    if (modulo(i, 20) == 1) u(j) = real(aerosol_lower(j), hk)
    if (modulo(i, 20) == 3) u(j) = real(aerosol_upper(j), hk)
    if (modulo(i, 20) == 5) u(j) = real(aerosol_lower(j)*(1.0_hk - 1.0e-5_hk), hk)
    if (modulo(i, 20) == 7) u(j) = real(aerosol_upper(j)*(1.0_hk + 1.0e-5_hk), hk)
    if (modulo(i, 20) == 9) u(j) = real(aerosol_lower(j)*(1.0_hk - 2.0e-4_hk), hk)
    if (modulo(i, 20) == 11) u(j) = real(aerosol_upper(j)*(1.0_hk + 2.0e-4_hk), hk)
    t(i) = u(1)
    rho(i) = u(2)/real(aerosol_gas_constant_air*u(1), hk)
    w(i) = u(3)
    number(i, :) = u(number_concentration_at:dry_median_radius_at - 1)
    volume(i, :) = number(i, :)*4.18879_hk*u(dry_median_radius_at:hygroscopicity_at - 1)**3* &
                   real(exp(4.5d0*log(aerosol_sigma)**2), hk)
    kappa(i, :) = u(hygroscopicity_at:)
    m = 1 + modulo(i/40, k)
    if (modulo(i, 40) == 13) number(i, m) = 0.0_hk
    if (modulo(i, 40) == 15) volume(i, m) = 0.0_hk
    if (modulo(i, 40) == 17) kappa(i, m) = 1.0e-10_hk
    if (modulo(i, 40) == 19) kappa(i, m) = 1.0e-6_hk
    if (modulo(i, 200) == 33) number(i, m) = nan
    if (modulo(i, 200) == 35) volume(i, m) = nan
    if (modulo(i, 200) == 37) kappa(i, m) = nan
    if (modulo(i, 200) == 39) t(i) = nan
    if (modulo(i, 200) == 73) w(i) = -w(i)
    if (modulo(i, 200) == 75) number(i, :) = 0.0_hk
    if (modulo(i, 200) == 77) volume(i, m) = -volume(i, m)
  end do
  sigma = 0.0_hk
  sigma(::50) = 0.3_hk
  wdiab = 0.0_hk
  wdiab(::9) = 0.01_hk
  zero = 0.0_hk
  most = 10.0_hk
  do way = 1, 3
    select case (way)
    case (1)
      call activate_modal_init(hk, constants, real(aerosol_sigma, hk), status, &
        predictor=emufort_aerosol_predict, contract_hash=emufort_aerosol_contract_hash, &
        network=emufort_aerosol_copy)
      if (.not. activate_modal_scheme%is_fast) error stop 'no fast path'
    case (2)
      call emulator%load(trim(weights), status)
      call activate_modal_init(hk, constants, real(aerosol_sigma, hk), status, emulator=emulator)
      if (.not. activate_modal_scheme%is_fast) error stop 'no fast path'
    case (3)
      call activate_modal_init(hk, constants, real(aerosol_sigma, hk), status, &
        predictor=emufort_aerosol_predict, contract_hash=emufort_aerosol_contract_hash)
      if (activate_modal_scheme%is_fast) error stop 'a fast path without a network'
    end select
    if (status%code /= 0) error stop 'init'
    call activate_modal_scheme%activate(n, n, 1, k, w, sigma, wdiab, zero, most, t, rho, number, &
      volume, kappa, f(:, :, 1), f(:, :, 2), f(:, :, 3), f(:, :, 4), full, status, counts)
    if (status%code /= 0) error stop 'activate'
    total = activation_counts_type()
    do i = 1, n
      g = -1.0_hk
      call activate_modal(w(i), sigma(i), wdiab(i), zero(i), most(i), t(i), rho(i), number(i, :), &
        k, volume(i, :), kappa(i, :), g(:, 1), g(:, 2), g(:, 3), g(:, 4), flux, counts=one)
      call total%add(one)
      if (.not. all(same(g(:k, :), f(i, :, :))) .or. .not. same(flux, full(i))) then
        print *, way, i, g(:k, :), f(i, :, :)
        error stop 'bits'
      end if
      if (any(g(k + 1:, :) < 0.0_hk .or. g(k + 1:, :) > 0.0_hk)) error stop 'spare'
      h = -1.0_hk
      call actdrop_mam_calc(w(i), sigma(i), wdiab(i), zero(i), most(i), t(i), rho(i), &
        number(i, :), k, volume(i, :), kappa(i, :), .false., 0.0_hk, h(2::2, 1), h(2::2, 2), &
        h(2::2, 3), h(2::2, 4), flux)
      if (.not. all(same(h(2::2, :), g(:k, :)))) error stop 'actdrop_mam_calc'
    end do
    if (any([total%n_parcels - counts%n_parcels, total%n_outside - counts%n_outside, &
             total%n_invalid - counts%n_invalid, total%n_clipped - counts%n_clipped, &
             total%n_fall_back - counts%n_fall_back, total%n_bad - counts%n_bad] /= 0)) &
      error stop 'counts'
    if (counts%n_outside < n/40 .or. counts%n_outside > n/3) error stop 'the test has no edges'
    if (way > 1) cycle
    print '(a, 2(1x, i0))', 'same bits', counts%n_parcels, counts%n_outside
  end do
contains
  !> Whether the bits are the same, or both are NaN.
  elemental logical function same(a, b)
    real(hk), intent(in) :: a, b
    same = transfer(a, 0_int64) == transfer(b, 0_int64) .or. &
      (ieee_is_nan(a) .and. ieee_is_nan(b))
  end function same
end program compare
"""


#: The flags of a host, the portable flags, and the default flags of the Makefile.
FLAGS = (["FAST=-O2", "EXACT=-O2"], ["ARCH="], [])


@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        *(("gfortran", flags) for flags in FLAGS),
        ("flang-22", []),
        *(pytest.param("flang-22", flags, marks=pytest.mark.exhaustive) for flags in FLAGS[:2]),
    ],
    ids=str,
)
def test_a_parcel_has_the_bits_of_a_chunk(tmp_path: Path, compiler: str, flags: list[str]) -> None:
    if compiler not in COMPILERS:
        pytest.skip(f"no {compiler}")
    contract = Contract.load("activation")
    emulator = random_emulator(contract, (24, 37), "silu")
    bundle = export(emulator, Dataset.open(None, contract), tmp_path / "bundle", golden=8)
    folder = write_host(bundle, "plain", tmp_path / "plain").path
    (folder / "compare.F90").write_text(DRIVER)
    run("make", f"FC={compiler}", *flags, "libemufort.a", cwd=folder)
    run(compiler, "-O1", "compare.F90", "-L.", "-lemufort", "-o", "compare", cwd=folder)
    assert run(folder / "compare", bundle.weights).strip().startswith("same bits")
