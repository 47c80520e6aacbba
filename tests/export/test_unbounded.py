"""A logarithm of an input without a range: every form of the emulator clips it alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from emufort.contract import Contract
from emufort.export.onnx import build_onnx
from emufort.export.weights_file import WeightsFile
from emufort.native import bindings as native_bindings
from emufort.network.emulator import LN_SPAN
from emufort.network.torch_module import EmulatorModule
from tests.export.emulators import random_emulator

CONTRACT = """
name = "open"
title = "A logarithm without a range"
[[input]]
name = "speed"
units = "m s-1"
transform = "ln"
[[input]]
name = "size"
units = "m"
transform = "ln"
range = [1e-9, 1e-6]
[[output]]
name = "growth"
units = "m"
transform = "ln"
[[output]]
name = "anomaly"
units = "K"
transform = "standardise"
"""
#: Speeds: what has no logarithm, what is far away, and what is usual.
SPEEDS = (-1.0, 0.0, -0.0, 1e-35, 1e-3, 1.0, 1e30, np.nan, np.inf, -np.inf)


def test_all_forms_agree_where_there_is_no_logarithm(tmp_path: Path) -> None:
    if not native_bindings.available():
        pytest.skip("the Fortran bindings are not built")
    emulator = random_emulator(Contract.from_toml(CONTRACT), (8, 8), "tanh")
    x = np.array([[speed, 3e-8] for speed in SPEEDS])
    expected = emulator.predict(x)
    is_number = np.isfinite(x).all(axis=1)
    assert np.isnan(expected[~is_number]).all() and np.isfinite(expected[is_number]).all()
    reference = float(emulator.input_scaler.shift[0])
    lowest = emulator.predict(np.array([[reference / LN_SPAN, 3e-8]]))
    # Alone and among others a row may be summed in another order: rounding in double precision.
    np.testing.assert_allclose(expected[:4], np.broadcast_to(lowest, (4, 2)), rtol=1e-13)
    assert abs(expected[4] - lowest[0]).max() > 1e-3

    with torch.no_grad():
        in_torch = EmulatorModule(emulator)(torch.tensor(x)).numpy()
    model = build_onnx(emulator).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    in_onnx = session.run(["y"], {"x": x.astype(np.float32)})[0]
    path = tmp_path / "weights.bin"
    WeightsFile.from_emulator(emulator).write(path)
    in_fortran = native_bindings.FortranEmulator.from_file(path).predict(x)
    for name, found in (("torch", in_torch), ("onnx", in_onnx), ("fortran", in_fortran.y)):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5, err_msg=name)
    # -1, 0, -0 and 1e-35 from below, 1e30 from above
    assert in_fortran.n_clipped == 5
