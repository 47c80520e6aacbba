"""`make` sets up once, says what is missing, and leaves no broken stamp."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
COPIED = ("Makefile", "pyproject.toml", "constraints.txt", "CMakeLists.txt", "LICENSE")
STAMPS = ("venv", "dependencies", "package")

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files that `make` looks at, all older than the stamps of a finished set-up."""
    for name in COPIED:
        shutil.copy(TOP / name, tmp_path / name)
    (tmp_path / "README.md").write_text("# emufort\n")
    for folder in (
        "python/emufort",
        "fortran/src",
        "coupling/python",
        "coupling/aerosol_activation/scheme",
        "coupling/onnxruntime",
        "bin",
        ".venv/.stamps",
        ".venv/bin",
    ):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "python/emufort/__init__.py").write_text("")
    (tmp_path / "fortran/src/a.F90").write_text("")
    for path in [tmp_path, *tmp_path.rglob("*")]:
        os.utime(path, (1e9, 1e9))
    for age, name in enumerate(STAMPS):
        stamp = tmp_path / ".venv/.stamps" / name
        stamp.touch()
        os.utime(stamp, (1.1e9 + age, 1.1e9 + age))
    return tmp_path


def make(
    folder: Path, *arguments: str, path: Path | None = None, ci: str = ""
) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    environment["CI"] = ci
    if path is not None:
        environment["PATH"] = str(path)
    return subprocess.run(
        [str(shutil.which("make")), "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=300,
    )


def test_help_lists_the_targets(project: Path) -> None:
    done = make(project)
    assert done.returncode == 0
    for target in ("demo", "test", "lint", "dataset", "clean"):
        assert f"make {target}" in done.stdout


def test_a_second_demo_sets_up_nothing(project: Path) -> None:
    done = make(project, "-n", "demo")
    assert done.returncode == 0, done.stderr
    assert "emufort run --out runs/demo" in done.stdout
    assert "pip" not in done.stdout
    assert "-m venv" not in done.stdout


def test_column_wants_a_bundle(project: Path) -> None:
    commands = make(project, "-n", "column").stdout
    assert "--target column_model" in commands
    assert "draw_column.py build/column/demo/output.nc build/column/demo --log" in commands
    path = tools(project / "bin", **dict.fromkeys(("gfortran", "cmake", "mpif90"), ""))
    (path / "nf-config").symlink_to(path / "cmake")
    done = make(project, "column", path=path)
    assert done.returncode != 0
    assert "runs/demo has no bundle: run make demo" in done.stderr
    done = make(project, "column", "PRESET=e3sm_mam5", path=path)
    wanted = "run emufort run --preset e3sm_mam5 --out runs/e3sm_mam5, or make column RUN=folder"
    assert f"runs/e3sm_mam5 has no bundle: {wanted}" in done.stderr
    commands = make(project, "-n", "column", "RUN=somewhere/mine").stdout
    assert "draw_column.py build/column/mine/output.nc build/column/mine --log" in commands


def test_root_gets_netcdf_and_mpi_from_apt(project: Path) -> None:
    apt = {"id": "echo 0", "apt-get": f'echo "$@" >> {project}/apt.log'}
    present = dict.fromkeys(("gfortran", "cmake"), "")
    done = make(project, "column-tools", path=tools(project / "bin", **present, **apt))
    assert done.returncode == 0, done.stderr
    install = (project / "apt.log").read_text().splitlines()[-1].split()
    assert {"libnetcdff-dev", "libopenmpi-dev", "openmpi-bin"} <= set(install)


@pytest.mark.parametrize("changed", ["fortran/src/a.F90", "python/emufort/__init__.py"])
def test_changed_sources_are_installed_again(project: Path, changed: str) -> None:
    os.utime(project / changed)
    done = make(project, "-n", "setup")
    assert "--no-build-isolation --force-reinstall ." in done.stdout
    assert "--requirement" not in done.stdout


def test_a_deleted_source_is_noticed(project: Path) -> None:
    (project / "fortran/src/a.F90").unlink()
    assert "--force-reinstall ." in make(project, "-n", "setup").stdout


def test_changed_pins_are_installed(project: Path) -> None:
    os.utime(project / "constraints.txt")
    done = make(project, "-n", "setup")
    assert done.stdout.index("constraints.txt torch") < done.stdout.index("--requirement")


def tools(folder: Path, *names: str, **scripts: str) -> Path:
    """A folder for PATH with the named programs of this machine and with scripts."""
    for name in ("bash", "sh", "find", "nproc", "mkdir", "touch", "rm", "id", *names):
        found = shutil.which(name)
        if found is not None and name not in scripts:
            (folder / name).symlink_to(found)
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


def test_missing_tools_are_named_in_one_line(project: Path) -> None:
    path = tools(project / "bin", id="echo 1000")
    done = make(project, "setup", path=path)
    assert done.returncode != 0
    assert "emufort needs gfortran cmake: run" in done.stderr.splitlines()[0]


def test_root_gets_missing_tools_from_apt(project: Path) -> None:
    apt = {"id": "echo 0", "apt-get": f'echo "$@" >> {project}/apt.log'}
    done = make(project, "tools", path=tools(project / "bin", "cmake", **apt))
    assert done.returncode == 0, done.stderr
    update, install = (project / "apt.log").read_text().splitlines()
    assert update.startswith("update")
    assert "gfortran" in install.split()
    assert "cmake" not in install.split()


def test_ci_gets_what_tests_need_from_apt_as_far_as_it_is_offered(project: Path) -> None:
    scripts = {
        "id": "echo 0",
        "apt-get": f'echo "$@" >> {project}/apt.log',
        "apt-cache": 'case "$2" in libomp*) exit 1;; esac',
        "dpkg-query": 'for p; do :; done; [ "$p" = valgrind ] && echo installed',
    }
    path = tools(project / "bin", "grep", "cat", gfortran="", cmake="", **scripts)
    done = make(project, "test-tools", path=path)
    assert done.returncode == 0, done.stderr
    assert not (project / "apt.log").exists()
    done = make(project, "test-tools", path=path, ci="true")
    assert done.returncode == 0, done.stderr
    assert "apt does not offer libomp-22-dev" in done.stdout
    update, install = (project / "apt.log").read_text().splitlines()
    assert update.startswith("update")
    packages = install.split()
    assert {"flang-22", "pkg-config", "libopenblas-dev", "openmpi-bin"} <= set(packages)
    assert not {"valgrind", "libomp-22-dev"} & set(packages)
    (path / "apt-get").write_text("#!/bin/sh\nexit 100\n")
    assert make(project, "test-tools", path=path, ci="true").returncode != 0


@pytest.mark.parametrize("is_there", [False, True])
def test_flang_and_valgrind_are_used_where_they_are(project: Path, is_there: bool) -> None:
    log = f'echo "$(basename $0) $@" >> {project}/commands.log'
    present = dict.fromkeys(("cmake", "ctest"), log) | {"gfortran": ""}
    if is_there:
        present |= {"flang-22": "", "valgrind": ""}
    (project / ".venv/bin/pytest").write_text(f"#!/bin/sh\n{log}\n")
    (project / ".venv/bin/pytest").chmod(0o755)
    done = make(project, "test", path=tools(project / "bin", "basename", **present))
    assert done.returncode == 0, done.stderr
    for what in ("tested with flang", "tested with valgrind"):
        assert (f"not {what}; apt-get install" in done.stdout) != is_there
    commands = (project / "commands.log").read_text()
    assert "-Werror" not in commands  # the compiler may be another than CI's
    assert ("-DCMAKE_Fortran_FLAGS=-pedantic" in commands) == is_there
    assert ("ctest --test-dir build/flang" in commands) == is_there
    assert ("ctest --test-dir build/fortran-valgrind -C valgrind" in commands) == is_there
    assert commands.splitlines()[-1].startswith("pytest -n")


def test_warnings_are_errors_in_ci(project: Path) -> None:
    done = make(project, "-n", "test", ci="true")
    assert done.returncode == 0, done.stderr
    assert '"-DCMAKE_Fortran_FLAGS=-Werror"' in done.stdout
    assert '"-DCMAKE_Fortran_FLAGS=-pedantic -Werror' in done.stdout


def test_an_old_python_is_refused(project: Path) -> None:
    shutil.rmtree(project / ".venv")
    path = tools(project / "bin", gfortran="", cmake="", python3="exit 1")
    done = make(project, "setup", path=path)
    assert done.returncode != 0
    assert "emufort needs Python 3.11 or newer" in done.stderr
    assert not (project / ".venv/.stamps/venv").exists()


#: A Python that has neither venv nor headers, as Debian's is at first.
BARE_PYTHON = """case "$2" in
  *ensurepip*|*Python.h*) exit 1;;
  *base_prefix*) echo /usr;;
  *print*) echo python3.11;;
esac"""


def test_a_python_without_venv_or_headers_is_refused(project: Path) -> None:
    shutil.rmtree(project / ".venv")
    scripts = {"id": "echo 1000", "apt-get": "exit 1", "python3.11": BARE_PYTHON}
    path = tools(project / "bin", gfortran="", cmake="", **scripts)
    done = make(project, "setup", path=path)
    assert done.returncode != 0
    assert "python3.11 needs the Debian packages python3.11-venv python3.11-dev" in done.stderr
    assert not (project / ".venv/.stamps/venv").exists()


@pytest.mark.parametrize("prefix", ["/usr", "/opt/python"])
def test_root_gets_venv_and_headers_of_the_systems_python(project: Path, prefix: str) -> None:
    shutil.rmtree(project / ".venv")
    scripts = {
        "id": "echo 0",
        "apt-get": f'echo "$@" >> {project}/apt.log',
        "python3.11": BARE_PYTHON.replace("/usr", prefix),
    }
    path = tools(project / "bin", gfortran="", cmake="", **scripts)
    done = make(project, ".venv/.stamps/venv", path=path)
    assert (done.returncode == 0) == (prefix == "/usr"), done.stderr
    assert (project / ".venv/.stamps/venv").exists() == (prefix == "/usr")
    if prefix == "/usr":
        install = (project / "apt.log").read_text().splitlines()[-1].split()
        assert install[-2:] == ["python3.11-venv", "python3.11-dev"]
    else:
        assert not (project / "apt.log").exists()


def test_an_interrupted_step_leaves_no_stamp(project: Path) -> None:
    os.utime(project / "constraints.txt")
    (project / ".venv/bin/python").write_text("#!/bin/sh\nexit 1\n")
    (project / ".venv/bin/python").chmod(0o755)
    done = make(project, "setup", path=tools(project / "bin", gfortran="", cmake=""))
    assert done.returncode != 0
    assert "torch" in make(project, "-n", "setup").stdout
