"""`emufort export --host`: what it writes compiles without warnings, runs, can be left out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from emufort.cli import _run
from emufort.contract import Contract
from emufort.dataset import Dataset
from emufort.errors import EmufortError, UsageError
from emufort.export import Bundle, export
from emufort.export.host import HOSTS, write_host
from tests.conftest import SYNTHETIC_CONTRACT, synthetic_data
from tests.coupling.conftest import attempt, run
from tests.export.emulators import random_emulator

Glue = Callable[[str], Path]
STRICT = "-std=f2018 -Wall -Wextra -Werror"

needs_gfortran = pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make")
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="no cmake")

#: A host that has a scheme of its own and may ask the emulator instead.
HOST = """
program host
  use emufort_host, only: activate_modal, emufort_host_init, emufort_host_kind, emufort_host_present
  implicit none
  integer, parameter :: r8 = emufort_host_kind
  real(r8) :: fn(4), fm(4), fluxn(4), fluxm(4), full, own
  character(len=512) :: errmsg
  character(len=8) :: wanted
  integer :: errflg
  call get_command_argument(1, wanted)
  own = exp(-1.0_r8/3.0_r8)
  print '(a, z16.16)', 'own ', transfer(own, 0_8)
  if (wanted == 'own') stop
  if (wanted == 'init') then
    call emufort_host_init(r8, 9.8_r8, 287._r8, 461._r8, 1005._r8, 2.5e6_r8, 1.e3_r8, &
      [1.8_r8, 1.6_r8, 1.8_r8, 1.6_r8], 'emulator', 'ratio', 'paper', errmsg, errflg)
    print '(i0, a)', errflg, ' '//trim(errmsg)
    if (errflg /= 0) stop
  end if
  call activate_modal(0.5_r8, 0._r8, 0._r8, 0._r8, 10._r8, 280._r8, 1._r8, spread(1.e8_r8, 1, 4), &
    4, spread(1.e-12_r8, 1, 4), spread(0.5_r8, 1, 4), fn, fm, fluxn, fluxm, full)
  print '(a, l1)', 'fractions ', all(fn >= 0._r8 .and. fn <= 1._r8) .and. abs(full - 0.5_r8) < 1.e-9
end program host
"""


@needs_gfortran
@needs_make
def test_plain_makefile(glue: Glue) -> None:
    folder = glue("plain")
    settings = (f"FFLAGS={STRICT}", "FC=gfortran", "FAST=-O1 -fopenmp-simd", "EXACT=-O1")
    shown = run("make", "-s", "run", *settings, cwd=folder)
    lines = shown.splitlines()
    assert lines[0].startswith("emulator ") and len(lines[0]) == 9 + 64
    # ARG2000 does not depend on the weights
    assert lines[-1] == "arg2000  updraft  2.0 m/s:    61.5 drops per cm3"
    run("make", "clean", cwd=folder)


@needs_gfortran
@needs_cmake
def test_plain_cmake(glue: Glue) -> None:
    folder = glue("plain")
    run("cmake", "-S", folder, "-B", folder / "build")
    run("cmake", "--build", folder / "build")
    assert "drops per cm3" in run(folder / "build" / "example_host")


@needs_gfortran
def test_cime_on_off_and_stub(glue: Glue, tmp_path: Path) -> None:
    folder = glue("cime")
    (tmp_path / "host.F90").write_text(HOST)
    shown = {}
    for wanted in ("TRUE", "FALSE"):
        library = tmp_path / f"lib{wanted}"
        run(
            *(folder / "buildlib", tmp_path / f"build{wanted}", library),
            FC="gfortran",
            USE_EMUFORT=wanted,
            FFLAGS=STRICT + " -Wno-unused-dummy-argument",
        )
        host = tmp_path / f"host{wanted}"
        flags = [f"-I{library / 'include'}", f"-L{library}", "-lemufort"]
        run("gfortran", "-O2", tmp_path / "host.F90", *flags, "-o", host)
        shown[wanted] = run(host, "own")
    # off, or on and not called: the same answers
    assert shown["TRUE"] == shown["FALSE"]
    assert "fractions T" in run(tmp_path / "hostTRUE", "init")
    assert run(tmp_path / "hostFALSE", "init").splitlines()[1].startswith("1 emufort: this exec")
    called = attempt(tmp_path / "hostFALSE", "call")
    assert called.returncode != 0
    assert "built without the activation emulator" in called.stderr


@needs_gfortran
def test_cime_case_and_failure(glue: Glue, tmp_path: Path) -> None:
    folder = glue("cime")
    case = "class Case:\n    def get_value(self, name):\n        return {values}.get(name)\n"
    script = (
        "import importlib.machinery, importlib.util, sys\n"
        "loader = importlib.machinery.SourceFileLoader('buildlib', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(\n"
        "    importlib.util.spec_from_loader('buildlib', loader))\n"
        "loader.exec_module(module)\n"
        "module.buildlib(sys.argv[2], sys.argv[3], Case())\n"
    )
    values = {"USE_EMUFORT": "FALSE", "MPIFC": "gfortran"}
    (tmp_path / "case.py").write_text(case.format(values=values) + script)
    library = tmp_path / "lib"
    run("python3", tmp_path / "case.py", folder / "buildlib", tmp_path / "build", library)
    assert (library / "libemufort.a").is_file()
    (folder / "stub/emufort_host.F90").write_text("this is no Fortran\n")
    done = attempt(folder / "buildlib", tmp_path / "b", library, FC="gfortran", USE_EMUFORT="FALSE")
    assert done.returncode != 0
    assert "emufort buildlib: emufort_host.F90 failed" in done.stderr


def _face(path: Path) -> dict[str, list[str]]:
    """Return the dummies of every public procedure: their declarations in order."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in path.read_text().splitlines():
        words = line.split("!")[0].split()
        if "subroutine" in words and "end" not in words:
            name = words[words.index("subroutine") + 1].split("(")[0]
        if "intent(" in line:
            found.setdefault(name, []).append(" ".join(words))
    return found


def test_the_stub_has_the_face_of_the_module(glue: Glue) -> None:
    folder = glue("cime")
    stub = _face(folder / "stub/emufort_host.F90")
    real = _face(folder / "src/emufort_host.F90")
    real |= _face(folder / "src/emufort_activate_modal.F90")
    assert set(stub) == {
        "emufort_host_init",
        "emufort_host_activate",
        "activate_modal",
        "actdrop_mam_calc",
    }
    for name, dummies in stub.items():
        assert dummies == real[name]


def test_glue_is_replaced_as_a_whole_and_nothing_else_is(bundle: Bundle, tmp_path: Path) -> None:
    first = write_host(bundle, "plain", tmp_path / "glue")
    (first.path / "left.o").write_text("")
    second = write_host(bundle, "ccpp", tmp_path / "glue")
    assert not (second.path / "left.o").exists()
    assert not (second.path / "Makefile").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/precious").write_text("")
    with pytest.raises(EmufortError, match="was not written by"):
        write_host(bundle, "plain", tmp_path / "other")
    with pytest.raises(UsageError, match="no glue for the host 'wrf'"):
        write_host(bundle, "wrf", tmp_path / "glue")


def test_no_glue_for_another_process(tmp_path: Path) -> None:
    contract = Contract.from_toml(SYNTHETIC_CONTRACT)
    data = Dataset.from_xarray(synthetic_data(), contract, Path("pond.nc"), "d" * 64)
    pond = export(random_emulator(contract, (4,)), data, tmp_path / "bundle", golden=4)
    with pytest.raises(EmufortError, match="the contract 'activation'"):
        write_host(pond, "plain")
    assert not (tmp_path / "host").exists()


def test_command(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    for host in HOSTS:
        assert _run(["export", "--bundle", str(copy), "--host", host]) == 0
        assert (tmp_path / "host" / host / "src" / "emufort_host.F90").is_file()
    assert _run(["export", "--bundle", str(copy), "--host", "wrf"]) == 2
    assert _run(["export", "--bundle", str(copy)]) == 2
    assert "--bundle needs --host" in capsys.readouterr().err
