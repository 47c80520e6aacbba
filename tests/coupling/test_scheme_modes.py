"""The activation scheme for any number of modes: its sources compile and are right for each."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from emufort.contract import Contract
from emufort.export.fortran import runtime_source
from emufort.processes.aerosol_activation.fortran import (
    CONTRACT_MODULE,
    contract_source,
    scheme_sources,
    template,
)
from emufort.processes.aerosol_activation.preset import Preset
from tests.coupling.conftest import COUPLING, attempt, run

DRIVER = Path(__file__).with_name("modes_driver.F90")
FLAGS = {
    "gfortran": ["-std=f2018", "-Wall", "-Wextra", "-Werror", "-O1", "-fopenmp-simd"],
    "flang-22": ["-std=f2018", "-Werror", "-O1"],
}
_MODES = {
    "accumulation": {"sigma": 1.8, "number": [1, 1e4], "diameter": [0.0535, 0.44]},
    "aitken": {"sigma": 1.6, "number": [1, 1e4], "diameter": [0.0087, 0.052]},
    "coarse": {"sigma": 1.8, "number": [1e-3, 5], "diameter": [1.0, 4.0]},
    "primary_carbon": {"sigma": 1.6, "number": [1e-2, 1e4], "diameter": [0.01, 0.1]},
    "fine_sea_salt": {"sigma": 2.0, "number": [1e-2, 1e3], "diameter": [0.05, 1.0]},
    "fine_dust": {"sigma": 1.8, "number": [1e-3, 1e2], "diameter": [0.1, 1.0]},
    "narrow": {"sigma": 1.2, "number": [1e-4, 30], "diameter": [0.4, 2.0]},
}
_CONSTANTS = {
    "gravity": 9.80616,
    "gas_constant_air": 287.04232,
    "gas_constant_vapour": 461.50464,
    "heat_capacity_air": 1004.64,
    "latent_heat": 2.501e6,
}


def contract_of(count: int) -> Contract:
    modes = {
        name: {**mode, "hygroscopicity": [0.05, 1.2]} for name, mode in list(_MODES.items())[:count]
    }
    preset = {
        **{"process": "aerosol_activation", "name": f"modes_{count}"},
        **{"constants": _CONSTANTS, "modes": modes},
    }
    return Preset.model_validate(preset).contract()


@pytest.fixture(scope="module", params=list(FLAGS))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the compiler and a folder with the runtime that it compiled."""
    compiler = str(request.param)
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    folder = tmp_path_factory.mktemp("runtime")
    (folder / "emufort_runtime.F90").write_text(runtime_source())
    run(compiler, *FLAGS[compiler], "-c", "emufort_runtime.F90", cwd=folder)
    return [Path(compiler), folder]


@pytest.mark.parametrize(
    ("built", "count"),
    [
        *(("gfortran", count) for count in (1, 3, 5, 7)),
        ("flang-22", 5),
        *(pytest.param("flang-22", count, marks=pytest.mark.exhaustive) for count in (1, 3, 7)),
    ],
    indirect=["built"],
)
def test_any_number_of_modes(built: list[Path], tmp_path: Path, count: int) -> None:
    compiler, runtime = str(built[0]), built[1]
    contract = tmp_path / f"{CONTRACT_MODULE}.F90"
    contract.write_text(contract_source(contract_of(count)))
    sources = scheme_sources("emufort_activate_modal", "activation_fractions", "arg2000")
    sources = [contract if path.stem == CONTRACT_MODULE else path for path in sources]
    flags = [*FLAGS[compiler], f"-I{runtime}"]
    run(compiler, *flags, "-c", *sources, cwd=tmp_path)
    objects = [f"{path.stem}.o" for path in sources]
    program = tmp_path / "modes"
    run(
        *(compiler, *flags, DRIVER, *objects, runtime / "emufort_runtime.o", "-o", program),
        cwd=tmp_path,
    )
    name = list(_MODES)[count - 1]
    assert run(program).strip() == f"right for {count} modes, the last is {name}"


#: A generated module with a constant supersaturation.
NETWORK = """
module fixed_emulator
  use, intrinsic :: iso_fortran_env, only: real64
  use emufort_runtime, only: emulator_type, status_type, workspace_type
  use emufort_runtime, only: block => emufort_block_columns
  implicit none
  character(len=*), parameter :: fixed_emulator_hash = repeat('0', 64)
contains
  recursive subroutine fixed_emulator_predict_block(n, is_single, x, y, status, is_outside, &
    workspace)
    integer, intent(in) :: n
    logical, intent(in) :: is_single
    real(real64), intent(inout) :: x(block, *), y(block, *)
    type(status_type), intent(inout) :: status
    logical, intent(out) :: is_outside(block)
    type(workspace_type), intent(inout), optional :: workspace
    is_outside = .false.
    y(1:n, 1) = 0.003_real64
    if (is_single .or. present(workspace) .or. x(1, 1) < 0.0_real64) status%code = 1
  end subroutine fixed_emulator_predict_block
  subroutine fixed_emulator_init(status)  ! has nothing to decode
    type(status_type), intent(out) :: status
  end subroutine fixed_emulator_init
  subroutine fixed_emulator_copy(emulator)  ! has no network, so the object stays empty
    type(emulator_type), intent(inout) :: emulator
    if (emulator%n_inputs() > 0) error stop 'the object is not empty'
  end subroutine fixed_emulator_copy
end module fixed_emulator
"""


@pytest.mark.parametrize(
    ("built", "same"),
    [
        ("gfortran", True),
        ("gfortran", False),
        ("flang-22", True),
        pytest.param("flang-22", False, marks=pytest.mark.exhaustive),
    ],
    indirect=["built"],
)
def test_example_host_of_a_preset(built: list[Path], tmp_path: Path, same: bool) -> None:
    """The example host runs for five modes; a binding of another contract is refused."""
    compiler, runtime = str(built[0]), built[1]
    contract = Preset.load("e3sm_mam5").contract()
    other = contract if same else contract_of(5)
    written = {
        CONTRACT_MODULE: contract_source(contract),
        "fixed_emulator": NETWORK,
        "emufort_aerosol_binding": template(
            "emufort_aerosol_binding",
            name="fixed",
            module="fixed_emulator",
            hash="0" * 64,
            contract_hash=other.sha256,
        ),
    }
    for name, text in written.items():
        (tmp_path / f"{name}.F90").write_text(text)
    scheme = [path for path in scheme_sources("emufort_host") if path.stem not in written]
    sources = [tmp_path / f"{name}.F90" for name in written] + scheme
    example = COUPLING / "aerosol_activation/hosts/plain/example_host.F90"
    command = [compiler, *FLAGS[compiler], f"-I{runtime}", *sources, example]
    run(*command, runtime / "emufort_runtime.o", "-o", "example", cwd=tmp_path)
    done = attempt(tmp_path / "example")
    if same:
        assert done.returncode == 0 and done.stdout.count("drops per cm3") == 12
    else:
        assert done.returncode != 0
        assert f"the predictor has the contract {other.sha256[:8]}" in done.stderr
