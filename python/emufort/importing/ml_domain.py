"""Operations of the domain ai.onnx.ml, which skl2onnx writes, as nodes of standard ONNX."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from emufort.importing.refusal import refuse

DOMAIN = "ai.onnx.ml"

#: Yields the nodes of an operation; the constants that they need are added to the mapping.
_Rewriter = Callable[
    [onnx.NodeProto, Mapping[str, Any], dict[str, NDArray[Any]]], Iterator[onnx.NodeProto]
]


def standard_nodes(
    proto: onnx.NodeProto, constants: dict[str, NDArray[Any]]
) -> list[onnx.NodeProto]:
    """Return standard nodes that compute what a node of ai.onnx.ml does.

    Parameters
    ----------
    proto
        The node.
    constants
        Constants of the graph by name; those of the new nodes are added.

    Raises
    ------
    ImportRefusedError
        There are none.
    """
    rewrite = _REWRITERS.get(proto.op_type)
    if rewrite is None:
        raise refuse(
            proto.op_type,
            proto.name,
            f"it belongs to the domain '{DOMAIN}', of which {', '.join(_REWRITERS)} are supported",
            "remove it, because a column with a NaN gives NaN"
            if proto.op_type == "Imputer"
            else "use a network instead of trees, kernels or categories",
        )
    attributes = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
    return list(rewrite(proto, attributes, constants))


def _constant(
    proto: onnx.NodeProto, what: str, values: Any, constants: dict[str, NDArray[Any]]
) -> str:
    name = f"{proto.output[0]}/{what}"
    constants[name] = np.asarray(values)
    return name


def _scaler(
    proto: onnx.NodeProto, attributes: Mapping[str, Any], constants: dict[str, NDArray[Any]]
) -> Iterator[onnx.NodeProto]:
    """(x - offset) * scale."""
    offset = np.array(attributes.get("offset", [0.0]), dtype=np.float32)
    scale = np.array(attributes.get("scale", [1.0]), dtype=np.float32)
    centred = f"{proto.output[0]}/centred"
    names = [_constant(proto, "offset", offset, constants)]
    names.append(_constant(proto, "scale", scale, constants))
    yield helper.make_node("Sub", [proto.input[0], names[0]], [centred], name=proto.name)
    yield helper.make_node("Mul", [centred, names[1]], [proto.output[0]], name=proto.name)


def _linear_regressor(
    proto: onnx.NodeProto, attributes: Mapping[str, Any], constants: dict[str, NDArray[Any]]
) -> Iterator[onnx.NodeProto]:
    """X coefficients.T + intercepts."""
    if attributes.get("post_transform", b"NONE") != b"NONE":
        raise refuse("LinearRegressor", proto.name, "it has a post_transform", "remove it")
    targets = int(attributes.get("targets", 1))
    weight = np.array(attributes["coefficients"], dtype=np.float32).reshape(targets, -1)
    bias = np.array(attributes.get("intercepts", [0.0] * targets), dtype=np.float32)
    names = [_constant(proto, "weight", weight.T, constants)]
    names.append(_constant(proto, "bias", bias, constants))
    yield helper.make_node("Gemm", [proto.input[0], *names], proto.output[:1], name=proto.name)


def _feature_extractor(
    proto: onnx.NodeProto, attributes: Mapping[str, Any], constants: dict[str, NDArray[Any]]
) -> Iterator[onnx.NodeProto]:
    """Elements of the last dimension."""
    yield helper.make_node("Gather", proto.input[:2], proto.output[:1], name=proto.name, axis=-1)


def _normalizer(
    proto: onnx.NodeProto, attributes: Mapping[str, Any], constants: dict[str, NDArray[Any]]
) -> Iterator[onnx.NodeProto]:
    """Divide a column by its norm."""
    orders = {b"L1": 1, b"L2": 2}
    norm = attributes.get("norm", b"MAX")
    if norm not in orders:
        raise refuse("Normalizer", proto.name, "its norm is the maximum", "use the norm L1 or L2")
    yield helper.make_node(
        "LpNormalization",
        proto.input[:1],
        proto.output[:1],
        name=proto.name,
        axis=-1,
        p=orders[norm],
    )


_REWRITERS: dict[str, _Rewriter] = {
    "ArrayFeatureExtractor": _feature_extractor,
    "LinearRegressor": _linear_regressor,
    "Normalizer": _normalizer,
    "Scaler": _scaler,
}
