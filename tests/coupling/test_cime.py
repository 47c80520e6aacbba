"""The script buildlib as CIME runs it: compiler and flags of the case, messages in its log.

Set EMUFORT_CIME to a checkout of ESMCI/cime to run the tests with CIME itself; the others use a
stand-in that exchanges sys.stdout as CIME does.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType

import pytest

from emufort.toolchain.flags import CAUTIOUS, FAMILIES
from tests.coupling.conftest import run

Glue = Callable[[str], Path]
CIME = Path(os.environ.get("EMUFORT_CIME", "/nonexistent"))

needs_gfortran = pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make")
needs_cime = pytest.mark.skipif(
    not (CIME / "CIME" / "build.py").is_file() or shutil.which("xmllint") is None,
    reason="EMUFORT_CIME names no checkout of CIME, or there is no xmllint",
)

#: Compilers in the machine files of E3SM and CESM.
FAMILY_OF = {
    "gnu": "GNU",
    "gnugpu": "GNU",
    "craygnu": "GNU",
    "craygnu-mphipcc": "GNU",
    "intel": "INTEL",
    "intelgpu": "INTEL",
    "intel-oneapi": "INTEL",
    "oneapi-ifx": "INTEL",
    "oneapi-ifxgpu": "INTEL",
    "nvhpc": "NVIDIA",
    "nvhpc-gpu": "NVIDIA",
    "nvidia": "NVIDIA",
    "nvidiagpu": "NVIDIA",
    "pgi": "NVIDIA",
    "amdclang": "FLANG",
    "crayamd": "FLANG",
    "aocc": "FLANG",
    "cray": "CRAY",
    "craycray": "CRAY",
    "crayclang": "CRAY",
    "nag": "NAG",
}


class Case:
    """Variables of a case."""

    def __init__(self, **values: object) -> None:
        self._values = values

    def get_value(self, name: str) -> object:
        return self._values.get(name)


@pytest.fixture
def buildlib(glue: Glue) -> ModuleType:
    """The script of the glue, imported by its path as CIME does it."""
    path = str(glue("cime") / "buildlib")
    loader = importlib.machinery.SourceFileLoader("emufort_buildlib", path)
    spec = importlib.util.spec_from_loader("emufort_buildlib", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def commands(
    buildlib: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, list[str]]]:
    """Return a function: variables of a case -> command for each file; nothing is compiled."""
    ran: list[list[str]] = []
    monkeypatch.setenv("FC", "ftn")
    monkeypatch.setenv("CC", "cc")
    monkeypatch.delenv("FFLAGS", raising=False)
    monkeypatch.setattr(buildlib.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(buildlib, "run", lambda command, cwd: ran.append(command) or 0)

    def of(**values: object) -> dict[str, list[str]]:
        ran.clear()
        buildlib.buildlib(str(tmp_path / "bld"), str(tmp_path / "lib"), Case(**values))
        return {Path(command[-1]).stem: command for command in ran if "-c" in command}

    return of


def test_the_case_decides_about_the_flags(commands: Callable[..., dict[str, list[str]]]) -> None:
    """Not the name of the command, which is that of a wrapper here."""
    for compiler, family in FAMILY_OF.items():
        found = commands(COMPILER=compiler, DEBUG=False, USE_EMUFORT=True)
        assert found["emufort_host"][0] == "ftn"
        kernels, scheme = found["emufort_runtime"], found["emufort_aerosol_activation"]
        if family in FAMILIES:
            fast, exact = FAMILIES[family].fast, FAMILIES[family].exact
        else:
            fast = exact = CAUTIOUS[family]
        assert " ".join(kernels).startswith(f"ftn {fast} -"), compiler
        assert " ".join(scheme).startswith(f"ftn {exact} -"), compiler
        assert "activation_emulator" in found, "the generated module is there"
        assert found["activation_emulator"][1 : len(fast.split()) + 1] == fast.split()
        debugging = commands(COMPILER=compiler, DEBUG=True, USE_EMUFORT=True)
        debug = FAMILIES[family].debug if family in FAMILIES else CAUTIOUS[family]
        for command in debugging.values():
            assert " ".join(command).startswith(f"ftn {debug} -"), compiler
        levels = [f"emufort_kernels_v{level}" for level in (2, 3, 4)]
        chosen = [*levels, "emufort_cpu_level"] if family in ("GNU", "FLANG") else []
        assert sorted(found) == sorted([*debugging, *chosen])
        assert ("-DEMUFORT_LEVELS" in kernels) == bool(chosen)


def test_kernels_for_the_levels_of_x86_64(
    buildlib: ModuleType,
    commands: Callable[..., dict[str, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    family = FAMILIES["GNU"]
    found = commands(COMPILER="gnu", USE_EMUFORT=True)
    for level, flags in family.levels.items():
        words = found[f"emufort_kernels_v{level}"]
        assert " ".join(words).startswith(f"ftn {family.fast} {flags} -J"), "fast, then the level"
        assert f"-DEMUFORT_LEVEL={level}" in words
        assert Path(words[-3]).name == "emufort_runtime.F90"
    assert [*found].index("emufort_runtime") < [*found].index("emufort_kernels_v2")
    assert found["emufort_cpu_level"][0] == "cc"
    # a CPU in the flags of the host is that of the library
    monkeypatch.setenv("FFLAGS", "-g -march=znver3 -O1")
    found = commands(COMPILER="gnu", USE_EMUFORT=True)
    assert not any("level" in name or "kernels" in name for name in found)
    for words in found.values():
        assert words[-1].endswith(".o") and words.count("-march=znver3") == 2
        assert "-DEMUFORT_LEVELS" not in words
    monkeypatch.delenv("FFLAGS")
    monkeypatch.setattr(buildlib.platform, "machine", lambda: "aarch64")
    assert "emufort_cpu_level" not in commands(COMPILER="gnu", USE_EMUFORT=True)


@needs_make
def test_compilers_and_flags_of_the_case(buildlib: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "Macros.make").write_text(
        "SFC := serial\nMPIFC := parallel $(COMPILER)\nSCC := c\nMPICC := mpic\n"
        "FFLAGS := -g -fconvert=big-endian $(if $(filter TRUE,$(DEBUG)),-O0,-O2)\n"
    )
    values = {"CASEROOT": str(tmp_path), "GMAKE": "make", "COMPILER": "gnu", "DEBUG": True}
    found = buildlib.compilers_of(Case(MPILIB="mpi-serial", **values))
    assert found == ("serial", "c", ["-g", "-fconvert=big-endian", "-O0"])
    found = buildlib.compilers_of(Case(MPILIB="mpich", **{**values, "DEBUG": False}))
    assert found == ("parallel gnu", "mpic", ["-g", "-fconvert=big-endian", "-O2"])
    (tmp_path / "Macros.make").write_text("ifeq\n")
    with pytest.raises(buildlib.BuildError, match=r"^make cannot read .*Macros\.make: "):
        buildlib.compilers_of(Case(MPILIB="mpich", **values))


def test_without_the_variable_or_without_its_value_the_stub_is_built(
    commands: Callable[..., dict[str, list[str]]],
) -> None:
    for values in ({}, {"USE_EMUFORT": False}, {"USE_EMUFORT": "FALSE"}, {"USE_EMUFORT": None}):
        found = commands(COMPILER="gnu", **values)
        assert [*found] == ["emufort_host"]
        assert "stub" in found["emufort_host"][-3]
    for value in (True, "TRUE", ".true."):
        assert len(commands(COMPILER="gnu", USE_EMUFORT=value)) > 8


def test_a_compiler_without_flags_is_an_error(
    buildlib: ModuleType, commands: Callable[..., dict[str, list[str]]]
) -> None:
    with pytest.raises(buildlib.BuildError, match="compiler 'fj' of this case; add its name"):
        commands(COMPILER="fj", USE_EMUFORT=True)


@needs_gfortran
@pytest.mark.parametrize("broken", [False, True])
def test_messages_of_the_compiler_are_in_the_log(
    buildlib: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    """CIME exchanges sys.stdout and sys.stderr, not the descriptors that a child inherits."""
    monkeypatch.setenv("FC", "gfortran")
    source = Path(buildlib.HERE) / "stub/emufort_host.F90"
    text = source.read_text()
    source.write_text(f"{text}this is no Fortran\n" if broken else text)
    log = io.StringIO()
    case = Case(COMPILER="gnu", USE_EMUFORT=False)
    with redirect_stdout(log), redirect_stderr(log):
        if broken:
            with pytest.raises(buildlib.BuildError, match=r"^emufort_host.F90 failed with code 1$"):
                buildlib.buildlib(str(tmp_path / "bld"), str(tmp_path / "lib"), case)
        else:
            buildlib.buildlib(str(tmp_path / "bld"), str(tmp_path / "lib"), case)
    lines = log.getvalue().splitlines()
    assert lines[0].startswith("gfortran ") and lines[0].endswith("emufort_host.o")
    assert any("this is no Fortran" in line for line in lines) == broken
    assert (tmp_path / "lib" / "libemufort.a").is_file() != broken


def test_an_old_library_does_not_survive_a_failure(
    buildlib: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FC", "no-such-compiler")
    (tmp_path / "libemufort.a").write_text("")
    with pytest.raises(buildlib.BuildError, match="cannot run no-such-compiler: No such file"):
        buildlib.buildlib(str(tmp_path / "bld"), str(tmp_path), Case(COMPILER="gnu"))
    assert not (tmp_path / "libemufort.a").exists()


#: Runs the functions of CIME that build the libraries of a case, with a real registration and a
#: real env_build.xml. Only the case itself is small, and its Macros.make is not made from CMake.
WITH_CIME = """
import json, os, sys, unittest.mock as mock
from pathlib import Path

cime, glue, work, wanted, debug = sys.argv[1:]
sys.path.insert(0, cime)
os.environ["CIME_MODEL"] = "ufs"
from CIME import build
from CIME.XML.component import Component
from CIME.XML.env_build import EnvBuild
from CIME.XML.files import Files

case_root = Path(work, "case")
exe_root = Path(work, "bld")
files = Files(comp_interface="nuopc")
environment = EnvBuild(str(case_root), components=["atm"])
component = Component(str(Path(glue, "xml/config_component.xml")), "CAM")
environment.add_elements_by_group(component)
assert environment.get_value("USE_EMUFORT") is False, "the default"
environment.set_value("USE_EMUFORT", wanted)
environment.write()


class Case:
    values = {
        "CASEROOT": str(case_root), "COMPILER": "gnu", "MPILIB": "mpi-serial", "GMAKE": "make",
        "SHAREDLIBROOT": str(exe_root), "DEBUG": debug == "TRUE", "MODEL": "ufs",
    }

    def get_value(self, name, *_, **__):
        if name == "USE_EMUFORT":
            return EnvBuild(str(case_root), components=["atm"]).get_value(name)
        return self.values.get(name)

    def get_values(self, name):
        return ["emufort"] if name == "CASE_SUPPORT_LIBRARIES" else []

    def flush(self):
        pass


with mock.patch("CIME.build.generate_makefile_macro"), \
        mock.patch("CIME.build.Files", lambda comp_interface: files):
    logs = build._build_libraries(
        *(Case(), str(exe_root), "shared", str(case_root), cime, "", "1", "gnu"),
        *(["emufort"], "nuopc", []),
    )
print(json.dumps(logs))
"""


@pytest.fixture
def cime(glue: Glue, tmp_path: Path) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """A copy of CIME in which the library is registered, and what builds a case with it."""
    folder = glue("cime")
    copy = tmp_path / "checkout"
    shutil.copytree(CIME / "CIME", copy / "CIME", ignore=shutil.ignore_patterns("tests"))
    line = next(
        line
        for line in (folder / "xml" / "config_files.xml").read_text().splitlines()
        if line.strip().startswith('<value lib="emufort">')
    )
    registry = copy / "CIME/data/config/ufs/config_files.xml"
    text = registry.read_text()
    assert text.count('<value lib="gptl">') == 1
    line = line.replace("$SRCROOT/libraries/emufort", str(folder))
    registry.write_text(text.replace('<value lib="gptl">', f'{line}\n<value lib="gptl">'))
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "Macros.make").write_text("SFC := gfortran\nSCC := cc\n")
    (tmp_path / "with_cime.py").write_text(WITH_CIME)

    def build(wanted: str, debug: str = "FALSE") -> tuple[int, str, str]:
        for name in ("bld", "case/env_build.xml"):
            path = tmp_path / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, tmp_path / "with_cime.py", copy, folder, tmp_path, wanted, debug],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        log = tmp_path / "bld" / "emufort.bldlog.1"
        return done.returncode, done.stdout + done.stderr, log.read_text() if log.exists() else ""

    yield build


@needs_cime
@needs_gfortran
@needs_make
def test_cime_builds_the_library(cime: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    code, said, log = cime("TRUE")
    assert code == 0, said
    assert json.loads(said.splitlines()[-1]) == [str(tmp_path / "bld" / "emufort.bldlog.1")]
    assert log.startswith(f"gfortran {FAMILIES['GNU'].fast}")
    shared = tmp_path / "bld" / "shared"
    assert "activation_emulator.o" in run("ar", "t", shared / "lib" / "libemufort.a")
    assert (shared / "include" / "emufort_host.mod").is_file()
    code, said, log = cime("TRUE", "TRUE")
    assert code == 0 and log.startswith(f"gfortran {FAMILIES['GNU'].debug}"), said
    code, said, log = cime("FALSE")
    assert code == 0, said
    assert run("ar", "t", shared / "lib" / "libemufort.a") == "emufort_host.o\n"


@needs_cime
@needs_gfortran
@needs_make
def test_cime_shows_what_the_compiler_said(
    cime: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "cime" / "stub" / "emufort_host.F90").write_text("this is no Fortran\n")
    code, said, log = cime("FALSE")
    assert code != 0 and "emufort.bldlog.1" in said
    assert "Error: Unclassifiable statement" in log or "this is no Fortran" in log
    assert log.rstrip().endswith("emufort_host.F90 failed with code 1")
