"""ONNX Runtime from Fortran against the runtime, with every activation and transform."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emufort.benchmark.contenders import onnxruntime_library
from emufort.contract import Contract
from emufort.export.onnx import build_onnx
from emufort.export.weights_file import WeightsFile
from emufort.importing.graph import read_graph
from emufort.importing.importer import emulator_of
from emufort.timing.timers import write_inputs
from emufort.toolchain.compiler import Compiler
from emufort.toolchain.sources import fortran_sources
from tests.export.emulators import inputs, mixed, random_emulator
from tests.importing.models import model_of, node

TOP = Path(__file__).resolve().parents[2]
FOLDER = "coupling/onnxruntime"

pytestmark = [
    pytest.mark.skipif(shutil.which("gfortran") is None, reason="needs a Fortran compiler"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks for a library of Linux"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnxruntime")
    sources = fortran_sources("compare_onnxruntime", FOLDER)
    flags = "-std=f2018 -Wall -Wextra -O1 -fcheck=all"
    return Compiler.find("gfortran").build(sources, flags, folder / "compare_onnxruntime")


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu", "squared_relu"])
@pytest.mark.parametrize("name", ["mixed", "activation"])
def test_agrees_with_the_runtime(program: Path, tmp_path: Path, activation: str, name: str) -> None:
    contract = mixed() if name == "mixed" else Contract.load(name)
    emulator = random_emulator(contract, (16, 16), activation)
    weights, model = tmp_path / "weights.bin", tmp_path / "model.onnx"
    WeightsFile.from_emulator(emulator).write(weights)
    model.write_bytes(build_onnx(emulator).SerializeToString())
    rows = write_inputs(tmp_path / "inputs.bin", inputs(contract, 100))
    assert_agreement(program, weights, model, rows)


def assert_agreement(program: Path, weights: Path, model: Path, rows: Path) -> None:
    done = subprocess.run(
        [program, weights, model, onnxruntime_library(), rows, "1e-5"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "all well"


def test_several_inputs_and_outputs_of_any_rank(program: Path, tmp_path: Path) -> None:
    """Their values are the columns of x and y, one input after the other, last index fastest."""
    rng = np.random.default_rng(3)
    nodes = [
        node("Reshape", "profile flat", "levels"),
        node("Concat", "levels state", "all", axis=1),
        node("Gemm", "all w0 b0", "z0", transB=1),
        node("Tanh", "z0", "a0"),
        node("Gemm", "a0 w1 b1", "z1", transB=1),
        node("Reshape", "z1 shape", "tendencies"),
        node("Gemm", "a0 w2 b2", "fluxes", transB=1),
    ]
    sizes = {"0": (9, 10), "1": (6, 9), "2": (2, 9)}
    constants = {
        "flat": np.array([0, 8]),
        "shape": np.array([0, 3, 2]),
        **{f"w{k}": rng.normal(0.0, 0.4, shape) for k, shape in sizes.items()},
        **{f"b{k}": rng.uniform(0.5, 1.0, shape[0]) for k, shape in sizes.items()},
    }
    found = model_of(
        nodes,
        {"profile": ["ncol", 4, 2], "state": ["ncol", 2]},
        {"tendencies": ["ncol", 3, 2], "fluxes": ["ncol", 2]},
        constants,
    )
    model, weights = tmp_path / "model.onnx", tmp_path / "weights.bin"
    model.write_bytes(found.SerializeToString())
    WeightsFile.from_emulator(emulator_of(read_graph(found))).write(weights)
    rows = write_inputs(tmp_path / "inputs.bin", rng.standard_normal((100, 10)))
    assert_agreement(program, weights, model, rows)


@pytest.mark.parametrize(
    ("name", "folders"),
    [
        ("compare_onnxruntime", (FOLDER,)),
        ("bench_onnxruntime", ("fortran/bench", FOLDER)),
        ("bench_network", ("fortran/bench",)),
        ("bench_loaded", ("fortran/bench",)),
        ("bench_operations", ("fortran/bench",)),
        ("bench_sgemm", ("fortran/bench",)),
        ("bench_peak", ("fortran/bench",)),
    ],
)
def test_no_warnings(name: str, folders: tuple[str, ...], tmp_path: Path) -> None:
    sources = fortran_sources(name, folders)
    for source in sources:
        is_ours = source.parent.name in ("bench", "onnxruntime")
        flags = ["-std=f2018", "-Wall", "-Wextra", "-fopenmp", "-O1"] + ["-Werror"] * is_ours
        done = subprocess.run(
            ["gfortran", *flags, "-c", str(source)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs CMake")
def test_cmake_finds_the_library_of_the_wheel(tmp_path: Path) -> None:
    configure = [
        "cmake",
        *("-S", TOP, "-B", tmp_path),
        *("-DEMUFORT_ONNXRUNTIME=ON", "-DBUILD_TESTING=OFF", "-DEMUFORT_DATA_PREP=OFF"),
        f"-DPython_EXECUTABLE={sys.executable}",
    ]
    done = subprocess.run(configure, capture_output=True, text=True, check=True)
    assert f"ONNX Runtime: {onnxruntime_library()}" in done.stdout
    build = ["cmake", "--build", tmp_path, "--target", "compare_onnxruntime"]
    subprocess.run(build, capture_output=True, check=True)
    assert (tmp_path / "coupling/onnxruntime/compare_onnxruntime").exists()
