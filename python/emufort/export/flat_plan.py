"""The plan of a network as the integers that the Fortran runtime follows."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emufort.export.packing import packed_size
from emufort.network.activations import ACTIVATION_FUNCTIONS
from emufort.network.operation import Operation
from emufort.network.plan import Plan

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class FlatOperation:
    """One operation of a network; the attributes are in the order of the flat plan.

    What an operation does not have is 0, except that the count is 1.

    Attributes
    ----------
    code
        Code of a row of `OPERATIONS`.
    activation
        Code of a row of `ACTIVATION_FUNCTIONS`.
    x, second_x, third_x, y
        Positions of the inputs and of the output: number of features before the first that is read,
        and before the buffer. An operation with a table has no inputs.
    n_in, n_out, count, stride
        See `emufort.network.operations.kind.Sizes`.
    weights
        Position of the first weight among the packed weights, from 1.
    table
        Position of the first integer of the table, from 1; without a table the step of the sizes.
    """

    code: int
    activation: int
    x: int
    second_x: int
    third_x: int
    y: int
    n_in: int
    n_out: int
    weights: int
    count: int
    stride: int
    table: int


#: Number of integers of an operation.
N_OPERATION = 12
#: Number of integers of the network before its operations.
N_HEAD = 5


@dataclass(frozen=True, eq=False)
class FlatPlan:
    """The network of an emulator: operations over buffers in one scratch.

    Attributes
    ----------
    n_scratch
        Number of features of all buffers.
    features, result
        Positions of the features and of the result.
    operations
        In the order in which they run.
    tables
        Tables of the operations, one after the other: rows, for an operation that has rows, and
        positions of features from 1; 0 is the constant 0.
    """

    n_scratch: int
    features: int
    result: int
    operations: tuple[FlatOperation, ...]
    tables: Integers

    def to_arrays(self) -> tuple[Integers, Integers]:
        """Return the integers from n_operations to the last operation, and those of the tables."""
        head = [
            len(self.operations), self.n_scratch, self.features, self.result, len(self.tables)
        ]  # fmt: skip
        operations = [number for operation in self.operations for number in astuple(operation)]
        return np.array([*head, *operations], dtype=np.int64), self.tables

    @classmethod
    def from_array(cls, integers: NDArray[np.int32]) -> Self:
        """Read the integers of a flat plan from n_operations to the end, where the tables are.

        Raises
        ------
        ValueError
            There are fewer integers than the first of them require.
        """
        n, n_scratch, features, result, n_table = integers[:N_HEAD].tolist()
        rest = integers[N_HEAD:].astype(np.int64)
        if not 0 <= n * N_OPERATION <= len(rest) - n_table <= len(rest):
            raise ValueError(f"its plan has {len(rest)} integers for {n} operations")
        rows = rest[: n * N_OPERATION].reshape(n, N_OPERATION).tolist()
        operations = tuple(FlatOperation(*row) for row in rows)
        return cls(n_scratch, features, result, operations, rest[len(rest) - n_table :])


def flat_plan(plan: Plan) -> FlatPlan:
    """Return the operations of a plan with the positions of their buffers, weights and tables."""
    operations, tables = [], [np.empty(0, dtype=np.int64)]
    starts: dict[str, int] = {}
    free_weight, free_table = 1, 1
    for operation in plan.operations:
        layout, row = plan.layout(operation), operation.row
        weights = table = 0
        shapes = row.parameter_shapes(layout)
        if shapes:
            name = operation.parameters[0]
            if name not in starts:
                starts[name] = free_weight
                free_weight += packed_size(shapes[0], *shapes[1])
            weights = starts[name]
        places = [plan.places[x] + s for x, s in zip(operation.inputs, layout.starts, strict=True)]
        if layout.table is not None:
            table, places = free_table, []
            tables += [layout.table.rows, _positions(plan, operation)]
            free_table += len(layout.table.rows) + len(layout.table.places)
        x, second_x, third_x, *_ = *places, 0, 0, 0
        sizes = row.sizes(layout)
        operations.append(
            FlatOperation(
                row.code,
                ACTIVATION_FUNCTIONS[operation.activation].code,
                x,
                second_x,
                third_x,
                plan.places[operation.output],
                sizes.n_in,
                sizes.n_out,
                weights,
                sizes.count,
                sizes.stride,
                table or sizes.step,
            )
        )
    ends = plan.places[plan.features], plan.places[plan.result]
    return FlatPlan(plan.n_scratch, *ends, tuple(operations), np.concatenate(tables))


def _positions(plan: Plan, operation: Operation) -> Integers:
    """Return the positions in the scratch, from 1, of the features that a table names."""
    layout = plan.layout(operation)
    places = layout.places.places
    ends = np.cumsum(layout.inputs)
    buffers = np.array([plan.places[name] for name in operation.inputs]) - ends + layout.inputs
    found: Integers = places + buffers[np.searchsorted(ends, places, side="right")] + 1
    return np.where(places < 0, 0, found)
