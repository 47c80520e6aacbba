"""Operations of ``keras.ops`` between layers, such as slices and sums of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from emufort.importing.sources.keras.activations import ACTIVATIONS
from emufort.importing.sources.keras.call import Call, Tensor

_END = np.iinfo(np.int64).max


def _value(call: Call, argument: Any) -> str:
    """Return the name of an argument that is a value or a number."""
    if isinstance(argument, Tensor):
        return argument.name
    if isinstance(argument, int | float | list):
        return call.builder.constant(argument)
    raise call.refusal("an argument is neither a value of the model nor a number")


def _binary(operator: str) -> Callable[[Call], str]:
    def convert(call: Call) -> str:
        return call.builder.add(operator, *(_value(call, a) for a in call.args[:2]))

    return convert


def _unary(operator: str) -> Callable[[Call], str]:
    return lambda call: call.builder.add(operator, call.x)


def _function(name: str) -> Callable[[Call], str]:
    return lambda call: ACTIVATIONS[name](call.builder, call.x)


def _square(call: Call) -> str:
    return call.builder.add("Mul", call.x, call.x)


def _gelu(call: Call) -> str:
    name = "gelu_tanh" if call.config.get("approximate", True) else "gelu"
    return ACTIVATIONS[name](call.builder, call.x)


def _leaky_relu(call: Call) -> str:
    slope = float(call.config.get("negative_slope", 0.2))
    return call.builder.add("LeakyRelu", call.x, alpha=slope)


def _softmax(call: Call) -> str:
    return call.builder.add("Softmax", call.x, axis=int(call.config.get("axis", -1)))


def _reduced(operator: str) -> Callable[[Call], str]:
    def convert(call: Call) -> str:
        axis = call.config.get("axis")
        axes: list[Any] = axis if isinstance(axis, list) else [axis]
        if None in axes or 0 in axes:
            raise call.refusal("it mixes columns", "give the axes behind the first one")
        keep = int(bool(call.config.get("keepdims")))
        places = call.builder.constant(axes, integers=True)
        return call.builder.add(operator, call.x, places, keepdims=keep)

    return convert


def _clip(call: Call) -> str:
    lower, upper = call.options("x_min", "x_max")
    limits = [call.builder.constant(v) if v is not None else "" for v in (lower, upper)]
    return call.builder.add("Clip", call.x, *limits)


def _concatenate(call: Call) -> str:
    return call.builder.add("Concat", *call.inputs, axis=int(call.config.get("axis", -1)))


def _stack(call: Call) -> str:
    builder, axis = call.builder, int(call.config.get("axis", 0))
    place = builder.constant([axis], integers=True)
    return builder.add(
        "Concat", *(builder.add("Unsqueeze", x, place) for x in call.inputs), axis=axis
    )


def _reshape(call: Call) -> str:
    shape = [-1 if v is None else int(v) for v in call.config["newshape"]]
    if shape.count(-1) > 1 or -1 in shape[1:]:
        size = int(np.prod(call.builder.shape(call.x)))
        rest = int(np.prod([v for v in shape[1:] if v != -1]))
        shape = [-1, *(size // rest if v == -1 else v for v in shape[1:])]
    return call.builder.reshaped(call.x, *shape[1:])


def _transpose(call: Call) -> str:
    axes = call.config.get("axes")
    if not axes or axes[0] != 0:
        raise call.refusal("it moves the dimension of the columns")
    return call.builder.transposed(call.x, *axes)


def _axes(operator: str) -> Callable[[Call], str]:
    def convert(call: Call) -> str:
        axis = call.config.get("axis")
        axes: list[Any] = axis if isinstance(axis, list) else [axis]
        if None in axes:
            raise call.refusal("it has no axis")
        return call.builder.add(operator, call.x, call.builder.constant(axes, integers=True))

    return convert


def _get_item(call: Call) -> str:
    """Convert ``x[...]`` with slices, integers, None and an ellipsis."""
    builder, x = call.builder, call.x
    key = call.args[1]
    keys = list(key) if isinstance(key, list) else [key]
    rank = builder.rank(x)
    wanted = sum(1 for k in keys if k is not None and k is not Ellipsis)
    if Ellipsis in keys:
        place = keys.index(Ellipsis)
        keys[place : place + 1] = [slice(None)] * (rank - wanted)
    axis = 0
    dropped: list[int] = []
    added: list[int] = []
    for k in keys:
        if k is None:
            added.append(axis - len(dropped) + len(added))
            continue
        if isinstance(k, int) and not isinstance(k, bool):
            x = _sliced(call, x, axis, slice(k, k + 1 if k != -1 else _END))
            dropped.append(axis)
        elif not isinstance(k, slice):
            raise call.refusal("its index is not made of numbers and slices")
        elif k != slice(None):
            x = _sliced(call, x, axis, k)
        if axis == 0 and k != slice(None):
            raise call.refusal("it takes some of the columns")
        axis += 1
    for operator, axes in (("Squeeze", dropped), ("Unsqueeze", added)):
        if axes:
            x = builder.add(operator, x, builder.constant(axes, integers=True))
    return x


def _sliced(call: Call, x: str, axis: int, part: slice) -> str:
    step = 1 if part.step is None else int(part.step)
    first = (0 if step > 0 else _END) if part.start is None else int(part.start)
    last = (_END if step > 0 else -_END) if part.stop is None else int(part.stop)
    places = ([first], [last], [axis], [step])
    return call.builder.add("Slice", x, *(call.builder.constant(v, integers=True) for v in places))


#: Class of an operation -> function that converts it.
OPERATIONS: dict[str, Callable[[Call], str]] = {
    "Absolute": _unary("Abs"),
    "Abs": _unary("Abs"),
    "Add": _binary("Add"),
    "Clip": _clip,
    "Concatenate": _concatenate,
    "Cos": _unary("Cos"),
    "Divide": _binary("Div"),
    "Elu": _function("elu"),
    "Exp": _unary("Exp"),
    "ExpandDims": _axes("Unsqueeze"),
    "Gelu": _gelu,
    "GetItem": _get_item,
    "HardSigmoid": _function("hard_sigmoid"),
    "HardSilu": _function("hard_silu"),
    "LeakyRelu": _leaky_relu,
    "Log": _unary("Log"),
    "LogSigmoid": _function("log_sigmoid"),
    "Matmul": _binary("MatMul"),
    "Max": _reduced("ReduceMax"),
    "Maximum": _binary("Max"),
    "Mean": _reduced("ReduceMean"),
    "Min": _reduced("ReduceMin"),
    "Minimum": _binary("Min"),
    "Multiply": _binary("Mul"),
    "Negative": _unary("Neg"),
    "Power": _binary("Pow"),
    "Prod": _reduced("ReduceProd"),
    "Relu": _function("relu"),
    "Relu6": _function("relu6"),
    "Reshape": _reshape,
    "Selu": _function("selu"),
    "Sigmoid": _function("sigmoid"),
    "Silu": _function("silu"),
    "Sin": _unary("Sin"),
    "Softmax": _softmax,
    "Softplus": _function("softplus"),
    "Softsign": _function("softsign"),
    "Sqrt": _unary("Sqrt"),
    "Square": _square,
    "Squeeze": _axes("Squeeze"),
    "Stack": _stack,
    "Subtract": _binary("Sub"),
    "Sum": _reduced("ReduceSum"),
    "Tanh": _unary("Tanh"),
    "Transpose": _transpose,
    "TrueDivide": _binary("Div"),
}


def convert(call: Call) -> list[str]:
    """Convert an operation; return the name of its result.

    Raises
    ------
    ImportRefusedError
        The operation is not in the table, or its arguments are not supported.
    """
    handler = OPERATIONS.get(call.kind)
    if handler is None:
        raise call.refusal("it is not an operation that can be converted")
    return [handler(call)]
