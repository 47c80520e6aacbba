"""The generated module: compiles without a warning and gives the bits of the loaded emulator."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from emufort.contract import Contract
from emufort.errors import EmufortError, UsageError
from emufort.export.fortran import (
    check_name,
    check_names,
    dummy_name,
    fortran_source,
    runtime_source,
)
from emufort.export.weights_file import WeightsFile
from emufort.native import bindings as native_bindings
from emufort.network.emulator import Emulator
from tests.export.emulators import inputs, mixed, random_emulator

needs_compiler = pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")

FLAGS = ["-std=f2018", "-Wall", "-Wextra", "-Werror", "-O2", "-fopenmp-simd"]


@pytest.fixture(scope="module")
def runtimes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a folder with the runtime compiled for a kind of CPU; once for all tests."""

    @cache
    def compiled(cpu: str) -> Path:
        folder = tmp_path_factory.mktemp("runtime")
        (folder / "emufort_runtime.F90").write_text(runtime_source())
        command = ["gfortran", *FLAGS, f"-march={cpu}", "-c", "emufort_runtime.F90"]
        subprocess.run(command, cwd=folder, check=True)
        return folder

    return compiled


def _driver(emulator: Emulator) -> str:
    """Return a program: inputs from a file, outputs of module and loaded emulator to another."""
    contract = emulator.contract
    module = f"{contract.name}_emulator"

    def arguments(array: str, variables: tuple, start: int = 1) -> list[str]:  # type: ignore[type-arg]
        parts = []
        for variable in variables:
            width = contract.width(variable)
            last = f"{start}:{start + width - 1}" if variable.dimensions else str(start)
            parts.append(f"{array}(:, {last})")
            start += width
        return parts

    call = ", &\n    ".join(
        ["n", *arguments("x", contract.input), *arguments("y", contract.output)]
    )
    single = call.replace("x(", "xs(").replace("y(", "ys(")
    return f"""
program driver
  use, intrinsic :: iso_fortran_env, only: real32, real64
  use emufort_runtime, only: emulator_type, status_type
  use {module}, only: {module}_predict, &
    {module}_hash
  implicit none
  type(emulator_type) :: emulator
  type(status_type) :: status
  integer :: n, n_in, n_out, unit
  real(real64), allocatable :: x(:, :), y(:, :), z(:, :)
  open (newunit=unit, file='x.bin', access='stream', form='unformatted')
  read (unit) n, n_in, n_out
  allocate (x(n, n_in), y(n, n_out), z(n, n_out))
  read (unit) x
  close (unit)
  call {module}_predict({call}, status)
  call predict_single()
  if (status%n_clipped /= 0 .or. status%n_invalid /= 0) error stop 'counts'
  call emulator%load('weights.bin', status)
  if (status%code /= 0) error stop 'load'
  call emulator%self_test(status)
  if (status%code /= 0) error stop 'self test'
  call emulator%predict(x, z, status)
  open (newunit=unit, file='y.bin', access='stream', form='unformatted', status='replace')
  write (unit) y, z
  close (unit)
  print '(a)', {module}_hash
contains
  subroutine predict_single()
    real(real32) :: xs(n, n_in), ys(n, n_out)
    xs = real(x, real32)
    call {module}_predict({single}, status)
    if (any(.not. abs(ys - y) <= 1e-5_real32*abs(ys))) error stop 'single'
  end subroutine predict_single
end program driver
"""


def _run(
    emulator: Emulator, folder: Path, runtime: Path, cpu: str = "native", n: int = 100
) -> tuple[np.ndarray, np.ndarray, str]:
    name = f"{emulator.contract.name}_emulator.F90"
    x = inputs(emulator.contract, n)
    (folder / name).write_text(fortran_source(emulator, "f" * 64))
    (folder / "driver.F90").write_text(_driver(emulator))
    WeightsFile.from_emulator(
        emulator, x[:8], relative_tolerance=1e-4, absolute_tolerance=1e-4
    ).write(folder / "weights.bin")
    n_out = len(emulator.contract.output_columns)
    (folder / "x.bin").write_bytes(
        np.array([n, x.shape[1], n_out], "<i4").tobytes() + x.tobytes(order="F")
    )
    modules = f"-I{runtime}"
    command = ["gfortran", *FLAGS, f"-march={cpu}", modules, "-c", name]
    subprocess.run(command, cwd=folder, check=True)
    objects = [runtime / "emufort_runtime.o", f"{emulator.contract.name}_emulator.o"]
    traps = "-ffpe-trap=invalid,overflow,zero"
    command = ["gfortran", "-O1", traps, modules, "driver.F90", *map(str, objects), "-o", "driver"]
    subprocess.run(command, cwd=folder, check=True)
    done = subprocess.run(["./driver"], cwd=folder, check=True, capture_output=True, text=True)
    both = np.fromfile(folder / "y.bin").reshape((2, n_out, n)).transpose(0, 2, 1)
    return both[0], both[1], done.stdout.strip()


@needs_compiler
@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_generated_module(runtimes: Callable[[str], Path], tmp_path: Path, activation: str) -> None:
    emulator = random_emulator(mixed(), (19, 32), activation)
    generated, loaded, fingerprint = _run(emulator, tmp_path, runtimes("native"))
    assert fingerprint == "f" * 64
    np.testing.assert_array_equal(generated.view(np.int64), loaded.view(np.int64))
    expected = emulator.predict(inputs(emulator.contract, 100))
    np.testing.assert_allclose(generated, expected, rtol=5e-5, atol=2e-5)


@needs_compiler
@pytest.mark.parametrize("cpu", ["native", "x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_activation_contract(runtimes: Callable[[str], Path], tmp_path: Path, cpu: str) -> None:
    if cpu != "native" and not native_bindings.available():
        pytest.skip("without the bindings it is not known what this CPU can run")
    if cpu.startswith("x86-64") and int(cpu[-1]) > max(native_bindings.cpu_level(), 2):
        pytest.skip("this CPU has not the instructions")
    emulator = random_emulator(Contract.load("activation"), (32, 32), "tanh")
    generated, loaded, _ = _run(emulator, tmp_path, runtimes(cpu), cpu)
    np.testing.assert_array_equal(generated.view(np.int64), loaded.view(np.int64))
    expected = emulator.predict(inputs(emulator.contract, 100))
    np.testing.assert_allclose(generated, expected, rtol=5e-5, atol=2e-5)


def test_lines_and_statements_are_within_the_standard() -> None:
    contract = Contract.load("activation")
    for source in (
        fortran_source(random_emulator(contract, (256, 256, 256), "relu"), "0" * 64),
        runtime_source(),
    ):
        lines = source.splitlines()
        assert max(map(len, lines)) <= 132
        assert source.isascii()
        run = 0
        for line in lines:
            run = run + 1 if line.rstrip().endswith("&") else 0
            assert run <= 255


@needs_compiler
def test_inputs_without_a_range_trap_no_exception_in_the_host(
    runtimes: Callable[[str], Path], tmp_path: Path
) -> None:
    content = mixed().to_dict()
    for variable in content["input"]:
        if variable["transform"] != "logit":
            variable.pop("range")
    generated, loaded, _ = _run(
        random_emulator(Contract.from_dict(content)), tmp_path, runtimes("native")
    )
    np.testing.assert_array_equal(generated.view(np.int64), loaded.view(np.int64))


@needs_compiler
def test_longest_and_oddest_names(runtimes: Callable[[str], Path], tmp_path: Path) -> None:
    # the words of other languages, and of Fortran itself, are names like any other
    longest = {"size": "s" * 63, "temperature": "T" * 63, "fraction": "f" * 63, "ratio": "r" * 63}
    longest |= {"share": "lambda", "height": "if", "growth": "do", "anomaly": "real"}
    content = mixed().to_dict()
    content["name"] = "m" * 39
    content["title"] = "A long title " * 20
    for variable in (*content["input"], *content["output"]):
        variable["name"] = longest.get(variable["name"], variable["name"])
        variable["long_name"] = "a long description of it " * 10
    emulator = random_emulator(Contract.from_dict(content))
    source = fortran_source(emulator, "f" * 64)
    assert max(map(len, source.splitlines())) <= 132
    generated, loaded, _ = _run(emulator, tmp_path, runtimes("native"))
    np.testing.assert_array_equal(generated.view(np.int64), loaded.view(np.int64))


def test_variables_that_clash_in_fortran() -> None:
    content = mixed().to_dict()
    content["input"][0]["name"], content["input"][1]["name"] = "ncol", "NCOL_"
    with pytest.raises(EmufortError, match=r"'mixed' become 'ncol_'"):
        check_names(Contract.from_dict(content))


def test_names() -> None:
    assert dummy_name("air_temperature", "m_emulator") == "air_temperature"
    assert dummy_name("Status", "m_emulator") == "Status_"
    assert dummy_name("m_emulator_hash", "m_emulator") == "m_emulator_hash_"
    with pytest.raises(EmufortError, match="must not begin"):
        dummy_name("emufort_x", "m_emulator")
    assert check_name("a" * 39) == "a" * 39
    with pytest.raises(UsageError, match="too long"):
        check_name("a" * 40)
    with pytest.raises(UsageError, match="cannot name"):
        check_name("1a")
