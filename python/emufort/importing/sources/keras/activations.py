"""Activation functions of Keras as ONNX nodes, with the formulas of ``keras.activations``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emufort.importing.sources.builder import Builder
from emufort.importing.sources.keras.call import Call


def _of(operator: str, **attributes: Any) -> Callable[[Builder, str], str]:
    return lambda builder, x: builder.add(operator, x, **attributes)


def _times(function: Callable[[Builder, str], str]) -> Callable[[Builder, str], str]:
    """Return x function(x)."""
    return lambda builder, x: builder.add("Mul", x, function(builder, x))


def _clip(builder: Builder, x: str, lower: float, upper: float) -> str:
    return builder.add("Clip", x, builder.constant(lower), builder.constant(upper))


def _gelu_tanh(builder: Builder, x: str) -> str:
    return builder.add("Gelu", x, approximate="tanh")


def _log_sigmoid(builder: Builder, x: str) -> str:
    return builder.add("Neg", builder.add("Softplus", builder.add("Neg", x)))


def _tanh_shrink(builder: Builder, x: str) -> str:
    return builder.add("Sub", x, builder.add("Tanh", x))


def _square_plus(builder: Builder, x: str) -> str:
    """(x + sqrt(x**2 + 4)) / 2."""
    root = builder.add("Sqrt", builder.shifted(builder.add("Mul", x, x), 4.0))
    return builder.scaled(builder.add("Add", x, root), 0.5)


#: Name -> function that adds the nodes.
ACTIVATIONS: dict[str, Callable[[Builder, str], str]] = {
    "linear": lambda builder, x: x,
    "relu": _of("Relu"),
    "relu6": lambda builder, x: _clip(builder, x, 0.0, 6.0),
    "leaky_relu": _of("LeakyRelu", alpha=0.2),
    "elu": _of("Elu", alpha=1.0),
    "selu": _of("Selu"),
    "celu": _of("Celu", alpha=1.0),
    "sigmoid": _of("Sigmoid"),
    # Keras 3: relu6(x + 3) / 6
    "hard_sigmoid": _of("HardSigmoid", alpha=1.0 / 6.0, beta=0.5),
    "silu": _times(_of("Sigmoid")),
    "swish": _times(_of("Sigmoid")),
    "hard_silu": _times(_of("HardSigmoid", alpha=1.0 / 6.0, beta=0.5)),
    "hard_swish": _times(_of("HardSigmoid", alpha=1.0 / 6.0, beta=0.5)),
    "tanh": _of("Tanh"),
    "hard_tanh": lambda builder, x: _clip(builder, x, -1.0, 1.0),
    "tanh_shrink": _tanh_shrink,
    "softplus": _of("Softplus"),
    "softsign": _of("Softsign"),
    "mish": _of("Mish"),
    "gelu": _of("Gelu"),
    "gelu_tanh": _gelu_tanh,
    "exponential": _of("Exp"),
    "log_sigmoid": _log_sigmoid,
    "squareplus": _square_plus,
    "softmax": _of("Softmax", axis=-1),
    "log_softmax": _of("LogSoftmax", axis=-1),
}


def activation(call: Call, x: str, option: str = "activation") -> str:
    """Return the activation function of a layer applied to `x`.

    Raises
    ------
    ImportRefusedError
        The function is not one of Keras.
    """
    function = ACTIVATIONS.get(activation_name(call, option))
    if function is None:
        raise call.refusal(f"the activation function '{activation_name(call, option)}' is unknown")
    return function(call.builder, x)


def activation_name(call: Call, option: str = "activation") -> str:
    """Return the name of the activation function of a layer."""
    found = call.config.get(option) or "linear"
    if isinstance(found, dict):
        # A function of Keras is a text; anything else is an object with code of its own.
        name = found.get("config")
        known = found.get("module") == "keras.activations" and isinstance(name, str)
        found = name if known else f"{found.get('class_name')} {name}"
    return str(found)


def relu(call: Call) -> str:
    """Convert the layer ReLU."""
    highest, slope, threshold = call.options("max_value", "negative_slope", "threshold")
    if threshold:
        raise call.refusal("it has a threshold")
    builder = call.builder
    found = builder.add("LeakyRelu", call.x, alpha=slope) if slope else builder.add("Relu", call.x)
    if highest is None:
        return found
    return builder.add("Min", found, builder.constant(highest))


def prelu(call: Call) -> str:
    """Convert the layer PReLU."""
    (slope,) = call.arrays
    return call.builder.add("PRelu", call.x, call.builder.constant(slope))


def softmax(call: Call) -> str:
    """Convert the layer Softmax."""
    axis = call.config.get("axis", -1)
    axes = axis if isinstance(axis, list) else [axis]
    if len(axes) != 1:
        raise call.refusal("it has several axes")
    return call.builder.add("Softmax", call.x, axis=int(axes[0]))
