"""Aerosol activation from C++: the bits of Fortran, the host's routine, no silent errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from emufort.dataset.dataset import Dataset
from emufort.export import Bundle, export
from emufort.export.host import write_host
from emufort.processes.aerosol_activation.fortran import constants_of, scheme_contract, widths
from tests.cface.conftest import CPP_COMPILERS, CPP_LIBRARIES, HERE, STRICT, Run, needs
from tests.export.emulators import random_emulator

#: Flags for the library: no vector instructions of this machine are needed.
PLAIN = ("ARCH=", "FFLAGS=-O1")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    contract = scheme_contract()
    folder = tmp_path_factory.mktemp("activation") / "bundle"
    return export(random_emulator(contract, (8, 8), "tanh"), Dataset.open(None, contract), folder)


@pytest.fixture(scope="module")
def flags() -> list[str]:
    """The modes and constants of the contract, for the host."""
    contract = scheme_contract()
    constants = constants_of(contract)
    names = (
        *("gravity", "gas_constant_air", "gas_constant_vapour"),
        *("heat_capacity_air", "latent_heat", "density_water"),
    )
    return [
        f"-DHOST_MODES={len(widths(contract))}",
        f"-DHOST_SIGMA={','.join(map(repr, widths(contract)))}",
        f"-DHOST_CONSTANTS={','.join(repr(float(getattr(constants, name))) for name in names)}",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fortran", "compiler"),
    [
        CPP_COMPILERS[0],
        pytest.param(*CPP_COMPILERS[1], marks=pytest.mark.exhaustive),
        CPP_COMPILERS[2],
    ],
)
def test_activation_in_cpp(
    fortran: str, compiler: str, bundle: Bundle, flags: list[str], run: Run, tmp_path: Path
) -> None:
    needs(fortran, compiler, "make")
    glue = write_host(bundle, "plain", tmp_path / "glue").path
    run("make", "-s", "libemufort.a", f"FC={fortran}", *PLAIN, cwd=glue)
    run(fortran, "-c", HERE / "activation_reference.F90", f"-I{glue}")
    run(
        *(compiler, "-std=c++17", *STRICT, "-O1", *flags, f"-I{glue / 'src'}"),
        *("-c", HERE / "activation.cpp"),
    )
    objects = ("activation_reference.o", "activation.o")
    linked = (f"-L{glue}", "-lemufort", *CPP_LIBRARIES, "-lpthread")
    run(fortran, *objects, *linked, "-o", "activation")
    assert run("./activation") == "the same bits\n"


def test_the_glue_of_other_hosts_has_no_c(bundle: Bundle, tmp_path: Path) -> None:
    def sources(host: str) -> set[str]:
        folder = write_host(bundle, host, tmp_path / host).path / "src"
        return {path.name for path in folder.iterdir()}

    wanted = {"emufort_activation.h", "emufort_activation.hpp", "emufort_activation_c.F90"}
    assert wanted <= sources("plain")
    assert not wanted & sources("cime")
