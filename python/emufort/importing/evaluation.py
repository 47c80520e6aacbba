"""Evaluate single operations of a graph on arrays, with the reference implementation of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from emufort.importing.graph import Node
from emufort.importing.refusal import MOST_ELEMENTS, refuse
from emufort.messages import one_line

#: Operations whose result may be much larger than their inputs, and which input gives the size.
_GROWING = {
    "CenterCropPad": 1,
    "ConstantOfShape": 0,
    "Expand": 1,
    "Tile": 1,
    "Pad": 1,
    "OneHot": 1,
    "Range": 1,
}


def evaluate(
    node: Node, inputs: Sequence[NDArray[Any] | None], opset: int
) -> tuple[NDArray[Any], ...]:
    """Return the outputs of one operation; an input of None is absent.

    Raises
    ------
    ImportRefusedError
        The operation cannot be evaluated, or its result is too large.
    """
    _check_size(node, inputs)
    names = [f"i{k}" if value is not None else "" for k, value in enumerate(inputs)]
    outputs = [f"o{k}" if name else "" for k, name in enumerate(node.outputs)]
    proto = helper.make_node(node.operator, names, outputs, domain="")
    proto.attribute.extend(node.proto.attribute)
    graph = helper.make_graph(
        [proto],
        "one",
        [onnx.ValueInfoProto(name=name) for name in names if name],
        [onnx.ValueInfoProto(name=name) for name in outputs if name],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    given = {name: value for name, value in zip(names, inputs, strict=True) if name}
    try:
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(model).run(None, given)
    except Exception as error:
        # the reference implementation raises whatever numpy raises
        raise refuse(
            node.operator,
            node.name,
            f"the reference implementation of ONNX cannot evaluate it ({one_line(error)[:120]})",
            "replace it in the model",
        ) from error
    results = iter(found)
    return tuple(np.asarray(next(results)) if name else np.empty(0) for name in node.outputs)


def _check_size(node: Node, inputs: Sequence[NDArray[Any] | None]) -> None:
    size = 1.0
    if node.operator == "Resize":
        size = _resized(inputs)
    elif node.operator == "Split":
        # The reference implementation makes a list of that length.
        size = float(node.attributes.get("num_outputs", 1))
    elif node.operator not in _GROWING:
        return
    elif node.operator == "Range":
        start, limit, delta = (float(np.ravel(v)[0]) for v in inputs[:3] if v is not None)
        size = abs((limit - start) / delta) if delta else np.inf
    else:
        place = _GROWING[node.operator]
        wanted = inputs[place] if place < len(inputs) else None
        if wanted is not None:
            size = float(np.prod(np.abs(np.asarray(wanted, dtype=np.float64)) + 1.0))
    if not size <= 16.0 * MOST_ELEMENTS:
        raise refuse(
            node.operator, node.name, "its result is too large", "reduce the sizes of the model"
        )


def _resized(inputs: Sequence[NDArray[Any] | None]) -> float:
    """Return the number of elements of the result of Resize, or more."""
    x, *rest = (None if v is None else np.asarray(v, dtype=np.float64) for v in inputs)
    _, scales, sizes = (*rest, None, None, None)[:3]
    number = 1.0 if x is None else float(x.size)
    if scales is not None and scales.size:
        number *= float(np.prod(np.maximum(np.abs(scales), 1.0)))
    elif sizes is not None and sizes.size:
        number *= float(np.prod(np.maximum(np.abs(sizes), 1.0)))
    return number
