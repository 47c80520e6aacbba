"""Build an ONNX model node by node; the shape of every value is known at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, defs, helper, numpy_helper, shape_inference

from emufort.importing.refusal import refuse
from emufort.messages import one_line

#: Version of the operators and of the format of the models that are built.
OPSET, _IR_VERSION = 20, 9
#: Name of the first dimension.
COLUMNS = "ncol"


class Builder:
    """An ONNX model that is being built.

    Parameters
    ----------
    kind
        Type of the real numbers, ``np.float32`` or ``np.float64``.
    name
        Name of the graph.
    producer
        Name of the tool that trained the network.
    """

    def __init__(self, kind: type[np.floating[Any]], name: str, producer: str) -> None:
        self._kind = np.dtype(kind)
        self._real = helper.np_dtype_to_tensor_dtype(self._kind)
        self._name, self._producer = name, producer
        self._types: dict[str, onnx.TypeProto] = {}
        self._constants: dict[str, TensorProto] = {}
        self._inputs: list[str] = []
        self._nodes: list[onnx.NodeProto] = []

    def input(self, name: str, shape: Sequence[int]) -> str:
        """Add an input with values of `shape` for each column; return its name."""
        self._types[name] = helper.make_tensor_type_proto(self._real, [COLUMNS, *shape])
        self._inputs.append(name)
        return name

    def constant(self, values: ArrayLike, integers: bool = False) -> str:
        """Add a constant, of real numbers unless `integers`; return its name."""
        array = np.asarray(values, dtype=np.int64 if integers else self._kind)
        name = f"constant/{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        self._constants[name].dims[:] = array.shape
        self._types[name] = helper.make_tensor_type_proto(
            self._constants[name].data_type, array.shape
        )
        return name

    def add(
        self, operator: str, *inputs: str, outputs: int = 1, of: str = "", **attributes: Any
    ) -> str:
        """Add a node; return the name of its first output.

        Parameters
        ----------
        operator
            ONNX operator.
        *inputs
            Names of values; an empty name is an absent input.
        outputs
            Number of outputs. Those after the first have its name with ``/1``, ``/2``...
        of
            What the node is a part of, for its name.
        **attributes
            Attributes of the operator.

        Raises
        ------
        ImportRefusedError
            The inputs do not fit the operator.
        """
        # The slash keeps these names apart from those of inputs and outputs.
        name = f"{of or operator.lower()}/{len(self._nodes)}"
        names = [name, *(f"{name}/{i}" for i in range(1, outputs))]
        node = helper.make_node(operator, list(inputs), names, name=name, **attributes)
        given = [i for i in inputs if i]
        try:
            found = shape_inference.infer_node_outputs(
                defs.get_schema(operator, OPSET),
                node,
                {i: self._types[i] for i in given},
                {i: self._constants[i] for i in given if i in self._constants},
                opset_imports=[helper.make_opsetid("", OPSET)],
                ir_version=_IR_VERSION,
            )
        except Exception as error:
            # onnx raises errors of several kinds
            raise refuse(
                operator, name, f"its inputs do not fit ({one_line(error)[:120]})", "check the file"
            ) from error
        self._types |= found
        self._nodes.append(node)
        return name

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a value for one column, without the dimension of the columns."""
        return self.sizes(name)[1:]

    def sizes(self, name: str) -> tuple[int, ...]:
        """Return the shape of a value; the dimension of the columns is -1."""
        dimensions = self._types[name].tensor_type.shape.dim
        return tuple(d.dim_value if d.HasField("dim_value") else -1 for d in dimensions)

    def rank(self, name: str) -> int:
        """Return the number of dimensions of a value."""
        return len(self._types[name].tensor_type.shape.dim)

    # ------------------------------------------------------------ short forms

    def transposed(self, x: str, *order: int) -> str:
        """Return `x` with its dimensions in another order."""
        return self.add("Transpose", x, perm=list(order))

    def reshaped(self, x: str, *shape: int) -> str:
        """Return `x` with other dimensions behind that of the columns."""
        return self.add("Reshape", x, self.constant([-1, *shape], integers=True))

    def scaled(self, x: str, factor: ArrayLike) -> str:
        """Return `x` times a constant."""
        return self.add("Mul", x, self.constant(factor))

    def shifted(self, x: str, offset: ArrayLike) -> str:
        """Return `x` plus a constant."""
        return self.add("Add", x, self.constant(offset))

    def dense(self, x: str, weight: NDArray[Any], bias: NDArray[Any] | None, of: str = "") -> str:
        """Return ``x @ weight + bias``, `weight` of shape (n_in, n_out)."""
        found = self.add("MatMul", x, self.constant(weight), of=of)
        return found if bias is None else self.add("Add", found, self.constant(bias), of=of)

    # ----------------------------------------------------------------- result

    def model(self, outputs: Sequence[tuple[str, str]]) -> onnx.ModelProto:
        """Return the model.

        Parameters
        ----------
        outputs
            Name of an output, and of the value that it is.
        """
        for name, value in outputs:
            self._nodes.append(helper.make_node("Identity", [value], [name], name=name))
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [helper.make_value_info(name, self._types[name]) for name in self._inputs],
            [helper.make_value_info(name, self._types[value]) for name, value in outputs],
            list(self._constants.values()),
        )
        return helper.make_model(
            graph,
            producer_name=self._producer,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
        )
