"""Recurrent layers give what ONNX Runtime gives, with the options that exporters use."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from emufort.importing.graph import read_graph
from emufort.importing.importer import emulator_of
from tests.importing.models import model_of, node

STEPS, FEATURES, SIZE = 7, 3, 5
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def recurrent_model(
    operator: str, directions: int = 1, inputs: str = "t w r b - h", **options: Any
) -> onnx.ModelProto:
    """A recurrent layer of a sequence (ncol, steps, features) with a linear layer behind it."""
    rng = np.random.default_rng(11)
    gates = GATES[operator]
    constants: dict[str, NDArray[Any]] = {
        "w": rng.normal(0.0, 0.6, (directions, gates * SIZE, FEATURES)),
        "r": rng.normal(0.0, 0.6, (directions, gates * SIZE, SIZE)),
        "b": rng.normal(0.0, 0.6, (directions, 2 * gates * SIZE)),
        "h": rng.normal(0.0, 0.6, (directions, 1, SIZE)),
        "c": rng.normal(0.0, 0.6, (directions, 1, SIZE)),
        "p": rng.normal(0.0, 0.6, (directions, 3 * SIZE)),
        "m": np.array([4], dtype=np.int32),
        "s": np.array([1, -1]),
        "v": rng.normal(0.0, 0.6, (STEPS * directions * SIZE, 6)),
    }
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node(operator, inputs, "a", hidden_size=SIZE, **options),
        node("Transpose", "a", "n", perm=[2, 0, 1, 3]),
        node("Reshape", "n s", "f"),
        node("MatMul", "f v", "y"),
    ]
    # columns are taken one at a time: the initial states have one
    return model_of(nodes, {"x": [1, STEPS, FEATURES]}, {"y": [1, 6]}, constants)


@pytest.mark.parametrize(
    ("operator", "directions", "inputs", "options"),
    [
        ("RNN", 1, "t w r b - h", {"activations": ["HardSigmoid"], "activation_alpha": [0.3]}),
        ("RNN", 2, "t w r", {"direction": "bidirectional", "clip": 0.4}),
        ("GRU", 1, "t w r b", {"linear_before_reset": 1}),
        ("GRU", 1, "t w r b - h", {"direction": "reverse"}),
        ("GRU", 2, "t w r b m h", {"direction": "bidirectional", "linear_before_reset": 1}),
        ("LSTM", 1, "t w r b", {}),
        ("LSTM", 2, "t w r b - h c", {"direction": "bidirectional"}),
        ("LSTM", 1, "t w r b - h c p", {}),
        ("LSTM", 1, "t w r b m h c", {"direction": "reverse"}),
        ("LSTM", 1, "t w r b", {"activations": ["HardSigmoid", "Softsign", "Relu"]}),
    ],
)
def test_a_recurrent_layer_is_that_of_onnx_runtime(
    operator: str, directions: int, inputs: str, options: dict[str, Any]
) -> None:
    model = recurrent_model(operator, directions, inputs, **options)
    emulator = emulator_of(read_graph(model))
    x = np.random.default_rng(2).normal(size=(20, STEPS, FEATURES)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    wanted = np.concatenate([session.run(None, {"x": row[None]})[0] for row in x])
    y = emulator.predict(x.reshape(20, -1).astype(float))
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)


def test_weights_of_all_steps_are_stored_once() -> None:
    emulator = emulator_of(read_graph(recurrent_model("LSTM", inputs="t w r b")))
    # the layer of the inputs, that of the hidden units, and the last layer
    weights = 4 * SIZE * FEATURES + 4 * SIZE * SIZE + 6 * STEPS * SIZE
    biases = 4 * SIZE + 4 * SIZE + 6
    assert emulator.plan.n_parameters == weights + biases
