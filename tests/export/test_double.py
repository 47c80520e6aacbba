"""Emulators in double precision: all forms, files, the imported network."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emufort.dataset.dataset import Dataset
from emufort.export import Bundle, export
from emufort.export.agreement import differences
from emufort.export.fortran import fortran_source, runtime_source
from emufort.export.onnx import build_onnx
from emufort.export.restore import restore
from emufort.export.weights_file import WeightsFile
from emufort.native import bindings
from emufort.network.activations import ACTIVATIONS
from emufort.network.emulator import Emulator
from emufort.runtime.loaded import load
from emufort.verification import verify
from tests.export.emulators import inputs, mixed, random_emulator

needs_gfortran = pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")
needs_native = pytest.mark.skipif(
    not bindings.available("double"), reason="the bindings in double precision are not built"
)


def in_double(hidden: tuple[int, ...] = (24, 17), activation: str = "tanh") -> Emulator:
    """Return an emulator whose weights need more than single precision."""
    emulator = random_emulator(mixed(), hidden, activation).in_precision("double")
    rng = np.random.default_rng(1)
    parameters = {
        name: array * (1.0 + 1e-9 * rng.standard_normal(array.shape))
        for name, array in emulator.parameters.items()
    }
    return replace(emulator, parameters=parameters)


def bundle_of(emulator: Emulator, folder: Path, **options: object) -> Bundle:
    x = inputs(emulator.contract, 60)
    n = np.arange(len(x))
    data = Dataset(
        emulator.contract, Path("memory.nc"), "d" * 64, x, emulator.predict(x),
        (n % 3).astype(np.int8), n,
    )  # fmt: skip
    return export(emulator, data, folder / "bundle", golden=16, **options)  # type: ignore[arg-type]


def test_files_keep_all_digits(tmp_path: Path) -> None:
    emulator = in_double()
    emulator.save(tmp_path / "weights.safetensors")
    content = WeightsFile.from_emulator(emulator).to_bytes()
    for found in (
        Emulator.load(tmp_path / "weights.safetensors"),
        restore(WeightsFile.from_bytes(content)),
    ):
        assert found.precision == "double"
        for name, array in emulator.parameters.items():
            assert found.parameters[name].dtype == np.float64
            np.testing.assert_array_equal(found.parameters[name], array)
    single = emulator.in_precision("single")
    assert single.precision == "single"
    assert all(array.dtype == np.float32 for array in single.parameters.values())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_onnx_runtime_agrees(activation: str) -> None:
    import onnxruntime

    emulator = in_double((9, 7), activation)
    x = inputs(emulator.contract, 300)
    content = build_onnx(emulator).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (y,) = session.run(["y"], {"x": x})
    assert y.dtype == np.float64
    wanted = emulator.predict(x)
    assert differences(wanted, y, wanted.std(axis=0)).max() < 1e-12


@needs_gfortran
@pytest.mark.parametrize(
    ("hidden", "weights", "form"),
    [((24, 17), "module", "numbers"), ((120, 120), "module", "text"), ((9,), "file", "file")],
)
def test_a_bundle_in_double_precision_is_verified_and_says_so(
    hidden: tuple[int, ...], weights: str, form: str, tmp_path: Path
) -> None:
    bundle = bundle_of(in_double(hidden), tmp_path, weights=weights)
    assert bundle.form == form
    assert bundle.manifest.precision == "double"
    assert bundle.manifest.tolerance == bundle.golden.tolerance == 1e-12
    result = verify(bundle, rows=200, flags="-O0")
    assert result.passed, result
    assert result.tolerance == 1e-12
    found = {c.name: c for c in result.comparisons}
    for name in ("torch", "model.onnx", "generated module", "weights.bin"):
        assert found[name].passed and found[name].tolerance == 1e-12
    card = (bundle.path / "MODEL_CARD.md").read_text()
    assert "It computes in double precision" in card
    assert "with any flags" in card
    assert not bundle.foreign_sources()


def test_a_trained_network_is_exported_in_double_precision(tmp_path: Path) -> None:
    emulator = random_emulator(mixed(), (8,), "silu")
    bundle = bundle_of(emulator, tmp_path, precision="double")
    found = bundle.emulator()
    assert found.precision == "double"
    for name, array in emulator.parameters.items():
        np.testing.assert_array_equal(found.parameters[name], array.astype(np.float64))
    assert bundle_of(found, tmp_path / "again").manifest.precision == "double"
    assert bundle_of(found, tmp_path / "single", precision="single").manifest.precision == "single"


@needs_native
@pytest.mark.parametrize("backend", ["fortran", "onnxruntime"])
def test_python_computes_in_double_precision(backend: str, tmp_path: Path) -> None:
    emulator = in_double()
    loaded = load(bundle_of(emulator, tmp_path), backend)  # type: ignore[arg-type]
    x = inputs(emulator.contract, 200)
    wanted = emulator.predict(x)
    difference = differences(wanted, loaded.predict_array(x), wanted.std(axis=0)).max()
    assert difference < 1e-12
    single = differences(wanted, emulator.predict(x, "single"), wanted.std(axis=0)).max()
    assert single > 1e-9


@needs_gfortran
def test_a_runtime_in_single_precision_does_not_compile_with_the_module(tmp_path: Path) -> None:
    emulator = in_double((3,))
    (tmp_path / "mixed_emulator.F90").write_text(fortran_source(emulator, "f" * 64))
    for precision, is_possible in (("double", True), ("single", False)):
        (tmp_path / "runtime.F90").write_text(runtime_source(precision))  # type: ignore[arg-type]
        run = ["gfortran", "-O0", "-c"]
        subprocess.run([*run, "runtime.F90"], cwd=tmp_path, check=True)
        done = subprocess.run(
            [*run, "mixed_emulator.F90"], cwd=tmp_path, capture_output=True, text=True
        )
        assert (done.returncode == 0) == is_possible
        assert is_possible or "emufort_runtime_is_double" in done.stderr
