"""Find the affine scaling with which a graph treats its inputs first."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from emufort.importing.graph import Graph, Node, Port
from emufort.network.activations import Array


def without_scaling(graph: Graph) -> tuple[Graph, Array, Array]:
    """Return a graph without the scaling of its inputs, and the scaling.

    The scaling of an input is the chain of additions of and multiplications by constants, element
    by element, through which all nodes see it. The scaler computes it in double precision, so that
    a small spread around a large mean, such as that of pressure, loses no digits.

    Returns
    -------
    Graph
        The graph in which the names of the scaled values are those of the inputs.
    ndarray, ndarray
        Shift and scale of all inputs one after the other, z = (x - shift) scale.
    """
    shifts, scales, renamed, removed = [], [], {}, set()
    for port in graph.inputs:
        shift, scale = np.zeros(port.shape), np.ones(port.shape)
        name = port.name
        while (step := _step(graph, port, name)) is not None:
            node, offset, factor = step
            combined = scale * factor
            is_finite = np.all(np.isfinite(combined)) and np.all(np.isfinite(offset))
            if not (is_finite and np.all(combined)):
                break
            # z factor + offset = (x - shift + offset / (scale factor)) scale factor
            shift, scale = shift - offset / combined, combined
            removed.add(node.outputs[0])
            name = node.outputs[0]
        renamed[port.name] = name
        shifts.append(shift.ravel())
        scales.append(scale.ravel())
    inputs = tuple(dataclasses.replace(port, name=renamed[port.name]) for port in graph.inputs)
    nodes = tuple(node for node in graph.nodes if node.outputs[0] not in removed)
    return (
        dataclasses.replace(graph, inputs=inputs, nodes=nodes),
        np.concatenate(shifts),
        np.concatenate(scales),
    )


def _step(graph: Graph, port: Port, name: str) -> tuple[Node, Array, Array] | None:
    """Return the node that scales the value `name`, with offset and factor; None if none does."""
    users = [node for node in graph.nodes if name in node.inputs]
    if len(users) != 1 or any(output.name == name for output in graph.outputs):
        return None
    node = users[0]
    if node.operator not in ("Add", "Sub", "Mul", "Div") or len(node.outputs) != 1:
        return None
    is_first = node.inputs[0] == name
    other = graph.constants.get(node.inputs[1 if is_first else 0])
    if other is None or node.inputs[0] == node.inputs[1]:
        return None
    constant = _fitted(other, port.shape)
    if constant is None or (node.operator == "Div" and not (is_first and np.all(constant))):
        return None
    one, zero = np.ones(port.shape), np.zeros(port.shape)
    if node.operator == "Add":
        return node, constant, one
    if node.operator == "Sub":
        return (node, -constant, one) if is_first else (node, constant, -one)
    return node, zero, constant if node.operator == "Mul" else 1.0 / constant


def _fitted(constant: NDArray[np.generic], shape: tuple[int, ...]) -> Array | None:
    """Return a constant in the shape of the value; None if the result would be larger."""
    try:
        if np.broadcast_shapes(constant.shape, shape) != shape:
            return None
        return np.broadcast_to(np.asarray(constant, dtype=np.float64), shape)
    except (ValueError, TypeError):
        return None
