"""The plan of a network: operations over named buffers, and the positions of the buffers.

Every form of an emulator follows the plan: numpy, torch, ONNX, ``weights.bin``, the generated
module and the trainers for any network. Families of architectures build plans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from emufort.errors import EmufortError
from emufort.network.activations import ACTIVATION_FUNCTIONS, Array
from emufort.network.operation import Operation
from emufort.network.operations import OPERATIONS
from emufort.network.operations.dense import MOST_NEURONS, Repetitions
from emufort.network.operations.kind import Layout
from emufort.network.places import Use, buffer_room, places_of
from emufort.network.precision import DTYPES, Precision
from emufort.network.table import Table

#: Most features of a buffer: ``max_features`` of ``fortran/src/emufort_kinds.F90``.
MOST_FEATURES = 262_144
#: Most operations of a plan: ``max_operations`` there.
MOST_OPERATIONS = 65_536
#: Most features of all buffers: ``max_plan_scratch`` there.
MOST_SCRATCH = 4_194_304

#: Most values of a network and of the arguments of an operation that are held at the same time.
_MOST_VALUES = 2**24

Parameters = Mapping[str, NDArray[np.floating[Any]]]
_Value = TypeVar("_Value")


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
        if not 1 <= min(sizes.values()) <= max(sizes.values()) <= MOST_FEATURES:
            raise EmufortError(
                f"the network has a layer of {min(sizes.values())} or {max(sizes.values())} "
                f"neurons: the Fortran runtime takes 1 to {MOST_FEATURES}"
            )
        ends = sizes[self.features], sizes[self.result]
        if max(ends) > MOST_NEURONS:
            raise EmufortError(
                f"the network has {ends[0]} features and {ends[1]} results: the Fortran runtime "
                f"takes up to {MOST_NEURONS}"
            )
        if not 1 <= len(self.operations) <= MOST_OPERATIONS:
            raise EmufortError(
                f"the network has {len(self.operations)} operations: the Fortran runtime takes "
                f"1 to {MOST_OPERATIONS}"
            )
        written = {self.features}
        owners: dict[str, tuple[str, ...]] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        for operation in self.operations:
            self._check(operation, written)
            self._check_parameters(operation, owners, shapes)
            written.add(operation.output)
        read = {name for operation in self.operations for name in operation.inputs}
        if written != set(sizes) or written - read - {self.result} or self.result == self.features:
            raise EmufortError(
                "the plan of the network has a buffer that no operation writes or reads"
            )
        if self.n_scratch > MOST_SCRATCH:
            raise EmufortError(
                f"the network needs buffers of {self.n_scratch} features for a column: the Fortran "
                f"runtime takes up to {MOST_SCRATCH}"
            )

    def _check(self, operation: Operation, written: set[str]) -> None:
        """Check one operation, given the buffers of the operations before it."""
        what = f"the operation '{operation.kind}' that gives '{operation.output}'"
        row = OPERATIONS.get(operation.kind)
        if row is None or operation.activation not in ACTIVATION_FUNCTIONS:
            raise EmufortError(
                f"{what} is unknown, or its activation function '{operation.activation}'"
            )
        n_inputs = max(1, len(operation.inputs)) if row.n_inputs is None else row.n_inputs
        if len(operation.inputs) != n_inputs or not set(operation.inputs) <= written:
            raise EmufortError(
                f"{what} lacks an input: it needs {n_inputs} from earlier operations"
            )
        if operation.output in written or operation.output not in self.sizes:
            raise EmufortError(f"{what} writes a buffer that is unknown or written already")
        layout = self.layout(operation)
        if not row.accepts(layout):
            details = [
                f"{name} {value}"
                for name, value in (("extent", operation.extent), ("starts", operation.starts))
                if value
            ]
            further = f" with {', '.join(details)}" if details else ""
            table = "" if operation.table is None else " by its table"
            raise EmufortError(
                f"{what} cannot make {layout.n_out} features of {layout.inputs}{further}{table}"
            )
        if operation.table is not None:
            unused = set(operation.inputs).difference(self._canonical(operation).inputs)
            if unused:
                raise EmufortError(f"{what} has a table that names no feature of '{min(unused)}'")

    def _check_parameters(
        self,
        operation: Operation,
        owners: dict[str, tuple[str, ...]],
        shapes: dict[str, tuple[int, ...]],
    ) -> None:
        """Check the parameters of one operation, given those of the operations before it."""
        what = f"the operation '{operation.kind}' that gives '{operation.output}'"
        names = operation.parameters
        wanted = operation.row.parameter_shapes(self.layout(operation))
        if len(wanted) != len(set(names)) or len(wanted) != len(names):
            raise EmufortError(f"{what} needs {len(wanted)} parameters")
        for name, shape in zip(names, wanted, strict=True):
            if shapes.setdefault(name, shape) != shape:
                raise EmufortError(
                    f"{what} needs '{name}' in another shape than an earlier operation"
                )
            if owners.setdefault(name, names) != names:
                raise EmufortError(
                    f"{what} shares '{name}' with an earlier operation, but not all parameters"
                )

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Name of a buffer -> features per column."""
        return dict(self.buffers)

    def layout(self, operation: Operation) -> Layout:
        """Return which features an operation of the plan reads and how many it writes."""
        found = self._layouts.get(operation.output)
        if found is None:
            found = self._layouts[operation.output] = Layout(
                tuple(self.sizes[name] for name in operation.inputs),
                self.sizes[operation.output],
                operation.starts or (0,) * len(operation.inputs),
                operation.extent,
                operation.table,
            )
        return found

    @cached_property
    def _layouts(self) -> dict[str, Layout]:
        """Layouts of the operations that were asked for, by their outputs."""
        return {}

    @cached_property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name of a parameter -> shape, in the order of first use."""
        found: dict[str, tuple[int, ...]] = {}
        for operation in self.operations:
            shapes = operation.row.parameter_shapes(self.layout(operation))
            found.update(zip(operation.parameters, shapes, strict=True))
        return found

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return sum(int(np.prod(shape)) for shape in self.parameter_shapes.values())

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one column."""
        return sum(o.row.multiply_adds(self.layout(o)) for o in self.operations)

    @property
    def relative_cost(self) -> float:
        """Rough cost of one column in multiply-adds, including the activation functions."""
        total = 0.0
        for operation in self.operations:
            layout = self.layout(operation)
            total += operation.row.cost(layout)
            total += ACTIVATION_FUNCTIONS[operation.activation].cost * layout.n_out
        return total

    def renamed(self) -> Plan:
        """Return the plan with buffers and parameters renamed in the order of appearance.

        Inputs of a table are in the order of first use, and an extent that says no more than the
        sizes of the buffers is left out, so that plans that compute the same alike are equal.
        """
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
                for operation in map(self._canonical, self.operations)
            ),
            "b0",
            buffers[self.result],
        )

    def _canonical(self, operation: Operation) -> Operation:
        """Return the operation as `renamed` writes it, with the names of this plan."""
        layout, table = self.layout(operation), operation.table
        if operation.kind == "dense" and operation.extent:
            r = Repetitions.of(layout)
            is_whole = r.count == 1 and r.end == layout.inputs[0]
            return replace(operation, extent=() if is_whole else (r.count, r.stride, r.n_in))
        if table is None:
            return operation
        ends = np.cumsum(layout.inputs)
        of = np.searchsorted(ends, table.places, side="right")
        read, first = np.unique(of[table.places >= 0], return_index=True)
        inputs = tuple(dict.fromkeys(operation.inputs[k] for k in read[np.argsort(first)]))
        sizes = [self.sizes[name] for name in inputs]
        start = dict(zip(inputs, np.cumsum([0, *sizes]).tolist(), strict=False))
        shifts = [start.get(name, 0) for name in operation.inputs] - ends + layout.inputs
        places = np.where(table.places < 0, -1, table.places + shifts[of])
        return replace(
            operation, inputs=inputs or (self.features,), table=Table(table.rows, places)
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
        for operation, unneeded in zip(self.operations, self._last_read, strict=True):
            values[operation.output] = step(operation, [values[name] for name in operation.inputs])
            for name in unneeded:
                del values[name]
        return values[self.result]

    @cached_property
    def _last_read(self) -> list[set[str]]:
        """For each operation, the buffers that no later operation reads."""
        found: list[set[str]] = []
        needed = {self.result}
        for operation in reversed(self.operations):
            found.append(set(operation.inputs) - needed)
            needed.update(operation.inputs)
        return found[::-1]

    def evaluate(
        self, features: Array, parameters: Parameters, precision: Precision = "double"
    ) -> Array:
        """Return the result (n, n_results) for features (n, n_features), in a precision."""
        features = features.astype(DTYPES[precision], copy=False)
        parts = [
            self._evaluate(features[part], parameters) for part in self.parts_of(len(features))
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def parts_of(self, n: int) -> list[slice]:
        """Return parts of n rows that numpy, torch or ONNX Runtime can evaluate in little memory.

        There is one part for a plan of whole dense layers and sums, whose bits depend on the number
        of rows.
        """
        if all(o.kind in ("dense", "add") and not o.extent for o in self.operations):
            return [slice(0, n)]
        layouts = [(o.row, self.layout(o)) for o in self.operations]
        sizes = [row.sizes(layout) for row, layout in layouts]
        rows = max(1, _MOST_VALUES // (self.n_scratch + max(s.count * s.n_in for s in sizes)))
        return [slice(first, first + rows) for first in range(0, max(n, 1), rows)]

    def _evaluate(self, features: Array, parameters: Parameters) -> Array:
        def step(operation: Operation, inputs: Sequence[Array]) -> Array:
            layout, kind = self.layout(operation), inputs[0].dtype
            weights = [parameters[name].astype(kind) for name in operation.parameters]
            # The bits of products depend on the order in memory.
            z = np.ascontiguousarray(operation.row.value(layout, inputs, weights))
            a = ACTIVATION_FUNCTIONS[operation.activation].value(z, operation.slope)
            return a.astype(kind, copy=False)

        return self.walk(features, step)

    # ------------------------------------------------------------------ places

    @cached_property
    def places(self) -> dict[str, int]:
        """Name of a buffer -> number of features before it in the scratch of the runtime."""
        uses = [Use(o.inputs, o.output, o.overwritable) for o in self.operations]
        return places_of(self.sizes.__getitem__, uses, self.features, self.result)

    @cached_property
    def n_scratch(self) -> int:
        """Number of features of all slots in the scratch."""
        places = self.places
        return max(places[name] + buffer_room(size) for name, size in self.buffers)

    # -------------------------------------------------------------------- JSON

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "buffers": self.sizes,
            "operations": [operation.to_dict() for operation in self.operations],
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
        operations = map(Operation.from_dict, content["operations"])
        buffers = tuple((str(name), int(size)) for name, size in content["buffers"].items())
        return cls(buffers, tuple(operations), str(content["features"]), str(content["result"]))
