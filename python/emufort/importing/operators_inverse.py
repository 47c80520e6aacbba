"""Inverses of hyperbolic and trigonometric functions, made of the functions of plans."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from emufort.importing.atoms import Lowering
from emufort.importing.lowering import Handler
from emufort.importing.operators_activation import (
    Function,
    absolute,
    clipped,
    of_one,
    reciprocal,
    sign,
)
from emufort.importing.values import Value

#: Terms of the Taylor series of the inverse tangent; up to tan(pi/16) the next one is below 1e-16.
_TERMS = 11
#: The inverse tangent of a larger number is pi/2 in double precision; its square does not overflow.
_LARGEST_TANGENT = 1e16


def _asinh(state: Lowering, x: Value, _: Mapping[str, Any]) -> Value:
    # sign(x) ln(|x| + sqrt(x**2 + 1)): the sum has no cancellation
    size = absolute(state, x)
    root = state.activation(state.combined("multiply", x, x).shifted(1.0), "sqrt")
    return state.combined("multiply", sign(state, x), state.activation(size.plus(root), "ln"))


def _acosh(state: Lowering, x: Value, _: Mapping[str, Any]) -> Value:
    # x**2 - 1 as a product, which is exact near 1
    product = state.combined("multiply", x.shifted(-1.0), x.shifted(1.0))
    return state.activation(x.plus(state.activation(product, "sqrt")), "ln")


def _atanh(state: Lowering, x: Value, _: Mapping[str, Any]) -> Value:
    above, below = x.shifted(1.0), x.scaled(-1.0).shifted(1.0)
    difference = state.activation(above, "ln").minus(state.activation(below, "ln"))
    return difference.scaled(0.5)


def _half_tangent(state: Lowering, t: Value) -> Value:
    """Return tan(a/2) of t = tan(a), |a| < pi/2: t / (1 + sqrt(1 + t**2))."""
    root = state.activation(state.combined("multiply", t, t).shifted(1.0), "sqrt")
    return state.combined("multiply", t, reciprocal(state, root.shifted(1.0)))


def _angle(state: Lowering, t: Value, halvings: int) -> Value:
    """Return the inverse tangent of t, whose angle is pi/16 or less after the halvings."""
    for _ in range(halvings):
        t = _half_tangent(state, t)
    square = state.combined("multiply", t, t)
    # t - t**3/3 + t**5/5 - ... by Horner's rule
    found = square.scaled((-1.0) ** (_TERMS - 1) / (2 * _TERMS - 1))
    for k in range(_TERMS - 2, 0, -1):
        found = state.combined("multiply", square, found.shifted((-1.0) ** k / (2 * k + 1)))
    found = state.combined("multiply", t, found.shifted(1.0))
    return found.scaled(2.0**halvings)


def _atan(state: Lowering, x: Value, _: Mapping[str, Any]) -> Value:
    return _angle(state, clipped(state, x, -_LARGEST_TANGENT, _LARGEST_TANGENT), 3)


def _asin(state: Lowering, x: Value, _: Mapping[str, Any]) -> Value:
    # tan(a/2) = sin(a) / (1 + cos(a)); the product is exact near 1
    product = state.combined("multiply", x.scaled(-1.0).shifted(1.0), x.shifted(1.0))
    cosine = state.activation(product, "sqrt")
    t = state.combined("multiply", x, reciprocal(state, cosine.shifted(1.0)))
    return _angle(state, t, 2).scaled(2.0)


def _acos(state: Lowering, x: Value, _: Mapping[str, Any]) -> Value:
    # tan(a/4) = sin(a/2) / (1 + cos(a/2)), which has no cancellation near 1
    half = math.sqrt(0.5)
    sine = state.activation(x.scaled(-1.0).shifted(1.0), "sqrt").scaled(half)
    cosine = state.activation(x.shifted(1.0), "sqrt").scaled(half)
    t = state.combined("multiply", sine, reciprocal(state, cosine.shifted(1.0)))
    return _angle(state, t, 2).scaled(4.0)


#: ONNX operator -> function of one value.
_FUNCTIONS: Mapping[str, Function] = {
    "Acos": _acos,
    "Acosh": _acosh,
    "Asin": _asin,
    "Asinh": _asinh,
    "Atan": _atan,
    "Atanh": _atanh,
}

#: ONNX operator -> function that lowers it.
INVERSE: Mapping[str, Handler] = {name: of_one(function) for name, function in _FUNCTIONS.items()}
