"""Operations that only move elements: their result is found by moving the numbers of elements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.importing.arguments import given, text
from emufort.importing.atoms import Lowering
from emufort.importing.evaluation import evaluate
from emufort.importing.graph import Node
from emufort.importing.lowering import Handler
from emufort.importing.refusal import refuse
from emufort.importing.values import Value, selected

#: Operator -> inputs that hold data; None: all of them. The other inputs must be constants.
_DATA_INPUTS: Mapping[str, tuple[int, ...] | None] = {
    "CenterCropPad": (0,),
    "Compress": (0,),
    "Concat": None,
    "DepthToSpace": (0,),
    "Expand": (0,),
    "Flatten": (0,),
    "Gather": (0,),
    "GatherElements": (0,),
    "GatherND": (0,),
    "Identity": (0,),
    "Reshape": (0,),
    "ReverseSequence": (0,),
    "ScatterElements": (0, 2),
    "ScatterND": (0, 2),
    "Slice": (0,),
    "SpaceToDepth": (0,),
    "Split": (0,),
    "Squeeze": (0,),
    "Tile": (0,),
    "Transpose": (0,),
    "Trilu": (0,),
    "Unsqueeze": (0,),
}


def _moved(
    state: Lowering, node: Node, inputs: list[NDArray[Any] | Value | None]
) -> tuple[Value, ...]:
    if node.operator == "Identity":
        return (Value.of(inputs[0]),)
    places = _DATA_INPUTS[node.operator]
    data = [k for k, v in enumerate(inputs) if v is not None and (places is None or k in places)]
    for k, value in enumerate(inputs):
        if k not in data and isinstance(value, Value):
            raise refuse(
                node.operator,
                node.name,
                "an index or a shape depends on the inputs of the model",
                "export the model with constant indices and shapes",
            )
    if text(node.attributes, "reduction", "none") != "none":
        raise refuse(node.operator, node.name, "it adds elements", "use it without a reduction")
    values = [Value.of(inputs[k]) for k in data]
    numbered: list[NDArray[Any] | None] = [
        None if value is None or isinstance(value, Value) else np.asarray(value) for value in inputs
    ]
    first = 0
    for k, value in zip(data, values, strict=True):
        # from 1 on, because some operations fill with 0
        numbered[k] = 1.0 + first + np.arange(value.size).reshape(value.shape)
        first += value.size
    found = evaluate(node, numbered, state.opset)
    if sum(places.size for places in found) > sum(value.size for value in values):
        values = [state.repeatable(value) for value in values]
    elif node.operator == "Concat":
        # Sums of equal numbers of summands are faster than those of different ones.
        values = [state.summed(value) for value in values]
    results = [selected(values, places.astype(np.int64) - 1) for places in found]
    if node.operator == "Concat":
        results = [state.arranged(value) for value in results]
    return tuple(results)


def _pad(
    state: Lowering, node: Node, inputs: list[NDArray[Any] | Value | None]
) -> tuple[Value, ...]:
    """Pad with elements, or with a constant, which becomes one more element."""
    if any(isinstance(value, Value) for value in inputs[1:]):
        raise refuse("Pad", node.name, "its sizes or its constant are no constants", "fix them")
    x = Value.of(inputs[0])
    constant = 0.0
    if len(inputs) > 2 and inputs[2] is not None:
        constant = float(np.ravel(np.asarray(inputs[2]))[0])
    extra = Value.constant(np.array([constant]))
    numbered: list[NDArray[Any] | None] = [
        np.arange(x.size, dtype=np.float64).reshape(x.shape),
        None if inputs[1] is None else np.asarray(inputs[1]),
        np.array(float(x.size)),
        *(None if value is None else np.asarray(value) for value in inputs[3:]),
    ]
    (places,) = evaluate(node, numbered, state.opset)
    return (selected([x, extra], places.astype(np.int64)),)


def _dropout(
    state: Lowering, node: Node, inputs: list[NDArray[Any] | Value | None]
) -> tuple[NDArray[Any] | Value, ...]:
    x = Value.of(inputs[0])
    ratio, training = given(inputs, 1), given(inputs, 2)
    is_training = training is not None and bool(np.any(np.asarray(training)))
    if is_training and (ratio is None or np.any(np.asarray(ratio))):
        raise refuse("Dropout", node.name, "it is random", "export the model for inference")
    return x, np.ones(x.shape, dtype=bool)


#: ONNX operator -> function that lowers it.
STRUCTURE: Mapping[str, Handler] = {
    **dict.fromkeys(_DATA_INPUTS, _moved),
    "Dropout": _dropout,
    "Pad": _pad,
}
