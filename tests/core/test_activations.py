"""The table of activation functions: every row says one thing in all its forms."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import emufort
from emufort.config import Config
from emufort.errors import EmufortError, UsageError
from emufort.export.onnx import _Graph
from emufort.network.activations import ACTIVATION_FUNCTIONS, ACTIVATIONS, parse, text_of
from emufort.network.architecture import Architecture
from emufort.training.torch_activations import ACTIVATIONS as IN_PLACE

ROWS = list(ACTIVATION_FUNCTIONS.values())
TRAINED = [row for row in ROWS if row.is_trained]
#: Functions of positive numbers.
OF_POSITIVE = ("ln", "sqrt", "reciprocal")
TRAINER = Path(emufort.__file__).parents[2] / "fortran/trainer/emufort_train_activations.F90"
#: No kink lies here.
POINTS = np.linspace(-8.0, 8.0, 161) + 0.013
PARAMETER = 0.3


def parameter_of(row) -> float:
    return 0.0 if row.parameter is None else PARAMETER


def points_of(row) -> np.ndarray:
    return np.abs(POINTS) if row.name in OF_POSITIVE else POINTS


@pytest.mark.parametrize("row", TRAINED, ids=lambda row: row.name)
def test_the_derivative_is_that_of_the_value(row) -> None:
    p, h = parameter_of(row), 1e-5
    expected = (row.value(POINTS + h, p) - row.value(POINTS - h, p)) / (2 * h)
    np.testing.assert_allclose(row.derivative(POINTS, p), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_torch_agrees_with_the_definition(row) -> None:
    p, z = parameter_of(row), torch.tensor(points_of(row), requires_grad=True)
    a = row.torch(torch, z, p)
    expected = row.value(points_of(row), p)
    np.testing.assert_allclose(a.detach().numpy(), expected, rtol=1e-12, atol=1e-15)
    if not row.is_trained:
        return
    a.sum().backward()
    np.testing.assert_allclose(z.grad.numpy(), row.derivative(POINTS, p), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_onnx_agrees_with_the_definition(row) -> None:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    p, graph = parameter_of(row), _Graph("single")
    name = graph.node("Identity", [row.onnx(graph, "z", p)], "y")
    values = [helper.make_tensor_value_info(v, TensorProto.FLOAT, ["n"]) for v in ("z", name)]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "one", values[:1], values[1:], graph.initializers),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    points = points_of(row).astype(np.float32)
    (found,) = session.run(None, {"z": points})
    expected = row.value(points.astype(float), p)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_halves_are_rounded_to_even_and_zero_is_no_step() -> None:
    z = np.array([-1.5, -0.5, 0.0, 0.5, 1.5, 2.5])
    rounded, step = (ACTIVATION_FUNCTIONS[name] for name in ("round", "step"))
    np.testing.assert_array_equal(rounded.value(z, 0.0), [-2, 0, 0, 0, 2, 2])
    np.testing.assert_array_equal(step.value(z, 0.0), [0, 0, 0, 1, 1, 1])
    for row in (rounded, step):
        np.testing.assert_array_equal(row.torch(torch, torch.tensor(z), 0.0), row.value(z, 0.0))


@pytest.mark.parametrize("row", [r for r in ROWS if not r.is_trained], ids=lambda row: row.name)
def test_a_function_of_imported_networks_is_no_choice_for_a_trained_layer(row) -> None:
    assert row.name not in ACTIVATIONS
    with pytest.raises(EmufortError, match="there is no activation function"):
        parse(row.name)


def test_both_trainers_and_the_runtime_know_every_row() -> None:
    assert sorted(row.code for row in ROWS) == list(range(len(ROWS)))
    assert set(IN_PLACE) == {row.name for row in TRAINED}
    if TRAINER.is_file():
        text = TRAINER.read_text()
        # It takes the codes from the runtime, whose codes are compared in tests/export.
        assert not re.search(r"parameter :: activation_\w+ = \d", text)
        can_train = text[text.index("function can_train") : text.index("end function can_train")]
        assert set(re.findall(r"activation_(\w+)", can_train)) - {"codes"} == set(IN_PLACE)


@given(st.sampled_from(TRAINED), st.floats(0.0, 1e6))
def test_texts_are_read_as_they_are_written(row, value: float) -> None:
    p = 0.0 if row.parameter is None else value
    assert parse(text_of(row.name, p)) == (row, p)
    assert parse(row.name) == (row, row.parameter or 0.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sillu", r"no activation function 'sillu' \(did you mean 'silu'\?\)"),
        ("relu:0.1", "'relu' has no parameter; write 'relu'"),
        ("elu:", "needs a parameter from 0 to 1e6, such as 'elu:1'"),
        ("leaky_relu:-0.1", "needs a parameter from 0 to 1e6"),
        ("leaky_relu:nan", "needs a parameter from 0 to 1e6"),
        ("", "no activation function ''"),
    ],
)
def test_what_is_no_activation_function_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(EmufortError, match=complaint) as caught:
        Architecture(2, (3,), 1, text)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=complaint) as refused:
        Config.from_dict({"search": {"space": {"activation": [text]}}})
    assert "\n" not in str(refused.value)


def test_a_search_takes_every_function_but_linear() -> None:
    space = Config.from_dict({"search": {"space": {"activation": [*ACTIVATIONS, "elu:0.50"]}}})
    assert space.search.space.activation == (*ACTIVATIONS, "elu:0.5")
    with pytest.raises(UsageError, match="linear hidden layers"):
        Config.from_dict({"search": {"space": {"activation": ["linear"]}}})
    with pytest.raises(UsageError, match="activation lists a choice twice"):
        Config.from_dict({"search": {"space": {"activation": ["elu", "elu:1.0"]}}})
