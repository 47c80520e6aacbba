"""An emulator as the flat arrays with which the Fortran runtime computes.

weights.bin and the generated module hold these arrays; ``docs/weights_format.md`` describes them.
"""

from __future__ import annotations

import itertools
from dataclasses import astuple, dataclass
from decimal import Context, Decimal
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emufort.errors import EmufortError
from emufort.network.activations import ACTIVATION_FUNCTIONS
from emufort.network.emulator import Emulator
from emufort.network.operations import OPERATIONS
from emufort.network.operations.kind import Layout
from emufort.network.places import LANES, buffer_room
from emufort.network.plan import Operation, Parameters, Plan

#: Number of zeros after the packed weights, as ``packed_slack`` of ``emufort_dense``.
PACKED_SLACK = 16

#: Codes of the transforms, as in ``fortran/src/emufort_transforms.F90``.
AFFINE, LN, LOGIT, SIGMOID, CONSTANT = 1, 2, 3, 4, 5

#: Twice as many digits as a double has.
_DIGITS = Context(prec=40)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FlatOperation:
    """One operation of a network; the attributes are in the order of the flat plan.

    Attributes
    ----------
    code
        Code of a row of `OPERATIONS`.
    activation
        Code of a row of `ACTIVATION_FUNCTIONS`.
    x, second_x, y
        Positions of the input, of the second input (0 if there is none) and of the output: number
        of features before the buffer.
    n_in, n_out
        Number of features of input and output.
    weights
        Position of the first weight among the packed weights, from 1; 0 if there are none.
    """

    code: int
    activation: int
    x: int
    second_x: int
    y: int
    n_in: int
    n_out: int
    weights: int


#: Number of integers of an operation.
_N_OPERATION = 8


@dataclass(frozen=True)
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
    """

    n_scratch: int
    features: int
    result: int
    operations: tuple[FlatOperation, ...]

    def to_list(self) -> list[int]:
        """Return the integers of the flat plan from n_operations on."""
        head = [len(self.operations), self.n_scratch, self.features, self.result]
        return [*head, *itertools.chain.from_iterable(map(astuple, self.operations))]

    @classmethod
    def from_list(cls, integers: list[int]) -> Self:
        """Inverse of `to_list`; further integers are ignored.

        Raises
        ------
        ValueError
            There are fewer integers than the first of them requires.
        """
        n, n_scratch, features, result, *rest = integers
        if not 0 <= n * _N_OPERATION <= len(rest):
            raise ValueError(f"its plan has {len(rest)} integers for {n} operations")
        rows = (rest[i : i + _N_OPERATION] for i in range(0, n * _N_OPERATION, _N_OPERATION))
        return cls(n_scratch, features, result, tuple(FlatOperation(*row) for row in rows))


@dataclass(frozen=True)
class FlatEmulator:
    """An emulator as the three flat arrays with which the runtime computes.

    Attributes
    ----------
    plan
        n_inputs, n_features, n_outputs, the integers of the network (`FlatPlan.to_list`),
        feature (n_features, from 1), feature kind (n_features), output kind (n_outputs), reference
        input (n_outputs, from 1, 0 for none).
    numbers
        Range (n_inputs, 2), feature coefficients (n_features, 2), output coefficients
        (n_outputs, 2), output bounds (n_outputs, 2), slope (n_operations), flattened.
    weights
        For each dense operation the weights (n_out, n_in), then the biases (n_out,), flattened.
        Weights that several operations share appear once.
    """

    plan: NDArray[np.int32]
    numbers: Array
    weights: NDArray[np.float32]

    @property
    def network(self) -> FlatPlan:
        """Operations of the network.

        Raises
        ------
        ValueError
            The plan is too short for its number of operations.
        """
        return FlatPlan.from_list(self.plan[3:].tolist())

    @property
    def codes(self) -> list[int]:
        """Integers after the operations: features, their kinds, kinds of outputs, references."""
        codes: list[int] = self.plan[3 + len(self.network.to_list()) :].tolist()
        return codes

    @property
    def ranges(self) -> Array:
        """Bounds to which inputs are clipped, shape (n_inputs, 2), lower and upper."""
        return self.numbers[: 2 * self.n_inputs].reshape(self.n_inputs, 2)

    @property
    def n_inputs(self) -> int:
        """Number of input columns."""
        return int(self.plan[0])

    @property
    def n_outputs(self) -> int:
        """Number of output columns, including constant columns."""
        return int(self.plan[2])


def flatten(emulator: Emulator) -> FlatEmulator:
    """Convert scalers, ranges and weights to the runtime's flat arrays.

    Raises
    ------
    EmufortError
        An input has a transform that the runtime does not support.
    """
    contract = emulator.contract
    features = contract.feature_indices

    ranges = emulator.input_ranges
    feature_kinds, feature_numbers = [], []
    scaler = emulator.input_scaler
    for kind, shift, scale in zip(
        scaler.kinds, scaler.shift.tolist(), scaler.scale.tolist(), strict=True
    ):
        if kind == "ln":
            feature_kinds.append(LN)
            feature_numbers.append((1.0 / shift, scale))
        elif kind == "logit":
            feature_kinds.append(LOGIT)
            # Correct rounding gives the same number on every machine.
            feature_numbers.append((float(_DIGITS.exp(Decimal(-shift))), scale))
        elif kind == "affine":
            feature_kinds.append(AFFINE)
            feature_numbers.append((shift, scale))
        else:
            raise EmufortError(f"an input cannot have the transform '{kind}'")

    output_kinds, output_numbers = [], []
    scaler = emulator.output_scaler
    for kind, shift, scale in zip(
        scaler.kinds, scaler.shift.tolist(), scaler.scale.tolist(), strict=True
    ):
        if kind == "ln":
            output_kinds.append(LN)
            output_numbers.append((1.0 / scale, shift))
        elif kind == "logit":
            output_kinds.append(SIGMOID)
            output_numbers.append((1.0 / scale, shift))
        elif kind == "sigmoid":
            output_kinds.append(SIGMOID)
            output_numbers.append((1.0, 0.0))
        elif kind == "constant":
            output_kinds.append(CONSTANT)
            output_numbers.append((1.0, shift))
        else:
            output_kinds.append(AFFINE)
            output_numbers.append((1.0 / scale, shift))

    references = [0 if r is None else r + 1 for r in contract.reference_indices]
    plan = [
        len(ranges),
        len(features),
        len(output_kinds),
        *flat_plan(emulator.plan).to_list(),
        *(f + 1 for f in features),
        *feature_kinds,
        *output_kinds,
        *references,
    ]
    numbers = np.concatenate(
        [
            ranges.ravel(),
            np.ravel(feature_numbers),
            np.ravel(output_numbers),
            np.ravel(contract.output_bounds),
            [operation.slope for operation in emulator.plan.operations],
        ]
    )
    weights = np.concatenate(
        [
            np.asarray(emulator.parameters[name], dtype=np.float32).ravel()
            for name in emulator.plan.parameter_shapes
        ]
    )
    # Source code has no infinity, and the generated module must hold the same numbers.
    largest = np.finfo(np.float64).max
    numbers = np.clip(numbers.astype(np.float64), -largest, largest)
    return FlatEmulator(np.array(plan, dtype=np.int32), numbers, weights)


def flat_plan(plan: Plan) -> FlatPlan:
    """Return the operations of a plan with the positions of their buffers and weights."""
    operations, starts, free = [], {}, 1
    for operation in plan.operations:
        layout = plan.layout(operation)
        (n_in, *_), n_out = layout.inputs, layout.n_out
        start = 0
        if operation.parameters:
            name = operation.parameters[0]
            if name not in starts:
                starts[name] = free
                free += packed_size(n_in, n_out)
            start = starts[name]
        x, *others = (plan.places[name] for name in operation.inputs)
        operations.append(
            FlatOperation(
                operation.row.code,
                ACTIVATION_FUNCTIONS[operation.activation].code,
                x,
                others[0] if others else 0,
                plan.places[operation.output],
                n_in,
                n_out,
                start,
            )
        )
    places = plan.places[plan.features], plan.places[plan.result]
    return FlatPlan(plan.n_scratch, *places, tuple(operations))


def plan_of(flat: FlatEmulator) -> tuple[Plan, Parameters]:
    """Return plan and parameters of a flat emulator; inverse of `flatten` for these two.

    Raises
    ------
    ValueError
        The operations contradict each other or have unknown kinds.
    """
    kinds = {row.code: row for row in OPERATIONS.values()}
    functions = {row.code: row.name for row in ACTIVATION_FUNCTIONS.values()}
    network, n_features = flat.network, int(flat.plan[1])
    slopes = flat.numbers[-len(network.operations) :].tolist()
    sizes, held = {"b0": n_features}, {network.features: "b0"}
    operations: list[Operation] = []
    starts: dict[int, int] = {}
    parameters: dict[str, NDArray[np.float32]] = {}
    weights, free = flat.weights, 1
    for number, (row, slope) in enumerate(zip(network.operations, slopes, strict=True), start=1):
        if row.code not in kinds or row.activation not in functions:
            raise ValueError(f"operation {number} or its activation function is unknown")
        kind = kinds[row.code]
        places = (row.x, row.second_x)[: kind.n_inputs]
        if kind.n_inputs == 1 and row.second_x:
            raise ValueError(f"operation {number} has a second input that it does not read")
        if any(place not in held or sizes[held[place]] != row.n_in for place in places):
            raise ValueError(f"operation {number} reads {row.n_in} features that do not exist")
        inputs = tuple(held[place] for place in places)
        output = f"b{number}"
        sizes[output] = row.n_out
        end = row.y + buffer_room(row.n_out)
        held = {
            place: name
            for place, name in held.items()
            if place >= end or place + buffer_room(sizes[name]) <= row.y
        }
        held[row.y] = output
        n_inputs = kind.n_inputs or 1
        shapes = kind.parameter_shapes(Layout((row.n_in,) * n_inputs, row.n_out, (0,) * n_inputs))
        if row.weights != (free if shapes else 0) and row.weights not in starts:
            raise ValueError(f"operation {number} has its weights at an impossible position")
        if shapes and row.weights == free:
            starts[free] = len(starts)
            free += packed_size(row.n_in, row.n_out)
        layer = starts.get(row.weights, 0)
        names = tuple(f"layers.{layer}.{part}" for part in ("weight", "bias"))[: len(shapes)]
        for name, shape in zip(names, shapes, strict=True):
            if name not in parameters:
                n = int(np.prod(shape))
                parameters[name], weights = weights[:n].reshape(shape), weights[n:]
        operations.append(
            Operation(kind.name, inputs, output, names, functions[row.activation], slope)
        )
    if len(weights):
        raise ValueError(f"there are {len(weights)} weights that no operation reads")
    if network.result not in held:
        raise ValueError("no operation gives the result")
    try:
        plan = Plan(tuple(sizes.items()), tuple(operations), "b0", held[network.result])
    except EmufortError as error:
        raise ValueError(str(error)) from error
    return plan, parameters


def panel_width(n_left: int) -> int:
    """Return the number of neurons in the next panel, as ``panel_width`` of ``emufort_dense``."""
    return 16 if n_left > 12 else 8 if n_left > 4 else 4


def packed_size(n_in: int, n_out: int) -> int:
    """Return the number of values of a packed layer, as ``packed_size`` of ``emufort_dense``."""
    return -(-(-(-n_out // 4) * 4 * (n_in + 1)) // LANES) * LANES


def pack(flat: FlatEmulator) -> NDArray[np.float32]:
    """Pack the weights of all dense operations as the runtime does when it loads them.

    Each layer is padded to a multiple of `LANES`, so that all layers start on a cache line if the
    first does. `PACKED_SLACK` zeros follow, because the runtime reads narrow panels as if they were
    wide.
    """
    packed: list[NDArray[np.float32]] = []
    parameters = list(plan_of(flat)[1].values())
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        n_out, n_in = weight.shape
        layer = np.concatenate([bias[:, None], weight], axis=1)
        first = 0
        while first < n_out:
            width = panel_width(n_out - first)
            panel = np.zeros((n_in + 1, width), dtype=np.float32)
            rows = layer[first : first + width]
            panel[:, : len(rows)] = rows.T
            packed.append(panel.ravel())
            first += width
        packed.append(np.zeros(-sum(map(len, packed)) % LANES, dtype=np.float32))
    packed.append(np.zeros(PACKED_SLACK, dtype=np.float32))
    return np.concatenate(packed)
