"""Inputs and attributes of nodes, as the functions that lower them need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.importing.graph import Node
from emufort.importing.refusal import refuse
from emufort.importing.values import Integers, Value

#: Inputs of a node; None: absent.
Inputs = list[NDArray[Any] | Value | None]


def given(inputs: Inputs, place: int) -> NDArray[Any] | Value | None:
    """Return an input; None if it is absent."""
    return inputs[place] if place < len(inputs) else None


def constants(node: Node, inputs: Inputs, first: int = 1) -> list[NDArray[Any] | None]:
    """Return the inputs from `first` on, which must be constants."""
    found: list[NDArray[Any] | None] = []
    for place, value in enumerate(inputs[first:], start=first):
        if isinstance(value, Value):
            raise refuse(
                node.operator,
                node.name,
                f"its input {place + 1} depends on the inputs of the model",
                "export the model with a constant there",
            )
        found.append(None if value is None else np.asarray(value))
    return found


def constant(node: Node, inputs: Inputs, place: int) -> NDArray[Any] | None:
    """Return an input that must be a constant; None if it is absent."""
    return constants(node, inputs[: place + 1], place)[0] if place < len(inputs) else None


def data(inputs: Inputs) -> Value:
    """Return the first input, which must depend on the features."""
    value = inputs[0]
    if not isinstance(value, Value):
        raise ValueError("its first input is a constant, another is not")
    return value


def number(attributes: Mapping[str, Any], name: str, default: float) -> float:
    """Return an attribute that is a number; it and its default are in single precision in ONNX."""
    return float(np.float32(attributes.get(name, default)))


def text(attributes: Mapping[str, Any], name: str, default: str) -> str:
    """Return an attribute that is a text."""
    found = attributes.get(name, default)
    return found.decode() if isinstance(found, bytes) else str(found)


def numbers_of(shape: Sequence[int]) -> Integers:
    """Return the numbers of the elements of an array."""
    return np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.int64).reshape(shape)


def axis_of(axis: int, rank: int) -> int:
    """Return an axis of an array, which counts from the end if it is negative."""
    if not -rank <= axis < rank:
        raise ValueError(f"it has {rank} dimensions and no axis {axis}")
    return axis % rank


def rows_along(shape: Sequence[int], axes: Sequence[int]) -> Integers:
    """Return the numbers of the elements along axes, (rest, elements along the axes)."""
    axes = sorted(axis_of(axis, len(shape)) for axis in axes)
    moved = np.moveaxis(numbers_of(shape), axes, range(len(shape) - len(axes), len(shape)))
    count = int(np.prod([shape[axis] for axis in axes], dtype=np.int64))
    return moved.reshape(-1, count)


def reduced_shape(shape: Sequence[int], axes: Sequence[int], keep: bool) -> tuple[int, ...]:
    """Return the shape of a reduction along axes."""
    axes = [axis_of(axis, len(shape)) for axis in axes]
    if keep:
        return tuple(1 if k in axes else n for k, n in enumerate(shape))
    return tuple(n for k, n in enumerate(shape) if k not in axes)
