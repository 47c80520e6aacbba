"""Small ONNX models for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 20


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    constants: Mapping[str, NDArray[Any]],
    opset: int = OPSET,
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A model in single precision (or `kind`) of nodes and constants."""
    stored = []
    for name, values in constants.items():
        array = np.asarray(values)
        if array.dtype == np.float64:
            array = array.astype(helper.tensor_dtype_to_np_dtype(kind))
        stored.append(numpy_helper.from_array(array, name))
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info(n, kind, shape) for n, shape in inputs.items()],
        [helper.make_tensor_value_info(n, kind, shape) for n, shape in outputs.items()],
        stored,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node; names of inputs and outputs are separated by blanks, ``-`` is an absent input."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(
        operator,
        names,
        outputs.split(),
        name=f"{operator}_{outputs}".replace(" ", "_"),
        **attributes,
    )


def two_headed(rng: np.random.Generator, kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """A network with a scaler inside, a residual block and two heads, of which one is rectified."""
    nodes = [
        node("Sub", "x mean", "centred"),
        node("Div", "centred spread", "scaled"),
        node("MatMul", "scaled w0", "m0"),
        node("Add", "m0 b0", "z0"),
        node("Sigmoid", "z0", "s0"),
        node("Mul", "z0 s0", "h0"),
        node("Gemm", "h0 w1 b1", "z1", transB=1),
        node("LeakyRelu", "z1", "a1", alpha=0.15),
        node("Add", "h0 a1", "h1"),
        node("Gemm", "h1 w2 b2", "linear"),
        node("Gemm", "h1 w3 b3", "z3"),
        node("Relu", "z3", "rectified"),
        node("Concat", "linear rectified", "y", axis=1),
    ]
    constants = {
        "mean": rng.normal(300.0, 20.0, 6),
        "spread": rng.uniform(1.0, 30.0, 6),
        "w0": rng.normal(0.0, 0.5, (6, 10)),
        "b0": rng.normal(0.0, 0.5, 10),
        "w1": rng.normal(0.0, 0.3, (10, 10)),
        "b1": rng.normal(0.0, 0.5, 10),
        "w2": rng.normal(0.0, 0.3, (10, 3)),
        "b2": rng.normal(0.0, 0.5, 3),
        "w3": rng.normal(0.0, 0.3, (10, 2)),
        "b3": rng.normal(0.5, 0.5, 2),
    }
    return model_of(nodes, {"x": ["ncol", 6]}, {"y": ["ncol", 5]}, constants, kind=kind)
