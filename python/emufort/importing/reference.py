"""Run the original of an imported network: by ONNX Runtime, and in double precision.

ONNX Runtime lacks kernels in double precision for some operators. The reference implementation of
ONNX then runs the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernelError

from emufort.importing.graph import Graph
from emufort.importing.refusal import ImportRefusedError
from emufort.importing.sources.source import Source
from emufort.messages import one_line
from emufort.network.activations import Array

#: Columns that the reference implementation of ONNX computes one by one to check a block of them.
_FEW = 4


class Reference:
    """The original network.

    Parameters
    ----------
    source
        The network as it was read.
    graph
        Its graph.

    Raises
    ------
    ImportRefusedError
        ONNX Runtime does not load a model in single precision.
    """

    def __init__(self, source: Source, graph: Graph) -> None:
        self._graph, self._source, self._model = graph, source, source.model
        kinds = {port.name: port.type.tensor_type.elem_type for port in self._model.graph.input}
        self._are_double = [kinds[port.name] == TensorProto.DOUBLE for port in graph.inputs]
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # Threads that wait for work would use a whole core each.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: onnxruntime.InferenceSession | None
        try:
            self._session = onnxruntime.InferenceSession(
                self._model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            # ONNX Runtime has a class of errors of its own for each reason
            if any(self._are_double) or isinstance(error, NoKernelError):
                # a kernel is missing, in double precision or of a new operation
                self._session = None
                return
            raise ImportRefusedError(
                f"ONNX Runtime does not load the model: {one_line(error)}"
            ) from error

    def outputs(self, x: Array, one_by_one: bool = False) -> Array:
        """Return the outputs (n, n_outputs) for inputs (n, n_inputs), in the graph's precision.

        Columns are computed together if the network takes many, unless `one_by_one`.
        """
        if not one_by_one and self._takes_many:
            return self._run(x)
        return np.concatenate([self._run(x[i : i + 1]) for i in range(len(x))])

    def outputs_of_source(self, x: Array) -> Array | None:
        """Return the outputs (n, n_outputs) of the object that was converted; None if unknown."""
        evaluate = self._source.evaluate
        if evaluate is None:
            return None
        rows = [x] if self._takes_many else [x[i : i + 1] for i in range(len(x))]
        try:
            found = [_flat(evaluate(self._inputs(row)), len(row)) for row in rows]
        except Exception as error:
            # code of the user, of torch, Keras or scikit-learn
            raise ImportRefusedError(
                f"{self._source.name} fails on the samples: {one_line(error)}; give inputs that it "
                "takes as the example, or a contract with ranges of the inputs"
            ) from error
        return np.concatenate(found)

    def outputs_in_double(self, x: Array) -> Array | None:
        """Return the outputs (n, n_outputs) for (n, n_inputs), computed in double precision.

        The reference implementation of ONNX computes them, column by column or, which is faster,
        all at once if that gives the same outputs for the first few columns. None if it lacks an
        operation.
        """
        try:
            few = self._columns_in_double(x[:_FEW])
            together = self._together_in_double(x, few)
            if together is not None:
                return together
            return np.concatenate([few, self._columns_in_double(x[_FEW:])])
        except Exception:
            # the reference implementation raises whatever numpy raises
            return None

    def _together_in_double(self, x: Array, few: Array) -> Array | None:
        """Return the outputs of all columns at once; None if they are not those of single ones."""
        if not self._takes_many or len(x) <= len(few):
            return None
        try:
            found = self._run_in_double(x)
        except Exception:
            # an operation of the reference implementation may take single columns only
            return None
        size = np.where(np.isfinite(few), np.abs(few), 0.0)
        allowed = 1e-12 * size.max(axis=0, initial=0.0)
        is_same = np.isclose(found[: len(few)], few, 0.0, allowed, equal_nan=True)
        return found if np.all(is_same) else None

    def _columns_in_double(self, x: Array) -> Array:
        return np.concatenate([self._run_in_double(x[i : i + 1]) for i in range(len(x))])

    def _run_in_double(self, x: Array) -> Array:
        given = {
            port.name: block.reshape(len(x), *port.shape[1:])
            for port, block in zip(self._graph.inputs, self._blocks(x), strict=True)
        }
        with np.errstate(all="ignore"):
            found: Any = self._evaluator.run(None, given)
        return _flat(found, len(x))

    def _blocks(self, x: Array) -> list[Array]:
        """Return the values of each input, (n, size of the input)."""
        ends = np.cumsum([port.size for port in self._graph.inputs])[:-1]
        return np.split(x, ends, axis=1)

    @cached_property
    def _evaluator(self) -> ReferenceEvaluator:
        return ReferenceEvaluator(_in_double(self._model))

    @property
    def _takes_many(self) -> bool:
        return all(port.has_columns for port in self._graph.inputs)

    def _inputs(self, x: Array) -> list[NDArray[Any]]:
        """Return the array of each input, in the precision in which `_run` computes."""
        blocks = zip(self._are_double, self._graph.inputs, self._blocks(x), strict=True)
        return [
            block.reshape(len(x), *port.shape[1:]).astype(
                np.float64 if is_double or self._session is None else np.float32
            )
            for is_double, port, block in blocks
        ]

    def _run(self, x: Array) -> Array:
        names = [port.name for port in self._graph.inputs]
        given = dict(zip(names, self._inputs(x), strict=True))
        try:
            found: Any = (self._session or self._evaluator).run(None, given)
        except Exception as error:
            raise ImportRefusedError(
                f"the original network fails with {len(x)} columns: {one_line(error)}; export it "
                "with a free first dimension"
            ) from error
        for port, output in zip(self._graph.outputs, found, strict=True):
            if np.size(output) % len(x):
                raise ImportRefusedError(
                    f"the output '{port.name}' of the original network has {np.size(output)} "
                    f"values for {len(x)} columns; its first dimension must be that of the columns"
                )
        return _flat(found, len(x))


def _flat(outputs: Sequence[NDArray[Any]], n: int) -> Array:
    return np.concatenate([np.asarray(y, np.float64).reshape(n, -1) for y in outputs], axis=1)


def _in_double(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with all real numbers in double precision."""
    double = onnx.ModelProto()
    double.CopyFrom(model)
    graph = double.graph
    for port in (*graph.input, *graph.output, *graph.value_info):
        if port.type.tensor_type.elem_type == TensorProto.FLOAT:
            port.type.tensor_type.elem_type = TensorProto.DOUBLE
    for constant in graph.initializer:
        _widen(constant)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _widen(attribute.t)
            elif node.op_type == "Cast" and attribute.name == "to":
                attribute.i = (
                    TensorProto.DOUBLE if attribute.i == TensorProto.FLOAT else attribute.i
                )
    return double


def _widen(constant: onnx.TensorProto) -> None:
    if constant.data_type == TensorProto.FLOAT:
        values = numpy_helper.to_array(constant).astype(np.float64)
        constant.CopyFrom(numpy_helper.from_array(values, constant.name))
