"""`emufort export --host`: its files compile without warnings, run, and are optional."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emufort.cli import execute
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError, UsageError
from emufort.export import Bundle, export
from emufort.export.host import write_host
from emufort.processes.aerosol_activation import arg2000, kohler
from emufort.processes.aerosol_activation.fortran import (
    constants_of,
    scheme_contract,
    scheme_sources,
    widths,
)
from tests.conftest import SYNTHETIC_CONTRACT, synthetic_data
from tests.coupling.conftest import COUPLING, attempt, run
from tests.export.emulators import random_emulator
from tests.export.forge import sign

Glue = Callable[[str], Path]
STRICT = "-std=f2018 -Wall -Wextra -Werror"

needs_gfortran = pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make")
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="no cmake")

#: A host that has ARG2000 as a scheme of its own and may ask the emulator instead.
HOST = """
program host
  use, intrinsic :: iso_fortran_env, only: int64, r8 => real64
  use arg2000, only: arg2000_max_supersaturation, sigma => arg2000_geometric_standard_deviation
#ifndef WITHOUT_EMUFORT
  use emufort_host, only: activate_modal, emufort_host_init, emufort_host_kind, emufort_host_present
#endif
  implicit none
  real(r8) :: smax, w, t
  integer(int64) :: bits
  integer :: i
  character(len=8) :: wanted
#ifndef WITHOUT_EMUFORT
  real(r8) :: fn(4), fm(4), fluxn(4), fluxm(4), full
  character(len=512) :: errmsg
  integer :: errflg
#endif
  call get_command_argument(1, wanted)
  bits = 0_int64
  do i = 1, 1000
    w = 0.01_r8*real(i, r8)
    t = 250.0_r8 + 0.05_r8*real(i, r8)
    call arg2000_max_supersaturation(t, 8.e4_r8, w, spread(1.e8_r8, 1, 4), spread(5.e-8_r8, 1, 4), &
      spread(0.3_r8, 1, 4), smax)
    bits = ieor(ishftc(bits, 7), transfer(smax, 0_int64))
  end do
  print '(a, z16.16)', 'own ', bits
#ifndef WITHOUT_EMUFORT
  if (wanted == 'own') stop
  if (wanted == 'init') then
    call emufort_host_init(r8, 9.8_r8, 287._r8, 461._r8, 1005._r8, 2.5e6_r8, 1.e3_r8, &
      sigma, 'emulator', 'ratio', 'paper', errmsg, errflg, mismatch='fall_back')
    print '(i0, a)', errflg, ' '//trim(errmsg)
    if (errflg /= 0) stop
  end if
  call activate_modal(0.5_r8, 0._r8, 0._r8, 0._r8, 10._r8, 280._r8, 1._r8, spread(1.e8_r8, 1, 4), &
    4, spread(1.e-12_r8, 1, 4), spread(0.5_r8, 1, 4), fn, fm, fluxn, fluxm, full)
  print '(a, l1)', 'fractions ', all(fn >= 0._r8 .and. fn <= 1._r8) .and. abs(full - 0.5_r8) < 1.e-9
#endif
end program host
"""


@pytest.mark.parametrize("compiler", ["gfortran", "flang-22"])
@needs_make
def test_plain_makefile(glue: Glue, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    folder = glue("plain")
    # the Makefile's own flags: what does not know them must not fail
    strict = STRICT if compiler == "gfortran" else "-std=f2018 -Werror"
    done = attempt("make", "-s", "run", f"FFLAGS={strict}", f"FC={compiler}", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr.lower()
    lines = done.stdout.splitlines()
    assert lines[0].startswith("emulator ") and len(lines[0]) == 9 + 64
    # ARG2000 does not depend on the weights
    drops = float(
        lines[-1].removeprefix("arg2000  updraft  2.0 m/s:").removesuffix("drops per cm3")
    )
    assert drops == pytest.approx(_drops_of_arg2000(), abs=0.051)
    run("make", "clean", cwd=folder)


@needs_gfortran
@needs_cmake
def test_plain_cmake(glue: Glue) -> None:
    folder = glue("plain")
    run("cmake", "-S", folder, "-B", folder / "build")
    run("cmake", "--build", folder / "build")
    assert "drops per cm3" in run(folder / "build" / "example_host")


@pytest.mark.parametrize(
    "compiler", ["gfortran", pytest.param("flang-22", marks=pytest.mark.exhaustive)]
)
def test_cime_on_off_and_stub(glue: Glue, tmp_path: Path, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    strict = f"{STRICT} -Wno-unused-dummy-argument" if compiler == "gfortran" else "-std=f2018"
    folder = glue("cime")
    (tmp_path / "host.F90").write_text(HOST)
    own = [*scheme_sources("arg2000"), tmp_path / "host.F90"]
    flags = ["-O2", f"-J{tmp_path}"]
    run(compiler, *flags, "-DWITHOUT_EMUFORT", *own, "-o", tmp_path / "hostWITHOUT")
    shown = {"WITHOUT": run(tmp_path / "hostWITHOUT", "own")}
    for wanted in ("TRUE", "FALSE"):
        library = tmp_path / f"lib{wanted}"
        run(
            *(folder / "buildlib", tmp_path / f"build{wanted}", library),
            FC=compiler,
            COMPILER="gnu" if compiler == "gfortran" else "flang",
            USE_EMUFORT=wanted,
            FFLAGS=strict,
        )
        host = tmp_path / f"host{wanted}"
        link = [f"-I{library / 'include'}", *own, f"-L{library}", "-lemufort"]
        run(compiler, *flags, *link, "-o", host)
        shown[wanted] = run(host, "own")
    # without, off, and on but not called: the same answers
    assert shown["WITHOUT"].startswith("own ") and len(set(shown.values())) == 1
    assert "fractions T" in run(tmp_path / "hostTRUE", "init")
    assert run(tmp_path / "hostFALSE", "init").splitlines()[1].startswith("1 emufort: this exec")
    called = attempt(tmp_path / "hostFALSE", "call")
    assert called.returncode != 0
    assert "built without the activation emulator" in called.stderr


#: Stands for CIME: a package that is found by CIMEROOT, and a case that knows its variables.
CIME = """
import json
import pathlib


class Case:
    def __init__(self, case_root=None, read_only=True, record=False, non_local=False):
        assert read_only
        self._values = None
        self._root = pathlib.Path(case_root)

    def __enter__(self):
        self._values = json.loads((self._root / "env_build.xml").read_text())
        return self

    def __exit__(self, *_):
        self._values = None
        return False

    def get_value(self, item, attribute=None, resolved=True, subgroup=None):
        return self._values.get(item)
"""
MACROS = """
ifeq "$(COMPILER)" "gnu"
  SFC := gfortran
  MPIFC := no-such-compiler-$(MPILIB)
endif
"""
#: What CIME does with a library's script: import it by its path, call the function.
CALLER = """
import importlib.machinery
import importlib.util
import sys

sys.path.insert(0, sys.argv[1])
from CIME.case import Case

loader = importlib.machinery.SourceFileLoader("buildlib", sys.argv[2])
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("buildlib", loader))
loader.exec_module(module)
with Case(sys.argv[5]) as case:
    module.buildlib(sys.argv[3], sys.argv[4], case)
"""


@pytest.fixture
def cime(tmp_path: Path) -> tuple[Path, Callable[..., Path]]:
    """A stand-in for CIME, and what makes a case with some variables."""
    root = tmp_path / "cimeroot"
    (root / "CIME").mkdir(parents=True)
    (root / "CIME" / "__init__.py").write_text("")
    (root / "CIME" / "case.py").write_text(CIME)

    def make(**values: object) -> Path:
        case = tmp_path / "case"
        case.mkdir(exist_ok=True)
        known = {"CASEROOT": str(case), "COMPILER": "gnu", "MPILIB": "mpi-serial", "GMAKE": "make"}
        (case / "env_build.xml").write_text(json.dumps({**known, **values}))
        (case / "Macros.make").write_text(MACROS)
        return case

    return root, make


Cime = tuple[Path, Callable[..., Path]]


@needs_gfortran
@needs_make
def test_cime_shared_library(glue: Glue, cime: Cime, tmp_path: Path) -> None:
    script = glue("cime") / "buildlib"
    root, make = cime
    # a variable of the case is a bool; it goes before that of the environment
    case = make(USE_EMUFORT=False)
    shared = tmp_path / "shared"
    for name in ("lib", "include"):
        (shared / name).mkdir(parents=True)
    command = [script, tmp_path / "build", shared, case]
    run(*command, CIMEROOT=str(root), USE_EMUFORT="TRUE", FC="no-such-compiler")
    assert (shared / "lib" / "libemufort.a").is_file()
    assert (shared / "include" / "emufort_host.mod").is_file()
    assert not (shared / "libemufort.a").exists()
    # as CIME does it: the same by import
    (shared / "lib" / "libemufort.a").unlink()
    (tmp_path / "caller.py").write_text(CALLER)
    run("python3", tmp_path / "caller.py", root, script, *command[1:], FC="no-such-compiler")
    assert (shared / "lib" / "libemufort.a").is_file()


@needs_gfortran
@needs_make
def test_cime_component(glue: Glue, cime: Cime, tmp_path: Path) -> None:
    folder = glue("cime")
    root, make = cime
    case = make()  # knows no USE_EMUFORT
    library, build = tmp_path / "exe" / "lib", tmp_path / "exe" / "atm" / "obj"
    command = [folder / "buildlib", case, library, build, "--debug"]
    settings = {"CIMEROOT": str(root), "COMP_CLASS": "atm", "COMP_NAME": "cam", "SMP": "FALSE"}
    run(*command, **settings, USE_EMUFORT="FALSE")
    assert (library / "libemufort.a").is_file()
    assert (library / "include" / "emufort_host.mod").is_file()
    assert (build / "emufort_host.o").is_file()
    # the parallel compiler of the case's own Macros.make, and clear words when it fails
    make(MPILIB="openmpi")
    done = attempt(*command, **settings, USE_EMUFORT="FALSE")
    assert done.returncode != 0 and "no-such-compiler-openmpi" in done.stderr
    make()
    (folder / "stub/emufort_host.F90").write_text("this is no Fortran\n")
    done = attempt(*command, **settings, USE_EMUFORT="FALSE")
    assert done.returncode != 0
    assert "emufort buildlib: emufort_host.F90 failed" in done.stderr
    # neither is a case
    done = attempt(folder / "buildlib", library, library, build, **settings)
    assert done.returncode != 0 and "usage: buildlib" in done.stderr


def _drops_of_arg2000() -> float:
    """Return the droplet number of the last line of the example host, by the scheme in Python."""
    contract = scheme_contract()
    constants = constants_of(contract)
    sigma, temperature = widths(contract), 283.0
    pressure = 1.1 * constants.gas_constant_air * temperature
    number, radius, kappa = (
        np.array([np.sqrt(c.lower * c.upper) for c in contract.input_columns if c.variable == name])
        for name in ("number_concentration", "dry_median_radius", "hygroscopicity")
    )
    smax = arg2000.max_supersaturation(
        *([temperature], [pressure], [2.0], 0.1 * number[None], radius[None], kappa[None], sigma),
        constants,
    )
    critical = kohler.critical_supersaturation([temperature], radius[None], kappa[None], constants)
    fraction = kohler.number_activated_fraction(critical, smax, sigma)
    return float(1e-6 * np.sum(fraction * 0.1 * number))


def _face(path: Path) -> dict[str, list[str]]:
    """Return the dummies of every public procedure: their declarations in order."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in path.read_text().splitlines():
        words = line.split("!")[0].split()
        if "subroutine" in words and "end" not in words:
            name = words[words.index("subroutine") + 1].split("(")[0]
        if "end" in words:
            name = ""
        if name and ("intent(" in line or ", optional ::" in line):
            found.setdefault(name, []).append(" ".join(words))
    return found


def _public(path: Path) -> set[str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    names = [line.partition("::")[2] for line in lines if line.startswith("public ::")]
    return {name.strip() for line in names for name in line.split(",")}


def test_the_stub_has_the_face_of_the_module(glue: Glue) -> None:
    folder = glue("cime")
    public = _public(folder / "stub/emufort_host.F90")
    assert public == _public(folder / "src/emufort_host.F90")
    stub = _face(folder / "stub/emufort_host.F90")
    real = _face(folder / "src/emufort_host.F90")
    real |= _face(folder / "src/emufort_activate_modal.F90")
    real |= _face(folder / "src/emufort_aerosol_scheme.F90")
    assert public & set(stub) == {
        "emufort_host_init",
        "emufort_host_activate",
        "activate_modal",
        "actdrop_mam_calc",
        "activation_host_routine",
        "activation_in_cloud_routine",
        "activation_abort",
    }
    for name in public & set(stub):
        assert stub[name] == real[name]


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


@pytest.mark.parametrize("host", ["ccpp", "cime", "e3sm"])
def test_no_glue_of_the_scheme_for_other_contracts(tmp_path: Path, host: str) -> None:
    contract = Contract.from_toml(SYNTHETIC_CONTRACT)
    data = Dataset.from_xarray(synthetic_data(), contract, Path("pond.nc"), "d" * 64)
    pond = export(random_emulator(contract, (4,)), data, tmp_path / "pond", golden=4)
    with pytest.raises(UsageError, match="contract 'evaporation'; it offers plain") as caught:
        write_host(pond, host)
    assert "\n" not in str(caught.value)
    contract = Contract.load("activation_fractions")
    emulator = random_emulator(contract, (4,))
    fractions = export(emulator, Dataset.open(None, contract), tmp_path / "bundle", golden=4)
    with pytest.raises(UsageError, match=r"needs an emulator .* of the contract 'activation'"):
        write_host(fractions, host)
    assert not (tmp_path / "host").exists()


def test_glue_carries_the_licence(glue: Glue, bundle: Bundle) -> None:
    text = (COUPLING.parent / "LICENSE").read_text()
    assert (bundle.path / "LICENSE").read_text() == text
    for host in ("plain", "ccpp", "cime", "e3sm"):
        assert (glue(host) / "LICENSE").read_text() == text


@pytest.mark.parametrize("name", ["activation_emulator.F90", "emufort_runtime.F90"])
def test_no_glue_with_files_that_were_changed_or_written_by_others(
    bundle: Bundle, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Bundle.open(shutil.copytree(bundle, tmp_path / "bundle"))
    with (copy.path / name).open("a") as file:
        file.write("! by others\n")
    command = ["export", "--bundle", str(copy.path), "--host", "plain"]
    assert execute([*command, "--trust-sources"]) == 1
    assert f"{name} is not the file that was exported" in capsys.readouterr().err
    sign(copy, keep_sources=True)
    assert execute(command) == 1
    assert "--trust-sources" in capsys.readouterr().err
    assert not (tmp_path / "host").exists()
    assert execute([*command, "--trust-sources"]) == 0
    assert (tmp_path / "host/plain/src" / name).read_text().endswith("! by others\n")


def test_glue_holds_the_bytes_that_were_compared(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Bundle.open(shutil.copytree(bundle, tmp_path / "bundle"))
    problems = Bundle.problems

    def exchange(opened: Bundle) -> list[str]:
        found = problems(opened)
        opened.module_source.write_text("call execute_command_line('true')\n")
        return found

    monkeypatch.setattr(Bundle, "problems", exchange)
    with pytest.raises(EmufortError, match="is not the file that was exported"):
        write_host(copy, "plain", tmp_path / "glue")
    assert not (tmp_path / "glue").exists()


def test_command(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    for host in ("plain", "ccpp", "cime", "e3sm"):
        assert execute(["export", "--bundle", str(copy), "--host", host]) == 0
        name = "dependencies/*_emufort_host.F90" if host == "ccpp" else "src/emufort_host.F90"
        assert len(list((tmp_path / "host" / host).glob(name))) == 1
    assert execute(["export", "--bundle", str(copy), "--host", "wrf"]) == 2
    assert execute(["export", "--bundle", str(copy)]) == 2
    assert "--bundle needs --host" in capsys.readouterr().err
