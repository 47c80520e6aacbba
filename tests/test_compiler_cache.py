"""The compilers of the tests compile equal sources once, and take no others for equal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import compiler_cache

COMPILERS = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"no {name}"))
    for name in ("gfortran", "flang-22")
]
MODULE = """module numbers
  implicit none
  integer, parameter :: number = {number}
contains
  integer function twice(i)
    integer, intent(in) :: i
    twice = 2*i + offset()
  end function twice
  integer function offset()
#include "offset.inc"
  end function offset
end module numbers
"""
USER = """program show
  use numbers, only: number, twice
  implicit none
  print '(i0)', twice(number)
end program show
"""


class Machine:
    """A folder with sources, and a compiler that writes down how often it runs."""

    def __init__(self, compiler: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._log = folder, folder / "log"
        real = shutil.which(compiler, path=os.defpath)
        self._compiler = folder / compiler
        self._compiler.write_text(f'#!/bin/sh\necho "$*" >> {self._log}\nexec {real} "$@"\n')
        self._compiler.chmod(0o755)
        (folder / "cache").mkdir()
        monkeypatch.setenv(compiler_cache.VARIABLE, str(folder / "cache"))
        self.write("module.F90", MODULE.format(number=4))
        self.write("user.f90", USER)
        self.write("offset.inc", "    offset = 1\n")

    def write(self, name: str, text: str) -> None:
        padding = f"! {'x' * 100}\n" * (compiler_cache.SMALL // 100)
        (self.folder / name).write_text(text if name.endswith(".inc") else padding + text)

    def run(self, *arguments: str, code: int = 0, place: str = "a") -> str:
        """Run the compiler in a folder; return what it prints."""
        where = self.folder / place
        where.mkdir(exist_ok=True)
        words = [sys.executable, "-I", "-S", compiler_cache.__file__, self._compiler, *arguments]
        done = subprocess.run(words, cwd=where, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def program(self, *flags: str, place: str = "a") -> str:
        """Compile and link in one command; return what the program prints."""
        self.run(*flags, "../module.F90", "../user.f90", "-o", "show", place=place)
        return subprocess.run(
            [self.folder / place / "show"], capture_output=True, text=True, check=True
        ).stdout.strip()

    def compiled(self) -> list[str]:
        """Return the names of the sources that the compiler was given since the last call."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        self._log.unlink(missing_ok=True)
        words = [word for line in lines for word in line.split()]
        return [Path(word).name for word in words if word.endswith((".f90", ".F90"))]


@pytest.fixture(params=COMPILERS)
def machine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Machine:
    return Machine(request.param, tmp_path, monkeypatch)


def test_equal_sources_are_compiled_once(machine: Machine) -> None:
    assert machine.program("-O1") == "9"
    assert machine.compiled() == ["module.F90", "user.f90"]
    assert machine.program("-O1", place="b") == "9"
    assert (machine.folder / "b/numbers.mod").is_file()
    machine.run("-O1", "-c", "../module.F90", place="c")
    (machine.folder / "a/modules").mkdir()
    machine.run("-O1", "-Jmodules", "-Imodules", "-c", "../module.F90", "-o", "m.o", place="a")
    assert machine.compiled() == []
    assert sorted(path.name for path in (machine.folder / "c").iterdir()) == [
        *("module.o", "numbers.mod")
    ]
    objects = [machine.folder / name for name in ("a/m.o", "c/module.o")]
    assert objects[0].read_bytes() == objects[1].read_bytes()


def test_other_flags_sources_and_included_files_are_compiled(machine: Machine) -> None:
    machine.program("-O1")
    machine.compiled()
    assert machine.program("-O2") == "9"
    assert machine.compiled() == ["module.F90", "user.f90"]
    machine.write("offset.inc", "    offset = 2\n")
    # The program sees the same module, so it is not compiled again.
    assert machine.program("-O1") == "10"
    assert machine.compiled() == ["module.F90"]
    machine.write("module.F90", MODULE.format(number=5))
    assert machine.program("-O1") == "12"
    assert machine.compiled() == ["module.F90", "user.f90"]


def test_a_program_is_compiled_against_the_module_that_is_found(machine: Machine) -> None:
    """The source is the same, but the module file is another one."""
    for number, place in ((4, "a"), (5, "b")):
        machine.write("module.F90", MODULE.format(number=number))
        machine.run("-O1", "-c", "../module.F90", place=place)
        machine.run("-O1", f"-I../{place}", "-c", "../user.f90", place="c")
        machine.run(f"../{place}/module.o", "user.o", "-o", "show", place="c")
        done = subprocess.run([machine.folder / "c/show"], capture_output=True, text=True)
        assert done.stdout.strip() == str(2 * number + 1)


def test_errors_and_warnings_are_those_of_the_compiler(machine: Machine) -> None:
    machine.write("module.F90", "module wrong\n  integer :: i = 'text'\nend module wrong\n")
    for _ in range(2):
        assert "module.F90:" in machine.run("-c", "../module.F90", code=1)
        assert machine.compiled().count("module.F90") >= 1
    assert not (machine.folder / "a/module.o").exists()
    machine.run("-c", "../absent.f90", code=1)
    machine.run("--version")
    machine.run("-E", "../module.F90")
    assert machine.compiled() == ["absent.f90", "module.F90"]


def test_warnings_are_given_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("gfortran") is None:
        pytest.skip("no gfortran")
    machine = Machine("gfortran", tmp_path, monkeypatch)
    machine.write("user.f90", USER.replace("implicit none", "implicit none\n  integer :: unused"))
    machine.run("-c", "../module.F90")
    for _ in range(3):
        assert "Wunused-variable" in machine.run("-Wall", "-c", "../user.f90")
