"""Pooling and interpolation of positions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from emufort.importing.arguments import Inputs, constants, data, rows_along
from emufort.importing.atoms import Lowering
from emufort.importing.evaluation import evaluate
from emufort.importing.graph import Node
from emufort.importing.lowering import Handler
from emufort.importing.operators_activation import absolute
from emufort.importing.operators_products import power
from emufort.importing.refusal import refuse
from emufort.importing.values import Integers, Value
from emufort.importing.windows import Windows, geometry, windows


def _windows(node: Node, x: Value) -> Windows:
    sizes = x.shape[2:]
    kernel = tuple(int(n) for n in node.attributes["kernel_shape"])
    form = geometry(node, sizes, kernel)
    return windows(sizes, form, bool(node.attributes.get("ceil_mode")))


def _rows(x: Value, places: Integers) -> Integers:
    """Return the elements of windows of all channels, (channels * windows, positions)."""
    first = np.arange(math.prod(x.shape[:2]))[:, None, None] * math.prod(x.shape[2:])
    return np.where(places < 0, -1, first + places).reshape(-1, places.shape[1])


def _maximum(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    if len([name for name in node.outputs if name]) > 1:
        raise refuse("MaxPool", node.name, "its indices are used", "use only its maxima")
    x = data(inputs)
    found = _windows(node, x)
    shape = (*x.shape[:2], *found.shape)
    return (state.reduced("maximum_of", x, _rows(x, found.places), shape),)


def _average(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x = data(inputs)
    found = _windows(node, x)
    counted = found.places >= 0
    if node.attributes.get("count_include_pad"):
        counted |= found.are_padding
    factors = np.tile(1.0 / counted.sum(axis=1), math.prod(x.shape[:2]))
    shape = (*x.shape[:2], *found.shape)
    return (state.sums(x, _rows(x, found.places), shape, factors),)


def _norm(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x, p = data(inputs), float(node.attributes.get("p", 2))
    powers = power(state, x if p % 2 == 0 else absolute(state, x), p)
    found = _windows(node, x)
    shape = (*x.shape[:2], *found.shape)
    return (power(state, state.sums(powers, _rows(x, found.places), shape), 1.0 / p),)


def _global(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x = data(inputs)
    rows = rows_along(x.shape, range(2, len(x.shape)))
    shape = (*x.shape[:2], *(1,) * (len(x.shape) - 2))
    if node.operator == "GlobalMaxPool":
        return (state.reduced("maximum_of", x, rows, shape),)
    return (state.sums(x, rows, shape, 1.0 / rows.shape[1]),)


def _interpolation(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    """Lower Resize: each unit vector of the positions is a channel."""
    x = data(inputs)
    rest = constants(node, inputs)
    sizes, n = x.shape[2:], math.prod(x.shape[2:])
    (found,) = evaluate(node, [np.zeros(x.shape), *rest], state.opset)
    if found.shape[:2] != x.shape[:2] or len(x.shape) < 3:
        raise refuse(
            node.operator, node.name, "it interpolates channels", "interpolate positions only"
        )
    units = np.eye(n).reshape(1, n, *sizes)
    given = [_with_channels(node, place, value, n) for place, value in enumerate(rest, start=1)]
    (columns,) = evaluate(node, [units, *given], state.opset)
    # positions outside the input may have a fixed value
    differences = columns.reshape(n, -1).astype(np.float64) - found[0, 0].ravel()
    matrix = sparse.csr_array(differences.T)
    whole = sparse.csr_array(sparse.kron(sparse.eye_array(math.prod(x.shape[:2])), matrix))
    return (state.linear(x, whole, found.shape).shifted(found),)


def _with_channels(
    node: Node, place: int, value: NDArray[Any] | None, n: int
) -> NDArray[Any] | None:
    """Return an input of Resize for `n` channels: the sizes name their number."""
    axes = [int(axis) for axis in node.attributes.get("axes", ())]
    if value is None or place != 3 or not value.size:
        return value
    changed = value.copy()
    where = axes.index(1) if 1 in axes else (1 if not axes else None)
    if where is not None:
        changed[where] = n
    return changed


#: ONNX operator -> function that lowers it.
POOLING: Mapping[str, Handler] = {
    "AveragePool": _average,
    "GlobalAveragePool": _global,
    "GlobalMaxPool": _global,
    "LpPool": _norm,
    "MaxPool": _maximum,
    "Resize": _interpolation,
}
