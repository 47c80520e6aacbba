"""A host model takes the runtime in each of its forms: CMake, pkg-config, fpm, plain files."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from emufort.export.fortran import runtime_source
from emufort.export.weights_file import WeightsFile
from tests.export.emulators import inputs, mixed, random_emulator

TOP = Path(__file__).parents[2]
CONSUMER = TOP / "tests/consumer"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("gfortran") is None, reason="gfortran is not installed"),
]
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")


def run(*command: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    emulator = random_emulator(mixed(), (20, 9), "silu")
    path = tmp_path_factory.mktemp("weights") / "weights.bin"
    WeightsFile.from_emulator(
        emulator,
        inputs(emulator.contract, 8),
        relative_tolerance=1e-4,
        absolute_tolerance=np.full(len(emulator.contract.output_columns), 1e-4),
    ).write(path)
    return path


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build and install the runtime as its users do."""
    folder = tmp_path_factory.mktemp("install")
    run(
        *("cmake", "-S", TOP / "fortran", "-B", "build", "-DCMAKE_BUILD_TYPE=Release"),
        *("-DBUILD_TESTING=OFF", f"-DCMAKE_INSTALL_PREFIX={folder / 'prefix'}"),
        *("-DCMAKE_Fortran_COMPILER=gfortran", "-DCMAKE_INSTALL_LIBDIR=lib"),
        cwd=folder,
    )
    run("cmake", "--build", "build", "--parallel", "2", cwd=folder)
    run("cmake", "--install", "build", cwd=folder)
    return folder / "prefix"


@needs_cmake
def test_cmake_package(prefix: Path, weights: Path, tmp_path: Path) -> None:
    run(
        *("cmake", "-S", CONSUMER, "-B", "build", f"-DCMAKE_PREFIX_PATH={prefix}"),
        "-DCMAKE_Fortran_COMPILER=gfortran",
        cwd=tmp_path,
    )
    run("cmake", "--build", "build", cwd=tmp_path)
    for library in ("emufort", "emufort_shared", "emufort_double", "emufort_double_shared"):
        bits = 64 if "double" in library else 32
        said = run(tmp_path / f"build/with_{library}", weights, cwd=tmp_path)
        assert said.split() == [str(bits), "ok"], library
        linked = run("ldd", tmp_path / f"build/with_{library}", cwd=tmp_path)
        assert ("libemufort" in linked) == ("shared" in library)


@needs_cmake
@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="pkg-config is not installed")
@pytest.mark.parametrize("package", ["emufort", "emufort_double"])
def test_pkg_config(prefix: Path, weights: Path, tmp_path: Path, package: str) -> None:
    libraries = prefix / "lib"
    flags = run(
        *("pkg-config", "--cflags", "--libs", package),
        cwd=tmp_path,
        PKG_CONFIG_PATH=str(libraries / "pkgconfig"),
    ).split()
    run("gfortran", CONSUMER / "app/main.F90", *flags, "-o", "consumer", cwd=tmp_path)
    said = run("./consumer", weights, cwd=tmp_path, LD_LIBRARY_PATH=str(libraries))
    assert said.split() == ["64" if "double" in package else "32", "ok"]


def test_plain_files(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "emufort_runtime.F90").write_text(runtime_source())
    run(
        *("gfortran", "-O2", "-fopenmp-simd", "-std=f2018", "-Wall", "-Wextra", "-Werror"),
        *("emufort_runtime.F90", CONSUMER / "app/main.F90", "-o", "consumer"),
        cwd=tmp_path,
    )
    assert run("./consumer", weights, cwd=tmp_path).split() == ["32", "ok"]


@pytest.mark.skipif(shutil.which("fpm") is None, reason="fpm is not installed")
def test_fpm(weights: Path, tmp_path: Path) -> None:
    shutil.copytree(CONSUMER / "app", tmp_path / "app")
    manifest = (CONSUMER / "fpm.toml.in").read_text()
    (tmp_path / "fpm.toml").write_text(manifest.replace("@FORTRAN@", str(TOP / "fortran")))
    run("fpm", "build", cwd=tmp_path)
    assert "32 ok" in run("fpm", "run", "--", weights, cwd=tmp_path)
