"""Lower a graph to affine maps and atoms.

The graph is followed for one column. Operations without columns in their inputs are evaluated; all
others are handled by the functions of the table in `emufort.importing.operators`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.importing.atoms import Atom, Lowering
from emufort.importing.evaluation import evaluate
from emufort.importing.graph import Graph, Node
from emufort.importing.refusal import MOST_ELEMENTS, ImportRefusedError, refuse
from emufort.importing.values import Value, common_kind

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
_DATA_DEPENDENT = {"NonMaxSuppression", "NonZero", "Unique"}
#: Operations that ask for what no input of a network is: a NaN gives NaN in its column.
_NOT_FINITE = {"IsInf", "IsNaN"}
_CONTROL_FLOW = {"If", "Loop", "Scan", "SequenceMap"}
#: Operations whose result is a number of the kind of their inputs.
_ARITHMETIC = {"Abs", "Add", "CumSum", "Einsum", "Gemm", "MatMul", "Max", "Mean", "Min", "Mod"} | {
    "Mul", "Neg", "Pow", "ReduceL1", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd"} | {
    "ReduceSum", "ReduceSumSquare", "Relu", "Sign", "Sub", "Sum"}  # fmt: skip

#: Attributes that are 0 or 1; tools treat other numbers in different ways.
_FLAGS = {"ceil_mode", "count_include_pad", "exclusive", "fmod", "input_forget", "interleaved"} | {
    "is_causal", "keepdims", "largest", "layout", "linear_before_reset", "noop_with_empty_axes"} | {
    "reverse", "select_last_index", "training_mode", "transA", "transB"}  # fmt: skip


#: Takes the lowering, the node and its inputs (None: absent); returns the outputs.
Handler = Callable[
    [Lowering, Node, list[NDArray[Any] | Value | None]], "tuple[NDArray[Any] | Value, ...]"
]


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
    uses = Counter(name for node in graph.nodes for name in node.inputs)
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
            if uses[name] > 1 and isinstance(value, Value):
                # Otherwise every use, such as both branches of a residual block, repeats its sums.
                value = state.repeatable(value).of_kind(value.kind)
            state.values[name] = value
    outputs = []
    for port in graph.outputs:
        result = state.values.get(port.name)
        if result is None:
            raise ImportRefusedError(f"no node of the model gives its output '{port.name}'")
        if not result.size:
            raise ImportRefusedError(
                f"the output '{port.name}' of the model has no elements; export it without it"
            )
        if result.shape[:1] not in ((), (1,)):
            raise ImportRefusedError(
                f"the output '{port.name}' of the model has {result.shape[0]} rows for one "
                "column; its first dimension must be that of the columns"
            )
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
    if node.operator in _NOT_FINITE and isinstance(state.values.get(node.inputs[0]), Value):
        raise refuse(
            node.operator,
            node.name,
            "a column with an input that is NaN or infinite gives NaN, and no network sees it",
            "remove it from the model (torch.atan2 and torch.nan_to_num have it)",
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
        _check_flags(node)
        found = handler(state, node, inputs)
        _reuse(state, node, inputs)
        if node.operator in _ARITHMETIC:
            kind = common_kind(Value.of(v) for v in inputs if v is not None)
            return tuple(v.of_kind(kind) if isinstance(v, Value) else v for v in found)
        return found
    except ImportRefusedError:
        raise
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        MemoryError,
        StopIteration,
        TypeError,
        ValueError,
    ) as error:
        # attributes and shapes of an untrusted file
        raise refuse(
            node.operator,
            node.name,
            f"its inputs do not fit ({str(error)[:120]})",
            "check the model with the ONNX checker",
        ) from error


def _check_flags(node: Node) -> None:
    for name in sorted(_FLAGS & node.attributes.keys()):
        if node.attributes[name] not in (0, 1):
            raise ValueError(f"its attribute {name} is {node.attributes[name]}, not 0 or 1")


def _reuse(state: Lowering, node: Node, inputs: list[NDArray[Any] | Value | None]) -> None:
    """Let later nodes use what a handler stored of its inputs, so that sums do not grow."""
    for name, value in zip(node.inputs, inputs, strict=True):
        if isinstance(value, Value):
            state.values[name] = state.if_stored(value)
