"""Comparisons and logic; false is 0 and true is 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from emufort.importing.arguments import Inputs
from emufort.importing.atoms import Lowering
from emufort.importing.graph import Node
from emufort.importing.lowering import Handler
from emufort.importing.operators_activation import relu, truncated
from emufort.importing.refusal import refuse
from emufort.importing.values import Value, selected

#: From here on softplus(x) and x are the same in single precision.
_THRESHOLD_OF_SOFTPLUS = 17.0


def greater(state: Lowering, a: Value, b: Value) -> Value:
    """Return whether a > b."""
    one, other = state.broadcast([a, b])
    return state.activation(one.minus(other), "step")


def _not(x: Value) -> Value:
    return x.scaled(-1.0).shifted(1.0)


def _or(state: Lowering, a: Value, b: Value) -> Value:
    one, other = state.broadcast([a, b])
    return _not(relu(state, _not(one.plus(other))))


def _and(state: Lowering, a: Value, b: Value) -> Value:
    one, other = state.broadcast([a, b])
    return relu(state, one.plus(other).shifted(-1.0))


def _unequal(state: Lowering, a: Value, b: Value) -> Value:
    one, other = state.broadcast([a, b])
    return greater(state, one, other).plus(greater(state, other, one))


#: ONNX operator -> function of two values.
_OF_TWO: Mapping[str, Callable[[Lowering, Value, Value], Value]] = {
    "And": _and,
    "Equal": lambda state, a, b: _not(_unequal(state, a, b)),
    "Greater": greater,
    "GreaterOrEqual": lambda state, a, b: _not(greater(state, b, a)),
    "Less": lambda state, a, b: greater(state, b, a),
    "LessOrEqual": lambda state, a, b: _not(greater(state, a, b)),
    "Or": _or,
    "Xor": _unequal,
}


def _of_two(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    found = _OF_TWO[node.operator](state, Value.of(inputs[0]), Value.of(inputs[1]))
    return (found.of_kind("boolean"),)


def _negation(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    return (_not(Value.of(inputs[0])).of_kind("boolean"),)


def as_kind(state: Lowering, x: Value, kind: str) -> Value:
    """Return a value converted to a kind of numbers."""
    if kind == "boolean" and x.kind != "boolean":
        x = _unequal(state, x, Value.constant(np.zeros(x.shape)))
    elif kind == "integer" and x.kind == "real":
        x = truncated(state, x)
    return x.of_kind(kind)


def chosen(state: Lowering, condition: Value, one: Value, other: Value) -> Value:
    """Return `one` where the condition is true, `other` elsewhere."""
    condition, one, other = state.broadcast([condition, one, other])
    if not condition.terms:
        numbers = np.arange(one.size).reshape(one.shape)
        places = np.where(condition.bias.reshape(one.shape) > 0.0, numbers, one.size + numbers)
        return selected([one, other], places)
    # the condition is that a number is positive: that of the step function, if it is one
    found = condition.elements()
    number = None if found is None else found.atom
    if found is not None and number is not None and state.atoms[number].activation == "step":
        argument = state.atoms[number].argument
        assert argument is not None
        inner = argument.taken(found.positions.reshape(condition.shape))
        if np.all(found.weights == 1.0) and not np.any(found.bias):
            condition = inner
        elif np.all(found.weights == -1.0) and np.all(found.bias == 1.0):
            condition, one, other = inner, other, one
    if _is_softplus_with_threshold(state, condition, one, other):
        return other
    return state.combined("select", condition, one, other)


def _is_softplus_with_threshold(
    state: Lowering, condition: Value, one: Value, other: Value
) -> bool:
    """Return whether ``condition > 0`` chooses between x and softplus(b x)/b for large x."""
    found = other.elements()
    number = None if found is None else found.atom
    if found is None or number is None or state.atoms[number].activation != "softplus":
        return False
    argument = state.atoms[number].argument
    assert argument is not None
    if np.any(found.bias) or not len(found.weights) or found.weights[0] <= 0.0:
        return False
    inner = argument.taken(found.positions.reshape(other.shape))
    if not inner.scaled(found.weights).is_same(one):
        return False
    threshold = inner.minus(condition)
    if not threshold.terms:
        return bool(np.all(threshold.bias >= _THRESHOLD_OF_SOFTPLUS))
    threshold = one.minus(condition)
    return not threshold.terms and bool(
        np.all(threshold.bias >= _THRESHOLD_OF_SOFTPLUS * found.weights)
    )


def _where(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    condition, one, other = (Value.of(v) for v in inputs)
    return (chosen(state, condition, one, other),)


#: Numbers of ONNX for kinds of numbers.
_KINDS = {
    "real": (1, 10, 11, 16),  # float, float16, double, bfloat16
    "integer": (2, 3, 4, 5, 6, 7, 12, 13),
    "boolean": (9,),
}
#: Integers that may not hold a number, which tools then change in different ways.
_NARROW_INTEGERS = (2, 3, 4, 5, 12, 13)


def _cast(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    x = Value.of(inputs[0])
    if node.operator == "CastLike":
        return (as_kind(state, x, Value.of(inputs[1]).kind),)
    to = node.attributes.get("to")
    kind = next((kind for kind, numbers in _KINDS.items() if to in numbers), None)
    if kind is None:
        raise refuse("Cast", node.name, "its type has no numbers", "keep real numbers in the model")
    if to in _NARROW_INTEGERS and x.kind != "boolean":
        raise refuse(
            "Cast",
            node.name,
            "integers of its type are of 8 or 16 bits or without a sign",
            "use int32 or int64",
        )
    return (as_kind(state, x, kind),)


#: ONNX operator -> function that lowers it.
LOGIC: Mapping[str, Handler] = {
    **dict.fromkeys(_OF_TWO, _of_two),
    "Cast": _cast,
    "CastLike": _cast,
    "Not": _negation,
    "Where": _where,
}
