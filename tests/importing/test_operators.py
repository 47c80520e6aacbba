"""Every supported operation gives what the reference implementation of ONNX gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator

from emufort.export.weights_file import WeightsFile
from emufort.importing.graph import read_graph
from emufort.importing.importer import emulator_of
from emufort.importing.operators import HANDLERS
from emufort.native import bindings as native_bindings
from emufort.native.bindings import FortranEmulator
from tests.importing.cases import CASES, Case
from tests.importing.cases_nonlinear import NONLINEAR_CASES
from tests.importing.models import model_of, node

ALL_CASES = [*CASES, *NONLINEAR_CASES]
#: Values that cases may use besides ``x``, made of it.
HELPERS = {
    "v": [node("Sin", "x", "v")],
    "t": [node("Sin", "x", "v"), node("Transpose", "v", "t", perm=[0, 1, 3, 2])],
    "p": [node("Greater", "x zero", "p")],
    "q": [node("Sin", "x", "v"), node("Greater", "v half", "q")],
    "y1": [node("Cosh", "x", "y1")],
}


def outputs_of(model: ModelProto, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The outputs (n, m) of the reference implementation for inputs (n, k)."""
    found = [
        [np.ravel(y) for y in ReferenceEvaluator(model).run(None, {"x": row[None]})]
        for row in x.astype(np.float32)
    ]
    return np.array([np.concatenate(row) for row in found], dtype=float)


def test_every_operation_has_a_case() -> None:
    assert {case.operator for case in ALL_CASES} == set(HANDLERS)


def test_the_documented_operations_are_the_supported_ones() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "import.md").read_text()
    table = page.split("| kind | ONNX operations |")[1].split("\n\n")[0]
    rows = table.strip().splitlines()[1:]
    words = {word for row in rows for word in re.findall(r"[A-Z]\w+", row.split("|")[2])}
    assert words == set(HANDLERS)


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda c: f"{c.operator}-{c.inputs}-{c.shape}")
def test_the_operation_is_that_of_the_reference(case: Case) -> None:
    # the reference implementation does not look at the shapes of outputs
    outputs: dict[str, list[int | str]] = {name: [] for name in case.outputs.split()}
    helpers = {
        made.output[0]: made
        for name in case.inputs.split()
        if name not in case.constants
        for made in HELPERS.get(name, ())
    }
    model = model_of(
        [*helpers.values(), node(case.operator, case.inputs, case.outputs, **case.attributes)],
        {"x": ["ncol", *case.shape]},
        outputs,
        {**case.constants, "zero": np.array(0.0), "half": np.array(0.5)},
        case.opset,
    )
    emulator = emulator_of(read_graph(model))
    x = np.random.default_rng(1).normal(size=(12, int(np.prod(case.shape))))
    if case.first is not None:
        x = case.first + np.abs(x)
    run: Callable[..., Any] = ReferenceEvaluator(model).run
    if case.by_runtime:
        run = onnxruntime.InferenceSession(model.SerializeToString()).run
    results = []
    for row in x.astype(np.float32):
        found = run(None, {"x": row.reshape(1, *case.shape)})
        results.append(np.concatenate([np.ravel(y) for y in found]))
    wanted = np.array(results, dtype=float)
    assert np.ptp(wanted) > 0.0
    y = emulator.predict(x.astype(np.float32).astype(float))
    np.testing.assert_allclose(y, wanted, rtol=2e-6, atol=2e-6)


@pytest.mark.skipif(not native_bindings.available(), reason="the bindings are not built")
@pytest.mark.parametrize(
    ("operator", "function", "largest"),
    [("Asin", np.arcsin, 1.0), ("Acos", np.arccos, 1.0), ("Atan", np.arctan, 3e38)],
)
def test_inverse_functions_have_the_accuracy_of_the_precision(
    operator: str, function: Callable[..., Any], largest: float
) -> None:
    model = model_of([node(operator, "x", "y")], {"x": ["n", 1]}, {"y": ["n", 1]}, {})
    emulator, exact = (emulator_of(read_graph(model), precision=p) for p in ("single", "double"))
    near = np.concatenate([np.linspace(-1.0, 1.0, 401), 1.0 - np.geomspace(1e-7, 1e-2, 50)])
    x = np.concatenate([near, -near, np.geomspace(1e-20, largest, 500)]).astype(np.float32)[:, None]
    wanted = function(x.astype(float))
    fortran = FortranEmulator.from_bytes(WeightsFile.from_emulator(emulator).to_bytes())
    np.testing.assert_allclose(exact.predict(x.astype(float)), wanted, rtol=5e-15, atol=1e-15)
    for y in (emulator.predict(x.astype(float), "single"), fortran.predict(x).y):
        np.testing.assert_allclose(y, wanted, rtol=5e-7, atol=1e-7)
    if largest == 1.0:
        with np.errstate(invalid="ignore"):
            assert np.isnan(emulator.predict(np.array([[1.5]]))).all()
        assert np.isnan(fortran.predict(np.array([[1.5]], np.float32)).y).all()


@pytest.mark.parametrize("is_swapped", [False, True])
def test_gelu_of_the_error_function(is_swapped: bool) -> None:
    factors = "gate half" if not is_swapped else "half gate"
    model = model_of(
        [
            node("Div", "x root", "u"),
            node("Erf", "u", "e"),
            node("Add", "e one", "gate"),
            node("Mul", factors, "g"),
            node("Mul", "x g" if is_swapped else "g x", "y"),
        ],
        {"x": ["n", 4]},
        {"y": ["n", 4]},
        {"root": np.sqrt(2.0), "half": np.array(0.5), "one": np.array(1.0)},
    )
    emulator = emulator_of(read_graph(model))
    assert [o.activation for o in emulator.plan.operations] == ["gelu"]
    x = np.linspace(-4.0, 4.0, 20).reshape(5, 4)
    wanted = outputs_of(model, x)
    np.testing.assert_allclose(emulator.predict(x), wanted, atol=1e-6)


def test_swish_and_hardswish_that_an_exporter_took_apart() -> None:
    model = model_of(
        [
            node("HardSigmoid", "x", "h", alpha=1 / 6, beta=0.5),
            node("Mul", "x h", "hard"),
            node("Sigmoid", "x", "s"),
            node("Mul", "s x", "soft"),
            node("Relu", "x", "r"),
            node("Mul", "r r", "squared"),
            node("Concat", "hard soft squared", "y", axis=1),
        ],
        {"x": ["n", 2]},
        {"y": ["n", 6]},
        {},
    )
    emulator = emulator_of(read_graph(model))
    used = {o.activation for o in emulator.plan.operations} - {"linear"}
    assert used == {"hardswish", "silu", "squared_relu"}
    x = np.linspace(-5.0, 5.0, 20).reshape(10, 2)
    wanted = outputs_of(model, x)
    np.testing.assert_allclose(emulator.predict(x), wanted, atol=1e-5)


@pytest.mark.skipif(not native_bindings.available(), reason="the bindings are not built")
def test_a_row_without_variation_is_normalised_to_the_shift_by_every_form() -> None:
    model = model_of(
        [node("LayerNormalization", "x s b", "y", epsilon=0.0)],
        {"x": ["n", 4]},
        {"y": ["n", 4]},
        {"s": np.arange(1.0, 5.0), "b": np.arange(4.0)},
    )
    emulator = emulator_of(read_graph(model))
    x = np.array([[0.3, 0.3, 0.3, 0.3], [1.0, 2.0, 4.0, 8.0]])
    fortran = FortranEmulator.from_bytes(WeightsFile.from_emulator(emulator).to_bytes())
    for y in (emulator.predict(x), emulator.predict(x, "single"), fortran.predict(x).y):
        np.testing.assert_allclose(y[0], np.arange(4.0), atol=1e-6)
        assert abs(y[1, 3] - 3.0) > 1.0
