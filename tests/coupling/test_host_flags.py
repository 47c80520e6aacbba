"""emufort_flags.cmake in a host: every source gets its flags, after those of the host."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from emufort.toolchain.flags import FAMILIES
from tests.coupling.conftest import run

Glue = Callable[[str], Path]

#: Collects sources as E3SM does: relative to the project, from folders in a list, first come first
#: served, and includes the file of the case after that.
HOST = """
cmake_minimum_required(VERSION 3.20)
project(host LANGUAGES Fortran)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(DEBUG @DEBUG@)
set(EMUFORT_CPU "@CPU@")
file(GLOB found RELATIVE "${PROJECT_SOURCE_DIR}" "@FOLDER@/*.F90")
include("@GLUE@/emufort_flags.cmake")
foreach(item IN LISTS found)
  list(APPEND sources "${PROJECT_SOURCE_DIR}/${item}")
endforeach()
add_library(atm ${sources} own.F90)
"""


@pytest.mark.skipif(shutil.which("cmake") is None, reason="no cmake")
@pytest.mark.parametrize("compiler", ["gfortran", "flang-22"])
@pytest.mark.parametrize(
    ("host", "sources", "debug", "cpu"),
    [
        ("e3sm", "src", "FALSE", "-march=x86-64-v2"),
        ("e3sm", "src", "TRUE", ""),
        ("ccpp", "dependencies", "FALSE", ""),
    ],
)
def test_every_source_gets_its_flags(
    glue: Glue, tmp_path: Path, compiler: str, host: str, sources: str, debug: str, cpu: str
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    folder = glue(host)
    project = tmp_path / "components"
    project.mkdir()
    (project / "own.F90").write_text("subroutine own()\nend subroutine own\n")
    text = HOST.replace("@FOLDER@", str(folder / sources)).replace("@GLUE@", str(folder))
    (project / "CMakeLists.txt").write_text(text.replace("@DEBUG@", debug).replace("@CPU@", cpu))
    build = tmp_path / "build"
    run(
        *("cmake", "-S", project, "-B", build, f"-DCMAKE_Fortran_COMPILER={compiler}"),
        "-DCMAKE_Fortran_FLAGS=-O -g",
    )
    commands = json.loads((build / "compile_commands.json").read_text())
    found = {Path(entry["file"]).name: entry["command"] for entry in commands}
    assert len(found) == 1 + len(list((folder / sources).glob("*.F90")))
    family = FAMILIES["GNU" if compiler == "gfortran" else "FLANG"]
    for name, command in found.items():
        fast = name.endswith(("emufort_runtime.F90", "_emulator.F90"))
        wanted = family.debug if debug == "TRUE" else family.fast if fast else family.exact
        words = " ".join(f"-O -g {wanted} {cpu} -".split())
        assert (words in " ".join(command.split())) == (name != "own.F90"), command
