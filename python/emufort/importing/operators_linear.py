"""Operations that are linear in their input: their matrix is found from unit vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from emufort.importing.evaluation import evaluate
from emufort.importing.graph import Node
from emufort.importing.lowering import Handler, Lowering
from emufort.importing.refusal import refuse
from emufort.importing.values import Value, broadcast

Inputs = list[NDArray[Any] | Value | None]

#: Unit vectors that are evaluated at a time.
_BATCH = 512


def _constants(node: Node, inputs: Inputs, first: int = 1) -> list[NDArray[Any] | None]:
    """Return the inputs from `first` on, which must be constants."""
    found: list[NDArray[Any] | None] = []
    for value in inputs[first:]:
        if isinstance(value, Value):
            raise refuse(
                node.operator,
                node.name,
                "two of its inputs depend on the inputs of the model",
                "only products with constants are supported",
            )
        found.append(None if value is None else np.asarray(value))
    return found


def _data(inputs: Inputs) -> Value:
    value = inputs[0]
    if not isinstance(value, Value):
        raise ValueError("its first input is a constant, another is not")
    return value


def lean(state: Lowering, value: Value, n_out: int) -> Value:
    """Return a value, as a linear layer of its own if that needs fewer multiply-adds.

    Composing a map to few elements with a map to many would give a large matrix.
    """
    n_in = sum(m.shape[1] for m in value.terms.values())
    if value.size * (n_in + n_out) < 0.9 * n_in * n_out and state.atom_of(value) is None:
        return state.activation(value, "linear")
    return value


def _matmul(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    left, right = inputs[0], inputs[1]
    if isinstance(left, Value) and isinstance(right, Value):
        _constants(node, inputs)
    if isinstance(left, Value):
        weights = np.asarray(right, dtype=np.float64)
        left = lean(state, left, _size_of(np.matmul, left.shape, weights.shape))
        return (_of_units(left, lambda units: np.matmul(units, weights)),)
    assert isinstance(right, Value)
    weights = np.asarray(left, dtype=np.float64)
    return (_of_units(right, lambda units: np.matmul(weights, units)),)


def _size_of(function: Any, *shapes: tuple[int, ...]) -> int:
    return int(np.size(function(*(np.broadcast_to(0.0, shape) for shape in shapes))))


def _of_units(value: Value, function: Any) -> Value:
    """Apply a linear function of arrays, which keeps a leading dimension of unit vectors."""
    n = value.size
    blocks = []
    shape: tuple[int, ...] = ()
    for start in range(0, n, _BATCH):
        count = min(_BATCH, n - start)
        units = np.zeros((count, n))
        units[np.arange(count), start + np.arange(count)] = 1.0
        found = np.asarray(function(units.reshape(count, *value.shape)), dtype=np.float64)
        if found.ndim < len(value.shape):  # a vector times a matrix
            found = found.reshape(count, -1)
        shape = found.shape[1:]
        blocks.append(sparse.csr_array(found.reshape(count, -1)))
    matrix = sparse.vstack(blocks, format="csr").T
    return value.mapped(sparse.csr_array(matrix), shape)


def _gemm(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    options = node.attributes
    alpha, beta = float(options.get("alpha", 1.0)), float(options.get("beta", 1.0))
    (weights,) = _constants(node, inputs[:2])
    assert weights is not None
    if options.get("transA"):
        raise refuse("Gemm", node.name, "it transposes its input", "export without transA")
    weights = np.asarray(weights.T if options.get("transB") else weights, dtype=np.float64)
    x = lean(state, _data(inputs), weights.shape[1])
    found = _of_units(x, lambda units: np.matmul(units, alpha * weights))
    if len(inputs) > 2 and inputs[2] is not None:
        other, _ = broadcast([Value.of(inputs[2]), found])
        found = found.plus(other.scaled(np.full(other.size, beta)))
    return (found,)


def _affine_by_units(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    """Lower an operation whose first dimension is that of independent samples."""
    rest = [None if v is None else v.astype(np.float64) for v in _constants(node, inputs)]
    x = _data(inputs)
    if x.shape[0] != 1:
        raise refuse(node.operator, node.name, "its first dimension is not 1", "do not merge it")
    (offset,) = evaluate(node, [np.zeros(x.shape), *rest], state.opset)[:1]

    def function(units: NDArray[np.float64]) -> NDArray[np.float64]:
        batch = units.reshape(len(units), *x.shape[1:])
        (found,) = evaluate(node, [batch, *rest], state.opset)[:1]
        return np.asarray(found - offset).reshape(len(units), *offset.shape)

    return (_of_units(x, function).shifted(offset),)


def _affine_one_by_one(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    """Lower an operation that is evaluated for one unit vector at a time."""
    rest = _constants(node, inputs)
    x = _data(inputs)

    def function(units: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([evaluate(node, [unit, *rest], state.opset)[0] for unit in units])

    return (_of_units(x, function),)


def _sum(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    values = broadcast([Value.of(v) for v in inputs])
    total = values[0]
    for value in values[1:]:
        total = total.minus(value) if node.operator == "Sub" else total.plus(value)
    if node.operator == "Mean":
        total = total.scaled(np.full(total.size, 1.0 / len(values)))
    return (total,)


def _negative(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x = _data(inputs)
    return (x.scaled(np.full(x.size, -1.0)),)


def _batch_normalization(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    if node.attributes.get("training_mode"):
        raise refuse(
            node.operator, node.name, "it is in training mode", "export the model for inference"
        )
    x = _data(inputs)
    found = [np.asarray(v, dtype=np.float64) for v in _constants(node, inputs) if v is not None]
    scale, bias, mean, variance = found
    factor = scale / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    channels = (-1, *(1,) * (len(x.shape) - 2))
    offset = (bias - mean * factor).reshape(channels)
    scaled = x.scaled(np.broadcast_to(factor.reshape(channels), x.shape).astype(np.float64))
    return (scaled.shifted(np.broadcast_to(offset, x.shape)),)


def _global_average(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x = _data(inputs)
    axes = tuple(range(3, len(x.shape) + 1))
    return (_of_units(x, lambda units: units.mean(axis=axes, keepdims=True)),)


#: ONNX operator -> function that lowers it.
LINEAR: Mapping[str, Handler] = {
    "Add": _sum,
    "AveragePool": _affine_by_units,
    "BatchNormalization": _batch_normalization,
    "Conv": _affine_by_units,
    "ConvTranspose": _affine_by_units,
    "CumSum": _affine_one_by_one,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average,
    "MatMul": _matmul,
    "Mean": _sum,
    "Neg": _negative,
    "ReduceMean": _affine_one_by_one,
    "ReduceSum": _affine_one_by_one,
    "Resize": _affine_one_by_one,
    "Sub": _sum,
    "Sum": _sum,
    "Upsample": _affine_one_by_one,
}
