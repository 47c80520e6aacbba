"""Every form of an emulator emits a constant output exactly, whatever its network gives."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emufort.dataset.dataset import Dataset
from emufort.export import export
from emufort.export.restore import restore
from emufort.export.weights_file import WeightsFile
from emufort.network.emulator import dense_parameters
from emufort.verification import differences, verify
from emufort.verification.forms import compiled, onnx_runtime, torch_module
from tests.export.emulators import inputs, mixed, random_emulator
from tests.verification.test_verification import bundle_of

#: Constants of `mixed`, by column: what the emulator gives for any input.
VALUES = {1: 1e-30, 2: 0.1, 4: -0.3, 5: 0.7}


@pytest.mark.skipif(shutil.which("gfortran") is None, reason="needs gfortran")
@pytest.mark.filterwarnings("ignore:invalid value")  # sizes of what overflows
@pytest.mark.parametrize("overflows", [False, True])
def test_all_forms_emit_constants_exactly(tmp_path: Path, overflows: bool) -> None:
    emulator = random_emulator(mixed(), (8, 8), "squared_relu", constant=True)
    # The ratio is left to vary; of the others only the second fraction keeps its drawn constant.
    scaler = emulator.output_scaler.with_constants(VALUES)
    assert scaler.varying == (0,)
    emulator = replace(emulator, output_scaler=scaler)
    x = inputs(emulator.contract, 100, seed=5)
    n = np.arange(len(x))
    data = Dataset(
        emulator.contract, Path("memory.nc"), "d" * 64, x, emulator.predict(x), n % 3, n
    )  # fmt: skip
    if overflows:
        weights = [w * np.float32(1e25) for w in emulator.weights]
        emulator = replace(emulator, parameters=dense_parameters(weights, emulator.biases))
        assert not np.isfinite(torch_module(emulator, x)[:, 0]).all()
    bundle = export(emulator, data, tmp_path / "bundle", golden=16)
    found = compiled(bundle, x, "gfortran", None, tmp_path)
    assert found.self_test == "" or overflows
    double = {
        "numpy": emulator.predict(x),
        "restored": restore(WeightsFile.read(bundle.weights)).predict(x),
        "generated": found.generated,
        "loaded": found.loaded,
    }
    single = {
        "torch": torch_module(emulator, x),
        "ONNX": onnx_runtime(bundle, x),
        "generated, single": found.generated_single,
        "loaded, single": found.loaded_single,
    }
    for j, value in (*VALUES.items(), (3, float(scaler.shift[3]))):
        for name, y in double.items():
            assert (y[:, j] == value).all(), (name, j)
        for name, y in single.items():
            assert (y[:, j] == np.float32(value)).all(), (name, j)


@pytest.mark.parametrize("column", [0, 1])
def test_a_constant_relative_to_an_input_and_single_columns(tmp_path: Path, column: int) -> None:
    emulator = random_emulator(mixed(), (8,), "tanh")
    scaler = emulator.output_scaler.with_constants({column: 0.25})
    kept = list(scaler.varying)
    emulator = replace(
        emulator,
        architecture=replace(emulator.architecture, n_outputs=len(kept)),
        output_scaler=scaler,
        parameters=dense_parameters(
            (emulator.weights[0], emulator.weights[1][kept]),
            (emulator.biases[0], emulator.biases[1][kept]),
        ),
    )
    verify(bundle_of(emulator, tmp_path), rows=200).raise_if_failed()
    x = inputs(emulator.contract, 10)
    y = emulator.predict(x)
    expected = 0.25 * x[:, 3] if column == 0 else np.full(10, 0.25)
    np.testing.assert_array_equal(y[:, column], expected)


def test_ends_of_single_precision_are_no_difference() -> None:
    logarithmic, affine = np.zeros(1), np.ones(1)

    def one(reference: float, y: float, spread: np.ndarray) -> float:
        return float(differences(np.array([[reference]]), np.array([[y]]), spread)[0, 0])

    assert one(1e39, np.inf, logarithmic) == 0.0
    assert one(1e39, np.inf, affine) == 0.0
    assert one(-1e39, -np.inf, affine) == 0.0
    assert one(1e-40, 0.0, logarithmic) == 0.0
    assert one(1e-37, 0.0, logarithmic) > 1
    assert one(1e38, np.inf, affine) > 1
    assert one(1e38, np.nan, affine) == np.inf
    assert one(np.nan, 1e39, affine) == np.inf
