"""Recurrent layers, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from emufort.importing.arguments import Inputs, constant, given, numbers_of
from emufort.importing.atoms import Lowering
from emufort.importing.graph import Node
from emufort.importing.lowering import Handler
from emufort.importing.operators_activation import FUNCTIONS, Function, clipped
from emufort.importing.operators_products import multiplied
from emufort.importing.values import Array, Value, concatenated, selected

#: Number of gates, and activation functions by default.
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_DEFAULTS = {
    "RNN": ("Tanh",),
    "GRU": ("Sigmoid", "Tanh"),
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
}
#: Name of an activation function -> its parameters alpha and beta by default.
_PARAMETERS: Mapping[str, tuple[float, ...]] = {
    "Affine": (1.0, 0.0),
    "Elu": (1.0,),
    "HardSigmoid": (0.2, 0.5),
    "LeakyRelu": (0.01,),
    "ScaledTanh": (1.0, 1.0),
    "ThresholdedRelu": (1.0,),
}


@dataclass
class _Layer:
    """One direction of a recurrent layer.

    Attributes
    ----------
    state
        The lowering.
    node
        The node.
    size
        Number of hidden units.
    inputs
        The part of the gates that depends on the inputs, with all biases that do not stand within a
        product, (steps, gates * size).
    recurrent, bias
        Weights of the hidden units (gates * size, size) and their biases.
    peepholes
        Weights of the cell for the gates i, o, f, or None.
    functions
        Activation functions.
    """

    state: Lowering
    node: Node
    size: int
    inputs: Value
    recurrent: Array
    bias: Array
    peepholes: Array | None
    functions: Sequence[Callable[[Value], Value]]

    @property
    def n_states(self) -> int:
        """Number of states: hidden units, and cells."""
        return 2 if self.node.operator == "LSTM" else 1

    def run(self, steps: int, order: Iterable[int], initial: Sequence[Value]) -> list[Value]:
        """Return the hidden units of all steps, and the last states."""
        advance = {"RNN": self.rnn, "GRU": self.gru, "LSTM": self.lstm}[self.node.operator]
        states = tuple(initial)
        found = [Value.constant(np.zeros(self.size))] * steps
        for step in order:
            states = advance(step, states)
            found[step] = states[0]
        return [concatenated(found), *states]

    def gates(self, step: int, first: int, count: int) -> Value:
        """Return the part of gates that depends on the inputs."""
        places = numbers_of(self.inputs.shape)[
            step, first * self.size : (first + count) * self.size
        ]
        return self.inputs.taken(places)

    def of_hidden(self, hidden: Value, first: int, count: int) -> list[Value]:
        """Return the product of the recurrent weights and the hidden units for each gate.

        One layer computes them; it has the biases that stand within a product.
        """
        rows = slice(first * self.size, (first + count) * self.size)
        matrix = sparse.csr_array(self.recurrent[rows])
        found = self.state.linear(hidden, matrix, (len(self.bias[rows]),)).shifted(self.bias[rows])
        if found.terms:
            found = self.state.stored(found)
        return [found.taken(places) for places in numbers_of((count, self.size))]

    def activation(self, number: int, value: Value) -> Value:
        """Return an activation function of a gate, whose argument may be clipped."""
        bound = self.node.attributes.get("clip")
        if bound:
            value = clipped(self.state, value, -float(bound), float(bound))
        return self.functions[number](value)

    def rnn(self, step: int, states: tuple[Value, ...]) -> tuple[Value, ...]:
        """Return the hidden units after a step."""
        (hidden,) = states
        z = self.gates(step, 0, 1).plus(*self.of_hidden(hidden, 0, 1))
        return (self.activation(0, z),)

    def gru(self, step: int, states: tuple[Value, ...]) -> tuple[Value, ...]:
        """Return the hidden units after a step; the gates are update, reset and hidden."""
        (hidden,) = states
        is_before = bool(self.node.attributes.get("linear_before_reset"))
        parts = self.of_hidden(hidden, 0, 3 if is_before else 2)
        gates = self.activation(0, self.gates(step, 0, 2).plus(concatenated(parts[:2])))
        update, reset = (gates.taken(places) for places in numbers_of((2, self.size)))
        if is_before:
            recurrent = multiplied(self.state, reset, parts[2])
        else:
            (recurrent,) = self.of_hidden(multiplied(self.state, reset, hidden), 2, 1)
        new = self.activation(1, self.gates(step, 2, 1).plus(recurrent))
        kept = multiplied(self.state, update, hidden.minus(new))
        return (self.state.stored(new.plus(kept)),)

    def lstm(self, step: int, states: tuple[Value, ...]) -> tuple[Value, ...]:
        """Return hidden units and cells after a step; the gates are input, output, forget, cell."""
        hidden, cell = states
        state = self.state
        parts = self.of_hidden(hidden, 0, 4)
        fused = self.peepholes is None
        if fused:
            z = self.gates(step, 0, 3).plus(concatenated(parts[:3]))
            gates = self.activation(0, z)
            gate_in, gate_out, forget = (gates.taken(k) for k in numbers_of((3, self.size)))
        else:
            gate_in, forget = (self._seen(step, parts[k], cell, k) for k in (0, 2))
        if self.node.attributes.get("input_forget"):
            forget = gate_in.scaled(-1.0).shifted(1.0)
        new = self.activation(1, self.gates(step, 3, 1).plus(parts[3]))
        cell = multiplied(state, forget, cell).plus(multiplied(state, gate_in, new))
        if not fused:
            gate_out = self._seen(step, parts[1], cell, 1)
        return multiplied(state, gate_out, self.functions[2](cell)), cell

    def _seen(self, step: int, part: Value, cell: Value, gate: int) -> Value:
        """Return a gate that sees the cell."""
        assert self.peepholes is not None
        weights = self.peepholes[gate * self.size : (gate + 1) * self.size]
        z = self.gates(step, gate, 1).plus(part)
        return self.activation(0, z.plus(cell.scaled(weights)))


def _function(state: Lowering, name: str, alpha: float, beta: float) -> Callable[[Value], Value]:
    attributes: dict[str, Any] = {"alpha": alpha, "beta": beta}
    if name == "Affine":
        return lambda x: x.scaled(alpha).shifted(beta)
    if name == "ScaledTanh":
        return lambda x: state.activation(x.scaled(beta), "tanh").scaled(alpha)
    known: Mapping[str, Function] = {key.lower(): function for key, function in FUNCTIONS.items()}
    function = known.get(name.lower())
    if function is None:
        raise ValueError(f"its activation function {name} is unknown")
    return lambda x: function(state, x, attributes)


def _functions(state: Lowering, node: Node, direction: int, count: int) -> list[Any]:
    """Return the activation functions of a direction."""
    defaults = _DEFAULTS[node.operator]
    names = [name.decode() for name in node.attributes.get("activations", ())]
    names = names or [*defaults] * count
    # the lists of parameters have numbers only for the functions that have the parameter
    given = [list(node.attributes.get(f"activation_{key}", ())) for key in ("alpha", "beta")]
    found = []
    for name in names:
        parameters = list(_PARAMETERS.get(name, ()))
        for place in range(len(parameters)):
            if given[place]:
                parameters[place] = float(given[place].pop(0))
        alpha, beta = (*parameters, 0.0, 0.0)[:2]
        found.append(_function(state, name, alpha, beta))
    first = direction * len(defaults)
    return found[first : first + len(defaults)]


def _recurrent(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    """Lower RNN, GRU and LSTM."""
    x = Value.of(inputs[0])
    gates, layout = _GATES[node.operator], int(node.attributes.get("layout", 0))
    if layout:
        x = x.taken(numbers_of(x.shape).swapaxes(0, 1))
    steps, sequences = x.shape[:2]
    weights, recurrent = (constant(node, inputs, k) for k in (1, 2))
    if weights is None or recurrent is None:
        raise ValueError("it has no weights")
    count, size = len(recurrent), recurrent.shape[2]
    bias = constant(node, inputs, 3)
    if bias is None:
        bias = np.zeros((count, 2 * gates * size))
    lengths = constant(node, inputs, 4)
    lengths = np.full(sequences, steps) if lengths is None else lengths.ravel()
    peepholes = constant(node, inputs, 7) if node.operator == "LSTM" else None
    results: list[list[Value]] = []
    for direction in range(count):
        wb, rb = np.split(bias[direction].astype(np.float64), 2)
        inner = np.zeros(gates * size)
        if node.attributes.get("linear_before_reset"):
            inner[2 * size :] = rb[2 * size :]
        for k in range(sequences):
            windows = numbers_of(x.shape)[:, k]
            layer = _Layer(
                state,
                node,
                size,
                state.repeated(x, windows, weights[direction], wb + rb - inner),
                recurrent[direction].astype(np.float64),
                inner,
                None if peepholes is None else peepholes[direction].astype(np.float64),
                _functions(state, node, direction, count),
            )
            place = direction * sequences + k
            initial = [_initial(given(inputs, 5 + n), place, size) for n in range(layer.n_states)]
            is_reverse = direction == 1 or node.attributes.get("direction") == b"reverse"
            order = np.arange(int(lengths[k]))
            results.append(layer.run(steps, order[::-1] if is_reverse else order, initial))
    return _outputs(results, (count, sequences, steps, size), layout)


def _initial(value: Any, direction: int, size: int) -> Value:
    if value is None:
        return Value.constant(np.zeros(size))
    return Value.of(value).taken(direction * size + np.arange(size))


def _outputs(
    results: list[list[Value]], sizes: tuple[int, int, int, int], layout: int
) -> tuple[Value, ...]:
    """Return all hidden units, and the last hidden units and cells."""
    # (directions, sequences, steps, size) -> (steps, directions, sequences, size)
    places = numbers_of(sizes).transpose((1, 2, 0, 3) if layout else (2, 0, 1, 3))
    found = [selected([result[0] for result in results], places)]
    count, sequences, _, size = sizes
    for number in range(1, len(results[0])):
        last = numbers_of((count, sequences, size))
        last = last.swapaxes(0, 1) if layout else last
        found.append(selected([result[number] for result in results], last))
    return tuple(found)


#: ONNX operator -> function that lowers it.
RECURRENT: Mapping[str, Handler] = dict.fromkeys(_GATES, _recurrent)
