"""Bundles with random weights, and their compiled libraries."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export import Bundle, export
from tests.runtime.pond import CONTRACT, pond_data, pond_emulator

HERE = Path(__file__).parent
#: Flags that make any warning an error, for C, C++ and Fortran.
STRICT = ("-Wall", "-Wextra", "-pedantic", "-Werror")
FORTRAN = {
    "gfortran": ("-O2", "-march=native", "-fopenmp-simd", "-ffp-contract=fast"),
    "flang-22": ("-O2", "-march=native", "-ffp-contract=fast"),
}
#: C and C++ compilers, by the Fortran compiler that links their programs.
C_COMPILERS = (("gfortran", "gcc"), ("gfortran", "clang-22"), ("flang-22", "clang-22"))
CPP_COMPILERS = (("gfortran", "g++"), ("gfortran", "clang++-22"), ("flang-22", "clang++-22"))
#: Libraries that a Fortran compiler needs to link C++.
CPP_LIBRARIES = ("-lstdc++", "-lm")

Run = Callable[..., str]
#: Compiles the Fortran of the bundle: compiler and whether in double precision -> object files.
Objects = Callable[[str, bool], list[Path]]


def needs(*commands: str) -> None:
    """Skip a test if a command is missing."""
    for command in commands:
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command in the folder of the test; it must succeed."""

    def of(*command: object, cwd: Path = tmp_path) -> str:
        words = [str(word) for word in command]
        done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return of


@pytest.fixture(scope="session")
def data() -> Dataset:
    return Dataset.from_xarray(pond_data(), Contract.from_toml(CONTRACT))


@pytest.fixture(scope="session")
def bundle(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(pond_emulator(data), data, tmp_path_factory.mktemp("cface") / "bundle")


@pytest.fixture(scope="session")
def objects(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """Compile the two Fortran files of the bundle and the Fortran references, once for all tests.

    The function takes the Fortran compiler and whether the network is in double precision.
    """
    known: dict[tuple[str, bool], list[Path]] = {}

    def compiled(fortran: str, double: bool) -> list[Path]:
        if (fortran, double) not in known:
            folder = tmp_path_factory.mktemp("objects")
            sources = [bundle.runtime_source, bundle.module_source, HERE / "reference.F90"]
            flags = [*FORTRAN[fortran], *(["-DEMUFORT_DOUBLE"] if double else [])]
            command = [fortran, *flags, "-c", *map(str, sources)]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            known[fortran, double] = [folder / f"{source.stem}.o" for source in sources]
        return known[fortran, double]

    return compiled
