"""Imported networks in the Fortran runtime give what ONNX Runtime gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

import emufort
from emufort.api import import_network
from tests.importing.models import model_of, node

RNG = np.random.default_rng(21)
LEVELS, CHANNELS, SIZE = 12, 4, 6


def normal(*shape: int) -> NDArray[np.float64]:
    return RNG.normal(0.0, 0.4, shape)


def convolutional() -> onnx.ModelProto:
    """Convolutions, pooling, normalisation and interpolation."""
    return model_of(
        [
            node("Conv", "x w0 b0", "c0", pads=[1, 1]),
            node("Mish", "c0", "h0"),
            node("MaxPool", "h0", "m", kernel_shape=[2], strides=[2]),
            node("Conv", "m w1 b1", "c1", pads=[3, 3], group=8),
            node("InstanceNormalization", "c1 s b", "n"),
            node("Gelu", "n", "h1", approximate="tanh"),
            node("ConvTranspose", "h1 w2", "u", strides=[2]),
            node("Concat", "u x", "a", axis=1),
            node("Conv", "a w3", "y"),
        ],
        {"x": ["n", CHANNELS, LEVELS]},
        {"y": ["n", 2, LEVELS]},
        {
            "w0": normal(8, CHANNELS, 3),
            "b0": normal(8),
            "w1": normal(8, 1, 7),
            "b1": normal(8),
            "s": 1.0 + normal(8),
            "b": normal(8),
            "w2": normal(8, 4, 2),
            "w3": normal(2, 8, 1),
        },
    )


def recurrent() -> onnx.ModelProto:
    """Recurrent layers in both directions."""
    return model_of(
        [
            node("Transpose", "x", "t", perm=[2, 0, 1]),
            node("LSTM", "t w0 r0 b0", "a", hidden_size=SIZE, direction="bidirectional"),
            node("Transpose", "a", "p", perm=[0, 2, 1, 3]),
            node("Reshape", "p s", "q"),
            node("GRU", "q w1 r1 b1", "g h", hidden_size=SIZE, linear_before_reset=1),
            node("Transpose", "g", "z", perm=[2, 1, 0, 3]),
            node("Reshape", "z s2", "f"),
            node("MatMul", "f v", "y"),
        ],
        {"x": ["n", CHANNELS, LEVELS]},
        {"y": ["n", LEVELS, 2]},
        {
            "w0": normal(2, 4 * SIZE, CHANNELS),
            "r0": normal(2, 4 * SIZE, SIZE),
            "b0": normal(2, 8 * SIZE),
            "s": np.array([LEVELS, -1, 2 * SIZE]),
            "w1": normal(1, 3 * SIZE, 2 * SIZE),
            "r1": normal(1, 3 * SIZE, SIZE),
            "b1": normal(1, 6 * SIZE),
            "s2": np.array([-1, LEVELS, SIZE]),
            "v": normal(SIZE, 2),
        },
    )


def attentive() -> onnx.ModelProto:
    """Layer normalisation and attention, and functions of one value."""
    return model_of(
        [
            node("Transpose", "x", "t", perm=[0, 2, 1]),
            node("MatMul", "t e", "h"),
            node("LayerNormalization", "h s b", "n"),
            node("MatMul", "n wq", "q"),
            node("MatMul", "n wk", "k0"),
            node("Transpose", "k0", "k", perm=[0, 2, 1]),
            node("MatMul", "q k", "scores"),
            node("Softmax", "scores", "p", axis=-1),
            node("MatMul", "p n", "m"),
            node("Add", "m h", "r"),
            node("Exp", "r", "r1"),
            node("Sin", "r1", "r2"),
            node("Erf", "r2", "r3"),
            node("Round", "m", "r4"),
            node("Greater", "r zero", "is"),
            node("Where", "is r3 r4", "o"),
            node("ReduceMax", "o axes", "y0", keepdims=0),
            node("ReduceProd", "n axes", "y1", keepdims=0),
            node("ReduceL2", "o axes", "y2", keepdims=0),
            node("Min", "y0 y1", "y3"),
            node("Concat", "y2 y3", "y", axis=1),
        ],
        {"x": ["n", CHANNELS, LEVELS]},
        {"y": ["n", 2 * LEVELS]},
        {
            "e": normal(CHANNELS, 8),
            "s": 1.0 + normal(8),
            "b": normal(8),
            "wq": normal(8, 8),
            "wk": normal(8, 8),
            "zero": np.array(0.0),
            "axes": np.array([2]),
        },
    )


@pytest.mark.parametrize("make", [convolutional, recurrent, attentive])
def test_the_runtime_gives_what_onnx_runtime_gives(tmp_path: Path, make: Any) -> None:
    model = make()
    bundle = import_network(model, tmp_path / "b", name="net")
    x = np.random.default_rng(2).normal(size=(37, CHANNELS, LEVELS)).astype(np.float32)
    found = emufort.load(bundle, backend="fortran").predict({"x": x})["y"].reshape(37, -1)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    wanted = session.run(None, {"x": x})[0].reshape(37, -1)
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-5)
