"""Products, quotients and powers; those that are activation functions become one."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from emufort.importing.arguments import Inputs
from emufort.importing.atoms import Atom, Lowering
from emufort.importing.graph import Node
from emufort.importing.lowering import Handler
from emufort.importing.operators_activation import reciprocal, relu
from emufort.importing.refusal import refuse
from emufort.importing.values import Array, Value, selected

#: Largest exponent that is carried out as products.
_LARGEST_POWER = 16


def multiplied(state: Lowering, one: Value, other: Value) -> Value:
    """Return the product of two values, of which either may be constant."""
    if not (one.terms and other.terms):
        value, constant = state.broadcast([one, other] if one.terms else [other, one])
        return state.folded(value.scaled(constant.bias))
    shape = np.broadcast_shapes(one.shape, other.shape)
    if one.size == other.size:
        left, right = one.reshaped(shape), other.reshaped(shape)
        found = _known_product(state, left, right) or _known_product(state, right, left)
        if found is not None:
            return found
    return state.combined("multiply", one, other)


def _product(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    return (multiplied(state, Value.of(inputs[0]), Value.of(inputs[1])),)


def _known_product(state: Lowering, x: Value, gate: Value) -> Value | None:
    """Return ``x * gate`` if it is an activation function of the argument of an atom."""
    found = gate.elements()
    number = None if found is None else found.atom
    if found is None or number is None:
        return None
    atom = state.atoms[number]
    if atom.argument is None or atom.size != gate.size:
        return None
    if atom.activation not in ("sigmoid", "erf", "relu") or not np.all(found.weights):
        return None
    factor, bias = found.weights, found.bias
    argument = atom.argument.taken(found.positions.reshape(x.shape))
    if atom.activation == "relu":
        return _product_with_relu(state, x, argument, number, factor, bias)
    ratio = _ratio(x, argument)
    if ratio is None:
        ratio = _ratio(_unstored(state, x), _unstored(state, argument))
    if ratio is None:
        ratio = _ratio_of_layers(state, x, argument)
    if ratio is None:
        return None
    if atom.activation == "sigmoid" and not np.any(bias):
        return state.activation(argument, "silu").scaled(_rounded(ratio * factor))
    if atom.activation == "erf" and np.array_equal(bias, factor):
        # x (1 + erf(u)) = 2 c gelu(x / c), where c = r / sqrt(2) and x = r u
        scale = _rounded(math.sqrt(0.5) * ratio)
        return state.activation(x.scaled(1.0 / scale), "gelu").scaled(2.0 * scale * factor)
    return None


def _product_with_relu(
    state: Lowering, x: Value, argument: Value, number: int, factor: Array, bias: Array
) -> Value | None:
    own = x.elements()
    if own is not None and own.atom == number and not np.any(bias) and not np.any(own.bias):
        scale = _ratio(x, state.activation(argument, "relu"))
        if scale is not None:
            return state.activation(argument, "squared_relu").scaled(scale * factor)
    return _hard_swish(state, x, argument, factor, bias)


def _rounded(factor: Array) -> Array:
    """Return factors in which 1 is exact: constants in single precision give 1.0000001."""
    return np.where(np.abs(factor - 1.0) < 1e-6, 1.0, factor)


def _hard_swish(
    state: Lowering, x: Value, argument: Value, factor: Array, bias: Array
) -> Value | None:
    """Return x clip(x/6 + 1/2, 0, 1), whose gate is 1 - relu(1 - relu(x/6 + 1/2)).

    Exporters also write x clip(x + 3, 0, 6) / 6.
    """
    upper = bias[0] if len(bias) else 0.0
    if not (upper > 0.0 and np.allclose(bias, upper) and np.all(factor < 0.0)):
        return None
    # in units of the upper bound the gate is 1 - relu(1 - relu(u))
    scale = -factor / upper
    inner = argument.scaled(-scale).shifted(1.0).elements()
    if inner is None or (number := inner.atom) is None or np.any(np.abs(inner.bias) > 1e-6):
        return None
    within: Atom = state.atoms[number]
    if within.activation != "relu" or within.argument is None:
        return None
    found = within.argument.taken(inner.positions.reshape(x.shape)).scaled(inner.weights)
    if not found.is_same(x.scaled(1.0 / 6.0).shifted(0.5)):
        return None
    return state.activation(x, "hardswish").scaled(upper)


def _ratio(x: Value, reference: Value) -> Array | None:
    """Return r with ``x = r * reference`` element by element; None if there is none."""
    if x.size != reference.size or x.terms.keys() != reference.terms.keys():
        return None
    ratio = np.zeros(x.size)
    for k, matrix in reference.terms.items():
        largest = np.asarray(abs(matrix).argmax(axis=1)).ravel()
        rows = np.arange(x.size)
        below = np.asarray(matrix[rows, largest]).ravel()
        above = np.asarray(x.terms[k][rows, largest]).ravel()
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where((ratio == 0.0) & (below != 0.0), above / below, ratio)
    if not np.all(np.isfinite(ratio)) or not np.all(ratio):
        return None
    return ratio if x.is_multiple(reference, ratio) else None


def _unstored(state: Lowering, value: Value) -> Value:
    """Return the sums that a value holds, if it holds elements of one stored value."""
    found = value.elements()
    number = None if found is None else found.atom
    if found is None or number is None:
        return value
    argument = state.atoms[number].argument
    if argument is None or state.atoms[number].activation != "linear":
        return value
    taken = argument.taken(found.positions.reshape(value.shape))
    return taken.scaled(found.weights).shifted(found.bias)


def _ratio_of_layers(state: Lowering, x: Value, reference: Value) -> Array | None:
    """Return r with ``x = r * reference`` if both are the same repeated layer but for a factor."""
    one, other = x.elements(), reference.elements()
    if one is None or other is None or one.atom is None or other.atom is None:
        return None
    layer, base = state.atoms[one.atom], state.atoms[other.atom]
    if layer.weight is None or base.weight is None or layer.bias is None or base.bias is None:
        return None
    is_same_place = (
        layer.extent == base.extent
        and layer.weight.shape == base.weight.shape
        and np.array_equal(one.positions, other.positions)
        and not (np.any(one.bias) or np.any(other.bias))
        and layer.arguments[0].is_same(base.arguments[0])
    )
    if not is_same_place:
        return None
    largest = np.unravel_index(np.abs(base.weight).argmax(), base.weight.shape)
    factor = layer.weight[largest] / base.weight[largest]
    for given, scaled in ((layer.weight, base.weight), (layer.bias, base.bias)):
        size = np.abs(given).max()
        if not np.isfinite(factor) or np.any(np.abs(given - factor * scaled) > 1e-6 * size):
            return None
    ratio: Array = factor * one.weights / other.weights
    return ratio if np.all(ratio) and np.all(np.isfinite(ratio)) else None


def _quotient(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    value, divisor = Value.of(inputs[0]), Value.of(inputs[1])
    if "real" not in (value.kind, divisor.kind):
        return (_whole_quotient(state, value, _fixed_divisor(node, divisor)),)
    if divisor.terms:
        return (multiplied(state, value, reciprocal(state, divisor)),)
    if not np.all(divisor.bias):
        raise refuse("Div", node.name, "it divides by zero", "correct the constant")
    return (multiplied(state, value, Value(divisor.shape, {}, 1.0 / divisor.bias)),)


def _fixed_divisor(node: Node, divisor: Value) -> Value:
    if divisor.terms or not (np.all(np.isfinite(divisor.bias)) and np.all(divisor.bias)):
        raise refuse(
            node.operator, node.name, "its divisor is no constant", "export a constant divisor"
        )
    return divisor


def _whole_quotient(state: Lowering, value: Value, divisor: Value) -> Value:
    """Return the quotient of whole numbers, rounded towards zero."""
    value, divisor = state.broadcast([value, divisor])
    size = 1.0 / np.abs(divisor.bias)
    # half more, so that rounding of the quotient does not lose an exact multiple
    parts = [
        state.activation(relu(state, value.scaled(factor)).shifted(0.5).scaled(size), "floor")
        for factor in (1.0, -1.0)
    ]
    return parts[0].minus(parts[1]).scaled(np.sign(divisor.bias)).of_kind("integer")


def power(state: Lowering, x: Value, exponent: float) -> Value:
    """Return a power with a constant exponent."""
    if exponent < 0.0:
        return reciprocal(state, power(state, x, -exponent))
    if exponent == 0.0:
        return Value.constant(np.ones(x.shape))
    if exponent == 0.5:
        return state.activation(x, "sqrt")
    if exponent == round(exponent) and exponent <= _LARGEST_POWER:
        if exponent == 1.0:
            return x
        half = power(state, x, exponent // 2)
        square = multiplied(state, half, half)
        return multiplied(state, square, x) if exponent % 2 else square
    if exponent == round(exponent):
        raise ValueError(f"its exponent is {exponent:g}; the largest one is {_LARGEST_POWER}")
    return state.activation(state.activation(x, "ln").scaled(exponent), "exp")


def _pow(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    base, exponent = Value.of(inputs[0]), Value.of(inputs[1])
    if exponent.terms:
        # of a base that is not negative
        logarithm = state.activation(base, "ln")
        return (state.activation(multiplied(state, exponent, logarithm), "exp"),)
    if not exponent.size:
        raise ValueError("its exponent is empty")
    if np.ptp(exponent.bias) == 0.0:
        found = power(state, base, float(exponent.bias[0]))
        return (state.broadcast([found, exponent])[0],)
    base, exponent = state.broadcast([base, exponent])
    parts: list[Value] = []
    places = np.empty(base.size, np.int64)
    first = 0
    for number in np.unique(exponent.bias):
        rows = np.flatnonzero(exponent.bias == number)
        parts.append(power(state, base.taken(rows), float(number)))
        places[rows] = first + np.arange(len(rows))
        first += len(rows)
    return (selected(parts, places.reshape(base.shape)),)


def _mod(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    divisor = _fixed_divisor(node, Value.of(inputs[1]))
    value, divisor = state.broadcast([Value.of(inputs[0]), divisor])
    value, size = state.stored(value), np.abs(divisor.bias)
    if node.attributes.get("fmod"):
        # the remainder has the sign of the value
        parts = [_remainder(state, relu(state, value.scaled(s)), size) for s in (1.0, -1.0)]
        return (parts[0].minus(parts[1]),)
    factor = np.sign(divisor.bias)
    return (_remainder(state, value.scaled(factor), size).scaled(factor),)


def _remainder(state: Lowering, value: Value, size: Array) -> Value:
    """Return the remainder, from 0 to `size`, of the division by positive numbers."""
    quotient = state.activation(value.scaled(1.0 / size), "floor")
    found = state.stored(value.minus(quotient.scaled(size)))
    # the quotient is rounded: it may be off by one next to a multiple
    above = state.activation(found.scaled(-1.0).shifted(size), "step").scaled(-1.0).shifted(1.0)
    below = state.activation(found.scaled(-1.0), "step")
    return found.minus(above.scaled(size)).plus(below.scaled(size))


#: ONNX operator -> function that lowers it.
PRODUCTS: Mapping[str, Handler] = {
    "Div": _quotient,
    "Mod": _mod,
    "Mul": _product,
    "Pow": _pow,
}
