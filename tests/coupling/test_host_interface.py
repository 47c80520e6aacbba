"""`emufort_host` and its stub: options of init, the host's routine, history, calls in error."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from emufort.processes.aerosol_activation.fortran import constants_of, scheme_contract, widths
from tests.coupling.conftest import run

DRIVER = Path(__file__).with_name("interface_driver.F90")
STRICT = {
    "gfortran": "-std=f2018 -Wall -Wextra -Werror",
    "flang-22": "-std=f2018 -Werror",
}


def arguments() -> list[str]:
    """Return the widths and constants of the contract in the order of `emufort_host_init`."""
    contract = scheme_contract()
    constants = constants_of(contract)
    names = (
        *("gravity", "gas_constant_air", "gas_constant_vapour", "heat_capacity_air"),
        *("latent_heat", "density_water"),
    )
    return [*map(repr, widths(contract)), *(repr(getattr(constants, name)) for name in names)]


@pytest.mark.parametrize(
    ("compiler", "kind"),
    [
        ("gfortran", "real64"),
        ("gfortran", "real32"),
        ("flang-22", "real64"),
        pytest.param("flang-22", "real32", marks=pytest.mark.exhaustive),
    ],
)
def test_interface(glue: Callable[[str], Path], tmp_path: Path, compiler: str, kind: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    flags = ["-DEMUFORT_HOST_REAL32"] if kind == "real32" else []
    folder = glue("plain")
    settings = [f"FC={compiler}", f"CPPFLAGS={' '.join(flags)}", f"FFLAGS={STRICT[compiler]}"]
    run("make", "libemufort.a", *settings, "FAST=-O1", "EXACT=-O1 -ffp-contract=off", cwd=folder)
    stub = tmp_path / "stub"
    stub.mkdir()
    warnings = STRICT[compiler].split()
    if compiler == "gfortran":
        warnings.append("-Wno-unused-dummy-argument")
    source = glue("cime") / "stub/emufort_host.F90"
    run(compiler, *warnings, *flags, "-O1", "-c", source, cwd=stub)
    for name, objects in (("emulator", [folder / "libemufort.a"]), ("stub", ["emufort_host.o"])):
        where = folder if name == "emulator" else stub
        command = [compiler, "-O1", *warnings, *flags, f"-I{where}", DRIVER, *objects]
        run(*command, "-o", "interface", cwd=where)
        assert run(where / "interface", *arguments()).strip() == "the interface holds", name
