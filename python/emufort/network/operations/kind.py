"""What a row of the table of operations says of an operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emufort.network.activations import Array, Graph
from emufort.network.table import Table

Parameters = Sequence[NDArray[np.floating[Any]]]


@dataclass(frozen=True)
class Layout:
    """Which features an operation reads and how many it writes.

    Attributes
    ----------
    inputs
        Features of each input buffer.
    n_out
        Features of the output.
    starts
        First feature of each input that the operation reads.
    extent
        Sizes of the operation, see the rows that have some.
    table
        Places that the operation reads; None for an operation without a table.
    """

    inputs: tuple[int, ...]
    n_out: int
    starts: tuple[int, ...]
    extent: tuple[int, ...] = ()
    table: Table | None = None

    @property
    def places(self) -> Table:
        """The table of an operation that has one."""
        assert self.table is not None
        return self.table


@dataclass(frozen=True)
class Sizes:
    """Sizes of an operation as ``weights.bin`` holds them, see ``docs/weights_format.md``."""

    n_in: int
    n_out: int
    count: int = 1
    stride: int = 0
    step: int = 0


class Reading(NamedTuple):
    """What `Sizes` say of an operation.

    Attributes
    ----------
    inputs
        Features that the operation reads of each input, from its start to the last that it reads;
        empty for an operation with a table.
    n_out, extent
        As in `Layout`.
    """

    inputs: tuple[int, ...]
    n_out: int
    extent: tuple[int, ...] = ()


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
        Number of input buffers; None for any number, whose features the table names.
    fits
        Returns whether the sizes of a layout agree.
    parameter_shapes
        Returns the shapes of the parameters: none, or those of a weight and a bias.
    multiply_adds
        Returns the arithmetic of one column in multiply-adds.
    cost
        Returns the same including passes over memory without multiply-adds, for ranking candidates.
    value
        Definition, given the layout, the inputs (n, features) and the parameters in the precision
        in which it is to be computed.
    onnx
        Adds the operation to a graph, given the layout and the names of the inputs, of the
        parameters and of the output.
    torch
        The operation in torch, given the module ``torch``, the layout, the inputs and the
        parameters.
    sizes
        Returns the sizes of a layout for ``weights.bin``.
    reading
        Inverse of `sizes`, as far as they say it.
    has_step
        Whether the sizes may have a step.
    in_place
        Whether the runtime may write the output over an input that starts at the same place.
    takes_starts
        Whether the operation may read an input from a feature other than the first.
    extents
        Numbers of sizes that an extent may have.
    """

    name: str
    code: int
    n_inputs: int | None
    fits: Callable[[Layout], bool]
    parameter_shapes: Callable[[Layout], tuple[tuple[int, ...], ...]]
    multiply_adds: Callable[[Layout], int]
    cost: Callable[[Layout], float]
    value: Callable[[Layout, Sequence[Array], Parameters], Array]
    onnx: Callable[[Graph, Layout, Sequence[str], Sequence[str], str], str]
    torch: Callable[[Any, Layout, Sequence[Any], Sequence[Any]], Any]
    sizes: Callable[[Layout], Sizes]
    reading: Callable[[Sizes], Reading]
    has_step: bool = False
    in_place: bool = False
    takes_starts: bool = False
    extents: tuple[int, ...] = (0,)

    @property
    def has_table(self) -> bool:
        """Whether a table names the features that the operation reads."""
        return self.n_inputs is None

    def accepts(self, layout: Layout) -> bool:
        """Return whether the operation can have this layout."""
        if len(layout.extent) not in self.extents or len(layout.starts) != len(layout.inputs):
            return False
        if min(layout.starts, default=0) < 0 or (any(layout.starts) and not self.takes_starts):
            return False
        return (layout.table is not None) == self.has_table and self.fits(layout)


def without_parameters(_: Layout) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of no parameters."""
    return ()


def sliced(graph: Graph, x: str, start: int, n: int, size: int, name: str) -> str:
    """Add the features `start` to `start` + `n` - 1 of a value with `size` features."""
    if start == 0 and n == size:
        return x
    ends = [
        graph.constant(f"{name}_{what}", [number])
        for what, number in (("start", start), ("end", start + n), ("axis", 1))
    ]
    return graph.node("Slice", [x, *ends], name)


def reshaped(graph: Graph, x: str, shape: Sequence[int], name: str) -> str:
    """Add the same values with another shape behind the column."""
    return graph.node("Reshape", [x, graph.constant(f"{name}_shape", [0, *shape])], name)
