"""Reductions along axes, sums from the first element on, and softmax."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from emufort.importing.arguments import (
    Inputs,
    axis_of,
    constant,
    data,
    given,
    reduced_shape,
    rows_along,
)
from emufort.importing.atoms import Atom, Lowering, stored_order
from emufort.importing.graph import Node
from emufort.importing.lowering import Handler
from emufort.importing.operators_activation import absolute, reciprocal
from emufort.importing.operators_logic import greater
from emufort.importing.refusal import refuse
from emufort.importing.values import Integers, Value, concatenated

#: Most summands of all elements of a sum from the first element on.
_MOST_SUMMANDS = 2**24
#: From this version of the operators on, softmax is along one axis.
_OPSET_OF_SOFTMAX = 13

Rows = tuple[Integers, tuple[int, ...]]


def _axes(node: Node, inputs: Inputs, rank: int) -> list[int]:
    """Return the axes of a reduction, which are an attribute or the second input."""
    found = node.attributes.get("axes")
    if given(inputs, 1) is not None:
        found = constant(node, inputs, 1)
    axes = [] if found is None else [int(axis) for axis in np.ravel(found)]
    if not axes:
        return [] if node.attributes.get("noop_with_empty_axes") else list(range(rank))
    return axes


def spread(x: Value, rows: Integers) -> Integers:
    """Return the row of each element of a value."""
    found = np.zeros(x.size, np.int64)
    taken = rows >= 0
    row = np.broadcast_to(np.arange(len(rows))[:, None], rows.shape)
    found[rows[taken]] = row[taken]
    return found.reshape(x.shape)


# ---------------------------------------------------------------------- reductions


def _of_sums(
    before: Callable[[Lowering, Value], Value], after: str, is_mean: bool = False
) -> Callable[[Lowering, Value, Rows], Value]:
    """Return a reduction that is a function of a sum of functions of the elements."""

    def reduce(state: Lowering, x: Value, where: Rows) -> Value:
        rows, shape = where
        factor = 1.0 / rows.shape[1] if is_mean else 1.0
        total = state.sums(before(state, x), rows, shape, factor)
        return total if after == "linear" else state.activation(total, after)

    return reduce


def _by_table(kind: str) -> Callable[[Lowering, Value, Rows], Value]:
    return lambda state, x, where: state.reduced(kind, x, *where)


def _square(state: Lowering, x: Value) -> Value:
    return state.combined("multiply", x, x)


def _log_sum_exp(state: Lowering, x: Value, where: Rows) -> Value:
    rows, shape = where
    x = state.stored(x)
    largest = state.reduced("maximum_of", x, rows, shape)
    powers = state.activation(x.minus(largest.taken(spread(x, rows))), "exp")
    return state.activation(state.sums(powers, rows, shape), "ln").plus(largest)


_REDUCTIONS: Mapping[str, Callable[[Lowering, Value, Rows], Value]] = {
    "ReduceL1": _of_sums(absolute, "linear"),
    "ReduceL2": _of_sums(_square, "sqrt"),
    "ReduceLogSum": _of_sums(lambda _, x: x, "ln"),
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceMax": _by_table("maximum_of"),
    "ReduceMean": _of_sums(lambda _, x: x, "linear", is_mean=True),
    "ReduceMin": _by_table("minimum_of"),
    "ReduceProd": _by_table("product_of"),
    "ReduceSum": _of_sums(lambda _, x: x, "linear"),
    "ReduceSumSquare": _of_sums(_square, "linear"),
}


def _reduction(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x = data(inputs)
    axes = _axes(node, inputs, len(x.shape))
    if not axes:
        return (x,)
    shape = reduced_shape(x.shape, axes, bool(node.attributes.get("keepdims", 1)))
    return (_REDUCTIONS[node.operator](state, x, (rows_along(x.shape, axes), shape)),)


def _position(state: Lowering, x: Value, axis: int, is_last: bool = False) -> Value:
    """Return the position (rows,) of the largest element along an axis."""
    rows = rows_along(x.shape, [axis])
    if not is_last:
        return state.reduced("first_maximum_of", x, rows, (len(rows),))
    found = state.reduced("first_maximum_of", x, rows[:, ::-1], (len(rows),))
    return found.scaled(-1.0).shifted(float(rows.shape[1] - 1))


def _arg_extreme(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x, axis = data(inputs), int(node.attributes.get("axis", 0))
    signed = x if node.operator == "ArgMax" else x.scaled(-1.0)
    found = _position(state, signed, axis, bool(node.attributes.get("select_last_index")))
    shape = reduced_shape(x.shape, [axis], bool(node.attributes.get("keepdims", 1)))
    return (found.reshaped(shape).of_kind("integer"),)


def _top(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    """Lower TopK of one element: the largest or smallest one, and its position."""
    x, count = data(inputs), constant(node, inputs, 1)
    number = 0 if count is None else int(np.ravel(count)[0])
    if number != 1:
        raise refuse(
            node.operator,
            node.name,
            f"it gives the {number} largest or smallest elements",
            "the largest number is 1",
        )
    axis, factor = int(node.attributes.get("axis", -1)), 1.0
    if not node.attributes.get("largest", 1):
        factor = -1.0
    shape = reduced_shape(x.shape, [axis], True)
    signed = x.scaled(factor)
    found = state.reduced("maximum_of", signed, rows_along(x.shape, [axis]), shape)
    position = _position(state, signed, axis).reshaped(shape)
    return found.scaled(factor).of_kind(x.kind), position.of_kind("integer")


def _cumulative(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x, found = data(inputs), constant(node, inputs, 1)
    if found is None:
        raise ValueError("it has no axis")
    rows = rows_along(x.shape, [int(np.ravel(found)[0])])
    if node.attributes.get("reverse"):
        rows = rows[:, ::-1]
    n = rows.shape[1]
    if x.size * n > _MOST_SUMMANDS:
        raise ValueError(f"it has {x.size} elements, {n} along its axis: too many")
    is_before = np.tri(n, k=-1 if node.attributes.get("exclusive") else 0, dtype=bool)
    # (rows, position of the result, positions of the summands)
    summands = np.where(is_before, rows[:, None, :], -1)
    ordered = np.empty((x.size, n), np.int64)
    ordered[rows.ravel()] = summands.reshape(-1, n)
    if node.operator == "CumProd":
        one = Value.constant(np.ones(1))
        extended = np.where(ordered < 0, x.size, ordered)
        whole = concatenated([state.stored(x), one])
        return (state.reduced("product_of", whole, extended, x.shape),)
    return (state.sums(x, ordered, x.shape),)


# -------------------------------------------------------------------------- softmax


def row_order(x: Value, rows: Integers) -> Integers | None:
    """Return the elements of a value as they are stored; None if rows are not contiguous there."""
    order = stored_order(x)
    if order is None:
        order = np.arange(x.size)
    row = spread(x, rows).ravel()[order].reshape(rows.shape)
    return order if np.all(row == row[:, :1]) else None


def softmax(state: Lowering, x: Value, rows: Integers, is_logarithm: bool = False) -> Value:
    """Return the softmax of the elements of each row.

    Elements that a mask makes minus infinite are 0, and those of rows without others.
    """
    is_kept = x.bias != -np.inf
    if not np.all(is_kept):
        return _masked_softmax(state, x, rows, is_kept)
    x = state.stored(x)
    where = spread(x, rows)
    if not is_logarithm and np.all(rows >= 0):
        order = row_order(x, rows)
        if order is None:
            order = rows.ravel()
        argument = x.taken(order)
        atom = Atom(x.size, "softmax", (argument,), extent=rows.shape)
        return state.atom(atom).taken(np.argsort(order).reshape(x.shape))
    largest = state.reduced("maximum_of", x, rows, (len(rows),))
    difference = x.minus(largest.taken(where))
    powers = state.activation(difference, "exp")
    total = state.sums(powers, rows, (len(rows),))
    if is_logarithm:
        return difference.minus(state.activation(total, "ln").taken(where))
    return state.combined("multiply", powers, reciprocal(state, total).taken(where))


def _masked_softmax(
    state: Lowering, x: Value, rows: Integers, is_kept: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> Value:
    kept = np.flatnonzero(is_kept)
    if not len(kept):
        return Value.constant(np.zeros(x.shape))
    number = np.full(x.size + 1, -1)
    number[kept] = np.arange(len(kept))
    found = number[rows]
    found = found[np.any(found >= 0, axis=1)]
    part = softmax(state, x.taken(kept), found)
    return part.taken(number[:-1].reshape(x.shape))


def _softmax(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x = data(inputs)
    is_new = state.opset >= _OPSET_OF_SOFTMAX
    axis = axis_of(int(node.attributes.get("axis", -1 if is_new else 1)), len(x.shape))
    axes = [axis] if is_new else list(range(axis, len(x.shape)))
    rows = rows_along(x.shape, axes)
    if node.operator != "Hardmax":
        return (softmax(state, x, rows, node.operator == "LogSoftmax"),)
    position = state.reduced("first_maximum_of", x, rows, (len(rows),))
    numbers = np.empty(x.size)
    numbers[rows.ravel()] = np.tile(np.arange(rows.shape[1]), len(rows))
    here = Value.constant(numbers.reshape(x.shape))
    there = position.taken(spread(x, rows))
    unequal = greater(state, here, there).plus(greater(state, there, here))
    return (unequal.scaled(-1.0).shifted(1.0),)


#: ONNX operator -> function that lowers it.
REDUCTIONS: Mapping[str, Handler] = {
    "ArgMax": _arg_extreme,
    "ArgMin": _arg_extreme,
    "CumProd": _cumulative,
    "CumSum": _cumulative,
    "Hardmax": _softmax,
    "LogSoftmax": _softmax,
    **dict.fromkeys(_REDUCTIONS, _reduction),
    "Softmax": _softmax,
    "TopK": _top,
}
