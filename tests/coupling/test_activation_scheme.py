"""The activation scheme with a real bundle: both ways to an emulator, both kinds, no allocation."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from emufort.contract import Contract
from emufort.export import Bundle
from emufort.export.weights_file import WeightsFile
from emufort.processes.aerosol_activation.fortran import scheme_contract
from emufort.processes.aerosol_activation.preset import Preset
from tests.coupling.conftest import run
from tests.export.emulators import random_emulator

pytestmark = pytest.mark.skipif(
    shutil.which("gfortran") is None or shutil.which("make") is None, reason="no gfortran or make"
)
STRICT = "-std=f2018 -Wall -Wextra -Werror"

DRIVER = """
program both_ways
  use, intrinsic :: iso_fortran_env, only: int64
  use emufort_runtime, only: emulator_type, status_type
  use emufort_aerosol_activation, only: activation_type, activation_constants_type, &
    activation_counts_type, hk => activation_kind
  use emufort_aerosol_binding, only: emufort_aerosol_predict, emufort_aerosol_copy, &
    emufort_aerosol_contract_hash
  use emufort_aerosol_contract, only: aerosol_sigma
  implicit none
  integer, parameter :: n = 77
  type(emulator_type) :: emulator
  type(activation_type) :: schemes(2)
  type(activation_counts_type) :: counts
  type(status_type) :: status
  real(hk) :: w(n), width(n), z(n), most(n), t(n), rho(n), number(n, 4), volume(n, 4), kappa(n, 4)
  real(hk) :: f(n, 4, 4, 2), full(n)
  character(len=1024) :: weights
  integer :: i
  call get_command_argument(1, weights)
  call emulator%load(trim(weights), status)
  call schemes(1)%init(hk, activation_constants_type(), real(aerosol_sigma, hk), status, &
    emulator=emulator)
  if (status%code /= 0) error stop 'loaded'
  call schemes(2)%init(hk, activation_constants_type(), real(aerosol_sigma, hk), status, &
    predictor=emufort_aerosol_predict, contract_hash=emufort_aerosol_contract_hash, &
    network=emufort_aerosol_copy)
  if (status%code /= 0) error stop 'generated'
  w = [(0.02_hk*real(i, hk), i=1, n)]
  width = merge(0.3_hk, 0.0_hk, w > 1.0_hk)
  z = 0.0_hk
  most = 10.0_hk
  t = 280.0_hk
  rho = 1.0_hk
  number = spread([1.0e8_hk, 2.0e8_hk, 1.0e5_hk, 1.0e7_hk], 1, n)
  volume = spread([1.0e-12_hk, 2.0e-15_hk, 1.0e-11_hk, 1.0e-14_hk], 1, n)
  kappa = 0.1_hk
  do i = 1, 2
    call schemes(i)%activate(n, n, 1, 4, w, width, z, z, most, t, rho, number, volume, kappa, &
      f(:, :, 1, i), f(:, :, 2, i), f(:, :, 3, i), f(:, :, 4, i), full, status, counts)
    if (status%code /= 0 .or. counts%n_parcels <= n) error stop 'activate'
  end do
  if (any(abs(f(:, :, :, 1) - f(:, :, :, 2)) > 0.0_hk)) error stop 'bits'
  if (.not. all(f >= 0.0_hk)) error stop 'numbers'
  print '(a, f8.5)', 'same bits, mean fraction ', sum(f(:, :, 1, 1))/real(4*n, hk)
end program both_ways
"""


@pytest.fixture(scope="module")
def shown() -> dict[str, str]:
    return {}


@pytest.mark.parametrize("kind", ["real64", "real32"])
def test_loaded_and_generated_give_the_same_bits(
    glue: Callable[[str], Path], bundle: Bundle, shown: dict[str, str], kind: str
) -> None:
    folder = glue("plain")
    (folder / "driver.F90").write_text(DRIVER)
    flags = ["-DEMUFORT_HOST_REAL32"] if kind == "real32" else []
    settings = (f"FFLAGS={STRICT}", f"CPPFLAGS={' '.join(flags)}", "EXACT=-O2 -ffp-contract=off")
    run("make", "libemufort.a", "FAST=-O1 -fopenmp-simd", *settings, cwd=folder)
    run("gfortran", *flags, "driver.F90", "-L.", "-lemufort", "-o", "driver", cwd=folder)
    shown[kind] = run(folder / "driver", bundle.weights)
    assert shown[kind].startswith("same bits")
    if len(shown) == 2:
        values = [float(text.split()[-1]) for text in shown.values()]
        assert values[0] == pytest.approx(values[1], abs=1e-4)


LOADER = """
program loader
  use emufort_runtime, only: emulator_type, status_type
  use emufort_aerosol_activation, only: activation_type, activation_constants_type, &
    hk => activation_kind
  use emufort_aerosol_contract, only: aerosol_sigma, aerosol_lower, aerosol_upper
  implicit none
  type(emulator_type) :: emulator
  type(activation_type) :: scheme
  type(status_type) :: status
  character(len=1024) :: weights
  call get_command_argument(1, weights)
  call emulator%load(trim(weights), status)
  if (status%code /= 0) error stop 'load'
  call scheme%init(hk, activation_constants_type(), real(aerosol_sigma, hk), status, &
    emulator=emulator)
  print '(l1, 1x, a)', scheme%is_emulated(), trim(status%message)
  call scheme%init(hk, activation_constants_type(), real(aerosol_sigma, hk), status, &
    emulator=emulator, lower=real(aerosol_lower, hk), upper=real(aerosol_upper, hk))
  print '(l1, 1x, a)', scheme%is_emulated(), trim(status%message)
end program loader
"""


def test_a_loaded_emulator_of_another_contract_is_refused(
    glue: Callable[[str], Path], bundle: Bundle, tmp_path: Path
) -> None:
    folder = glue("plain")
    (folder / "loader.F90").write_text(LOADER)
    run("make", "libemufort.a", "FAST=-O1", "EXACT=-O1 -ffp-contract=off", cwd=folder)
    run("gfortran", "loader.F90", "-L.", "-lemufort", "-o", "loader", cwd=folder)
    assert run(folder / "loader", bundle.weights).split("\n")[0].strip() == "T"

    def lines(contract: Contract) -> list[str]:
        path = tmp_path / "weights.bin"
        WeightsFile.from_emulator(random_emulator(contract, (4,), "tanh")).write(path)
        return [line.strip() for line in run(folder / "loader", path).splitlines()]

    content = scheme_contract().to_dict()
    content["title"] = "Another one with the same variables"
    other = Contract.from_dict(content)
    refused, accepted = lines(other)
    # a host that passes the range of the emulator vouches for its contract
    assert refused.startswith(f"F the emulator has the contract {other.sha256[:8]}")
    assert accepted == "T"
    for line in lines(Preset.load("e3sm_mam5").contract()):
        assert line.startswith("F the emulator has another number of aerosol modes")


@pytest.mark.skipif(shutil.which("objdump") is None, reason="no objdump")
def test_the_run_phase_allocates_nothing(glue: Callable[[str], Path]) -> None:
    folder = glue("plain")
    run("make", "emufort_activate_modal.o", "FAST=-O1", "EXACT=-O2", cwd=folder)
    callers = set()
    for name in (
        *("emufort_aerosol_head", "emufort_aerosol_arg2000", "emufort_aerosol_updrafts"),
        *("emufort_aerosol_scheme", "emufort_aerosol_supersaturation", "emufort_aerosol_block"),
        *("emufort_aerosol_answers", "emufort_aerosol_calls"),
        *("emufort_aerosol_activation", "emufort_aerosol_parcel", "emufort_activate_modal"),
    ):
        procedure = ""
        for line in run("objdump", "-dr", folder / f"{name}.o").splitlines():
            header = re.match(r"[0-9a-f]+ <(.*)>:", line)
            procedure = header[1] if header else procedure
            if re.search(r"malloc|realloc|calloc|_gfortran_(internal_pack|stop|st_)", line):
                callers.add(procedure.partition("_MOD_")[2])
    # init keeps a copy of the emulator; the compiler's own copy and final procedures are for it
    assert {c for c in callers if not c.startswith("__")} <= {"init", "activate_modal_init"}
