"""The plan of a network: operations over named buffers, and the positions of the buffers.

Every form of an emulator follows the plan: numpy, torch, ONNX, ``weights.bin``, the generated
module and the trainers for any network. Families of architectures build plans.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from emufort.errors import EmufortError
from emufort.network.activations import ACTIVATION_FUNCTIONS, Array
from emufort.network.operations import OPERATIONS, OperationKind
from emufort.network.precision import DTYPES, Precision

#: Most features of a buffer, and most inputs and outputs in total: ``max_width`` of
#: ``fortran/src/emufort_kinds.F90``.
MOST_NEURONS = 4096
#: Most operations of a plan: ``max_operations`` there.
MOST_OPERATIONS = 256
#: Positions of buffers are multiples of this, as ``lanes`` there.
LANES = 16

Parameters = Mapping[str, NDArray[np.floating[Any]]]
_Value = TypeVar("_Value")


def buffer_room(n_features: int) -> int:
    """Return the features that a buffer occupies in the scratch, as ``emufort_plan`` does.

    Kernels write whole panels and read one feature past the end of their input.
    """
    return -(-n_features // LANES) * LANES + LANES


@dataclass(frozen=True)
class Operation:
    """One operation: output = activation(kind(inputs, parameters)).

    Attributes
    ----------
    kind
        Name of a row of `OPERATIONS`.
    inputs, output
        Names of buffers.
    parameters
        Names of the parameters, in the order of the row.
    activation, slope
        Name of a row of `ACTIVATION_FUNCTIONS`, and its parameter (0 for a function without one).
    """

    kind: str
    inputs: tuple[str, ...]
    output: str
    parameters: tuple[str, ...] = ()
    activation: str = "linear"
    slope: float = 0.0

    @property
    def row(self) -> OperationKind:
        """Row of the table of operations."""
        return OPERATIONS[self.kind]


@dataclass(frozen=True)
class Plan:
    """An ordered list of operations over buffers of fixed sizes; checked when it is made.

    Attributes
    ----------
    buffers
        Pairs of a name and the number of features per column.
    operations
        Operations in the order of execution. Every buffer except that of the features is the output
        of one operation, which precedes the operations that read it.
    features
        Name of the buffer with the scaled features.
    result
        Name of the buffer with the result, before the output scaler.
    """

    buffers: tuple[tuple[str, int], ...]
    operations: tuple[Operation, ...]
    features: str
    result: str

    def __post_init__(self) -> None:
        sizes = self.sizes
        if len(sizes) < len(self.buffers) or not {self.features, self.result} <= set(sizes):
            raise EmufortError("the plan of the network names a buffer twice or lacks one")
        if not 1 <= min(sizes.values()) <= max(sizes.values()) <= MOST_NEURONS:
            raise EmufortError(
                f"the network has a layer of {min(sizes.values())} or {max(sizes.values())} "
                f"neurons: the Fortran runtime takes 1 to {MOST_NEURONS}"
            )
        if not 1 <= len(self.operations) <= MOST_OPERATIONS:
            raise EmufortError(
                f"the network has {len(self.operations)} operations: the Fortran runtime takes "
                f"1 to {MOST_OPERATIONS}"
            )
        written = {self.features}
        shapes: dict[str, tuple[int, ...]] = {}
        for operation in self.operations:
            self._check(operation, written, shapes)
            written.add(operation.output)
        read = {name for operation in self.operations for name in operation.inputs}
        if written != set(sizes) or written - read - {self.result} or self.result == self.features:
            raise EmufortError(
                "the plan of the network has a buffer that no operation writes or reads"
            )

    def _check(
        self, operation: Operation, written: set[str], shapes: dict[str, tuple[int, ...]]
    ) -> None:
        """Check one operation, given the buffers and the parameters of the operations before it."""
        what = f"the operation '{operation.kind}' that gives '{operation.output}'"
        row = OPERATIONS.get(operation.kind)
        if row is None or operation.activation not in ACTIVATION_FUNCTIONS:
            raise EmufortError(
                f"{what} is unknown, or its activation function '{operation.activation}'"
            )
        if len(operation.inputs) != row.n_inputs or not set(operation.inputs) <= written:
            raise EmufortError(
                f"{what} lacks an input: it needs {row.n_inputs} from earlier operations"
            )
        if operation.output in written or operation.output not in self.sizes:
            raise EmufortError(f"{what} writes a buffer that is unknown or written already")
        inputs, n_out = self.sizes_of(operation)
        if not row.fits(inputs, n_out):
            raise EmufortError(f"{what} cannot make {n_out} features of {inputs}")
        wanted = row.parameter_shapes(inputs, n_out)
        if len(wanted) != len(operation.parameters):
            raise EmufortError(f"{what} needs {len(wanted)} parameters")
        for name, shape in zip(operation.parameters, wanted, strict=True):
            if shapes.setdefault(name, shape) != shape:
                raise EmufortError(
                    f"{what} needs '{name}' in another shape than an earlier operation"
                )

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Name of a buffer -> features per column."""
        return dict(self.buffers)

    def sizes_of(self, operation: Operation) -> tuple[tuple[int, ...], int]:
        """Return the sizes of an operation's inputs and the size of its output."""
        return tuple(self.sizes[name] for name in operation.inputs), self.sizes[operation.output]

    @cached_property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name of a parameter -> shape, in the order of first use."""
        found: dict[str, tuple[int, ...]] = {}
        for operation in self.operations:
            shapes = operation.row.parameter_shapes(*self.sizes_of(operation))
            found.update(zip(operation.parameters, shapes, strict=True))
        return found

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return sum(int(np.prod(shape)) for shape in self.parameter_shapes.values())

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one column."""
        return sum(o.row.multiply_adds(*self.sizes_of(o)) for o in self.operations)

    @property
    def relative_cost(self) -> float:
        """Rough cost of one column in multiply-adds, including the activation functions."""
        total = 0.0
        for operation in self.operations:
            inputs, n_out = self.sizes_of(operation)
            total += operation.row.cost(inputs, n_out)
            total += ACTIVATION_FUNCTIONS[operation.activation].cost * n_out
        return total

    def renamed(self) -> Plan:
        """Return the plan with buffers and parameters renamed in the order of appearance."""
        buffers = {self.features: "b0"}
        for number, operation in enumerate(self.operations, start=1):
            buffers[operation.output] = f"b{number}"
        parameters = {name: f"p{i}" for i, name in enumerate(self.parameter_shapes)}
        return Plan(
            tuple((new, self.sizes[old]) for old, new in buffers.items()),
            tuple(
                replace(
                    operation,
                    inputs=tuple(buffers[name] for name in operation.inputs),
                    output=buffers[operation.output],
                    parameters=tuple(parameters[name] for name in operation.parameters),
                )
                for operation in self.operations
            ),
            "b0",
            buffers[self.result],
        )

    # -------------------------------------------------------------- evaluation

    def walk(
        self, features: _Value, step: Callable[[Operation, Sequence[_Value]], _Value]
    ) -> _Value:
        """Apply `step` to the operations in order; return the result.

        Parameters
        ----------
        features
            Representation of the features: an array, a tensor, or a name in a graph.
        step
            Returns the output of an operation, including its activation function, for its inputs.
        """
        values = {self.features: features}
        for operation in self.operations:
            values[operation.output] = step(operation, [values[name] for name in operation.inputs])
        return values[self.result]

    def evaluate(
        self, features: Array, parameters: Parameters, precision: Precision = "double"
    ) -> Array:
        """Return the result (n, n_results) for features (n, n_features), in a precision."""
        kind = DTYPES[precision]

        def step(operation: Operation, inputs: Sequence[Array]) -> Array:
            z = operation.row.value(inputs, [parameters[name] for name in operation.parameters])
            a = ACTIVATION_FUNCTIONS[operation.activation].value(z, operation.slope)
            return a.astype(kind, copy=False)

        return self.walk(features.astype(kind, copy=False), step)

    # ------------------------------------------------------------------ places

    @cached_property
    def places(self) -> dict[str, int]:
        """Name of a buffer -> number of features before it in the scratch of the runtime.

        Buffers share slots; a slot is as large as its largest buffer. The output of an operation
        gets a slot whose buffer is no longer needed. A chain of layers has two slots.
        """
        last_read = {self.features: -1, self.result: len(self.operations)}
        for number, operation in enumerate(self.operations):
            for name in (*operation.inputs, operation.output):
                last_read[name] = max(last_read.get(name, -1), number)
        slots, rooms = {self.features: 0}, [buffer_room(self.sizes[self.features])]
        for number, operation in enumerate(self.operations):
            in_place = operation.row.in_place
            needed = {
                slot
                for name, slot in slots.items()
                if last_read[name] > number
                or (last_read[name] == number and name in operation.inputs and not in_place)
            }
            room = buffer_room(self.sizes[operation.output])
            free = [slot for slot in range(len(rooms)) if slot not in needed]
            if not free:
                free, rooms = [len(rooms)], [*rooms, 0]
            # The smallest slot that fits, or else the slot that has to grow least.
            slot = min(free, key=lambda s: (rooms[s] < room, abs(rooms[s] - room), s))
            rooms[slot] = max(rooms[slot], room)
            slots[operation.output] = slot
        starts = list(itertools.accumulate(rooms, initial=0))
        return {name: starts[slot] for name, slot in slots.items()}

    @property
    def n_scratch(self) -> int:
        """Number of features of all slots in the scratch."""
        return max(self.places[name] + buffer_room(size) for name, size in self.buffers)

    # -------------------------------------------------------------------- JSON

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        operations = []
        for o in self.operations:
            found: dict[str, Any] = {"kind": o.kind, "inputs": list(o.inputs), "output": o.output}
            if o.parameters:
                found["parameters"] = list(o.parameters)
            if o.activation != "linear":
                found["activation"] = o.activation
            if o.slope:
                found["slope"] = o.slope
            operations.append(found)
        return {
            "buffers": self.sizes,
            "operations": operations,
            "features": self.features,
            "result": self.result,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises
        ------
        EmufortError
            The plan contradicts itself.
        """
        operations = (
            Operation(
                str(o["kind"]),
                tuple(map(str, o["inputs"])),
                str(o["output"]),
                tuple(map(str, o.get("parameters", ()))),
                str(o.get("activation", "linear")),
                float(o.get("slope", 0.0)),
            )
            for o in content["operations"]
        )
        buffers = tuple((str(name), int(size)) for name, size in content["buffers"].items())
        return cls(buffers, tuple(operations), str(content["features"]), str(content["result"]))
