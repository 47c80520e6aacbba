"""Lower a graph to affine maps and activation functions.

The graph is followed for one column. Operations without columns in their inputs are evaluated; all
others are handled by the functions of the tables in `operators_structure`, `operators_linear` and
`operators_elementwise`, which this module combines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.importing.evaluation import evaluate
from emufort.importing.graph import Graph, Node
from emufort.importing.refusal import MOST_ELEMENTS, ImportRefusedError, refuse
from emufort.importing.values import Value

#: Random operations: a column would not always have the same result.
_RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
#: Operations whose result has a shape that depends on data.
_DATA_DEPENDENT = {"Compress", "NonMaxSuppression", "NonZero", "Unique"}
_CONTROL_FLOW = {"If", "Loop", "Scan", "SequenceMap"}


@dataclass(frozen=True)
class Atom:
    """The features, or the result of an activation function.

    Attributes
    ----------
    size
        Number of elements.
    argument
        Argument of the activation function; None for the features.
    activation, slope
        Name of the activation function (`emufort.network.activations`), and its parameter. ``erf``
        is none of them; it is replaced where it is a part of gelu.
    node
        Name of the node that made the atom.
    """

    size: int
    argument: Value | None = None
    activation: str = "linear"
    slope: float = 0.0
    node: str = ""


@dataclass
class Lowering:
    """Values of a graph while it is followed.

    Attributes
    ----------
    opset
        Version of the operators.
    atoms
        Atoms by their numbers; the first one is the features.
    values
        Name of a value -> a constant array, or a value that depends on the features.
    """

    opset: int
    atoms: list[Atom]
    values: dict[str, NDArray[Any] | Value] = field(default_factory=dict)

    def activation(self, argument: Value, name: str, slope: float = 0.0, node: str = "") -> Value:
        """Return the result of an activation function; equal ones become one atom."""
        for number, atom in enumerate(self.atoms):
            if (
                atom.argument is not None
                and (atom.activation, atom.slope) == (name, slope)
                and _is_equal(atom.argument, argument)
            ):
                return Value.atom(number, argument.shape)
        self.atoms.append(Atom(argument.size, argument, name, slope, node))
        return Value.atom(len(self.atoms) - 1, argument.shape)

    def atom_of(self, value: Value) -> Atom | None:
        """Return the atom that a value is, element by element; None if it is none."""
        if len(value.terms) != 1 or np.any(value.bias):
            return None
        ((number, _),) = value.terms.items()
        atom = self.atoms[number]
        is_atom = atom.size == value.size and value.is_same(Value.atom(number, value.shape))
        return atom if is_atom else None


#: Takes the lowering, the node and its inputs (None: absent); returns the outputs.
Handler = Callable[
    [Lowering, Node, list[NDArray[Any] | Value | None]], "tuple[NDArray[Any] | Value, ...]"
]


def _is_equal(one: Value, other: Value) -> bool:
    if one.terms.keys() != other.terms.keys() or not np.array_equal(one.bias, other.bias):
        return False
    return all(
        one.terms[k].shape == other.terms[k].shape and (one.terms[k] != other.terms[k]).nnz == 0
        for k in one.terms
    )


def lower(
    graph: Graph, features: Mapping[str, Value], n_features: int, handlers: Mapping[str, Handler]
) -> tuple[Lowering, list[Value]]:
    """Follow a graph; return the lowering and the values of its outputs.

    Parameters
    ----------
    graph
        The graph.
    features
        Name of an input -> its value.
    n_features
        Number of features.
    handlers
        ONNX operator -> function that lowers it.

    Raises
    ------
    ImportRefusedError
        A node cannot be lowered.
    """
    state = Lowering(graph.opset, [Atom(n_features)], {**graph.constants, **features})
    needed = _needed(graph)
    for node in graph.nodes:
        if node.outputs and needed.isdisjoint(node.outputs):
            continue
        found = _results(state, node, handlers)
        for name, value in zip(node.outputs, found, strict=False):
            if not name:
                continue
            if value.size > MOST_ELEMENTS:
                raise refuse(
                    node.operator,
                    node.name,
                    f"its result has {value.size} values for one column",
                    f"the largest number is {MOST_ELEMENTS}",
                )
            state.values[name] = value
    outputs = []
    for port in graph.outputs:
        result = state.values.get(port.name)
        if result is None:
            raise ImportRefusedError(f"no node of the model gives its output '{port.name}'")
        outputs.append(result if isinstance(result, Value) else Value.constant(result))
    return state, outputs


def _needed(graph: Graph) -> set[str]:
    """Return the names of the values that the outputs depend on."""
    needed = {port.name for port in graph.outputs}
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.outputs):
            needed.update(node.inputs)
    return needed


def _results(
    state: Lowering, node: Node, handlers: Mapping[str, Handler]
) -> tuple[NDArray[Any] | Value, ...]:
    if node.operator in _RANDOM:
        raise refuse(node.operator, node.name, "it is random", "export the model for inference")
    if node.operator in _DATA_DEPENDENT:
        raise refuse(
            node.operator,
            node.name,
            "the shape of its result depends on the data",
            "export the model with fixed shapes",
        )
    if node.operator in _CONTROL_FLOW:
        raise refuse(
            node.operator,
            node.name,
            "it is control flow",
            "export the model without loops and branches",
        )
    unknown = [name for name in node.inputs if name and name not in state.values]
    if unknown:
        raise refuse(
            node.operator,
            node.name,
            f"it reads '{unknown[0]}', which no earlier node gives",
            "export the model again",
        )
    inputs = [state.values[name] if name else None for name in node.inputs]
    if node.operator == "Shape" and isinstance(inputs[0], Value):
        inputs[0] = np.empty(inputs[0].shape)
    if node.operator == "Size" and isinstance(inputs[0], Value):
        return (np.array(inputs[0].size, dtype=np.int64),)
    if not any(isinstance(value, Value) for value in inputs):
        arrays = [None if value is None else np.asarray(value) for value in inputs]
        return evaluate(node, arrays, state.opset)
    handler = handlers.get(node.operator)
    if handler is None:
        raise refuse(
            node.operator,
            node.name,
            "it is not supported for values that depend on the inputs of the model",
            "docs/import.md lists the supported operations",
        )
    try:
        return handler(state, node, inputs)
    except ImportRefusedError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, StopIteration) as error:
        raise refuse(
            node.operator,
            node.name,
            f"its inputs do not fit ({str(error)[:120]})",
            "check the model with the ONNX checker",
        ) from error
