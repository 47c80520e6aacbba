"""Products of matrices that are both values of the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from emufort.network.activations import Array, Graph
from emufort.network.operations.kind import (
    Layout,
    OperationKind,
    Reading,
    Sizes,
    reshaped,
    sliced,
    without_parameters,
)

Shapes = tuple[tuple[int, int, int], tuple[int, int, int]]


def _shapes(layout: Layout) -> Shapes:
    """Return the shapes of both factors; the extent is (B, M, K, N)."""
    batch, m, k, n = layout.extent
    return (batch, m, k), (batch, k, n)


def _fits(layout: Layout) -> bool:
    batch, m, _, n = layout.extent
    return (
        min(layout.extent) >= 1
        and layout.n_out == batch * m * n
        and all(
            start + math.prod(shape) <= size
            for start, shape, size in zip(
                layout.starts, _shapes(layout), layout.inputs, strict=True
            )
        )
    )


def _factors(layout: Layout, inputs: Sequence[Any]) -> list[Any]:
    """Return both factors (n, B, rows, columns), for arrays and tensors."""
    return [
        x[:, start : start + math.prod(shape)].reshape(len(x), *shape)
        for x, start, shape in zip(inputs, layout.starts, _shapes(layout), strict=True)
    ]


def _value(layout: Layout, inputs: Sequence[Array], _: object) -> Array:
    a, b = _factors(layout, inputs)
    product: Array = a @ b
    return product.reshape(len(product), layout.n_out)


def _torch(torch: Any, layout: Layout, inputs: Sequence[Any], _: object) -> Any:
    return torch.matmul(*_factors(layout, inputs)).flatten(1)


def _onnx(graph: Graph, layout: Layout, inputs: Sequence[str], _: object, output: str) -> str:
    factors = []
    for name, x, start, shape, size in zip(
        "ab", inputs, layout.starts, _shapes(layout), layout.inputs, strict=True
    ):
        part = sliced(graph, x, start, math.prod(shape), size, f"{output}_{name}_part")
        factors.append(reshaped(graph, part, shape, f"{output}_{name}"))
    product = graph.node("MatMul", factors, f"{output}_product")
    return reshaped(graph, product, (layout.n_out,), output)


def _sizes(layout: Layout) -> Sizes:
    batch, m, k, n = layout.extent
    return Sizes(k, n, batch, m)


def _reading(sizes: Sizes) -> Reading:
    batch, m, k, n = sizes.count, sizes.stride, sizes.n_in, sizes.n_out
    return Reading((batch * m * k, batch * k * n), batch * m * n, (batch, m, k, n))


# Output (B, M, N), first factor (B, M, K), second factor (B, K, N); the last index varies fastest.
MATMUL = OperationKind(
    "matmul",
    code=9,
    n_inputs=2,
    fits=_fits,
    parameter_shapes=without_parameters,
    multiply_adds=lambda layout: math.prod(layout.extent),
    cost=lambda layout: math.prod(layout.extent),
    value=_value,
    onnx=_onnx,
    torch=_torch,
    sizes=_sizes,
    reading=_reading,
    takes_starts=True,
    extents=(4,),
)
