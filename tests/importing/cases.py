"""One-node models, at least one for each supported operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from tests.importing.models import OPSET

RNG = np.random.default_rng(3)


@dataclass(frozen=True)
class Case:
    """One node with its constants, for an input ``x`` of a shape without the columns.

    Two more values depend on it: ``v`` is sin(x), and ``t`` is ``v`` with its last two dimensions
    exchanged. The inputs are ``first + |normal|`` if `first` is given, else normal. ONNX Runtime
    takes the place of the reference implementation of ONNX where that has an error.
    """

    operator: str
    inputs: str
    shape: tuple[int, ...]
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: str = "y"
    opset: int = OPSET
    first: float | None = None
    by_runtime: bool = False


def whole(*values: int) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


W = RNG.normal(size=(6, 4))
KERNEL = RNG.normal(size=(4, 3, 3))
CASES = [
    Case("Abs", "x", (5,)),
    Case("Add", "x c", (2, 3), {"c": RNG.normal(size=3)}),
    Case("Add", "x x", (3,)),
    Case("AveragePool", "x", (2, 8), attributes={"kernel_shape": [2], "strides": [2]}),
    Case("AveragePool", "x", (2, 8), attributes={"kernel_shape": [3], "pads": [1, 1]}),
    Case(
        "BatchNormalization",
        "x s b m v",
        (3, 4),
        {"s": RNG.normal(size=3), "b": RNG.normal(size=3), "m": RNG.normal(size=3)}
        | {"v": RNG.uniform(0.5, 2.0, 3)},
    ),
    Case("Cast", "x", (3,), attributes={"to": TensorProto.FLOAT}),
    Case("Celu", "x", (5,), attributes={"alpha": 0.7}),
    Case("Clip", "x lo hi", (5,), {"lo": np.array(-0.5), "hi": np.array(0.8)}),
    Case("Clip", "x lo", (5,), {"lo": np.array(-0.5)}),
    Case("Clip", "x - hi", (5,), {"hi": np.array(0.2)}),
    Case("Concat", "x c x", (2, 3), {"c": RNG.normal(size=(1, 2, 1))}, {"axis": 2}),
    Case("Conv", "x w b", (3, 9), {"w": KERNEL, "b": RNG.normal(size=4)}, {"pads": [1, 1]}),
    Case("Conv", "x w", (3, 9), {"w": KERNEL}, {"strides": [2], "dilations": [2]}),
    Case("Conv", "x w", (4, 9), {"w": RNG.normal(size=(4, 1, 3))}, {"group": 4}),
    Case(
        "Conv",
        "x w b",
        (4, 11),
        {"w": RNG.normal(size=(4, 1, 3)), "b": RNG.normal(size=4)},
        {"group": 4, "strides": [2], "dilations": [2], "pads": [3, 1]},
    ),
    Case("ConvTranspose", "x w", (3, 5), {"w": RNG.normal(size=(3, 2, 3))}, {"strides": [2]}),
    Case("CumSum", "x axis", (2, 4), {"axis": np.array(2)}, {"reverse": 1}),
    Case("CumSum", "x axis", (2, 4), {"axis": np.array(2)}, {"exclusive": 1}),
    Case("DepthToSpace", "x", (4, 2, 3), attributes={"blocksize": 2}),
    Case("Div", "x c", (2, 3), {"c": RNG.uniform(1.0, 2.0, 3)}),
    Case("Dropout", "x", (3,)),
    Case("Elu", "x", (5,), attributes={"alpha": 1.3}),
    Case("Expand", "x s", (1, 3), {"s": whole(1, 4, 3)}),
    Case("Flatten", "x", (2, 3)),
    Case("Gather", "x i", (2, 5), {"i": whole(3, 0, 3)}, {"axis": 2}),
    Case("GatherElements", "x i", (4,), {"i": np.array([[2, 0]])}, {"axis": 1}),
    Case("GatherND", "x i", (4,), {"i": np.array([[[0, 2], [0, 1]]])}),
    Case("Gelu", "x", (5,)),
    Case("Gemm", "x w b", (6,), {"w": W, "b": RNG.normal(size=4)}, {"alpha": 0.5, "beta": 2.0}),
    Case("Gemm", "x w", (6,), {"w": W.T.copy()}, {"transB": 1}),
    Case("GlobalAveragePool", "x", (3, 5)),
    Case("HardSigmoid", "x", (5,)),
    Case("HardSwish", "x", (5,)),
    Case("Identity", "x", (5,)),
    Case("LeakyRelu", "x", (5,), attributes={"alpha": 0.2}),
    Case("MatMul", "x w", (6,), {"w": W}),
    Case("MatMul", "x w", (3, 6), {"w": W}),
    Case("MatMul", "w x", (6, 2), {"w": W.T.copy()}),
    Case("Max", "x c", (2, 3), {"c": RNG.normal(size=3)}),
    Case("Mean", "x c", (3,), {"c": RNG.normal(size=(1, 3))}),
    Case("Min", "x c", (2, 3), {"c": RNG.normal(size=3)}),
    Case("Mul", "x c", (2, 3), {"c": RNG.normal(size=(2, 1))}),
    Case("Neg", "x", (3,)),
    Case("PRelu", "x s", (2, 3), {"s": np.array([[0.2], [-0.4]])}),
    Case("PRelu", "x s", (3,), {"s": np.array([0.25])}),
    Case("Pad", "x p c", (2, 3), {"p": whole(0, 0, 1, 0, 0, 2), "c": np.array(1.5)}),
    Case("Pad", "x p", (2, 4), {"p": whole(0, 0, 1, 0, 0, 2)}, {"mode": "reflect"}),
    Case("Pow", "x p", (3,), {"p": np.array(1.0)}),
    Case("ReduceMean", "x a", (2, 4), {"a": whole(1)}, {"keepdims": 0}),
    Case("ReduceSum", "x a", (2, 4), {"a": whole(2)}),
    Case("Relu", "x", (5,)),
    Case("Reshape", "x s", (2, 6), {"s": whole(-1, 3, 4)}),
    Case("Resize", "x - f", (2, 4), {"f": np.array([1.0, 1.0, 2.0])}, {"mode": "nearest"}),
    Case("Resize", "x - f", (2, 4), {"f": np.array([1.0, 1.0, 2.0])}, {"mode": "linear"}),
    Case("Selu", "x", (5,)),
    Case("Sigmoid", "x", (5,)),
    Case(
        "Slice",
        "x a b axes steps",
        (2, 7),
        {"a": whole(6), "b": whole(0), "axes": whole(2), "steps": whole(-2)},
    ),
    Case("Softplus", "x", (5,)),
    Case("SpaceToDepth", "x", (1, 4, 6), attributes={"blocksize": 2}),
    Case("Split", "x s", (5,), {"s": whole(2, 3)}, {"axis": 1}, outputs="y z"),
    Case("Squeeze", "x a", (1, 3), {"a": whole(1)}),
    Case("Sub", "c x", (3,), {"c": RNG.normal(size=3)}),
    Case("Sum", "x c x", (3,), {"c": RNG.normal(size=(1, 3))}),
    Case("Tanh", "x", (5,)),
    Case("Tile", "x r", (2, 3), {"r": whole(1, 2, 1)}),
    Case("Transpose", "x", (2, 3), attributes={"perm": [0, 2, 1]}),
    Case("Unsqueeze", "x a", (3,), {"a": whole(2)}),
]
