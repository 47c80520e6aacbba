"""A library for any x86-64 CPU chooses its kernels at run time, and reports what it does."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from emufort.export import Bundle
from emufort.export.host import write_host
from emufort.native import bindings as native_bindings
from emufort.toolchain.flags import FAMILIES

SHAPES = Path(__file__).parent / "module_shapes.F90"
LEVELS = (1, 2, 3, 4)
REPORT = """
program report
  use emufort_runtime, only: emufort_build_report
  implicit none
  character(len=4000) :: text
  call emufort_build_report(text)
  print '(a)', trim(text)
end program report
"""
HOST = """
cmake_minimum_required(VERSION 3.20)
project(host LANGUAGES Fortran)
add_subdirectory({bundle} bundle)
foreach(program module_shapes report)
  add_executable(${{program}} ${{program}}.F90)
  target_link_libraries(${{program}} PRIVATE emufort::pond_emulator)
endforeach()
"""
#: The families of flags of the compilers.
COMPILERS = {"gfortran": FAMILIES["GNU"], "flang-22": FAMILIES["FLANG"]}

needs_levels = pytest.mark.skipif(
    platform.machine() != "x86_64"
    or any(shutil.which(tool) is None for tool in ("cmake", "make", "cc")),
    reason="needs x86-64, cmake, make and a C compiler",
)


@pytest.fixture(params=sorted(COMPILERS))
def compiler(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


def run(folder: Path, *command: object, level: int | str | None = None) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "EMUFORT_CPU_LEVEL"}
    if level is not None:
        environment["EMUFORT_CPU_LEVEL"] = str(level)
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kernels(report: str) -> str:
    """The level of the kernels in a report."""
    (line,) = [line for line in report.splitlines() if line.startswith("kernels: ")]
    return line.removeprefix("kernels: ").partition(",")[0]


def name_of(level: int) -> str:
    return "x86-64" if level == 1 else f"x86-64-v{level}"


def configured(bundle: Bundle, folder: Path, compiler: str, *options: str) -> Path:
    """Build a host of the bundle with CMake; return the folder of its programs."""
    (folder / "CMakeLists.txt").write_text(HOST.format(bundle=bundle.path))
    (folder / "module_shapes.F90").write_text(SHAPES.read_text())
    (folder / "report.F90").write_text(REPORT)
    run(folder, "cmake", "-B", "build", f"-DCMAKE_Fortran_COMPILER={compiler}", *options)
    run(folder, "cmake", "--build", "build")
    return folder / "build"


@needs_levels
@pytest.mark.slow
def test_cmake_builds_all_levels_for_a_host_with_portable_flags(
    bundle: Bundle, compiler: str, tmp_path: Path
) -> None:
    programs = configured(bundle, tmp_path, compiler, "-DCMAKE_Fortran_FLAGS=-O2")
    highest = native_bindings.cpu_level()
    for level in LEVELS:
        report = run(tmp_path, programs / "report", level=level)
        assert kernels(report) == name_of(min(level, highest))
        assert "warning: " not in report
        said = run(tmp_path, programs / "module_shapes", bundle.weights, level=level)
        assert said.split() == ["the", "same", "bits"]
    for other in (None, "", "0", "5", "x", "33"):
        assert kernels(run(tmp_path, programs / "report", level=other)) == name_of(highest)


@needs_levels
@pytest.mark.slow
@pytest.mark.parametrize(
    "option", ["-DCMAKE_Fortran_FLAGS=-O2 -march=x86-64-v2", "-DEMUFORT_LEVELS=OFF"]
)
def test_a_host_that_names_its_cpu_gets_one_level(
    bundle: Bundle, tmp_path: Path, option: str
) -> None:
    programs = configured(bundle, tmp_path, "gfortran", option)
    assert kernels(run(tmp_path, programs / "report")) == "one level"
    assert not list(programs.rglob("emufort_kernels_v*"))


@needs_levels
@pytest.mark.slow
@pytest.mark.parametrize(
    "compiler", ["gfortran", pytest.param("flang-22", marks=pytest.mark.exhaustive)], indirect=True
)
def test_make_builds_all_levels_without_a_cpu(
    bundle: Bundle, compiler: str, tmp_path: Path
) -> None:
    folder = write_host(bundle, "plain", tmp_path / "plain").path
    run(folder, "make", f"FC={compiler}", "ARCH=")
    for name, text in (("report", REPORT), ("module_shapes", SHAPES.read_text())):
        (folder / f"{name}.F90").write_text(text)
        run(folder, compiler, f"{name}.F90", "-L.", "-lemufort", "-o", name)
    for level in LEVELS:
        found = kernels(run(folder, "./report", level=level))
        assert found == name_of(min(level, native_bindings.cpu_level()))
        said = run(folder, "./module_shapes", bundle.weights, level=level)
        assert said.split() == ["the", "same", "bits"]


@pytest.mark.parametrize("is_fast", [False, True])
def test_the_report_of_plain_files_names_their_flags(
    bundle: Bundle, compiler: str, tmp_path: Path, is_fast: bool
) -> None:
    flags = COMPILERS[compiler].fast if is_fast else "-O1"
    (tmp_path / "report.F90").write_text(REPORT)
    run(tmp_path, compiler, *flags.split(), bundle.runtime_source, "report.F90", "-o", "report")
    report = run(tmp_path, "./report")
    lines = {line.partition(": ")[0]: line for line in report.splitlines()}
    assert {"speed", "vector instructions"} <= set(lines)
    # Whether there is a warning depends on the measured speed; test_build judges given speeds.
    advice = f"several times slower; add {COMPILERS[compiler].fast}"
    assert lines.get("warning", advice).endswith(advice)
    assert kernels(report) == "one level"
    assert flags.split()[0] in report
