"""An emulator as the flat arrays that the Fortran runtime computes with.

weights.bin and the generated module hold these arrays; ``docs/weights_format.md`` describes them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from decimal import Context, Decimal
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emufort.errors import EmufortError
from emufort.network.emulator import ACTIVATION_CODES, Architecture, Emulator

#: Places of buffers and packed layers are multiples of this, as ``lanes`` of ``emufort_kinds``.
LANES = 16
#: Zeros behind the packed weights, as ``packed_slack`` of ``emufort_dense``.
PACKED_SLACK = 16

#: Code of a dense layer, as ``operation_dense`` of ``emufort_plan``.
DENSE = 1

#: Parameter of an activation function; the others have none.
_SLOPES: Mapping[str, float] = {"leaky_relu": 0.01, "elu": 1.0}
#: Codes of the transforms, as in ``fortran/src/emufort_transforms.F90``.
AFFINE, LN, LOGIT, SIGMOID, CONSTANT = 1, 2, 3, 4, 5

#: Twice the digits of a double.
_DIGITS = Context(prec=40)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Operation:
    """One operation of a network, in the order of its integers in the flat plan.

    Attributes
    ----------
    code
        What it does, such as `DENSE`.
    activation
        Code of the activation function that it applies.
    x, second_x, y
        Places of the input, of the second input (0 if there is none) and of the output: features
        before the buffer.
    n_in, n_out
        Features of input and output.
    weights
        First weight among the packed weights, from 1; 0 if there are none.
    """

    code: int
    activation: int
    x: int
    second_x: int
    y: int
    n_in: int
    n_out: int
    weights: int


#: Integers of an operation.
_N_OPERATION = 8


@dataclass(frozen=True)
class NetworkPlan:
    """The network of an emulator: operations over buffers in one scratch.

    Attributes
    ----------
    n_scratch
        Features of all buffers.
    features, result
        Places of the features and of the result.
    operations
        In the order in which they run.
    """

    n_scratch: int
    features: int
    result: int
    operations: tuple[Operation, ...]

    def to_list(self) -> list[int]:
        """Return the integers of the flat plan from n_operations on."""
        head = [len(self.operations), self.n_scratch, self.features, self.result]
        return [*head, *itertools.chain.from_iterable(map(astuple, self.operations))]

    @classmethod
    def from_list(cls, integers: list[int]) -> Self:
        """Inverse of `to_list`; what follows is passed over.

        Raises
        ------
        ValueError
            There are fewer integers than the first of them asks for.
        """
        n, n_scratch, features, result, *rest = integers
        if not 0 <= n * _N_OPERATION <= len(rest):
            raise ValueError(f"its plan has {len(rest)} integers for {n} operations")
        rows = (rest[i : i + _N_OPERATION] for i in range(0, n * _N_OPERATION, _N_OPERATION))
        return cls(n_scratch, features, result, tuple(Operation(*row) for row in rows))


@dataclass(frozen=True)
class FlatEmulator:
    """An emulator as the three flat arrays that the runtime computes with.

    Attributes
    ----------
    plan
        n_inputs, n_features, n_outputs, the integers of the network (`NetworkPlan.to_list`),
        feature (n_features, from 1), feature kind (n_features), output kind (n_outputs), reference
        input (n_outputs, from 1, 0 for none).
    numbers
        Range (n_inputs, 2), feature coefficients (n_features, 2), output coefficients
        (n_outputs, 2), output bounds (n_outputs, 2), slope (n_operations), flattened.
    weights
        For each dense operation the weights (n_out, n_in), then the biases (n_out,), flattened;
        operations that share weights find them once.
    """

    plan: NDArray[np.int32]
    numbers: Array
    weights: NDArray[np.float32]

    @property
    def network(self) -> NetworkPlan:
        """Its operations.

        Raises
        ------
        ValueError
            The plan is too short for them.
        """
        return NetworkPlan.from_list(self.plan[3:].tolist())

    @property
    def codes(self) -> list[int]:
        """Integers behind the operations: features, their kinds, kinds of outputs, references."""
        codes: list[int] = self.plan[3 + len(self.network.to_list()) :].tolist()
        return codes

    def layers(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Yield weights (n_out, n_in) and biases (n_out,) of each set of packed weights."""
        place, packed = 0, 1
        for operation in self.network.operations:
            if operation.code != DENSE or operation.weights != packed:
                continue
            n_in, n_out = operation.n_in, operation.n_out
            weight = self.weights[place : place + n_in * n_out].reshape(n_out, n_in)
            yield weight, self.weights[place + n_in * n_out : place + (n_in + 1) * n_out]
            place += (n_in + 1) * n_out
            packed += packed_size(n_in, n_out)

    @property
    def ranges(self) -> Array:
        """What inputs are clipped to, shape (n_inputs, 2), lower and upper bound."""
        return self.numbers[: 2 * self.n_inputs].reshape(self.n_inputs, 2)

    @property
    def n_inputs(self) -> int:
        """Number of input columns."""
        return int(self.plan[0])

    @property
    def n_outputs(self) -> int:
        """Number of output columns, the constant ones too."""
        return int(self.plan[2])


def flatten(emulator: Emulator) -> FlatEmulator:
    """Turn scalers, ranges and weights into the runtime's flat arrays."""
    contract, architecture = emulator.contract, emulator.architecture
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
            # correctly rounded, so that it is the same number on every machine
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
    network = network_plan(architecture)
    plan = [
        len(ranges),
        len(features),
        len(output_kinds),
        *network.to_list(),
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
            _slopes(architecture),
        ]
    )
    weights = np.concatenate(
        [
            np.asarray(part, dtype=np.float32).ravel()
            for w, b in zip(emulator.weights, emulator.biases, strict=True)
            for part in (w, b)
        ]
    )
    # Source code has no infinity, and the generated module is to hold the same numbers.
    largest = np.finfo(np.float64).max
    numbers = np.clip(numbers.astype(np.float64), -largest, largest)
    return FlatEmulator(np.array(plan, dtype=np.int32), numbers, weights)


def network_plan(architecture: Architecture) -> NetworkPlan:
    """Return the plan of a multilayer perceptron: its buffers take turns at two places.

    Parameters
    ----------
    architecture
        Shape of the network.

    Returns
    -------
    NetworkPlan
        One dense operation for each layer.
    """
    sizes = architecture.sizes
    activations = [architecture.activation] * (len(sizes) - 2) + ["linear"]
    places = (0, buffer_room(max(sizes[::2])))
    n_scratch = places[1] + buffer_room(max(sizes[1::2]))
    operations, weights = [], 1
    for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        x, y = places[i % 2], places[(i + 1) % 2]
        code = ACTIVATION_CODES[activations[i]]
        operations.append(Operation(DENSE, code, x, 0, y, n_in, n_out, weights))
        weights += packed_size(n_in, n_out)
    return NetworkPlan(n_scratch, operations[0].x, operations[-1].y, tuple(operations))


def _slopes(architecture: Architecture) -> list[float]:
    """Return the parameter of the activation function of each operation of `network_plan`."""
    hidden = len(architecture.hidden)
    return [_SLOPES.get(architecture.activation, 0.0)] * hidden + [0.0]


def buffer_room(n_features: int) -> int:
    """Return the features that a buffer takes of the scratch, as ``emufort_plan`` has it."""
    return -(-n_features // LANES) * LANES + LANES


def panel_width(n_left: int) -> int:
    """Return the number of neurons in the next panel, as ``panel_width`` of ``emufort_dense``."""
    return 16 if n_left > 12 else 8 if n_left > 4 else 4


def packed_size(n_in: int, n_out: int) -> int:
    """Return the values that a packed layer takes, as ``packed_size`` of ``emufort_dense``."""
    return -(-(-(-n_out // 4) * 4 * (n_in + 1)) // LANES) * LANES


def pack(flat: FlatEmulator) -> NDArray[np.float32]:
    """Pack the weights of all dense operations as the runtime does when it loads them.

    Each layer is filled up to a multiple of `LANES`, so that all begin on a cache line if the
    first does. `PACKED_SLACK` zeros follow, because the runtime reads narrow panels as if they
    were wide.
    """
    packed: list[NDArray[np.float32]] = []
    for weight, bias in flat.layers():
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
