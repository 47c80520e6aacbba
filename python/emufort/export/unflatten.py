"""The network of a ``weights.bin``, which is untrusted, as a plan and its parameters."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.errors import EmufortError
from emufort.export.flat import FlatEmulator
from emufort.export.flat_plan import FlatOperation, FlatPlan
from emufort.export.packing import packed_size
from emufort.network.activations import ACTIVATION_FUNCTIONS
from emufort.network.operation import Operation
from emufort.network.operations import OPERATIONS
from emufort.network.operations.kind import Layout, Sizes
from emufort.network.places import LANES, buffer_room
from emufort.network.plan import MOST_SCRATCH, Parameters, Plan
from emufort.network.table import Table

#: Name of the buffer with the features.
_FEATURES = "b0"

_KINDS = {row.code: row for row in OPERATIONS.values()}
_FUNCTIONS = {row.code: row.name for row in ACTIVATION_FUNCTIONS.values()}


@dataclass
class _Scratch:
    """The buffers that the scratch holds between two operations, by their places.

    Attributes
    ----------
    room
        Number of features of the scratch.
    places, names
        First features of the buffers in ascending order, and their names.
    sizes
        Name of any buffer so far -> number of features.
    """

    room: int
    places: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    def write(self, place: int, n_features: int, name: str) -> set[str]:
        """Put a buffer in its place; return the names of those that it destroys."""
        end = place + buffer_room(n_features)
        if place < 0 or place % LANES or n_features < 1 or end > self.room:
            raise ValueError("its buffer is not in the scratch")
        first, last = bisect_left(self.places, place), bisect_left(self.places, end)
        if first and self.places[first - 1] + buffer_room(self._size(first - 1)) > place:
            first -= 1
        destroyed = set(self.names[first:last])
        self.places[first:last], self.names[first:last] = [place], [name]
        self.sizes[name] = n_features
        return destroyed

    def find(self, place: int, n_features: int) -> tuple[str, int]:
        """Return the buffer that holds features, and the first of them in it."""
        number = bisect_right(self.places, place) - 1
        if number < 0 or place + n_features > self.places[number] + self._size(number):
            raise ValueError(f"it reads {n_features} features that do not exist")
        return self.names[number], place - self.places[number]

    def find_all(self, positions: NDArray[np.int64]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """Return the buffers that hold features, and the place of each feature in them.

        Parameters
        ----------
        positions
            Positions of features, from 1; 0 is the constant 0, whose place is -1.
        """
        places, sizes = np.array(self.places), np.array([self.sizes[n] for n in self.names])
        number = np.searchsorted(places, positions - 1, side="right") - 1
        is_read = positions != 0
        offset = positions - 1 - places[number]
        if np.any(is_read & ((number < 0) | (offset >= sizes[number]))):
            raise ValueError("it has a table that names features that do not exist")
        read, order = np.unique(number[is_read], return_inverse=True)
        starts = np.cumsum([0, *sizes[read]])
        found = np.full(len(positions), -1, dtype=np.int64)
        found[is_read] = starts[order] + offset[is_read]
        return tuple(self.names[k] for k in read), found

    def place(self, name: str) -> int:
        """Return the place of a buffer that the scratch holds."""
        return self.places[self.names.index(name)]

    def _size(self, number: int) -> int:
        return self.sizes[self.names[number]]


@dataclass
class _Reader:
    """Operations and parameters so far; see `plan_of`."""

    network: FlatPlan
    weights: NDArray[Any]
    scratch: _Scratch
    operations: list[Operation] = field(default_factory=list)
    parameters: dict[str, NDArray[Any]] = field(default_factory=dict)
    #: First weight of an operation -> its number among those with weights.
    layers: dict[int, int] = field(default_factory=dict)
    free_weight: int = 1
    free_table: int = 1

    def read(self, row: FlatOperation, slope: float) -> None:
        """Read the next operation."""
        if row.code not in _KINDS or row.activation not in _FUNCTIONS:
            raise ValueError("it or its activation function is unknown")
        kind = _KINDS[row.code]
        step = 0 if kind.has_table else row.table
        sizes = Sizes(row.n_in, row.n_out, row.count, row.stride, step)
        if min(astuple(sizes)) < 0:
            raise ValueError("it has a negative size")
        reading = kind.reading(sizes)
        given = row.x, row.second_x, row.third_x
        if any(given[len(reading.inputs) :]):
            raise ValueError("it has an input that it does not read")
        table = None
        if kind.has_table:
            inputs, table = self._table(row, kind.name == "gather")
            starts: tuple[int, ...] = (0,) * len(inputs)
        elif step and not kind.has_step:
            raise ValueError("it has a table that it does not read")
        else:
            found = [self.scratch.find(x, n) for x, n in zip(given, reading.inputs, strict=False)]
            inputs, starts = tuple(name for name, _ in found), tuple(start for _, start in found)
        layout = Layout(
            tuple(self.scratch.sizes[name] for name in inputs),
            reading.n_out, starts, reading.extent, table,
        )  # fmt: skip
        if not kind.accepts(layout) or kind.sizes(layout) != sizes:
            raise ValueError("it has sizes that contradict each other")
        operation = Operation(
            kind.name,
            inputs,
            f"b{len(self.operations) + 1}",
            self._parameters(row, kind.parameter_shapes(layout)),
            _FUNCTIONS[row.activation],
            slope,
            starts,
            reading.extent,
            table,
        )
        in_place = {x for x in operation.overwritable if self.scratch.place(x) == row.y}
        destroyed = self.scratch.write(row.y, layout.n_out, operation.output)
        if destroyed & (set(inputs) - in_place):
            raise ValueError("it writes over what it reads")
        self.operations.append(operation)

    def _table(self, row: FlatOperation, is_selection: bool) -> tuple[tuple[str, ...], Table]:
        """Return the buffers that a table names, and the table."""
        n_rows = 0 if is_selection else row.n_out + 1
        first = row.table - 1
        end = first + n_rows + row.n_in
        if row.table != self.free_table or end > len(self.network.tables):
            raise ValueError("it has its table at an impossible position")
        self.free_table = end + 1
        rows, positions = np.split(self.network.tables[first:end], [n_rows])
        inputs, places = self.scratch.find_all(positions)
        # An operation that names no feature gives constants.
        return inputs or (_FEATURES,), Table(rows, places)

    def _parameters(
        self, row: FlatOperation, shapes: tuple[tuple[int, ...], ...]
    ) -> tuple[str, ...]:
        """Return the names of the parameters of an operation, after reading them."""
        if not shapes:
            if row.weights:
                raise ValueError("it has weights that it does not read")
            return ()
        is_new = row.weights == self.free_weight
        if not is_new and row.weights not in self.layers:
            raise ValueError("it has its weights at an impossible position")
        if is_new:
            self.layers[row.weights] = len(self.layers)
            self.free_weight += packed_size(shapes[0], *shapes[1])
        layer = self.layers[row.weights]
        names = f"layers.{layer}.weight", f"layers.{layer}.bias"
        for name, shape in zip(names, shapes, strict=True):
            if is_new:
                n = math.prod(shape)
                self.parameters[name], self.weights = (
                    self.weights[:n].reshape(shape),
                    self.weights[n:],
                )
        return names


def plan_of(flat: FlatEmulator) -> tuple[Plan, Parameters]:
    """Return plan and parameters of a flat emulator; inverse of `flatten` for these two.

    Raises
    ------
    ValueError
        The operations contradict each other, read what does not exist or have unknown kinds.
    """
    network, n_features = flat.network, int(flat.plan[1])
    if network.n_scratch % LANES or not 0 < network.n_scratch <= MOST_SCRATCH:
        raise ValueError(f"it has a scratch of {network.n_scratch} features")
    if not np.isfinite(flat.weights).all():
        raise ValueError("it has weights that are NaN or infinite")
    reader = _Reader(network, flat.weights, _Scratch(network.n_scratch))
    reader.scratch.write(network.features, n_features, _FEATURES)
    slopes = flat.numbers[len(flat.numbers) - len(network.operations) :].tolist()
    for number, (row, slope) in enumerate(zip(network.operations, slopes, strict=True), start=1):
        try:
            reader.read(row, slope)
        except ValueError as error:
            raise ValueError(f"operation {number}: {error}") from error
    if len(reader.weights):
        raise ValueError(f"there are {len(reader.weights)} weights that no operation reads")
    if reader.free_table != len(network.tables) + 1:
        raise ValueError("there are tables that no operation reads")
    result, start = reader.scratch.find(network.result, 1)
    if start:
        raise ValueError("no operation gives the result")
    try:
        buffers = tuple(reader.scratch.sizes.items())
        plan = Plan(buffers, tuple(reader.operations), _FEATURES, result)
    except EmufortError as error:
        raise ValueError(str(error)) from error
    return plan, reader.parameters
