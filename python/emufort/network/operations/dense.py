"""The dense layer, once or for many parts of its input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
)

#: Most neurons of a dense layer: ``max_width`` of ``fortran/src/emufort_kinds.F90``.
MOST_NEURONS = 4096
#: Most inputs of a dense layer: ``max_dense_inputs`` there.
MOST_DENSE_INPUTS = 65_536


@dataclass(frozen=True)
class Repetitions:
    """How a dense layer runs over its input.

    Repetition r reads the features ``start + r*stride`` to ``start + r*stride + n_in - 1`` and
    writes ``r*n_out`` to ``r*n_out + n_out - 1``, for r from 0 to ``count`` - 1.
    """

    start: int
    count: int
    stride: int
    n_in: int
    n_out: int

    @classmethod
    def of(cls, layout: Layout) -> Repetitions:
        """Return the repetitions of a dense layer; its extent is (count, stride, n_in).

        Without an extent, the layer reads its whole input, from its start on, once.
        """
        (start,), (size,) = layout.starts, layout.inputs
        count, stride, n_in = layout.extent or (1, 0, size - start)
        return cls(start, count, stride if count > 1 else 0, n_in, layout.n_out // max(count, 1))

    @property
    def end(self) -> int:
        """Number of features from the first of the buffer to the last that is read."""
        return self.start + (self.count - 1) * self.stride + self.n_in

    @property
    def indices(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Features that each repetition reads, (count, n_in)."""
        return (
            self.start
            + self.stride * np.arange(self.count, dtype=np.int64)[:, None]
            + np.arange(self.n_in, dtype=np.int64)
        )


def _fits(layout: Layout) -> bool:
    r = Repetitions.of(layout)
    return (
        r.count >= 1
        and (r.stride >= 1 or r.count == 1)
        and 1 <= r.n_in <= MOST_DENSE_INPUTS
        and r.end <= layout.inputs[0]
        and 1 <= r.n_out <= MOST_NEURONS
        and r.count * r.n_out == layout.n_out
    )


def _multiply_adds(layout: Layout) -> int:
    r = Repetitions.of(layout)
    return r.count * r.n_in * r.n_out


def _value(layout: Layout, inputs: Sequence[Array], p: Parameters) -> Array:
    x, w = inputs[0], p[0].T
    r = Repetitions.of(layout)
    if r.count == 1:
        return x[:, r.start : r.end] @ w + p[1]
    return (x[:, r.indices] @ w + p[1]).reshape(len(x), layout.n_out)


def _onnx(graph: Graph, layout: Layout, inputs: Sequence[str], p: Sequence[str], y: str) -> str:
    r = Repetitions.of(layout)
    if r.count == 1:
        x = sliced(graph, inputs[0], r.start, r.n_in, layout.inputs[0], f"{y}_part")
        return graph.node("Gemm", [x, p[0], p[1]], y, transB=1)
    if r.stride == r.n_in:
        x = sliced(graph, inputs[0], r.start, r.count * r.n_in, layout.inputs[0], f"{y}_part")
        x = reshaped(graph, x, (r.count, r.n_in), f"{y}_parts")
    else:
        taken = graph.constant(f"{y}_indices", r.indices)
        x = graph.node("Gather", [inputs[0], taken], f"{y}_parts", axis=1)
    w = graph.node("Transpose", [p[0]], f"{y}_transposed", perm=[1, 0])
    z = graph.node("Add", [graph.node("MatMul", [x, w], f"{y}_product"), p[1]], f"{y}_sum")
    return reshaped(graph, z, (layout.n_out,), y)


def _torch(torch: Any, layout: Layout, inputs: Sequence[Any], p: Sequence[Any]) -> Any:
    r = Repetitions.of(layout)
    x = inputs[0][:, r.start : r.end]
    if r.count > 1:
        x = x.unfold(1, r.n_in, r.stride)
    return torch.nn.functional.linear(x, p[0], p[1]).flatten(1)


def _sizes(layout: Layout) -> Sizes:
    r = Repetitions.of(layout)
    return Sizes(r.n_in, r.n_out, r.count, r.stride)


def _reading(sizes: Sizes) -> Reading:
    extent = sizes.count, sizes.stride, sizes.n_in
    n_read = (sizes.count - 1) * sizes.stride + sizes.n_in
    return Reading((n_read,), sizes.count * sizes.n_out, extent)


def _parameter_shapes(layout: Layout) -> tuple[tuple[int, ...], ...]:
    r = Repetitions.of(layout)
    return (r.n_out, r.n_in), (r.n_out,)


DENSE = OperationKind(
    "dense",
    code=1,
    n_inputs=1,
    fits=_fits,
    parameter_shapes=_parameter_shapes,
    multiply_adds=_multiply_adds,
    cost=_multiply_adds,
    value=_value,
    onnx=_onnx,
    torch=_torch,
    sizes=_sizes,
    reading=_reading,
    takes_starts=True,
    extents=(0, 3),
)
