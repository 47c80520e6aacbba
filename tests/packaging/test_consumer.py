"""A host model takes the runtime in each of its forms, and gets the numbers of the bundle from it.

The forms are the CMake package and pkg-config (static and shared, single and double precision; for
C and C++ the shared libraries), fpm (both precisions), and the two source files of a bundle. The
numbers are compared with the golden vectors and with ONNX Runtime.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export import Bundle, export
from emufort.verification import differences
from tests.runtime.pond import CONTRACT, pond_data, pond_emulator

TOP = Path(__file__).parents[2]
CONSUMER = TOP / "tests/consumer"
#: Warnings that are errors, as `make test` has them.
STRICT = {
    "gfortran": ["-std=f2018", "-Wall", "-Wextra", "-Werror"],
    "flang-22": [
        *("-std=f2018", "-pedantic", "-Werror"),
        *("-Wno-f202-x-allocatable-breaking-change", "-Wno-non-target-passed-to-target"),
    ],
}
#: What vectorises, see docs/runtime.md.
FAST = {
    "gfortran": ["-O3", "-fopenmp-simd", "-ffp-contract=fast"],
    "flang-22": ["-O3", "-ffp-contract=fast"],
}
#: Compilers and precisions: CTest runs the tests of the runtime in all combinations.
PRECISIONS = [
    ("gfortran", 32),
    ("gfortran", 64),
    ("flang-22", 32),
    pytest.param("flang-22", 64, marks=pytest.mark.exhaustive),
]
FPM = shutil.which("fpm", path=os.pathsep.join([str(Path(sys.executable).parent), os.defpath]))

pytestmark = pytest.mark.slow
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")


def run(*command: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        # fpm looks for a C compiler that belongs to the Fortran compiler; any other serves as well.
        env={**os.environ, "FPM_CC": "cc", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fpm_name(compiler: str) -> str:
    """fpm 0.12 knows LLVM's flang by this name alone; `flang` is PGI's to it."""
    return compiler.replace("flang-", "flang-new-")


@pytest.fixture(scope="module", params=sorted(STRICT))
def compiler(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    data = Dataset.from_xarray(pond_data(), Contract.from_toml(CONTRACT))
    return export(pond_emulator(data), data, tmp_path_factory.mktemp("consumer") / "bundle")


@pytest.fixture(scope="module")
def columns(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden inputs as text."""
    x = bundle.golden.x
    path = tmp_path_factory.mktemp("columns") / "columns.txt"
    path.write_text(f"{len(x)}\n" + "".join(" ".join(map(repr, row)) + "\n" for row in x.tolist()))
    return path


@pytest.fixture(scope="module")
def agrees(bundle: Bundle) -> Callable[[str, int], None]:
    """A check of what a consumer printed: precision, golden outputs, outputs of ONNX Runtime."""
    vectors = bundle.golden
    session = onnxruntime.InferenceSession(str(bundle.onnx), providers=["CPUExecutionProvider"])
    onnx: NDArray[np.float32] = session.run(["y"], {"x": vectors.x.astype(np.float32)})[0]

    def check(printed: str, bits: int) -> None:
        first, *rows = printed.splitlines()
        assert int(first) == bits
        y = np.array([[float(value) for value in row.split()] for row in rows])
        assert y.shape == vectors.y.shape
        bound = 1e-5 if bits == 32 else 1e-11
        assert differences(vectors.y, y, vectors.spread).max() < bound
        assert differences(y, onnx.astype(np.float64), vectors.spread).max() < 1e-5
        # one precision is not taken for the other
        assert bits == 64 or differences(vectors.y, y, vectors.spread).max() > 1e-9

    return check


@pytest.fixture(scope="module")
def prefix(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build and install the runtime as docs/runtime.md says."""
    folder = tmp_path_factory.mktemp("install")
    run(
        *("cmake", "-S", TOP / "fortran", "-B", "build", "-DBUILD_TESTING=OFF"),
        f"-DCMAKE_Fortran_COMPILER={compiler}",
        cwd=folder,
    )
    targets = ("emufort", "emufort_shared", "emufort_double", "emufort_double_shared")
    run("cmake", "--build", "build", "--parallel", "2", "--target", *targets, cwd=folder)
    run("cmake", "--install", "build", "--prefix", folder / "prefix", cwd=folder)
    return folder / "prefix"


Check = Callable[[str, int], None]


@needs_cmake
def test_cmake_package(
    prefix: Path, compiler: str, bundle: Bundle, columns: Path, agrees: Check, tmp_path: Path
) -> None:
    run(
        *("cmake", "-S", CONSUMER, "-B", "build", f"-DCMAKE_PREFIX_PATH={prefix}"),
        f"-DCMAKE_Fortran_COMPILER={compiler}",
        cwd=tmp_path,
    )
    run("cmake", "--build", "build", cwd=tmp_path)
    for library in ("emufort", "emufort_shared", "emufort_double", "emufort_double_shared"):
        program = tmp_path / f"build/with_{library}"
        agrees(
            run(program, bundle.weights, columns, cwd=tmp_path), 64 if "double" in library else 32
        )
        assert ("libemufort" in run("ldd", program, cwd=tmp_path)) == ("shared" in library)


@needs_cmake
@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="pkg-config is not installed")
@pytest.mark.parametrize("link", ["shared", "static"])
@pytest.mark.parametrize("package", ["emufort", "emufort_double"])
def test_pkg_config(
    prefix: Path,
    compiler: str,
    bundle: Bundle,
    columns: Path,
    agrees: Check,
    tmp_path: Path,
    package: str,
    link: str,
) -> None:
    (description,) = prefix.glob(f"lib*/**/{package}.pc")

    def ask(*questions: str) -> list[str]:
        command = ("pkg-config", *questions, package)
        return run(*command, cwd=tmp_path, PKG_CONFIG_PATH=str(description.parent)).split()

    (libraries,) = ask("--variable=libdir")
    libs = ask("--libs") if link == "shared" else [f"{libraries}/lib{package}.a"]
    flags = [*ask("--cflags"), *STRICT[compiler]]
    run(compiler, *flags, CONSUMER / "app/main.F90", *libs, "-o", "consumer", cwd=tmp_path)
    said = run("./consumer", bundle.weights, columns, cwd=tmp_path, LD_LIBRARY_PATH=libraries)
    agrees(said, 64 if "double" in package else 32)
    assert ("libemufort" in run("ldd", "consumer", cwd=tmp_path)) == (link == "shared")


@needs_cmake
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="pkg-config is not installed")
def test_c_and_cpp_without_fortran(
    prefix: Path, bundle: Bundle, columns: Path, agrees: Check, tmp_path: Path
) -> None:
    run(
        *("cmake", "-S", CONSUMER / "c", "-B", "build", f"-DCMAKE_PREFIX_PATH={prefix}"),
        "-DCMAKE_C_FLAGS=-Wall -Wextra -pedantic -Werror",
        "-DCMAKE_CXX_FLAGS=-Wall -Wextra -pedantic -Werror",
        cwd=tmp_path,
    )
    run("cmake", "--build", "build", cwd=tmp_path)
    for package, bits in (("emufort", 32), ("emufort_double", 64)):
        for language in ("c", "cpp"):
            program = tmp_path / f"build/{language}_with_{package}_shared"
            agrees(f"{bits}\n{run(program, bundle.weights, columns, cwd=tmp_path)}", bits)

        (description,) = prefix.glob(f"lib*/**/{package}.pc")
        where = {"PKG_CONFIG_PATH": str(description.parent)}
        found = run("pkg-config", "--cflags", "--libs", package, cwd=tmp_path, **where).split()
        run("gcc", "-std=c99", CONSUMER / "c/main.c", *found, "-o", "consumer", cwd=tmp_path)
        libraries = str(description.parents[1])
        said = run("./consumer", bundle.weights, columns, cwd=tmp_path, LD_LIBRARY_PATH=libraries)
        agrees(f"{bits}\n{said}", bits)


@pytest.mark.parametrize(("compiler", "bits"), PRECISIONS, indirect=["compiler"])
def test_two_files_of_the_bundle(
    compiler: str, bundle: Bundle, columns: Path, agrees: Check, tmp_path: Path, bits: int
) -> None:
    flags = [*STRICT[compiler], *FAST[compiler], *(["-DEMUFORT_DOUBLE"] if bits == 64 else [])]
    run(compiler, *flags, "-c", bundle.runtime_source, "-o", "runtime.o", cwd=tmp_path)
    embedded = (bundle.module_source, CONSUMER / "embedded/main.F90")
    run(compiler, *flags, *embedded, "runtime.o", "-o", "embedded", cwd=tmp_path)
    agrees(run("./embedded", columns, cwd=tmp_path), bits)
    # the runtime's file alone reads weights.bin
    run(compiler, *flags, CONSUMER / "app/main.F90", "runtime.o", "-o", "loaded", cwd=tmp_path)
    agrees(run("./loaded", bundle.weights, columns, cwd=tmp_path), bits)


@pytest.mark.skipif(FPM is None, reason="fpm is not installed")
@pytest.mark.parametrize(("compiler", "bits"), PRECISIONS, indirect=["compiler"])
def test_fpm(
    compiler: str, bundle: Bundle, columns: Path, agrees: Check, tmp_path: Path, bits: int
) -> None:
    # fpm builds below the manifest and takes relative paths alone
    (tmp_path / "fortran").symlink_to(TOP / "fortran")
    project = tmp_path / "tests/consumer"
    shutil.copytree(CONSUMER, project)
    if bits == 64:
        single = 'emufort = { path = "../../fortran" }'
        double = 'emufort = { path = "../../fortran", preprocess.cpp.macros = ["EMUFORT_DOUBLE"] }'
        manifest = (project / "fpm.toml").read_text()
        assert manifest.count(f"\n{single}") == 1
        (project / "fpm.toml").write_text(manifest.replace(f"\n{single}", f"\n{double}"))
    options = ["--compiler", fpm_name(compiler), "--flag", " ".join(FAST[compiler])]
    run(FPM, "install", *options, "--prefix", tmp_path / "prefix", cwd=project)
    said = run(tmp_path / "prefix/bin/consumer", bundle.weights, columns, cwd=tmp_path)
    agrees(said, bits)


@pytest.mark.skipif(FPM is None, reason="fpm is not installed")
@pytest.mark.parametrize(
    "compiler", ["gfortran", pytest.param("flang-22", marks=pytest.mark.exhaustive)], indirect=True
)
def test_fpm_runs_the_tests_of_the_runtime(compiler: str, tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("build")
    shutil.copytree(TOP / "fortran", tmp_path / "fortran", ignore=ignored)
    options = ["--compiler", fpm_name(compiler), "--flag", " ".join(FAST[compiler])]
    said = run(FPM, "test", *options, cwd=tmp_path / "fortran")
    for end in (
        "networks agree with",
        "predictions keep",
        "bits of a column are its own",
        "do no harm",
    ):
        assert end in said
