"""Normalisation of groups of features, and the softmax of rows of features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from emufort.network.activations import Array, Graph
from emufort.network.operations.kind import (
    Layout,
    OperationKind,
    Parameters,
    Reading,
    Sizes,
    reshaped,
    sliced,
    without_parameters,
)


def _fits(layout: Layout) -> bool:
    n = math.prod(layout.extent)
    return (
        min(layout.extent) >= 1 and n == layout.n_out and layout.starts[0] + n <= layout.inputs[0]
    )


def _part(layout: Layout, x: Any) -> Any:
    """Return what the operation reads, (n, *extent), for arrays and tensors."""
    start = layout.starts[0]
    return x[:, start : start + layout.n_out].reshape(len(x), *layout.extent)


def _part_in_onnx(graph: Graph, layout: Layout, x: str, y: str) -> str:
    part = sliced(graph, x, layout.starts[0], layout.n_out, layout.inputs[0], f"{y}_part")
    return reshaped(graph, part, layout.extent, f"{y}_shaped")


def _cost(layout: Layout) -> float:
    return 4.0 * layout.n_out


# ----------------------------------------------------------------- normalisation

#: Axes of (n, count, repetitions, groups, channels of a group) over which a group is normalised.
_AXES = (2, 4)


def _normalised(layout: Layout, inputs: Sequence[Array], p: Parameters) -> Array:
    x = _part(layout, inputs[0])
    shape = layout.extent[2:]
    x = x - x.mean(axis=_AXES, keepdims=True)
    variance = np.square(x).mean(axis=_AXES, keepdims=True)
    y = x / np.sqrt(variance + p[0][-1]) * p[0][:-1].reshape(shape) + p[1].reshape(shape)
    found: Array = y.reshape(len(y), layout.n_out)
    return found


def _normalised_in_torch(
    torch: Any, layout: Layout, inputs: Sequence[Any], p: Sequence[Any]
) -> Any:
    x = _part(layout, inputs[0])
    shape = layout.extent[2:]
    x = x - x.mean(_AXES, keepdim=True)
    variance = torch.square(x).mean(_AXES, keepdim=True)
    y = x / torch.sqrt(variance + p[0][-1]) * p[0][:-1].reshape(shape) + p[1].reshape(shape)
    return y.flatten(1)


def _normalised_in_onnx(
    graph: Graph, layout: Layout, inputs: Sequence[str], p: Sequence[str], y: str
) -> str:
    *_, n_groups, n_channels = layout.extent
    n = n_groups * n_channels
    shape = graph.constant(f"{y}_group_channels", [n_groups, n_channels])

    def of_channels(name: str, what: str) -> str:
        return graph.node("Reshape", [name, shape], f"{y}_group_{what}")

    def part(what: str, first: int, end: int) -> str:
        ends = [graph.constant(f"{y}_group_{what}_{k}", [e]) for k, e in enumerate((first, end, 0))]
        return graph.node("Slice", [p[0], *ends], f"{y}_group_{what}")

    x = _part_in_onnx(graph, layout, inputs[0], f"{y}_group")
    mean = graph.node("ReduceMean", [x], f"{y}_group_mean", axes=list(_AXES), keepdims=1)
    x = graph.node("Sub", [x, mean], f"{y}_group_deviation")
    square = graph.node("Mul", [x, x], f"{y}_group_square")
    variance = graph.node(
        "ReduceMean", [square], f"{y}_group_variance", axes=list(_AXES), keepdims=1
    )
    raised = graph.node("Add", [variance, part("epsilon", n, n + 1)], f"{y}_group_raised")
    spread = graph.node("Sqrt", [raised], f"{y}_group_spread")
    x = graph.node("Div", [x, spread], f"{y}_group_normalised")
    scale = of_channels(part("scales", 0, n), "scale")
    x = graph.node("Mul", [x, scale], f"{y}_group_scaled")
    x = graph.node("Add", [x, of_channels(p[1], "shift")], f"{y}_group_shifted")
    return reshaped(graph, x, (layout.n_out,), y)


def _parameter_shapes(layout: Layout) -> tuple[tuple[int, ...], ...]:
    n = math.prod(layout.extent[2:])
    return (n + 1,), (n,)


def _sizes(layout: Layout) -> Sizes:
    count, n_inner, n_groups, n_channels = layout.extent
    n = n_groups * n_channels
    return Sizes(n + 1, n, count, n_inner, n_groups)


def _reading(sizes: Sizes) -> Reading:
    extent = sizes.count, sizes.stride, sizes.step, sizes.n_out // max(sizes.step, 1)
    n = math.prod(extent)
    return Reading((n,), n, extent)


# ----------------------------------------------------------------------- softmax


def _softmax(layout: Layout, inputs: Sequence[Array], _: Parameters) -> Array:
    x = _part(layout, inputs[0])
    powers = np.exp(x - x.max(axis=2, keepdims=True))
    found: Array = powers / powers.sum(axis=2, keepdims=True)
    return found.reshape(len(found), layout.n_out)


def _softmax_in_onnx(
    graph: Graph, layout: Layout, inputs: Sequence[str], _: Sequence[str], y: str
) -> str:
    x = _part_in_onnx(graph, layout, inputs[0], y)
    return reshaped(graph, graph.node("Softmax", [x], f"{y}_rows", axis=2), (layout.n_out,), y)


NORMALISATION = (
    # The extent is (count, repetitions, groups, channels of a group), the last index varies
    # fastest. A group is all repetitions of its channels. The weight is the scale of each channel,
    # then the number that is added to variances; the bias is the shift of each channel.
    OperationKind(
        "normalise",
        code=15,
        n_inputs=1,
        fits=_fits,
        parameter_shapes=_parameter_shapes,
        multiply_adds=lambda layout: 0,
        cost=_cost,
        value=_normalised,
        onnx=_normalised_in_onnx,
        torch=_normalised_in_torch,
        sizes=_sizes,
        reading=_reading,
        has_step=True,
        takes_starts=True,
        extents=(4,),
    ),
    # The extent is (rows, features of a row).
    OperationKind(
        "softmax",
        code=16,
        n_inputs=1,
        fits=_fits,
        parameter_shapes=without_parameters,
        multiply_adds=lambda layout: 0,
        cost=_cost,
        value=_softmax,
        onnx=_softmax_in_onnx,
        torch=lambda torch, layout, inputs, _: torch.softmax(_part(layout, inputs[0]), 2).flatten(
            1
        ),
        sizes=lambda layout: Sizes(layout.extent[1], layout.extent[1], layout.extent[0]),
        reading=lambda sizes: Reading(
            (sizes.count * sizes.n_out,), sizes.count * sizes.n_out, (sizes.count, sizes.n_out)
        ),
        takes_starts=True,
        extents=(2,),
    ),
)
