"""Operations whose table names the features that make each feature of the output.

The features of all inputs, one input after the other, are numbered from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from emufort.network.activations import Array, Graph
from emufort.network.operations.kind import (
    Layout,
    OperationKind,
    Parameters,
    Reading,
    Sizes,
    without_parameters,
)
from emufort.network.table import Integers


def _joined(graph: Graph, inputs: Sequence[str], output: str) -> str:
    """Add the features of all inputs one after the other."""
    if len(inputs) == 1:
        return inputs[0]
    return graph.node("Concat", list(inputs), f"{output}_joined", axis=1)


def _padded(graph: Graph, x: str, axes: int, value: float, output: str) -> str:
    """Add `x` with one more element at the end of its last axis."""
    ends = graph.constant(f"{output}_pads", [0] * (2 * axes - 1) + [1])
    return graph.node("Pad", [x, ends, graph.constant(f"{output}_pad", value)], output)


def _sizes(layout: Layout) -> Sizes:
    return Sizes(len(layout.places.places), layout.n_out)


def _reading(sizes: Sizes) -> Reading:
    return Reading((), sizes.n_out)


def _rows_fit(layout: Layout, shortest: int) -> bool:
    table = layout.places
    if not table.is_valid(layout.n_out, sum(layout.inputs)):
        return False
    return int(table.counts.min(initial=shortest)) >= shortest


# ------------------------------------------------------------------------- gather


def _gather(layout: Layout, inputs: Sequence[Array], _: Parameters) -> Array:
    # Place -1 is the column of zeros at the end.
    joined = np.concatenate([*inputs, np.zeros_like(inputs[0][:, :1])], axis=1)
    return joined[:, layout.places.places]


def _gather_torch(torch: Any, layout: Layout, inputs: Sequence[Any], _: object) -> Any:
    joined = torch.nn.functional.pad(torch.cat(list(inputs), 1), (0, 1))
    return joined[:, torch.as_tensor(layout.places.places.copy(), device=joined.device)]


def _gather_onnx(graph: Graph, layout: Layout, inputs: Sequence[str], _: object, y: str) -> str:
    joined, places = _joined(graph, inputs, y), layout.places.places
    if np.any(places < 0):
        joined = _padded(graph, joined, 2, 0.0, f"{y}_with_zero")
    places = np.where(places < 0, sum(layout.inputs), places)
    return graph.node("Gather", [joined, graph.constant(f"{y}_places", places)], y, axis=1)


# ------------------------------------------------------------------------- sparse


def _sparse(layout: Layout, inputs: Sequence[Array], p: Parameters) -> Array:
    from scipy.sparse import csr_array

    table, n_in = layout.places, sum(layout.inputs)
    matrix = csr_array((p[0], table.places, table.rows), shape=(layout.n_out, n_in))
    product: Array = (matrix @ np.concatenate(inputs, axis=1).T).T
    return product + p[1]


#: A matrix of at most this size, in total or for each place, is written as a dense one.
_DENSE_SIZE, _DENSE_SHARE = 16_384, 16


def _terms(layout: Layout) -> tuple[Integers, Integers]:
    """Return positions of weights and of features, (n_out, longest row).

    Rows are padded with the weight past the end, which is 0, and the first feature.
    """
    table = layout.places
    positions = table.padded()
    is_padding = np.arange(positions.shape[1]) >= table.counts[:, None]
    weights = np.where(is_padding, len(table.places), positions)
    places = np.append(table.places, 0)[weights]
    return weights, places


def _sparse_torch(torch: Any, layout: Layout, inputs: Sequence[Any], p: Sequence[Any]) -> Any:
    joined, table = torch.cat(list(inputs), 1), layout.places
    rows = np.repeat(np.arange(layout.n_out), table.counts)
    to, places = (torch.as_tensor(i.copy(), device=joined.device) for i in (rows, table.places))
    return p[1].expand(len(joined), -1).index_add(1, to, joined[:, places] * p[0])


def _sparse_onnx(
    graph: Graph, layout: Layout, inputs: Sequence[str], p: Sequence[str], y: str
) -> str:
    joined, table = _joined(graph, inputs, y), layout.places
    n_in, n_places = sum(layout.inputs), len(table.places)
    if layout.n_out * n_in <= max(_DENSE_SIZE, _DENSE_SHARE * n_places):
        rows = np.repeat(np.arange(layout.n_out), table.counts)
        pairs = graph.constant(f"{y}_entries", np.stack([table.places, rows], axis=1))
        shape = graph.constant(f"{y}_shape", [n_in, layout.n_out])
        zero = graph.constant(f"{y}_zero_entry", 0.0)
        empty = graph.node("Expand", [zero, shape], f"{y}_zeros")
        matrix = graph.node("ScatterND", [empty, pairs, p[0]], f"{y}_matrix", reduction="add")
        return graph.node("Gemm", [joined, matrix, p[1]], y)
    weights, places = _terms(layout)
    with_zero = _padded(graph, p[0], 1, 0.0, f"{y}_with_zero")
    matrix = graph.node(
        "Gather", [with_zero, graph.constant(f"{y}_positions", weights)], f"{y}_matrix", axis=0
    )
    taken = graph.node(
        "Gather",
        [joined, graph.constant(f"{y}_places", places)],
        f"{y}_taken",
        axis=1,
    )
    products = graph.node("Mul", [taken, matrix], f"{y}_products")
    axis = graph.constant(f"{y}_axis", [2])
    total = graph.node("ReduceSum", [products, axis], f"{y}_total", keepdims=0)
    return graph.node("Add", [total, p[1]], y)


# --------------------------------------------------------------------- reductions


def _first_maximum(graph: Graph, x: str, output: str) -> str:
    where = graph.node("ArgMax", [x], f"{output}_where", axis=2, keepdims=0)
    return graph.node("Cast", [where], output, to=1)


def _reduction(
    name: str,
    code: int,
    value: Callable[[Array], Array],
    onnx: str | Callable[[Graph, str, str], str],
    torch: Callable[[Any], Any],
    neutral: float | None = None,
) -> OperationKind:
    """Return the row of a reduction, given its forms for the last of three axes.

    A row that is shorter than the longest is padded with `neutral`, or with its last feature.
    """

    def indices(layout: Layout) -> Integers:
        table = layout.places
        padded = table.padded()
        places = np.append(table.places, 0)[padded]
        if neutral is None:
            return places
        is_padding = np.arange(padded.shape[1]) >= table.counts[:, None]
        return np.where(is_padding, sum(layout.inputs), places)

    def in_numpy(layout: Layout, inputs: Sequence[Array], _: Parameters) -> Array:
        last = np.full_like(inputs[0][:, :1], neutral or 0.0)
        found = value(np.concatenate([*inputs, last], axis=1)[:, indices(layout)])
        return found.astype(last.dtype, copy=False)

    def in_torch(module: Any, layout: Layout, inputs: Sequence[Any], _: object) -> Any:
        joined = module.nn.functional.pad(module.cat(list(inputs), 1), (0, 1), value=neutral or 0.0)
        taken = joined[:, module.as_tensor(indices(layout), device=joined.device)]
        return torch(taken).to(joined.dtype)

    def in_onnx(graph: Graph, layout: Layout, inputs: Sequence[str], _: object, output: str) -> str:
        joined = _joined(graph, inputs, output)
        if neutral is not None:
            joined = _padded(graph, joined, 2, neutral, f"{output}_with_neutral")
        places = graph.constant(f"{output}_places", indices(layout))
        taken = graph.node("Gather", [joined, places], f"{output}_taken", axis=1)
        if isinstance(onnx, str):
            return graph.node(onnx, [taken], output, axes=[2], keepdims=0)
        return onnx(graph, taken, output)

    return OperationKind(
        name,
        code,
        n_inputs=None,
        fits=lambda layout: _rows_fit(layout, 1),
        parameter_shapes=without_parameters,
        multiply_adds=lambda layout: 0,
        cost=lambda layout: len(layout.places.places),
        value=in_numpy,
        onnx=in_onnx,
        torch=in_torch,
        sizes=_sizes,
        reading=_reading,
    )


TABLES = (
    OperationKind(
        "gather",
        code=7,
        n_inputs=None,
        fits=lambda layout: layout.places.is_selection(layout.n_out, sum(layout.inputs)),
        parameter_shapes=without_parameters,
        multiply_adds=lambda layout: 0,
        cost=lambda layout: layout.n_out,
        value=_gather,
        onnx=_gather_onnx,
        torch=_gather_torch,
        sizes=_sizes,
        reading=_reading,
    ),
    # weight, one for each place, and bias (n_out,)
    OperationKind(
        "sparse",
        code=8,
        n_inputs=None,
        fits=lambda layout: _rows_fit(layout, 0),
        parameter_shapes=lambda layout: ((len(layout.places.places),), (layout.n_out,)),
        multiply_adds=lambda layout: len(layout.places.places),
        cost=lambda layout: len(layout.places.places) + layout.n_out,
        value=_sparse,
        onnx=_sparse_onnx,
        torch=_sparse_torch,
        sizes=_sizes,
        reading=_reading,
    ),
    _reduction("maximum_of", 10, lambda x: x.max(axis=2), "ReduceMax", lambda x: x.amax(2)),
    _reduction("minimum_of", 11, lambda x: x.min(axis=2), "ReduceMin", lambda x: x.amin(2)),
    _reduction("product_of", 12, lambda x: x.prod(axis=2), "ReduceProd", lambda x: x.prod(2), 1.0),
    # Position in the row of its first largest feature, from 0.
    _reduction(
        "first_maximum_of",
        13,
        lambda x: np.asarray(x.argmax(axis=2), x.dtype),
        _first_maximum,
        lambda x: x.argmax(2),
    ),
)
