"""Elementwise operations: activation functions, and piecewise linear functions made of relu."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.importing.graph import Node
from emufort.importing.lowering import Handler, Lowering
from emufort.importing.refusal import refuse
from emufort.importing.values import Value, broadcast

Inputs = list[NDArray[Any] | Value | None]
Array = NDArray[np.float64]
#: Takes the lowering, the argument and the attributes of the node.
Function = Callable[[Lowering, Value, Mapping[str, Any]], Value]


def _all(value: Value, number: float) -> Array:
    return np.full(value.size, number)


def _elementwise(function: Function) -> Handler:
    def handler(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
        return (function(state, Value.of(inputs[0]), node.attributes),)

    return handler


def _number(attributes: Mapping[str, Any], name: str, default: float) -> float:
    return float(attributes.get(name, default))


# ----------------------------------------------------------- activation functions


def relu(state: Lowering, x: Value) -> Value:
    """Return max(x, 0)."""
    return state.activation(x, "relu")


def _parametrised(state: Lowering, x: Value, name: str, parameter: float) -> Value:
    """Return an activation function with a parameter, which the runtime takes from 0 on."""
    if not 0.0 <= parameter <= 1e6:
        raise ValueError(f"its parameter {parameter} is outside 0 to 1e6")
    return state.activation(x, name, float(np.float32(parameter)))


def _selu(state: Lowering, x: Value, attributes: Mapping[str, Any]) -> Value:
    # gamma elu(x, alpha), with the constants of Klambauer et al. (2017) by default
    alpha = _number(attributes, "alpha", 1.67326319217681884765625)
    gamma = _number(attributes, "gamma", 1.05070102214813232421875)
    found = _parametrised(state, x, "elu", alpha)
    return found.scaled(_all(found, gamma))


def _celu(state: Lowering, x: Value, attributes: Mapping[str, Any]) -> Value:
    alpha = _number(attributes, "alpha", 1.0)
    if alpha <= 0.0:
        raise ValueError(f"its parameter alpha is {alpha}, not positive")
    found = state.activation(x.scaled(_all(x, 1.0 / alpha)), "elu", 1.0)
    return found.scaled(_all(found, alpha))


def _swish(state: Lowering, x: Value, attributes: Mapping[str, Any]) -> Value:
    alpha = _number(attributes, "alpha", 1.0)
    if alpha == 0.0:
        return x.scaled(_all(x, 0.5))
    found = state.activation(x.scaled(_all(x, alpha)), "silu")
    return found.scaled(_all(found, 1.0 / alpha))


def _gelu(state: Lowering, x: Value, attributes: Mapping[str, Any]) -> Value:
    if attributes.get("approximate", b"none") not in (b"none", "none"):
        raise ValueError("its approximation by tanh is not supported; use the exact form")
    return state.activation(x, "gelu")


def _hard_sigmoid(state: Lowering, x: Value, attributes: Mapping[str, Any]) -> Value:
    alpha, beta = _number(attributes, "alpha", 0.2), _number(attributes, "beta", 0.5)
    return clipped(state, x.scaled(_all(x, alpha)).shifted(beta), 0.0, 1.0)


# ------------------------------------------------------------- piecewise linear


def clipped(state: Lowering, x: Value, lower: float | None, upper: float | None) -> Value:
    """Return x within bounds; a bound is exact wherever it applies."""
    if lower is not None:
        x = relu(state, x.shifted(-lower))
        if upper is None:
            return x.shifted(lower)
        x = relu(state, x.scaled(_all(x, -1.0)).shifted(upper - lower))
        return x.scaled(_all(x, -1.0)).shifted(upper)
    if upper is not None:
        x = relu(state, x.scaled(_all(x, -1.0)).shifted(upper))
        x = x.scaled(_all(x, -1.0)).shifted(upper)
    return x


def _clip(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    bounds: list[float | None] = []
    for place, name in ((1, "min"), (2, "max")):
        given = inputs[place] if place < len(inputs) else None
        if isinstance(given, Value):
            raise refuse("Clip", node.name, "a bound is no constant", "export constant bounds")
        bound = node.attributes.get(name) if given is None else float(np.ravel(given)[0])
        bounds.append(None if bound is None or abs(bound) > 1e30 else float(bound))
    lower, upper = bounds
    if lower is not None and upper is not None and lower > upper:
        raise refuse("Clip", node.name, "its bounds are in the wrong order", "correct them")
    return (clipped(state, Value.of(inputs[0]), lower, upper),)


def _largest(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    """Lower Max and Min: max(a, b) = b + relu(a - b)."""
    sign = 1.0 if node.operator == "Max" else -1.0
    values = broadcast([Value.of(v) for v in inputs])
    found = values[0]
    for value in values[1:]:
        excess = relu(state, found.minus(value).scaled(_all(value, sign)))
        found = value.plus(excess.scaled(_all(value, sign)))
    return (found,)


def _absolute(state: Lowering, x: Value, _: Mapping[str, Any]) -> Value:
    negative = x.scaled(_all(x, -1.0))
    return relu(state, x).plus(relu(state, negative))


def _prelu(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x, slope = Value.of(inputs[0]), inputs[1]
    if isinstance(slope, Value) or slope is None:
        raise refuse("PRelu", node.name, "its slope is no constant", "export a constant slope")
    slopes = np.broadcast_to(np.asarray(slope, dtype=np.float64), x.shape).ravel()
    if slopes.size and np.ptp(slopes) == 0.0 and 0.0 <= slopes[0] <= 1e6:
        return (_parametrised(state, x, "leaky_relu", float(slopes[0])),)
    negative = relu(state, x.scaled(_all(x, -1.0)))
    return (relu(state, x).plus(negative.scaled(-slopes)),)


# ------------------------------------------------------------------- products


def _product(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    one, other = inputs[0], inputs[1]
    if isinstance(one, Value) and isinstance(other, Value):
        left, right = broadcast([one, other])
        found = _known_product(state, left, right) or _known_product(state, right, left)
        if found is None:
            raise refuse(
                "Mul",
                node.name,
                "it multiplies two values that depend on the inputs of the model",
                "supported are products with constants and x sigmoid(x), the exact gelu, "
                "hardswish and squares of relu",
            )
        return (found,)
    value, constant = (one, other) if isinstance(one, Value) else (other, one)
    value, factor = broadcast([Value.of(value), Value.of(constant)])
    return (value.scaled(factor.bias),)


def _known_product(state: Lowering, x: Value, gate: Value) -> Value | None:
    """Return ``x * gate`` if it is an activation function of one of the atoms of `gate`."""
    if len(gate.terms) != 1:
        return None
    ((number, matrix),) = gate.terms.items()
    atom = state.atoms[number]
    if atom.argument is None or atom.size != gate.size:
        return None
    factor = matrix.diagonal()
    if (matrix.nnz > atom.size) or not np.all(factor):
        return None
    argument = atom.argument.reshaped(x.shape)
    ratio = _ratio(x, argument)
    if atom.activation == "sigmoid" and not np.any(gate.bias) and ratio is not None:
        found = state.activation(argument, "silu")
        return found.scaled(_rounded(ratio * factor))
    if atom.activation == "erf" and np.array_equal(gate.bias, factor) and ratio is not None:
        # r u (1 + erf(u)) = r sqrt(2) gelu(sqrt(2) u)
        found = state.activation(argument.scaled(_all(x, math.sqrt(2.0))), "gelu")
        return found.scaled(_rounded(math.sqrt(2.0) * ratio * factor))
    if atom.activation == "relu":
        value = Value.atom(number, x.shape)
        scale = _ratio(x, value)
        if not np.any(gate.bias) and scale is not None:
            return state.activation(argument, "squared_relu").scaled(scale * factor)
        return _hard_swish(state, x, gate, atom, factor)
    return None


def _rounded(factor: Array) -> Array:
    """Return factors in which 1 is exact: constants in single precision give 1.0000001."""
    return np.where(np.abs(factor - 1.0) < 1e-6, 1.0, factor)


def _hard_swish(state: Lowering, x: Value, gate: Value, atom: Any, factor: Array) -> Value | None:
    """Return x clip(x/6 + 1/2, 0, 1), whose gate is 1 - relu(1 - relu(x/6 + 1/2))."""
    if not (np.allclose(gate.bias, 1.0) and np.allclose(factor, -1.0)):
        return None
    inner = atom.argument.scaled(_all(x, -1.0)).shifted(1.0)
    within = state.atom_of(inner)
    if within is None or within.activation != "relu" or within.argument is None:
        return None
    wanted = x.scaled(_all(x, 1.0 / 6.0)).shifted(0.5)
    if not within.argument.reshaped(x.shape).is_same(wanted):
        return None
    return state.activation(x, "hardswish")


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


def _error_function(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    return (state.activation(Value.of(inputs[0]), "erf", node=node.name),)


def _quotient(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    value, divisor = inputs[0], inputs[1]
    if isinstance(divisor, Value) or not isinstance(value, Value):
        raise refuse(
            "Div", node.name, "its divisor depends on the inputs", "only constants are supported"
        )
    value, other = broadcast([value, Value.of(divisor)])
    if not np.all(other.bias):
        raise refuse("Div", node.name, "it divides by zero", "correct the constant")
    return (value.scaled(1.0 / other.bias),)


def _square(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    """Lower Pow with the exponents 1 and 2, the latter of relu only."""
    exponent = inputs[1]
    power = None if isinstance(exponent, Value) or exponent is None else np.ravel(exponent)
    if power is not None and np.all(power == 1.0):
        return (Value.of(inputs[0]),)
    if power is not None and np.all(power == 2.0):
        return _product(state, node, [inputs[0], inputs[0]])
    raise refuse("Pow", node.name, "its exponent is not 1 or 2", "use another function")


#: Name of the parameter and its default, of the activation functions that have one.
_WITH_PARAMETER = {"LeakyRelu": ("leaky_relu", "alpha", 0.01), "Elu": ("elu", "alpha", 1.0)}


def _with_parameter(name: str, key: str, default: float) -> Function:
    return lambda state, x, a: _parametrised(state, x, name, _number(a, key, default))


def _plain(name: str) -> Function:
    return lambda state, x, _: state.activation(x, name)


#: ONNX operator -> function that lowers it.
ELEMENTWISE: Mapping[str, Handler] = {
    "Abs": _elementwise(_absolute),
    "Celu": _elementwise(_celu),
    "Clip": _clip,
    "Div": _quotient,
    "Erf": _error_function,
    "Gelu": _elementwise(_gelu),
    "HardSigmoid": _elementwise(_hard_sigmoid),
    "HardSwish": _elementwise(_plain("hardswish")),
    "Max": _largest,
    "Min": _largest,
    "Mul": _product,
    "PRelu": _prelu,
    "Pow": _square,
    "Relu": _elementwise(_plain("relu")),
    "Selu": _elementwise(_selu),
    "Sigmoid": _elementwise(_plain("sigmoid")),
    "Softplus": _elementwise(_plain("softplus")),
    "Swish": _elementwise(_swish),
    "Tanh": _elementwise(_plain("tanh")),
    **{name: _elementwise(_with_parameter(*row)) for name, row in _WITH_PARAMETER.items()},
}
