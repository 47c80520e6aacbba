"""Wide networks: limits that Python knows, modules that load their weights, small stacks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import warnings
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from emufort.config import Config
from emufort.config.deployment import Placement
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError, UsageError
from emufort.export import Bundle, export, flat_plan, fortran
from emufort.export.host import write_host
from emufort.export.weights_file import WeightsFile
from emufort.network import activations, operations, places, plan
from emufort.network.architecture import Architecture
from emufort.network.emulator import dense_parameters
from emufort.network.operations import dense
from emufort.verification import verify
from tests.export.emulators import inputs, mixed, random_emulator
from tests.runtime.pond import CONTRACT, pond_data, pond_emulator

COMPILERS = {
    "gfortran": ["-O2", "-march=native", "-fopenmp-simd", "-ffp-contract=fast"],
    "flang-22": ["-O2", "-march=native", "-ffp-contract=fast"],
}
DRIVER = Path(__file__).parent / "wide_driver.F90"


def constant(name: str) -> int:
    """Value of an integer constant of the runtime, whose modules are one file when installed."""
    values = re.findall(rf"parameter :: {name} = (\d+)\b", fortran.runtime_source())
    assert len(set(values)) == 1, (name, values)
    return int(values[0])


def test_limits_and_codes_are_those_of_the_runtime() -> None:
    assert constant("max_width") == dense.MOST_NEURONS
    assert constant("max_dense_inputs") == dense.MOST_DENSE_INPUTS
    assert constant("max_features") == plan.MOST_FEATURES
    assert constant("max_operations") == plan.MOST_OPERATIONS
    assert constant("max_plan_scratch") == plan.MOST_SCRATCH
    # two buffers of the widest layers
    assert (
        constant("max_scratch")
        == fortran.MOST_STACK_SCRATCH
        >= 2 * places.buffer_room(dense.MOST_NEURONS)
    )
    assert constant("stack_features") == fortran.STACK_FEATURES
    assert constant("stack_physical") == fortran.STACK_COLUMNS
    assert constant("lanes") == places.LANES
    kinds = re.findall(r"parameter :: operation_(\w+) = (\d+) +!!", fortran.runtime_source())
    assert {name: int(code) for name, code in kinds} == {
        row.name: row.code for row in operations.OPERATIONS.values()
    }
    rows = {
        "code": "code", "activation": "activation", "input": "x", "second_input": "second_x",
        "third_input": "third_x", "output": "y", "n_in": "n_in", "n_out": "n_out",
        "weights": "weights", "count": "count", "stride": "stride", "table": "table",
    }  # fmt: skip
    names = [field.name for field in fields(flat_plan.FlatOperation)]
    assert {constant(f"row_{row}"): name for row, name in rows.items()} == dict(enumerate(names, 1))
    assert constant("operation_size") == len(names)
    codes = re.findall(r"parameter :: activation_(\w+) = (\d+)", fortran.runtime_source())
    assert {name: int(code) for name, code in codes} == {
        row.name: row.code for row in activations.ACTIVATION_FUNCTIONS.values()
    }


def test_what_the_runtime_cannot_take_is_refused_before_any_training() -> None:
    with pytest.raises(EmufortError, match="4097 neurons is too large") as caught:
        Architecture(3, (4097,), 1)
    assert "\n" not in str(caught.value)
    with pytest.raises(EmufortError, match="65 layers"):
        Architecture(3, (8,) * 64, 1)
    assert Architecture(3, (4096,) * 63, 1).n_parameters > 10**9
    for space in ({"width": [8, 5000]}, {"depth": [1, 64]}):
        with pytest.raises(UsageError, match="63 hidden layers of 4096 neurons") as refused:
            Config.from_dict({"search": {"space": space}})
        assert "\n" not in str(refused.value)
    Config.from_dict({"search": {"space": {"width": [8, 4096], "depth": [1, 63]}}})
    content = mixed().to_dict()
    content["dimensions"]["mode"] = [f"m{i}" for i in range(2050)]
    content["input"][0]["range"] = [1e-9, 1e-6]
    with pytest.raises(EmufortError, match=r"4108 scalar inputs and outputs.*takes 4096"):
        fortran.check_names(Contract.from_dict(content))


@pytest.mark.parametrize("activation", activations.ACTIVATIONS)
def test_extreme_weights_and_inputs_warn_of_nothing(activation: str) -> None:
    emulator = random_emulator(mixed(), (8, 8), activation)
    weights = tuple(w * np.float32(1e30) for w in emulator.weights)
    x = inputs(emulator.contract, 50)
    x[0, 0], x[1, 1], x[2, 2] = np.nan, np.inf, -np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = replace(emulator, parameters=dense_parameters(weights, emulator.biases)).predict(x)
        activations.sigmoid(np.array([np.nan, np.inf, -np.inf, 1e300, -1e300]))
        function, parameter = activations.parse(activation)
        function.value(np.array([0.0]), parameter)
    assert np.isnan(y[:3]).all()


def wide_bundle(
    hidden: tuple[int, ...], folder: Path, seed: int = 0, weights: Placement = "module"
) -> Bundle:
    data = Dataset.from_xarray(pond_data(), Contract.from_toml(CONTRACT))
    emulator = pond_emulator(data, hidden, seed)
    return export(emulator, data, folder / "bundle", golden=4, weights=weights)


def run(folder: Path, *command: object, **options: object) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def need_openmp(compiler: str, folder: Path) -> None:
    """Skip the test without the compiler or its OpenMP."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    (folder / "empty.f90").write_text("use omp_lib\nend\n")
    probe = [compiler, "-fopenmp", "empty.f90", "-o", "empty"]
    if subprocess.run(probe, cwd=folder, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{compiler} has no OpenMP (libomp-22-dev for Debian's flang-22)")


# weights as numbers, as text and more than fits on the stack, and from a file
@pytest.mark.parametrize(
    ("hidden", "form", "flag"),
    [((24, 17), "numbers", ()), ((2048, 120), "text", ["-DDECODES"]),
     ((8, 600, 600), "file", ["-DLOADS"])],
)  # fmt: skip
@pytest.mark.parametrize(
    "compiler", ["gfortran", pytest.param("flang-22", marks=pytest.mark.exhaustive)]
)
def test_threads_with_small_stacks_call_the_module(
    compiler: str, hidden: tuple[int, ...], form: str, flag: list[str], tmp_path: Path
) -> None:
    need_openmp(compiler, tmp_path)
    placement: Placement = "file" if form == "file" else "module"
    bundle = wide_bundle(hidden, tmp_path, weights=placement)
    assert bundle.form == form
    flags = [*COMPILERS[compiler], *flag]
    run(tmp_path, compiler, *flags, "-c", bundle.runtime_source)
    # gfortran stops a program whose integers overflow
    trap = ["-ftrapv"] if compiler == "gfortran" else []
    run(tmp_path, compiler, *flags, *trap, "-fopenmp", "-c", bundle.module_source)
    run(
        tmp_path, compiler, *flags, "-fopenmp", DRIVER,
        "pond_emulator.o", "emufort_runtime.o", "-o", "driver",
    )  # fmt: skip
    other = wide_bundle(hidden, tmp_path / "other", seed=1, weights=placement)
    environment = {**os.environ, "OMP_STACKSIZE": "256k"}
    said = run(tmp_path, "./driver", bundle.weights, other.weights, env=environment)
    assert said.split() == ["the", "same", "bits"]


@pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")
def test_a_bundle_that_loads_its_weights_is_verified_and_says_so(tmp_path: Path) -> None:
    emulator = random_emulator(mixed(), (520, 520), "relu")
    x = inputs(emulator.contract, 60)
    n = np.arange(len(x))
    data = Dataset(
        emulator.contract, Path("memory.nc"), "d" * 64, x, emulator.predict(x),
        (n % 3).astype(np.int8), n,
    )  # fmt: skip
    bundle = export(emulator, data, tmp_path / "bundle", golden=4, weights="file")
    result = verify(bundle, rows=200)
    assert result.passed, result
    assert any("generated module" in form.name for form in result.comparisons)
    card = (bundle.path / "MODEL_CARD.md").read_text()
    assert "call mixed_emulator_load('weights.bin', status)" in card
    assert "mixed_emulator_make_workspace" in card
    assert "mixed_emulator_load" in (bundle.path / "CMakeLists.txt").read_text()


def test_a_host_folder_is_refused_if_the_module_has_no_weights(tmp_path: Path) -> None:
    content = {**Contract.load("activation").to_dict(), "baseline": []}
    emulator = random_emulator(Contract.from_dict(content), (8,), "relu")
    x = inputs(emulator.contract, 30)
    n = np.arange(len(x))
    data = Dataset(
        emulator.contract, Path("memory.nc"), "d" * 64, x, emulator.predict(x),
        (n % 3).astype(np.int8), n,
    )  # fmt: skip
    bundle = export(emulator, data, tmp_path / "bundle", golden=2, weights="file")
    for host in ("plain", "cime", "ccpp"):
        with pytest.raises(EmufortError, match="export it with --weights module") as refused:
            write_host(bundle, host)
        assert "\n" not in str(refused.value)
    assert not (tmp_path / "host").exists()


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("compiler", sorted(COMPILERS))
def test_1_to_20_layers_of_8_to_2048_neurons_in_threads_with_small_stacks(
    compiler: str, tmp_path: Path
) -> None:
    need_openmp(compiler, tmp_path)
    (tmp_path / "emufort_runtime.F90").write_text(fortran.runtime_source())
    flags = COMPILERS[compiler]
    run(tmp_path, compiler, *flags, "-c", "emufort_runtime.F90")
    program = ["-fopenmp", DRIVER.with_name("depth_driver.F90"), "emufort_runtime.o"]
    run(tmp_path, compiler, *flags, *program, "-o", "driver")
    data = Dataset.from_xarray(pond_data(), Contract.from_toml(CONTRACT))
    weights = tmp_path / "weights.bin"
    for depth in (1, 2, 3, 7, 20):
        for width in (8, 600, 2048):
            emulator = pond_emulator(data, (width,) * depth)
            x = data.x[:3].astype(np.float32).astype(np.float64)
            WeightsFile.from_emulator(
                emulator, x, relative_tolerance=1e-4, absolute_tolerance=1e-3
            ).write(weights)
            environment = {**os.environ, "OMP_STACKSIZE": "256k"}
            assert run(tmp_path, "./driver", weights, env=environment).strip() == "well"
