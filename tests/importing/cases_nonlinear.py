"""One-node models of operations that are not linear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from tests.importing.cases import RNG, Case, whole

#: Functions of one value: operator -> attributes.
_FUNCTIONS: Mapping[str, Mapping[str, Any]] = {
    "Asinh": {},
    "Ceil": {},
    "Cos": {},
    "Cosh": {},
    "Erf": {},
    "Exp": {},
    "Floor": {},
    "Hardmax": {},
    "LogSoftmax": {"axis": 1},
    "Mish": {},
    "Round": {},
    "Shrink": {"lambd": 0.3, "bias": 0.1},
    "Sign": {},
    "Sin": {},
    "Sinh": {},
    "Softmax": {"axis": -1},
    "Softsign": {},
    "Tan": {},
    "ThresholdedRelu": {"alpha": 0.4},
}
_REDUCTIONS = ("L1", "L2", "LogSumExp", "Max", "Min", "Prod", "SumSquare")


def _recurrent(operator: str, gates: int, directions: int = 1, **attributes: object) -> Case:
    n, features = 4, 3
    constants = {
        "w": RNG.normal(0.0, 0.5, (directions, gates * n, features)),
        "r": RNG.normal(0.0, 0.5, (directions, gates * n, n)),
        "b": RNG.normal(0.0, 0.5, (directions, 2 * gates * n)),
        "h": RNG.normal(0.0, 0.5, (1, directions, n)),
        "c": RNG.normal(0.0, 0.5, (1, directions, n)),
        "p": RNG.normal(0.0, 0.5, (directions, 3 * n)),
    }
    inputs = "x w r b - h" + (" c p" if operator == "LSTM" else "")
    outputs = "y yh yc" if operator == "LSTM" else "y yh"
    given = {name: value for name, value in constants.items() if name in inputs.split()}
    options = {"hidden_size": n, "layout": 1, **attributes}
    return Case(operator, inputs, (5, features), given, options, outputs)


def _attention(inputs: str, shape: Sequence[int], **attributes: object) -> Case:
    mask = RNG.normal(size=(5, 5))
    causal = np.tri(5, dtype=bool)
    constants = {name: v for name, v in (("m", mask), ("c", causal)) if name in inputs.split()}
    return Case("Attention", inputs, tuple(shape), constants, attributes, opset=23)


ANGLES = RNG.uniform(0.0, 6.0, (5, 2))
PAIR = {"c": RNG.normal(size=(2, 3))}
NONLINEAR_CASES = [
    *(Case(name, "x", (2, 4), attributes=options) for name, options in _FUNCTIONS.items()),
    *(Case(f"Reduce{name}", "x a", (2, 4), {"a": whole(2)}) for name in _REDUCTIONS),
    Case("Acos", "v", (4,)),
    Case("Acosh", "x", (4,), first=1.0),
    Case("And", "p q", (4,)),
    Case("ArgMax", "x", (2, 4), attributes={"axis": 2, "keepdims": 0}),
    Case("ArgMax", "x", (2, 4), attributes={"axis": 1, "select_last_index": 1}),
    Case("ArgMin", "x", (2, 4), attributes={"axis": 2}),
    Case("Asin", "v", (4,)),
    Case("Atan", "x", (4,)),
    Case("Atanh", "v", (4,)),
    _attention("x v x", (2, 5, 4)),
    _attention("x v x m", (2, 5, 4), scale=0.3, softcap=2.0),
    _attention("x v x c", (5, 8), q_num_heads=2, kv_num_heads=2),
    _attention("x v x", (2, 5, 4), is_causal=1),
    Case("Cast", "p", (4,), attributes={"to": TensorProto.FLOAT}),
    Case("Cast", "x", (4,), attributes={"to": TensorProto.INT64}),
    Case("CastLike", "x c", (4,), {"c": np.array(1.0, np.float32)}),
    Case("Clip", "x - v", (4,)),
    Case("Clip", "x lo hi", (4,), {"lo": np.array(-30.0), "hi": np.array(1.0)}),
    Case("CumProd", "x axis", (2, 4), {"axis": np.array(2)}, {"exclusive": 1}, opset=26),
    Case("Div", "x y1", (2, 3)),
    Case("Einsum", "x t", (2, 3, 4), attributes={"equation": "bhqd,bhdk->bhqk"}),
    Case("Einsum", "x c", (2, 3), PAIR, {"equation": "...ij,kj->...ik"}),
    Case("Einsum", "x v", (2, 3), attributes={"equation": "bij,bij->bi"}),
    Case("Equal", "p q", (6,)),
    Case("Gelu", "x", (5,), attributes={"approximate": "tanh"}),
    Case("GlobalMaxPool", "x", (2, 5), by_runtime=True),
    Case("Greater", "x v", (5,)),
    Case("GreaterOrEqual", "x c", (2, 3), PAIR),
    Case(
        "GroupNormalization",
        "x s b",
        (4, 3),
        {"s": RNG.normal(size=4), "b": RNG.normal(size=4)},
        {"num_groups": 2},
        opset=21,
    ),
    _recurrent("GRU", 3, linear_before_reset=1),
    _recurrent("GRU", 3, 2, direction="bidirectional"),
    Case("InstanceNormalization", "x s b", (2, 6), {"s": RNG.normal(size=2), "b": np.ones(2)}),
    Case("LRN", "x", (5, 1, 3), attributes={"size": 3, "alpha": 0.3}, by_runtime=True),
    Case(
        "LRN",
        "x",
        (4, 2, 2),
        attributes={"size": 5, "alpha": 2.0, "beta": 0.5, "bias": 0.5},
        by_runtime=True,
    ),
    _recurrent("LSTM", 4),
    _recurrent("LSTM", 4, 2, direction="bidirectional"),
    Case(
        "LayerNormalization",
        "x s b",
        (2, 12),
        {"s": RNG.normal(size=12), "b": RNG.normal(size=12)},
    ),
    Case("LayerNormalization", "x s", (2, 3), {"s": RNG.normal(size=(2, 3))}, {"axis": 1}),
    Case("Less", "x v", (5,)),
    Case("LessOrEqual", "x v", (5,)),
    Case("Log", "x", (4,), first=0.5),
    Case("LpNormalization", "x", (2, 5), attributes={"axis": 2, "p": 1}, by_runtime=True),
    Case("LpNormalization", "x", (2, 5), attributes={"axis": 2}),
    Case("LpPool", "x", (2, 8), attributes={"kernel_shape": [3], "p": 2}),
    Case("MatMul", "x t", (2, 3, 4)),
    Case("MatMul", "c x", (2, 3, 4), {"c": RNG.normal(size=(2, 5, 3))}),
    Case("MatMul", "x c", (2, 3, 4), {"c": RNG.normal(size=(1, 2, 4, 5))}),
    Case("Max", "x v c", (2, 3), PAIR),
    Case("MaxPool", "x", (2, 9), attributes={"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
    Case("MaxPool", "x", (2, 9), attributes={"kernel_shape": [4], "strides": [3], "ceil_mode": 1}),
    Case("MeanVarianceNormalization", "x", (2, 3, 4), attributes={"axes": [2, 3]}),
    Case("Min", "x v", (4,)),
    Case("Mod", "x c", (6,), {"c": np.array(0.7)}, {"fmod": 1}),
    Case("Mul", "x v", (2, 3)),
    Case("Not", "p", (4,)),
    Case("Or", "p q", (4,)),
    Case("PRelu", "x v", (4,)),
    Case("Pow", "x c", (4,), {"c": np.array([2.0, 3.0, 0.5, -1.0])}, first=0.5),
    Case("Pow", "x c", (4,), {"c": np.array(1.7)}, first=0.5),
    Case("Pow", "x v", (4,), first=0.5),
    Case("RMSNormalization", "x s", (2, 5), {"s": RNG.normal(size=5)}, opset=23),
    _recurrent("RNN", 1, direction="reverse"),
    Case("Reciprocal", "x", (4,), first=0.5),
    Case("ReduceLogSum", "x a", (2, 4), {"a": whole(1)}, first=0.5),
    Case("ReduceSum", "x a", (3, 12), {"a": whole(2)}),
    Case(
        "RotaryEmbedding",
        "x c s",
        (5, 8),
        {"c": np.cos(ANGLES)[None], "s": np.sin(ANGLES)[None]},
        {"num_heads": 2},
        opset=23,
    ),
    Case("Sqrt", "x", (4,), first=0.1),
    Case("Swish", "x", (4,), attributes={"alpha": 1.5}, opset=24),
    Case("TopK", "x k", (3, 4), {"k": whole(1)}, {"axis": 1}, "y i"),
    Case("TopK", "x k", (3, 4), {"k": whole(1)}, {"largest": 0}, "y i"),
    Case("Where", "p x c", (2, 3), PAIR),
    Case("Xor", "p q", (4,)),
    # linear, and more often used with values than without
    Case("CenterCropPad", "x s", (2, 5), {"s": whole(7)}, {"axes": [2]}),
    Case("Compress", "x c", (5,), {"c": np.array([True, False, True])}, {"axis": 1}),
    Case("ReverseSequence", "x n", (5, 2), {"n": whole(4)}, {"batch_axis": 0, "time_axis": 1}),
    Case("ScatterElements", "x i v", (4,), {"i": np.array([[2, 0, 1, 3]])}, {"axis": 1}),
    Case("ScatterND", "x i c", (4,), {"i": np.array([[0, 2]]), "c": np.array([0.5])}),
    Case("Trilu", "x", (3, 4), attributes={"upper": 0}),
]
