"""Sums and products of matrices."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

import numpy as np

from emufort.importing.arguments import Inputs, constants, data, given, numbers_of
from emufort.importing.atoms import Lowering
from emufort.importing.graph import Node
from emufort.importing.lowering import Handler
from emufort.importing.operators_products import multiplied
from emufort.importing.refusal import refuse
from emufort.importing.values import Array, Value, selected


def matrix_product(state: Lowering, left: Value, right: Value) -> Value:
    """Return the product of matrices (B, M, K) and (B, K, N); a B of 1 is broadcast."""
    b = max(left.shape[0], right.shape[0])
    m, (k, n) = left.shape[1], right.shape[1:]
    if left.shape[2] != k:
        raise ValueError(f"matrices of {left.shape[2]} columns and {k} rows have no product")
    if left.terms and right.terms:
        if m == k == 1 or k == n == 1:
            return multiplied(state, left, right)
        factor, right = _without_factor(right)
        one, other = (_each(state, value, b) for value in (left.scaled(factor), right))
        return state.matmul(one, other)
    if left.terms:
        return _layers(state, left, right.bias.reshape(right.shape), b)
    # (w x)^T = x^T w^T, a layer with the weights w
    turned = right.taken(numbers_of(right.shape).swapaxes(1, 2))
    weights = left.bias.reshape(left.shape).swapaxes(1, 2)
    found = _layers(state, turned, weights, b)
    return found.taken(numbers_of(found.shape).swapaxes(1, 2)).reshaped((b, m, n))


def _without_factor(value: Value) -> tuple[float, Value]:
    """Return a factor that all elements have, and the elements without it."""
    found = value.elements()
    if found is None or np.any(found.bias) or not found.weights[0]:
        return 1.0, value
    if np.any(found.weights != found.weights[0]):
        return 1.0, value
    return float(found.weights[0]), value.unscaled()


def _each(state: Lowering, value: Value, count: int) -> Value:
    """Return a value (B, ., .) for each of `count` products."""
    places = np.broadcast_to(numbers_of(value.shape), (count, *value.shape[1:]))
    return (value if value.shape[0] == count else state.repeatable(value)).taken(places)


def _layers(state: Lowering, x: Value, weights: Array, b: int) -> Value:
    """Return the product of a value (B, M, K) and constants (B, K, N)."""
    (_, m, k), n = x.shape, weights.shape[2]
    places = np.broadcast_to(numbers_of(x.shape), (b, m, k))
    if len(weights) == 1:
        found = state.repeated(x, places.reshape(-1, k), weights[0].T)
        return found.reshaped((b, m, n))
    x = state.repeatable(x)
    parts = [
        state.repeated(x, part, weight.T) for part, weight in zip(places, weights, strict=True)
    ]
    return selected(parts, numbers_of((b, m, n)))


def product(state: Lowering, left: Value, right: Value) -> Value:
    """Return the product of two values by the rules of ``numpy.matmul``."""
    one = left.reshaped((1, *left.shape)) if len(left.shape) == 1 else left
    other = right.reshaped((*right.shape, 1)) if len(right.shape) == 1 else right
    batch = np.broadcast_shapes(one.shape[:-2], other.shape[:-2])
    shape = (*batch, one.shape[-2], other.shape[-1])
    flat = []
    for value in (one, other):
        size = int(np.prod(value.shape[:-2], dtype=np.int64))
        if size > 1 and value.shape[:-2] != batch:
            places = np.broadcast_to(numbers_of(value.shape), (*batch, *value.shape[-2:]))
            value, size = state.repeatable(value).taken(places), int(np.prod(batch))
        flat.append(value.reshaped((size, *value.shape[-2:])))
    found = matrix_product(state, *flat)
    if len(left.shape) == 1:
        shape = (*shape[:-2], shape[-1])
    if len(right.shape) == 1:
        shape = shape[:-1]
    return found.reshaped(shape)


def _matmul(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    return (product(state, Value.of(inputs[0]), Value.of(inputs[1])),)


def _transposed(value: Value) -> Value:
    """Return a matrix with rows and columns exchanged.

    Constants are transposed as arrays: weights have more elements than a value of one column may.
    """
    if value.terms:
        return value.taken(numbers_of(value.shape).T)
    return Value.constant(value.bias.reshape(value.shape).T).of_kind(value.kind)


def _gemm(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    options = node.attributes
    alpha, beta = float(options.get("alpha", 1.0)), float(options.get("beta", 1.0))
    factors = []
    for value, name in zip(map(Value.of, inputs[:2]), ("transA", "transB"), strict=True):
        factors.append(_transposed(value) if options.get(name) else value)
    left, right = factors
    if not right.terms:
        right = right.scaled(alpha)
        found = product(state, left, right)
    else:
        found = product(state, left, right).scaled(alpha)
    if (added := given(inputs, 2)) is not None:
        found, other = state.broadcast([found, Value.of(added).scaled(beta)])
        found = state.folded(found.plus(other))
    return (found,)


def summed(state: Lowering, values: list[Value]) -> Value:
    """Return the sum of values."""
    total, *rest = state.broadcast(values)
    for value in rest:
        total = state.compact(total).plus(state.compact(value))
    return state.folded(total)


def _sum(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    values = [Value.of(v) for v in inputs]
    if node.operator == "Sub":
        values[1] = values[1].scaled(-1.0)
    total = summed(state, values)
    return (total.scaled(1.0 / len(values)) if node.operator == "Mean" else total,)


def _negative(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    return (state.folded(data(inputs).scaled(-1.0)),)


def _batch_normalization(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    if node.attributes.get("training_mode"):
        raise refuse(
            node.operator, node.name, "it is in training mode", "export the model for inference"
        )
    x = data(inputs)
    found = [np.asarray(v, dtype=np.float64) for v in constants(node, inputs) if v is not None]
    scale, bias, mean, variance = found
    factor = scale / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    channels = (-1, *(1,) * (len(x.shape) - 2))
    offset = (bias - mean * factor).reshape(channels)
    scaled = x.scaled(np.broadcast_to(factor.reshape(channels), x.shape))
    return (state.folded(scaled.shifted(np.broadcast_to(offset, x.shape))),)


def _einsum(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    """Lower sums of products of two values that are products of matrices."""
    equation = node.attributes["equation"].decode().replace(" ", "")
    values = [Value.of(v) for v in inputs]
    equation = _without_ellipsis(equation, [len(v.shape) for v in values])
    before, arrow, after = equation.partition("->")
    letters = before.split(",")
    if len(letters) != len(values) or len(letters) > 2:
        raise refuse(
            "Einsum", node.name, "it is no product of two matrices", "write it with MatMul"
        )
    if not arrow:
        every = "".join(letters)
        after = "".join(sorted(c for c in set(every) if every.count(c) == 1))
    operands = [
        _reduced_operand(state, value, names, after + "".join(letters[:k] + letters[k + 1 :]))
        for k, (value, names) in enumerate(zip(values, letters, strict=True))
    ]
    if len(operands) == 1:
        value, names = operands[0]
        return (value.taken(np.einsum(f"{names}->{after}", numbers_of(value.shape))),)
    (left, one), (right, other) = operands
    sizes = dict(zip(one + other, left.shape + right.shape, strict=True))
    batch = [c for c in one if c in other and c in after]
    inner = [c for c in one if c in other and c not in after]
    rows, columns = ([c for c in names if c not in batch + inner] for names in (one, other))
    left = _arranged(left, one, [batch, rows, inner], sizes)
    right = _arranged(right, other, [batch, inner, columns], sizes)
    found = matrix_product(state, left, right)
    order = batch + rows + columns
    found = found.reshaped(tuple(sizes[c] for c in order))
    places = np.einsum(f"{''.join(order)}->{after}", numbers_of(found.shape))
    return (found.taken(places),)


def _without_ellipsis(equation: str, ranks: Sequence[int]) -> str:
    """Return an equation in which letters stand for ``...``."""
    before, arrow, after = equation.partition("->")
    operands = before.split(",")
    spare = [c for c in string.ascii_uppercase + string.ascii_lowercase if c not in equation]
    counts = [
        rank - len(names) + 3
        for names, rank in zip(operands, ranks, strict=False)
        if "..." in names
    ]
    every = "".join(spare[: max(counts, default=0)])
    for k, rank in enumerate(ranks[: len(operands)]):
        n = rank - len(operands[k]) + 3
        operands[k] = operands[k].replace("...", every[len(every) - n :] if n > 0 else "")
    if not arrow and every:
        named = "".join(operands)
        alone = sorted(c for c in set(named) if named.count(c) == 1 and c not in every)
        return f"{','.join(operands)}->{every}{''.join(alone)}"
    return f"{','.join(operands)}{arrow}{after.replace('...', every)}"


def _reduced_operand(state: Lowering, value: Value, names: str, others: str) -> tuple[Value, str]:
    """Return the diagonal of letters that are repeated, summed over letters that are not needed."""
    kept = "".join(dict.fromkeys(names))
    value = value.taken(np.einsum(f"{names}->{kept}", numbers_of(value.shape)))
    alone = [k for k, c in enumerate(kept) if c not in others]
    if not alone:
        return value, kept
    rest = [k for k in range(len(kept)) if k not in alone]
    shape = tuple(value.shape[k] for k in rest)
    rows = numbers_of(value.shape).transpose(*rest, *alone).reshape(int(np.prod(shape)), -1)
    return state.sums(value, rows, shape, 1.0), "".join(kept[k] for k in rest)


def _arranged(value: Value, names: str, groups: list[list[str]], sizes: Mapping[str, int]) -> Value:
    """Return a value with one dimension for each group of letters."""
    order = [names.index(c) for group in groups for c in group]
    shape = [int(np.prod([sizes[c] for c in group], dtype=np.int64)) for group in groups]
    return value.taken(numbers_of(value.shape).transpose(order).reshape(shape))


#: ONNX operator -> function that lowers it.
LINEAR: Mapping[str, Handler] = {
    "Add": _sum,
    "BatchNormalization": _batch_normalization,
    "Einsum": _einsum,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Mean": _sum,
    "Neg": _negative,
    "Sub": _sum,
    "Sum": _sum,
}
