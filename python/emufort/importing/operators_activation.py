"""Activation functions, and functions of one value that are made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from emufort.importing.arguments import Inputs, given, number, text
from emufort.importing.atoms import Lowering
from emufort.importing.graph import Node
from emufort.importing.lowering import Handler
from emufort.importing.values import Value

#: Takes the lowering, the argument and the attributes of the node.
Function = Callable[[Lowering, Value, Mapping[str, Any]], Value]
#: Bounds up to this size are made of rectifiers, which the layers contain.
_LARGEST_RECTIFIED = 8.0


def of_one(function: Function) -> Handler:
    """Return the function that lowers a node with a function of one value."""

    def handler(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
        return (function(state, Value.of(inputs[0]), node.attributes),)

    return handler


# ----------------------------------------------------------- activation functions


def relu(state: Lowering, x: Value) -> Value:
    """Return max(x, 0)."""
    return state.activation(x, "relu")


def _parametrised(state: Lowering, x: Value, name: str, parameter: float) -> Value:
    """Return an activation function with a parameter, which the runtime takes from 0 on."""
    if not 0.0 <= parameter <= 1e6:
        raise ValueError(f"its parameter {parameter} is outside 0 to 1e6")
    return state.activation(x, name, float(parameter))


def _leaky_relu(state: Lowering, x: Value, attributes: Mapping[str, Any]) -> Value:
    slope = number(attributes, "alpha", 0.01)
    if slope < 0.0:
        return relu(state, x).plus(relu(state, x.scaled(-1.0)).scaled(-slope))
    return _parametrised(state, x, "leaky_relu", slope)


def _elu(state: Lowering, x: Value, attributes: Mapping[str, Any]) -> Value:
    alpha = number(attributes, "alpha", 1.0)
    if alpha < 0.0:
        # alpha (exp(min(x, 0)) - 1) = alpha elu(-relu(-x))
        negative = state.activation(relu(state, x.scaled(-1.0)).scaled(-1.0), "elu", 1.0)
        return relu(state, x).plus(negative.scaled(alpha))
    return _parametrised(state, x, "elu", alpha)


def _selu(state: Lowering, x: Value, attributes: Mapping[str, Any]) -> Value:
    # gamma elu(x, alpha), with the constants of Klambauer et al. (2017) by default
    alpha = number(attributes, "alpha", 1.67326319217681884765625)
    gamma = number(attributes, "gamma", 1.05070102214813232421875)
    return _parametrised(state, x, "elu", alpha).scaled(gamma)


def _celu(state: Lowering, x: Value, attributes: Mapping[str, Any]) -> Value:
    alpha = number(attributes, "alpha", 1.0)
    if alpha == 0.0:
        raise ValueError("its parameter alpha is 0")
    if alpha < 0.0:
        inner = state.activation(relu(state, x.scaled(-1.0)).scaled(-1.0 / alpha), "elu", 1.0)
        return relu(state, x).plus(inner.scaled(alpha))
    return state.activation(x.scaled(1.0 / alpha), "elu", 1.0).scaled(alpha)


def _swish(state: Lowering, x: Value, attributes: Mapping[str, Any]) -> Value:
    alpha = number(attributes, "alpha", 1.0)
    if alpha == 0.0:
        return x.scaled(0.5)
    return state.activation(x.scaled(alpha), "silu").scaled(1.0 / alpha)


def _gelu(state: Lowering, x: Value, attributes: Mapping[str, Any]) -> Value:
    if text(attributes, "approximate", "none") == "none":
        return state.activation(x, "gelu")
    # x/2 (1 + tanh(u)) = x sigmoid(2 u), u = sqrt(2/pi) (x + 0.044715 x**3)
    square = state.combined("multiply", x, x)
    inner = state.combined("multiply", x, square.scaled(0.044715).shifted(1.0))
    gate = state.activation(inner.scaled(2.0 * math.sqrt(2.0 / math.pi)), "sigmoid")
    return state.combined("multiply", x, gate)


def _mish(state: Lowering, x: Value, _: Mapping[str, Any]) -> Value:
    return state.combined("multiply", x, state.activation(state.activation(x, "softplus"), "tanh"))


def _hard_sigmoid(state: Lowering, x: Value, attributes: Mapping[str, Any]) -> Value:
    alpha, beta = number(attributes, "alpha", 0.2), number(attributes, "beta", 0.5)
    return clipped(state, x.scaled(alpha).shifted(beta), 0.0, 1.0)


def _thresholded_relu(state: Lowering, x: Value, attributes: Mapping[str, Any]) -> Value:
    alpha = number(attributes, "alpha", 1.0)
    zero = Value.constant(np.zeros(x.shape))
    return state.combined("select", x.shifted(-alpha), x, zero)


def _shrink(state: Lowering, x: Value, attributes: Mapping[str, Any]) -> Value:
    bound, bias = number(attributes, "lambd", 0.5), number(attributes, "bias", 0.0)
    zero = Value.constant(np.zeros(x.shape))
    above = state.combined("select", x.shifted(-bound), x.shifted(-bias), zero)
    return state.combined("select", x.scaled(-1.0).shifted(-bound), x.shifted(bias), above)


def _softsign(state: Lowering, x: Value, _: Mapping[str, Any]) -> Value:
    return state.combined("multiply", x, reciprocal(state, absolute(state, x).shifted(1.0)))


def _prelu(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x, slope = Value.of(inputs[0]), Value.of(inputs[1])
    if not slope.terms:
        slopes = np.broadcast_to(slope.bias.reshape(slope.shape), x.shape).ravel()
        if slopes.size and np.ptp(slopes) == 0.0 and 0.0 <= slopes[0] <= 1e6:
            return (_parametrised(state, x, "leaky_relu", float(slopes[0])),)
        return (relu(state, x).plus(relu(state, x.scaled(-1.0)).scaled(-slopes)),)
    scaled = state.combined("multiply", relu(state, x.scaled(-1.0)), slope)
    return (relu(state, x).minus(scaled),)


# ------------------------------------------------------------- functions of one value


def reciprocal(state: Lowering, x: Value) -> Value:
    """Return 1/x."""
    return state.activation(x, "reciprocal")


def absolute(state: Lowering, x: Value) -> Value:
    """Return the absolute value."""
    return relu(state, x).plus(relu(state, x.scaled(-1.0)))


def truncated(state: Lowering, x: Value) -> Value:
    """Return x without its fraction."""
    negative = state.activation(relu(state, x.scaled(-1.0)), "floor")
    return state.activation(relu(state, x), "floor").minus(negative)


def sign(state: Lowering, x: Value) -> Value:
    """Return -1, 0 or 1."""
    return state.activation(x, "step").minus(state.activation(x.scaled(-1.0), "step"))


def exponentials(state: Lowering, x: Value) -> tuple[Value, Value]:
    """Return exp(x) and exp(-x)."""
    return state.activation(x, "exp"), state.activation(x.scaled(-1.0), "exp")


def _sinh(state: Lowering, x: Value, _: Mapping[str, Any]) -> Value:
    growing, falling = exponentials(state, x)
    return growing.minus(falling).scaled(0.5)


def _cosh(state: Lowering, x: Value, _: Mapping[str, Any]) -> Value:
    growing, falling = exponentials(state, x)
    return growing.plus(falling).scaled(0.5)


def _tan(state: Lowering, x: Value, _: Mapping[str, Any]) -> Value:
    cosine = state.activation(x, "cos")
    return state.combined("multiply", state.activation(x, "sin"), reciprocal(state, cosine))


# ------------------------------------------------------------------------- bounds


def clipped(state: Lowering, x: Value, lower: float | None, upper: float | None) -> Value:
    """Return x within bounds; a bound is exact wherever it applies."""
    bounds = [abs(bound) for bound in (lower, upper) if bound is not None]
    if max(bounds, default=0.0) > _LARGEST_RECTIFIED:
        # the sum of a large bound and a small number would lose its digits
        for bound, kind in ((lower, "maximum"), (upper, "minimum")):
            if bound is not None:
                x = state.combined(kind, x, Value.constant(np.full(x.shape, bound)))
        return x
    if lower is not None:
        x = relu(state, x.shifted(-lower))
        if upper is None:
            return x.shifted(lower)
        return relu(state, x.scaled(-1.0).shifted(upper - lower)).scaled(-1.0).shifted(upper)
    if upper is not None:
        return relu(state, x.scaled(-1.0).shifted(upper)).scaled(-1.0).shifted(upper)
    return x


def _clip(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x = Value.of(inputs[0])
    bounds: list[float | None] = []
    for place, name in ((1, "min"), (2, "max")):
        found = given(inputs, place)
        if isinstance(found, Value):
            return (_clipped_by_values(state, x, given(inputs, 1), given(inputs, 2)),)
        bound = node.attributes.get(name) if found is None else float(np.ravel(found)[0])
        bounds.append(None if bound is None or abs(bound) > 1e30 else float(bound))
    lower, upper = bounds
    if lower is not None and upper is not None and lower > upper:
        return (Value.constant(np.full(x.shape, upper)),)
    return (clipped(state, x, lower, upper),)


def _clipped_by_values(state: Lowering, x: Value, lower: Any, upper: Any) -> Value:
    for bound, kind in ((lower, "maximum"), (upper, "minimum")):
        if bound is not None:
            x = state.combined(kind, x, Value.of(bound))
    return x


def _extreme(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    """Lower Max and Min; max(x, c) = c + relu(x - c) for a small constant c."""
    is_max = node.operator == "Max"
    factor = 1.0 if is_max else -1.0
    found = Value.of(inputs[0])
    for other in map(Value.of, inputs[1:]):
        one, two = state.broadcast([found, other])
        if not one.terms:
            one, two = two, one
        if not two.terms and np.abs(two.bias).max(initial=0.0) <= _LARGEST_RECTIFIED:
            excess = relu(state, one.minus(two).scaled(factor))
            found = two.plus(excess.scaled(factor))
        else:
            found = state.combined("maximum" if is_max else "minimum", one, two)
    return (found,)


def _plain(name: str) -> Function:
    return lambda state, x, _: state.activation(x, name)


#: ONNX operator -> function of one value.
FUNCTIONS: Mapping[str, Function] = {
    "Abs": lambda state, x, _: absolute(state, x),
    "Ceil": _plain("ceiling"),
    "Celu": _celu,
    "Cos": _plain("cos"),
    "Cosh": _cosh,
    "Elu": _elu,
    "Erf": _plain("erf"),
    "Exp": _plain("exp"),
    "Floor": _plain("floor"),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _plain("hardswish"),
    "LeakyRelu": _leaky_relu,
    "Log": _plain("ln"),
    "Mish": _mish,
    "Reciprocal": _plain("reciprocal"),
    "Relu": _plain("relu"),
    "Round": _plain("round"),
    "Selu": _selu,
    "Shrink": _shrink,
    "Sigmoid": _plain("sigmoid"),
    "Sign": lambda state, x, _: sign(state, x),
    "Sin": _plain("sin"),
    "Sinh": _sinh,
    "Softplus": _plain("softplus"),
    "Softsign": _softsign,
    "Sqrt": _plain("sqrt"),
    "Swish": _swish,
    "Tan": _tan,
    "Tanh": _plain("tanh"),
    "ThresholdedRelu": _thresholded_relu,
}

#: ONNX operator -> function that lowers it.
ACTIVATION: Mapping[str, Handler] = {
    "Clip": _clip,
    "Max": _extreme,
    "Min": _extreme,
    "PRelu": _prelu,
    **{name: of_one(function) for name, function in FUNCTIONS.items()},
}
