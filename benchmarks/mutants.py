"""Damage ONNX models at random: bytes of the file, nodes, attributes, shapes, types, constants.

The same seed and the same models give the same mutant.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

_NUMBERS = (np.nan, np.inf, -np.inf, 0.0, 1e38, -1e-38, 1e4, -1.0)
_SIZES = (-1, 0, 1, 2, 3, 7, 1 << 20, 1 << 40, -(1 << 63), (1 << 63) - 1)
_TYPES = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.BOOL, 0, 99)


def mutant(seed: int, models: Sequence[bytes]) -> bytes:
    """Return a damaged model as the content of a file.

    Parameters
    ----------
    seed
        Random seed.
    models
        Contents of files, one of which is damaged.
    """
    rng = random.Random(seed)
    content = bytearray(rng.choice(models))
    if rng.random() < 0.3:
        for _ in range(rng.choice((1, 2, 8))):
            content[rng.randrange(len(content))] = rng.randrange(256)
        if rng.random() < 0.2:
            del content[rng.randrange(len(content)) :]
        return bytes(content)
    model = onnx.load_model_from_string(bytes(content))
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(_CHANGES)(rng, model)
    damaged: bytes = model.SerializeToString()
    return damaged


def _change_node(rng: random.Random, model: onnx.ModelProto) -> None:
    nodes = model.graph.node
    if not nodes:
        return
    node = rng.choice(nodes)
    what = rng.randrange(5)
    if what == 0:
        node.op_type = rng.choice(nodes).op_type
    elif what == 1 and node.input:
        given = [*rng.choice(nodes).output, *(port.name for port in model.graph.input)]
        node.input[rng.randrange(len(node.input))] = rng.choice(given)
    elif what == 2 and node.input:
        del node.input[rng.randrange(len(node.input))]
    elif what == 3 and len(node.input) > 1:
        first, second = rng.sample(range(len(node.input)), 2)
        node.input[first], node.input[second] = node.input[second], node.input[first]
    else:
        nodes.remove(node)


def _change_attribute(rng: random.Random, model: onnx.ModelProto) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        return
    node = rng.choice(nodes)
    place = rng.randrange(len(node.attribute))
    attribute = node.attribute[place]
    if rng.random() < 0.15:
        del node.attribute[place]
    elif attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(_SIZES)
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = rng.choice(_NUMBERS)
    elif attribute.type == onnx.AttributeProto.STRING:
        attribute.s = rng.choice((b"", b"linear", b"constant", b"SAME_UPPER", b"\xff"))
    else:
        attribute.i = rng.choice(_SIZES)


def _change_shape(rng: random.Random, model: onnx.ModelProto) -> None:
    ports = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    if rng.random() < 0.5 and model.graph.initializer:
        dims = rng.choice(model.graph.initializer).dims
        if dims:
            dims[rng.randrange(len(dims))] = rng.choice(_SIZES)
    elif ports and (dimensions := rng.choice(ports).type.tensor_type.shape.dim):
        rng.choice(dimensions).dim_value = rng.choice(_SIZES)


def _change_type(rng: random.Random, model: onnx.ModelProto) -> None:
    what = rng.randrange(3)
    if what == 0 and model.opset_import:
        rng.choice(model.opset_import).version = rng.choice((*range(9, 27), *_SIZES))
    elif what == 1 and model.graph.initializer:
        rng.choice(model.graph.initializer).data_type = rng.choice(_TYPES)
    elif ports := [*model.graph.input, *model.graph.output]:
        rng.choice(ports).type.tensor_type.elem_type = rng.choice(_TYPES)


def _change_values(rng: random.Random, model: onnx.ModelProto) -> None:
    constants = model.graph.initializer
    if not constants:
        return
    constant = rng.choice(constants)
    try:
        values = numpy_helper.to_array(constant).copy()
    except (ValueError, TypeError, KeyError):  # an earlier change damaged it
        return
    if not values.size or values.dtype.kind not in "fiu":
        return
    is_real = values.dtype.kind == "f"
    new = rng.choice(_NUMBERS) if is_real else rng.choice(_SIZES) % 128 - 64
    values.flat[rng.randrange(values.size)] = np.array(new).astype(values.dtype)
    constant.CopyFrom(numpy_helper.from_array(values, constant.name))


_CHANGES = (
    _change_node,
    _change_node,
    _change_attribute,
    _change_shape,
    _change_type,
    _change_values,
    _change_values,
)
