"""Operations that combine the same feature of two or three inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from emufort.network.activations import Array, Graph
from emufort.network.operations.kind import (
    Layout,
    OperationKind,
    Reading,
    Sizes,
    sliced,
    without_parameters,
)


def _fits(layout: Layout) -> bool:
    return all(
        start + layout.n_out <= size
        for start, size in zip(layout.starts, layout.inputs, strict=True)
    )


def _taken(layout: Layout, inputs: Sequence[Any]) -> list[Any]:
    """Return the features that each input contributes, for arrays and tensors."""
    return [x[:, s : s + layout.n_out] for x, s in zip(inputs, layout.starts, strict=True)]


def _elementwise(
    name: str,
    code: int,
    n_inputs: int,
    value: Callable[..., Array],
    onnx: Callable[[Graph, Sequence[str], str], str],
    torch: Callable[..., Any],
) -> OperationKind:
    """Return the row of an elementwise operation, given its forms for inputs of one size."""

    def add_to(
        graph: Graph, layout: Layout, inputs: Sequence[str], _: Sequence[str], output: str
    ) -> str:
        taken = [
            sliced(graph, x, start, layout.n_out, size, f"{output}_part_{number}")
            for number, (x, start, size) in enumerate(
                zip(inputs, layout.starts, layout.inputs, strict=True)
            )
        ]
        return onnx(graph, taken, output)

    return OperationKind(
        name,
        code,
        n_inputs,
        fits=_fits,
        parameter_shapes=without_parameters,
        multiply_adds=lambda layout: 0,
        cost=lambda layout: layout.n_out,
        value=lambda layout, inputs, _: value(*_taken(layout, inputs)),
        onnx=add_to,
        torch=lambda module, layout, inputs, _: torch(module, *_taken(layout, inputs)),
        sizes=lambda layout: Sizes(layout.n_out, layout.n_out),
        reading=lambda sizes: Reading((sizes.n_out,) * n_inputs, sizes.n_out),
        in_place=True,
        takes_starts=True,
    )


def _choose(a: Array, b: Array, c: Array) -> Array:
    found: Array = np.where(a > 0.0, b, c)
    return found


def _select(graph: Graph, inputs: Sequence[str], output: str) -> str:
    zero = graph.constant(f"{output}_threshold", 0.0)
    is_positive = graph.node("Greater", [inputs[0], zero], f"{output}_is_positive")
    return graph.node("Where", [is_positive, *inputs[1:]], output)


ELEMENTWISE = (
    _elementwise(
        "add",
        code=2,
        n_inputs=2,
        value=lambda a, b: a + b,
        onnx=lambda graph, inputs, output: graph.node("Add", list(inputs), output),
        torch=lambda torch, a, b: a + b,
    ),
    _elementwise(
        "multiply",
        code=3,
        n_inputs=2,
        value=lambda a, b: a * b,
        onnx=lambda graph, inputs, output: graph.node("Mul", list(inputs), output),
        torch=lambda torch, a, b: a * b,
    ),
    _elementwise(
        "maximum",
        code=4,
        n_inputs=2,
        value=np.maximum,
        onnx=lambda graph, inputs, output: graph.node("Max", list(inputs), output),
        torch=lambda torch, a, b: torch.maximum(a, b),
    ),
    _elementwise(
        "minimum",
        code=5,
        n_inputs=2,
        value=np.minimum,
        onnx=lambda graph, inputs, output: graph.node("Min", list(inputs), output),
        torch=lambda torch, a, b: torch.minimum(a, b),
    ),
    # The second input where the first is positive, the third elsewhere.
    _elementwise(
        "select",
        code=6,
        n_inputs=3,
        value=_choose,
        onnx=_select,
        torch=lambda torch, a, b, c: torch.where(a > 0.0, b, c),
    ),
)
