"""The table of operations that networks are made of: one row says what an operation does.

To add an operation, write its row, its gradient in ``emufort.training.torch_operations``, its check
in ``fortran/src/emufort_plan.F90`` and its kernel in ``fortran/src/emufort_operations.F90``.

An operation has one or two inputs and one output, which are arrays (n, features), and may have
parameters. Its activation function is applied to what its row gives, see
`emufort.network.plan.Operation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.network.activations import Array, Graph

Sizes = Sequence[int]


@dataclass(frozen=True)
class OperationKind:
    """What an operation does, in all forms.

    Attributes
    ----------
    name
        What plans call it.
    code
        Its number in the Fortran runtime and in ``weights.bin``.
    n_inputs
        Number of input buffers.
    fits
        Whether inputs of these sizes can give an output of this size.
    parameter_shapes
        Shapes of its parameters, for the sizes of its inputs and of its output.
    multiply_adds
        Arithmetic of one column in multiply-adds, for the same sizes.
    cost
        The same with passes over memory that are no multiply-adds, for ranking candidates.
    value
        The definition in double precision: of the inputs and the parameters.
    onnx
        Adds the operation to a graph, given the names of inputs and parameters and that of the
        output.
    torch
        The operation in torch, given the module ``torch``, the inputs and the parameters.
    in_place
        Whether the runtime may write the output where an input is.
    """

    name: str
    code: int
    n_inputs: int
    fits: Callable[[Sizes, int], bool]
    parameter_shapes: Callable[[Sizes, int], tuple[tuple[int, ...], ...]]
    multiply_adds: Callable[[Sizes, int], int]
    cost: Callable[[Sizes, int], float]
    value: Callable[[Sequence[Array], Sequence[NDArray[np.float32]]], Array]
    onnx: Callable[[Graph, Sequence[str], Sequence[str], str], str]
    torch: Callable[[Any, Sequence[Any], Sequence[Any]], Any]
    in_place: bool


_ROWS = (
    # weight (n_out, n_in) and bias (n_out,)
    OperationKind(
        "dense",
        code=1,
        n_inputs=1,
        fits=lambda inputs, n_out: True,
        parameter_shapes=lambda inputs, n_out: ((n_out, inputs[0]), (n_out,)),
        multiply_adds=lambda inputs, n_out: inputs[0] * n_out,
        cost=lambda inputs, n_out: inputs[0] * n_out,
        value=lambda inputs, p: inputs[0] @ p[0].T.astype(np.float64) + p[1],
        onnx=lambda graph, inputs, p, output: graph.node(
            "Gemm", [inputs[0], p[0], p[1]], output, transB=1
        ),
        torch=lambda torch, inputs, p: torch.nn.functional.linear(inputs[0], p[0], p[1]),
        in_place=False,
    ),
    OperationKind(
        "add",
        code=2,
        n_inputs=2,
        fits=lambda inputs, n_out: inputs[0] == inputs[1] == n_out,
        parameter_shapes=lambda inputs, n_out: (),
        multiply_adds=lambda inputs, n_out: 0,
        cost=lambda inputs, n_out: n_out,
        value=lambda inputs, p: inputs[0] + inputs[1],
        onnx=lambda graph, inputs, p, output: graph.node("Add", list(inputs), output),
        torch=lambda torch, inputs, p: inputs[0] + inputs[1],
        in_place=True,
    ),
)

#: Name -> row.
OPERATIONS: Mapping[str, OperationKind] = {row.name: row for row in _ROWS}
