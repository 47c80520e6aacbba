"""The table of operations; a row defines one operation for all forms of a network.

To add an operation, write its row, its gradient in ``emufort.training.torch_operations``, its check
in ``fortran/src/emufort_plan.F90`` and its kernel in ``fortran/src/emufort_operations.F90``.

An operation has one or two inputs and one output, which are arrays (n, features), and may have
parameters. The activation function is applied to the result of the row, see
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
    """One operation in all forms.

    Attributes
    ----------
    name
        Name in plans.
    code
        Number in the Fortran runtime and in ``weights.bin``.
    n_inputs
        Number of input buffers.
    fits
        Returns whether inputs of given sizes can give an output of a given size.
    parameter_shapes
        Returns the shapes of the parameters for the sizes of the inputs and of the output.
    multiply_adds
        Returns the arithmetic of one column in multiply-adds for the same sizes.
    cost
        Returns the same including passes over memory without multiply-adds, for ranking candidates.
    value
        Definition as a function of the inputs and the parameters, in the precision of the inputs.
    onnx
        Adds the operation to a graph, given the names of the inputs, of the parameters and of the
        output.
    torch
        The operation in torch, given the module ``torch``, the inputs and the parameters.
    in_place
        Whether the runtime may write the output over an input.
    """

    name: str
    code: int
    n_inputs: int
    fits: Callable[[Sizes, int], bool]
    parameter_shapes: Callable[[Sizes, int], tuple[tuple[int, ...], ...]]
    multiply_adds: Callable[[Sizes, int], int]
    cost: Callable[[Sizes, int], float]
    value: Callable[[Sequence[Array], Sequence[NDArray[np.floating[Any]]]], Array]
    onnx: Callable[[Graph, Sequence[str], Sequence[str], str], str]
    torch: Callable[[Any, Sequence[Any], Sequence[Any]], Any]
    in_place: bool


def _dense(inputs: Sequence[Array], p: Sequence[NDArray[np.floating[Any]]]) -> Array:
    weight, bias = (array.astype(inputs[0].dtype) for array in p)
    result: Array = inputs[0] @ weight.T + bias
    return result


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
        value=lambda inputs, p: (
            inputs[0] @ p[0].T.astype(inputs[0].dtype) + p[1].astype(inputs[0].dtype)
        ),
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
