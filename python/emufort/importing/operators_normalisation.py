"""Normalisation of groups of elements by their own mean and spread."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from emufort.importing.arguments import (
    Inputs,
    axis_of,
    data,
    given,
    number,
    numbers_of,
    rows_along,
)
from emufort.importing.atoms import Atom, Lowering, stored_order
from emufort.importing.graph import Node
from emufort.importing.lowering import Handler
from emufort.importing.operators_activation import absolute, reciprocal
from emufort.importing.operators_linear import summed
from emufort.importing.operators_products import multiplied, power
from emufort.importing.operators_reductions import spread
from emufort.importing.refusal import refuse
from emufort.importing.values import Integers, Value

#: Smallest number that is added to a variance: the smallest normal one in single precision.
_SMALLEST = float(np.finfo(np.float32).tiny)


def _deviations(state: Lowering, x: Value, rows: Integers) -> tuple[Value, Value]:
    """Return the differences from the mean of each row, and the means (rows,)."""
    mean = state.sums(x, rows, (len(rows),), 1.0 / rows.shape[1])
    return state.stored(x.minus(mean.taken(spread(x, rows)))), mean


def _inverse_spread(state: Lowering, x: Value, rows: Integers, epsilon: float) -> Value:
    """Return 1/sqrt(mean square + epsilon) of each row, (rows,)."""
    square = state.combined("multiply", x, x)
    mean = state.sums(square, rows, (len(rows),), 1.0 / rows.shape[1])
    return reciprocal(state, state.activation(mean.shifted(epsilon), "sqrt"))


def _normalised(
    state: Lowering,
    x: Value,
    rows: Integers,
    epsilon: float,
    scale: Value | None,
    shift: Value | None,
) -> Value:
    """Return the elements of each row with mean 0 and variance 1, then scaled and shifted."""
    order = stored_order(x)
    if order is None:
        order = np.arange(x.size)
    found = _extent_of(spread(x, rows).ravel()[order], rows.shape)
    if found is None:
        order, found = rows.ravel(), (len(rows), 1, 1, rows.shape[1])
    factors = [
        np.broadcast_to(default if v is None else v.bias.reshape(v.shape), x.shape)
        for v, default in ((scale, 1.0), (shift, 0.0))
        if v is None or not v.terms
    ]
    # Rows of channels; with one row for all repetitions, every element is a channel.
    for extent in (found, (1, 1, found[0] * found[2], found[3])):
        channels = [f.ravel()[order].reshape(-1, extent[2] * extent[3]) for f in factors]
        is_same = all(np.all(c == c[0]) for c in channels)
        if is_same or found[1] > 1:
            break
    if len(factors) < 2 or not is_same:
        n = found[2] * found[3]
        extent, channels = found, [np.ones((1, n)), np.zeros((1, n))]
    else:
        scale = shift = None
    # All forms give the shift for a row without variation; without epsilon, some would give NaN.
    weight = np.append(channels[0][0], max(epsilon, _SMALLEST))
    atom = Atom(
        x.size, "normalise", (x.taken(order),), "linear", 0.0, extent, weight, channels[1][0]
    )
    y = state.atom(atom).taken(np.argsort(order).reshape(x.shape))
    return _scaled(state, y, scale, shift)


def _extent_of(row: Integers, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Return (parts, repetitions, groups, channels of a group), given the row of each element.

    Rows follow each other, or each consists of some consecutive channels of all repetitions.
    """
    n_rows, n = shape
    run = int(np.argmax(np.append(row, -1) != row[0]))
    if run == n and np.all(row.reshape(shape) == row[::n, None]):
        return n_rows, 1, 1, n
    if n % run or np.any(row.reshape(n // run, n_rows, run) != row[: n_rows * run : run, None]):
        return None
    return 1, n // run, n_rows, run


def _scaled(state: Lowering, x: Value, scale: Value | None, shift: Value | None) -> Value:
    if scale is not None:
        x = multiplied(state, x, scale).reshaped(x.shape)
    return x if shift is None else summed(state, [x, shift])


def _of_channels(value: Value, rank: int, repeats: int = 1) -> Value:
    """Return a value (channels,) in the shape (channels, 1, ...)."""
    places = np.repeat(numbers_of(value.shape).ravel(), repeats)
    return value.taken(places.reshape(-1, *(1,) * (rank - 2)))


def _optional(inputs: Inputs, place: int) -> Value | None:
    found = given(inputs, place)
    return None if found is None else Value.of(found)


def _epsilon(node: Node) -> float:
    """Return what is added to variances."""
    found = number(node.attributes, "epsilon", 1e-5)
    if not 0.0 <= found < math.inf:
        raise ValueError(f"its epsilon is {found:g}; it must be a number of at least 0")
    return found


def _layer(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    """Lower LayerNormalization and RMSNormalization."""
    x = state.stored(Value.of(inputs[0]))
    axis = axis_of(int(node.attributes.get("axis", -1)), len(x.shape))
    rows = rows_along(x.shape, range(axis, len(x.shape)))
    epsilon = _epsilon(node)
    scale, shift = _optional(inputs, 1), _optional(inputs, 2)
    if node.operator == "RMSNormalization":
        inverse = _inverse_spread(state, x, rows, epsilon)
        found = state.combined("multiply", x, inverse.taken(spread(x, rows)))
        return (_scaled(state, found, scale, None),)
    if not any(node.outputs[1:]):
        return (_normalised(state, x, rows, epsilon, scale, shift),)
    deviations, mean = _deviations(state, x, rows)
    inverse = _inverse_spread(state, deviations, rows, epsilon)
    found = state.combined("multiply", deviations, inverse.taken(spread(x, rows)))
    shape = (*x.shape[:axis], *(1,) * (len(x.shape) - axis))
    return _scaled(state, found, scale, shift), mean.reshaped(shape), inverse.reshaped(shape)


def _group(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    """Lower GroupNormalization and InstanceNormalization."""
    x = state.stored(Value.of(inputs[0]))
    channels, rank = x.shape[1], len(x.shape)
    groups = channels
    if node.operator == "GroupNormalization":
        groups = int(node.attributes["num_groups"])
    if groups < 1 or channels % groups:
        raise ValueError(f"it has {channels} channels in {groups} groups")
    rows = numbers_of(x.shape).reshape(x.shape[0] * groups, -1)
    factors = [Value.of(v) for v in inputs[1:3]]
    scale, shift = (_of_channels(v, rank, channels // v.size) for v in factors)
    epsilon = _epsilon(node)
    return (_normalised(state, x, rows, epsilon, scale, shift),)


def _mean_variance(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x = state.stored(data(inputs))
    axes = [int(axis) for axis in node.attributes.get("axes", (0, 2, 3))]
    rows = rows_along(x.shape, axes)
    deviations, _ = _deviations(state, x, rows)
    square = state.combined("multiply", deviations, deviations)
    mean = state.sums(square, rows, (len(rows),), 1.0 / rows.shape[1])
    # the definition adds 1e-9 to the spread
    inverse = reciprocal(state, state.activation(mean, "sqrt").shifted(1e-9))
    return (state.combined("multiply", deviations, inverse.taken(spread(x, rows))),)


def _norm(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x, p = state.stored(data(inputs)), int(node.attributes.get("p", 2))
    if p not in (1, 2):
        raise refuse(node.operator, node.name, f"its norm is of the order {p}", "use 1 or 2")
    rows = rows_along(x.shape, [int(node.attributes.get("axis", -1))])
    powers = absolute(state, x) if p == 1 else state.combined("multiply", x, x)
    norm = power(state, state.sums(powers, rows, (len(rows),)), 1.0 / p)
    return (state.combined("multiply", x, reciprocal(state, norm).taken(spread(x, rows))),)


def _local_response(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    """Lower LRN: x / (bias + alpha/size sum(x**2))**beta, the sum over neighbouring channels."""
    x, size = state.stored(data(inputs)), int(node.attributes["size"])
    alpha, beta, bias = (
        number(node.attributes, name, default)
        for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
    )
    if not 1 <= size <= 2 * x.shape[1] + 1 or alpha < 0.0 or bias <= 0.0:
        raise ValueError(f"it has the size {size}, alpha {alpha} and bias {bias}")
    channels = np.arange(x.shape[1])[:, None] - (size - 1) // 2 + np.arange(size)
    is_channel = (channels >= 0) & (channels < x.shape[1])
    # (channels, rest, size)
    numbers = np.moveaxis(numbers_of(x.shape), 1, 0).reshape(x.shape[1], -1)
    rows = np.where(is_channel[:, None], numbers[channels % x.shape[1]].swapaxes(1, 2), -1)
    order = np.argsort(numbers.ravel())
    sums = state.sums(
        state.combined("multiply", x, x), rows.reshape(-1, size)[order], x.shape, alpha / size
    )
    return (state.combined("multiply", x, power(state, sums.shifted(bias), -beta)),)


#: ONNX operator -> function that lowers it.
NORMALISATION: Mapping[str, Handler] = {
    "GroupNormalization": _group,
    "InstanceNormalization": _group,
    "LRN": _local_response,
    "LayerNormalization": _layer,
    "LpNormalization": _norm,
    "MeanVarianceNormalization": _mean_variance,
    "RMSNormalization": _layer,
}
