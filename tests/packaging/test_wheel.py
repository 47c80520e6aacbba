"""What `pip install .` puts where, and that it is the same each time."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from emufort.export.fortran import runtime_source
from tests import compiler_cache

TOP = Path(__file__).resolve().parents[2]
AMALGAMATE = TOP / "fortran/cmake/amalgamate.cmake"
COPIED = (
    *("pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE", ".gitignore"),
    *("python", "fortran", "coupling", "data_prep"),
)
SOURCES = (
    *(
        "emufort_runtime.F90",
        "emufort_cpu_level.c",
        "LICENSE",
        "include/emufort.h",
        "include/emufort.hpp",
    ),
    *(
        path.name
        for folder in ("fortran/app", "fortran/bench", "coupling/onnxruntime")
        for path in (TOP / folder).glob("*.F90")
    ),
)
#: What `emufort export --host` writes from, and the parcel model that `emufort labels` compiles.
GLUE = (
    "data_prep/src",
    "coupling/face/mpi",
    "coupling/face/plain",
    "coupling/aerosol_activation/scheme",
    "coupling/aerosol_activation/timing",
    "coupling/aerosol_activation/hosts",
)

needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
needs_gfortran = pytest.mark.skipif(
    shutil.which("gfortran") is None, reason="gfortran is not installed"
)


def amalgamate(folder: Path, top: str, output: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *("cmake", "-D", f"FOLDER={folder}", "-D", f"TOP={top}", "-D", "VERSION=0.1.0"),
            *("-D", f"OUTPUT={output}", "-P", str(AMALGAMATE)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )


@needs_cmake
def test_one_file_holds_what_is_used_in_the_order_of_compilation(tmp_path: Path) -> None:
    sources = {
        "top": "  use left\n  use right, only: r\n  use, intrinsic :: iso_c_binding, only: c_int\n",
        "left": "  use base, only: b\n",
        "right": "  Use Base\n  use elsewhere\n",
        "base": "  real :: b(2) = [1, 2]; integer :: r\n",
        "unused": "  use top\n",
    }
    for name, text in sources.items():
        (tmp_path / f"{name}.F90").write_text(f"module {name}\n{text}end module {name}\n")
    done = amalgamate(tmp_path, "top", tmp_path / "one")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "one").read_text()
    modules = [line[7:] for line in text.splitlines() if line.startswith("module ")]
    assert modules == ["base", "left", "right", "top"]
    assert sources["base"] in text
    (tmp_path / "base.F90").write_text("module base\n  use top\nend module base\n")
    assert "uses itself" in amalgamate(tmp_path, "top", tmp_path / "one").stderr
    (tmp_path / "base.F90").write_text('module base\n#include "x"\nend module base\n')
    assert "includes a file" in amalgamate(tmp_path, "top", tmp_path / "one").stderr


@needs_cmake
def test_the_package_has_the_runtime_of_the_checkout(tmp_path: Path) -> None:
    done = amalgamate(TOP / "fortran/src", "emufort_runtime", tmp_path / "one.F90")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "one.F90").read_text() == runtime_source()


@needs_gfortran
def test_the_runtime_compiles_alone_without_warnings(tmp_path: Path) -> None:
    (tmp_path / "emufort_runtime.F90").write_text(runtime_source())
    command = ["gfortran", "-std=f2018", "-Wall", "-Wextra", "-Werror", "-c", "emufort_runtime.F90"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def copy_sources(folder: Path) -> None:
    for name in COPIED:
        source = TOP / name
        if source.is_dir():
            ignored = shutil.ignore_patterns(
                "__pycache__", ".mypy_cache", "_native*", "_trainer*", "_fortran"
            )
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)
    # what an earlier `cmake --install` may have left in the checkout
    (folder / "python/emufort/_native.old.so").write_bytes(b"")
    (folder / "python/emufort/_trainer.old.so").write_bytes(b"")
    (folder / "python/emufort/_fortran").mkdir()
    (folder / "python/emufort/_fortran/old.F90").write_text("")


def wheel(folder: Path) -> dict[str, bytes]:
    """Build a wheel of the sources in `folder` and return what it holds."""
    for made in ("build", "dist"):
        shutil.rmtree(folder / made, ignore_errors=True)
    command = [
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", str(folder / "dist"), str(folder)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (folder / "dist").iterdir()
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


needs_builder = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("scikit_build_core", "f90wrap", "pip")),
    reason="scikit-build-core, f90wrap or pip is not installed",
)


@pytest.mark.slow
@needs_cmake
@needs_gfortran
@needs_builder
def test_wheel(tmp_path: Path) -> None:
    copy_sources(tmp_path)
    first = wheel(tmp_path)
    names = list(first)
    extensions = [name for name in names if name.endswith(".so")]
    modules = {name.removeprefix("emufort/").partition(".")[0] for name in extensions}
    assert len(modules) == len(extensions)
    assert {"_native", "_native_double", "_trainer"} <= modules
    assert modules <= {
        "_native",
        "_native_double",
        *(f"_trainer{kind}" for kind in ("", "_v3", "_v4")),
    }
    if platform.machine() == "x86_64":
        assert {"_trainer_v3", "_trainer_v4"} <= modules
    fortran = sorted(name for name in names if name.startswith("emufort/_fortran/"))
    glue = [path.relative_to(TOP) for folder in GLUE for path in (TOP / folder).rglob("*")]
    wanted = [*SOURCES, *(str(path) for path in glue if (TOP / path).is_file())]
    wanted = [
        name for name in wanted if not {"test", "__pycache__", "chunks"} & {*Path(name).parts}
    ]
    assert fortran == sorted(f"emufort/_fortran/{name}" for name in wanted)
    licence = (TOP / "LICENSE").read_bytes()
    assert first["emufort/_fortran/LICENSE"] == licence
    (noted,) = (name for name in names if name.endswith(".dist-info/licenses/LICENSE"))
    assert first[noted] == licence
    packaged = {path for path in names if path.startswith("emufort/") and path.endswith(".py")}
    package = TOP / "python"
    assert packaged == {str(path.relative_to(package)) for path in package.rglob("*.py")}
    data = {path.suffix for path in package.rglob("*") if path.suffix in (".toml", ".j2", ".nc")}
    assert "emufort/py.typed" in names
    assert data <= {Path(name).suffix for name in names}
    (entry_points,) = [name for name in names if name.endswith("/entry_points.txt")]
    assert b"[emufort.processes]\naerosol_activation = " in first[entry_points]
    tops = {name.partition("/")[0] for name in names}
    assert {top.partition("-")[0] for top in tops} == {"emufort"}

    # labels need nothing but the wheel and a compiler
    installed = tmp_path / "installed"
    for name, content in first.items():
        (installed / name).parent.mkdir(parents=True, exist_ok=True)
        (installed / name).write_bytes(content)
    command = ["-m", "emufort", "labels", "--preset", "mam3", "--samples", "8", "--out", "mam3.nc"]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (installed / "mam3.nc").stat().st_size > 0
    assert list((tmp_path / "cache" / "emufort").glob("parcel_model_*"))


@pytest.mark.exhaustive
@needs_cmake
@needs_gfortran
@needs_builder
def test_the_same_sources_in_the_same_place_give_the_same_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(compiler_cache.VARIABLE)  # the compiler runs twice
    copy_sources(tmp_path)
    first, second = wheel(tmp_path), wheel(tmp_path)
    assert [name for name in first if first[name] != second.get(name)] == []
