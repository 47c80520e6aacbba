"""Read an ONNX model as plain data: nodes, constants, and shapes for one column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import helper, inliner, numpy_helper

from emufort.importing.ml_domain import DOMAIN, standard_nodes
from emufort.importing.refusal import MOST_ELEMENTS, ImportRefusedError, refuse
from emufort.messages import one_line

#: Oldest version of the operators that is read.
_OLDEST_OPSET = 11


@dataclass(frozen=True)
class Port:
    """An input or output of the graph.

    Attributes
    ----------
    name
        Name in the graph.
    shape
        Shape for one column; the first dimension, that of the columns, is 1.
    has_columns
        Whether the first dimension is free, so that the model takes many columns at once.
    """

    name: str
    shape: tuple[int, ...]
    has_columns: bool

    @property
    def size(self) -> int:
        """Number of values of one column."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Node:
    """One operation of the graph.

    Attributes
    ----------
    name
        Name, or that of its first output.
    operator
        ONNX operator, such as ``"Gemm"``.
    inputs, outputs
        Names of values; an absent optional input is empty.
    attributes
        Attributes by name.
    proto
        The node as ONNX has it.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    proto: onnx.NodeProto


@dataclass(frozen=True)
class Graph:
    """The graph of a model.

    Attributes
    ----------
    inputs, outputs
        In the order of the model, without constants.
    constants
        Name -> value, of the initializers.
    nodes
        In an order in which every node follows those it reads.
    opset
        Version of the operators.
    name
        Name of the graph, as the exporting tool gave it.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    constants: Mapping[str, NDArray[Any]]
    nodes: tuple[Node, ...]
    opset: int
    name: str = ""
    producer: str = field(default="", compare=False)


def read_graph(model: onnx.ModelProto) -> Graph:
    """Return the graph of a model.

    Raises
    ------
    ImportRefusedError
        The model is not valid ONNX, is older than opset 11, has operators of another domain or
        control flow, a shape that is not fixed, or inputs or outputs that are not real numbers.
    """
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise ImportRefusedError(f"the model is not valid ONNX: {one_line(error)}") from error
    versions = {entry.domain: entry.version for entry in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 0))
    if opset < _OLDEST_OPSET:
        raise ImportRefusedError(
            f"the model has the operators of opset {opset}; export it with opset {_OLDEST_OPSET} "
            "or newer"
        )
    if model.functions:
        model = inliner.inline_local_functions(model)
    graph = model.graph
    constants = {entry.name: _constant(entry, entry.name) for entry in graph.initializer}
    if graph.sparse_initializer:
        raise ImportRefusedError("the model has sparse weights; export it with dense weights")
    inputs = tuple(_port(v, is_input=True) for v in graph.input if v.name not in constants)
    if not inputs:
        raise ImportRefusedError("the model has no input")
    outputs = tuple(_port(v, is_input=False) for v in graph.output)
    nodes = []
    for node in (_node(proto) for given in graph.node for proto in _standard(given, constants)):
        held = node.attributes.get("value") if node.operator == "Constant" else None
        if isinstance(held, onnx.TensorProto):
            constants[node.outputs[0]] = _constant(held, node.name)
        else:
            nodes.append(node)
    return Graph(
        inputs,
        outputs,
        constants,
        tuple(nodes),
        opset,
        graph.name,
        f"{model.producer_name} {model.producer_version}".strip(),
    )


def _constant(tensor: onnx.TensorProto, name: str) -> NDArray[Any]:
    try:
        return numpy_helper.to_array(tensor)
    except Exception as error:
        # of a damaged file: a type without numbers, or another number of them than the shape says
        raise ImportRefusedError(
            f"the constant '{name}' of the model cannot be read: {one_line(error)}; export it again"
        ) from error


def _standard(
    proto: onnx.NodeProto, constants: dict[str, NDArray[Any]]
) -> Sequence[onnx.NodeProto]:
    return standard_nodes(proto, constants) if proto.domain == DOMAIN else [proto]


def _node(proto: onnx.NodeProto) -> Node:
    name = proto.name or (proto.output[0] if proto.output else "")
    if proto.domain not in ("", "ai.onnx"):
        raise refuse(
            proto.op_type,
            name,
            f"it belongs to the domain '{proto.domain}'",
            "export the model with standard ONNX operators",
        )
    attributes = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
    if any(isinstance(value, onnx.GraphProto) for value in attributes.values()):
        raise refuse(
            proto.op_type, name, "it is control flow", "export the model without loops and branches"
        )
    return Node(name, proto.op_type, tuple(proto.input), tuple(proto.output), attributes, proto)


def _port(value: onnx.ValueInfoProto, is_input: bool) -> Port:
    what = f"the {'input' if is_input else 'output'} '{value.name}' of the model"
    kind = value.type.tensor_type
    if kind.elem_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        raise ImportRefusedError(
            f"{what} is not an array of real numbers in single or double precision; export the "
            "model with such inputs and outputs"
        )
    if not is_input:
        return Port(value.name, (), False)
    dimensions = list(kind.shape.dim)
    if not dimensions:
        raise ImportRefusedError(f"{what} has no dimension; its first one must be that of columns")
    first, *rest = dimensions
    if first.HasField("dim_value") and first.dim_value != 1:
        raise ImportRefusedError(
            f"{what} has {first.dim_value} columns; export the model with a free first dimension"
        )
    shape = [1]
    for dimension in rest:
        if not dimension.HasField("dim_value") or dimension.dim_value < 1:
            raise ImportRefusedError(
                f"{what} has the dimension '{dimension.dim_param or '?'}' without a fixed size; "
                "export the model with fixed sizes of all dimensions but the first"
            )
        shape.append(dimension.dim_value)
    port = Port(value.name, tuple(shape), not first.HasField("dim_value"))
    if port.size > MOST_ELEMENTS:
        raise ImportRefusedError(f"{what} has {port.size} values for one column: too many")
    return port
