"""Depthwise convolutions: sums of weighted parts of the input, feature by feature."""

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
)


@dataclass(frozen=True)
class Taps:
    """What a depthwise convolution reads.

    Feature c of repetition r is the sum over k of weight (k, c) times the feature ``start +
    r*stride + k*step + c``, and bias c. There are ``count`` repetitions, ``n_taps`` summands and
    ``n_out`` features of a repetition. The stride is 0 for one repetition, the step for one
    summand.
    """

    start: int
    count: int
    stride: int
    n_taps: int
    step: int
    n_out: int

    @classmethod
    def of(cls, layout: Layout) -> Taps:
        """Return the taps of a layout; its extent is (count, stride, n_taps, step)."""
        count, stride, n_taps, step = layout.extent
        return cls(layout.starts[0], count, stride, n_taps, step, layout.n_out // max(count, 1))

    @property
    def n_read(self) -> int:
        """Number of features from the first that is read to the last."""
        return (self.count - 1) * self.stride + (self.n_taps - 1) * self.step + self.n_out

    @property
    def indices(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Features that are read, (count, n_taps, n_out)."""
        r, k, c = (np.arange(n, dtype=np.int64) for n in (self.count, self.n_taps, self.n_out))
        found: np.ndarray[Any, np.dtype[np.int64]] = (
            self.start + r[:, None, None] * self.stride + k[:, None] * self.step + c
        )
        return found


def _fits(layout: Layout) -> bool:
    t = Taps.of(layout)
    return (
        min(t.count, t.n_taps, t.n_out) >= 1
        and min(t.stride, t.step) >= 0
        and (t.count > 1) == (t.stride > 0)
        and (t.n_taps > 1) == (t.step > 0)
        and t.count * t.n_out == layout.n_out
        and t.start + t.n_read <= layout.inputs[0]
    )


def _parameter_shapes(layout: Layout) -> tuple[tuple[int, ...], ...]:
    t = Taps.of(layout)
    return (t.n_taps * t.n_out,), (t.n_out,)


def _multiply_adds(layout: Layout) -> int:
    return layout.n_out * Taps.of(layout).n_taps


def _value(layout: Layout, inputs: Sequence[Array], p: Parameters) -> Array:
    t = Taps.of(layout)
    weight = p[0].reshape(t.n_taps, t.n_out)
    total = np.broadcast_to(p[1], (len(inputs[0]), t.count, t.n_out)).astype(inputs[0].dtype)
    for k in range(t.n_taps):
        total += inputs[0][:, t.indices[:, k]] * weight[k]
    return total.reshape(len(total), layout.n_out)


def _torch(torch: Any, layout: Layout, inputs: Sequence[Any], p: Sequence[Any]) -> Any:
    t = Taps.of(layout)
    taken = inputs[0][:, torch.as_tensor(t.indices, device=inputs[0].device)]
    return ((taken * p[0].reshape(t.n_taps, t.n_out)).sum(2) + p[1]).flatten(1)


def _onnx(graph: Graph, layout: Layout, inputs: Sequence[str], p: Sequence[str], y: str) -> str:
    t = Taps.of(layout)
    taken = graph.node("Gather", [inputs[0], graph.constant(f"{y}_indices", t.indices)],
                       f"{y}_taken", axis=1)  # fmt: skip
    shape = graph.constant(f"{y}_factors_shape", [t.n_taps, t.n_out])
    weight = graph.node("Reshape", [p[0], shape], f"{y}_factors")
    products = graph.node("Mul", [taken, weight], f"{y}_products")
    axis = graph.constant(f"{y}_axis", [2])
    total = graph.node("ReduceSum", [products, axis], f"{y}_total", keepdims=0)
    return reshaped(graph, graph.node("Add", [total, p[1]], f"{y}_sum"), (layout.n_out,), y)


def _sizes(layout: Layout) -> Sizes:
    t = Taps.of(layout)
    return Sizes(t.n_taps * t.n_out, t.n_out, t.count, t.stride, t.step)


def _reading(sizes: Sizes) -> Reading:
    n_taps = sizes.n_in // max(sizes.n_out, 1)
    n_read = (sizes.count - 1) * sizes.stride + (n_taps - 1) * sizes.step + sizes.n_out
    extent = sizes.count, sizes.stride, n_taps, sizes.step
    return Reading((n_read,), sizes.count * sizes.n_out, extent)


# weight (n_taps * n_out,), the feature varies fastest, and bias (n_out,)
DEPTHWISE = OperationKind(
    "depthwise",
    code=14,
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
    has_step=True,
    takes_starts=True,
    extents=(4,),
)
