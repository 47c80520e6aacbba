"""Recurrent layers of Keras as the recurrent operations of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.importing.sources.keras.activations import activation_name
from emufort.importing.sources.keras.call import Call, Tensor

#: Activation functions of recurrent operations: name, alpha, beta.
_FUNCTIONS: dict[str, tuple[str, float, float]] = {
    "tanh": ("Tanh", 0.0, 0.0),
    "sigmoid": ("Sigmoid", 0.0, 0.0),
    "relu": ("Relu", 0.0, 0.0),
    "linear": ("Affine", 1.0, 0.0),
    "hard_sigmoid": ("HardSigmoid", 1.0 / 6.0, 0.5),
    "elu": ("Elu", 1.0, 0.0),
    "softsign": ("Softsign", 0.0, 0.0),
    "softplus": ("Softplus", 0.0, 0.0),
}
#: Gates of Keras in the order of ONNX: LSTM i, f, c, o -> i, o, f, c.
_LSTM_GATES = (0, 3, 1, 2)


def recurrent(call: Call) -> list[str]:
    """Convert LSTM, GRU and SimpleRNN; return the outputs of the layer."""
    aligned, *states = _run(call, call.config, "cell", _initial(call))
    if not call.config.get("return_sequences"):
        found = states[0]
    elif call.config.get("go_backwards"):
        found = _reversed(call, aligned)  # Keras gives them in the order of the computation
    else:
        found = aligned
    return [found, *states] if call.config.get("return_state") else [found]


def bidirectional(call: Call) -> list[str]:
    """Convert Bidirectional of two recurrent layers."""
    one, other = call.options("layer", "backward_layer")
    mode = call.config.get("merge_mode", "concat")
    initial = _initial(call)
    half = len(initial) // 2
    results = []
    for layer, part, given in (
        (one, "forward_layer", initial[:half]),
        (other, "backward_layer", initial[half:]),
    ):
        if layer["class_name"] not in RECURRENT or layer["config"].get("return_state"):
            raise call.refusal("it is not made of LSTM, GRU or SimpleRNN without return_state")
        inner = call.of_layer(layer, part, *call.args[:1])
        aligned, last, *_ = _run(inner, layer["config"], "cell", given)
        results.append(aligned if layer["config"].get("return_sequences") else last)
    builder = call.builder
    if mode is None:
        return results
    if mode == "concat":
        return [builder.add("Concat", *results, axis=-1)]
    if mode not in ("sum", "mul", "ave"):
        raise call.refusal(f"its merge_mode '{mode}' is unknown")
    found = builder.add("Mul" if mode == "mul" else "Add", *results)
    return [builder.scaled(found, 0.5) if mode == "ave" else found]


def _initial(call: Call) -> list[str]:
    """Return the names of the initial states that the call gives."""
    given = call.kwargs.get("initial_state") or list(call.args[1:])
    given = given if isinstance(given, list) else [given]
    if not all(isinstance(state, Tensor) for state in given):
        raise call.refusal("an initial state is not a value of the model")
    return [state.name for state in given]


def _reversed(call: Call, x: str) -> str:
    builder = call.builder
    places = [[-1], [np.iinfo(np.int64).min], [1], [-1]]
    return builder.add("Slice", x, *(builder.constant(v, integers=True) for v in places))


def _run(call: Call, config: Mapping[str, Any], cell: str, initial: Sequence[str]) -> list[str]:
    """Return all outputs in the order of the levels, and the last states."""
    if config.get("stateful"):
        raise call.refusal("it is stateful", "set stateful=False")
    builder = call.builder
    weights = call.weights.part(cell).arrays
    if len(weights) not in (2, 3):
        raise call.refusal(f"it has {len(weights)} weights, not a kernel for inputs and states")
    units = weights[1].shape[0]
    operator, inputs, names, attributes = RECURRENT[call.kind](call, config, weights)
    functions = []
    for name in names:
        known = _FUNCTIONS.get(activation_name(call, name))
        if known is None:
            raise call.refusal(f"recurrent operations have no '{activation_name(call, name)}'")
        functions.append(known)
    states = [
        builder.add("Unsqueeze", state, builder.constant([0], integers=True)) for state in initial
    ]
    found = builder.add(
        operator,
        builder.transposed(call.x, 1, 0, 2),
        *(builder.constant(array) for array in inputs),
        *(["", *states] if states else []),
        outputs=3 if operator == "LSTM" else 2,
        of=call.name,
        hidden_size=units,
        direction="reverse" if config.get("go_backwards") else "forward",
        activations=[name for name, _, _ in functions],
        activation_alpha=[alpha for _, alpha, _ in functions],
        activation_beta=[beta for _, _, beta in functions],
        **attributes,
    )
    one = builder.constant([1], integers=True)
    aligned = builder.transposed(builder.add("Squeeze", found, one), 1, 0, 2)
    zero = builder.constant([0], integers=True)
    last = [f"{found}/{i}" for i in range(1, 3 if operator == "LSTM" else 2)]
    return [aligned, *(builder.add("Squeeze", state, zero) for state in last)]


#: Operator, its inputs W, R, B, the options with its activation functions, further attributes.
_Cell = tuple[str, list[NDArray[Any]], list[str], dict[str, Any]]


def _stacked(kernel: NDArray[Any], order: Sequence[int]) -> NDArray[Any]:
    """Return a kernel (n, gates * units) as (1, gates * units, n) with the gates in order."""
    gates = np.split(kernel.T, len(order))
    return np.concatenate([gates[i] for i in order])[None]


def _bias(weights: Sequence[NDArray[Any]], order: Sequence[int]) -> NDArray[Any]:
    """Return the bias of inputs and states, (1, 2 * gates * units)."""
    size = weights[1].shape[1]
    bias = weights[2] if len(weights) == 3 else np.zeros(size)
    # one for the inputs, or one for the inputs and one for the states
    rows = bias.reshape(-1, size)
    rows = rows if len(rows) == 2 else np.stack([rows[0], np.zeros(size)])
    parts = [np.split(row, len(order)) for row in rows]
    return np.concatenate([part[i] for part in parts for i in order])[None]


def _lstm(call: Call, config: Mapping[str, Any], weights: list[NDArray[Any]]) -> _Cell:
    kernels = [_stacked(kernel, _LSTM_GATES) for kernel in weights[:2]]
    options = ["recurrent_activation", "activation", "activation"]
    return "LSTM", [*kernels, _bias(weights, _LSTM_GATES)], options, {}


def _gru(call: Call, config: Mapping[str, Any], weights: list[NDArray[Any]]) -> _Cell:
    order = (0, 1, 2)
    kernels = [_stacked(kernel, order) for kernel in weights[:2]]
    after = int(bool(config.get("reset_after", True)))
    options = ["recurrent_activation", "activation"]
    return "GRU", [*kernels, _bias(weights, order)], options, {"linear_before_reset": after}


def _simple(call: Call, config: Mapping[str, Any], weights: list[NDArray[Any]]) -> _Cell:
    kernels = [_stacked(kernel, (0,)) for kernel in weights[:2]]
    return "RNN", [*kernels, _bias(weights, (0,))], ["activation"], {}


#: Class of a layer -> function that gives the ONNX operation.
RECURRENT: dict[str, Callable[[Call, Mapping[str, Any], list[NDArray[Any]]], _Cell]] = {
    "LSTM": _lstm,
    "GRU": _gru,
    "SimpleRNN": _simple,
}
