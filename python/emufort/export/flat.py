"""An emulator as the flat arrays with which the Fortran runtime computes.

weights.bin and the generated module hold these arrays; ``docs/weights_format.md`` describes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.errors import EmufortError
from emufort.export.flat_plan import N_HEAD, N_OPERATION, FlatPlan, flat_plan
from emufort.network.emulator import Emulator
from emufort.network.precision import DTYPES, Precision, precision_of

#: Codes of the transforms, as in ``fortran/src/emufort_transforms.F90``.
AFFINE, LN, LOGIT, SIGMOID, CONSTANT = 1, 2, 3, 4, 5

#: Integers before those of the network: numbers of inputs, features and outputs.
_N_ENDS = 3

#: Twice as many digits as a double has.
_DIGITS = Context(prec=40)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FlatEmulator:
    """An emulator as the three flat arrays with which the runtime computes.

    Attributes
    ----------
    plan
        n_inputs, n_features, n_outputs, the integers of the network (`FlatPlan.to_arrays`),
        feature (n_features, from 1), feature kind (n_features), output kind (n_outputs), reference
        input (n_outputs, from 1, 0 for none), tables of the operations.
    numbers
        Range (n_inputs, 2), feature coefficients (n_features, 2), output coefficients
        (n_outputs, 2), output bounds (n_outputs, 2), slope (n_operations), flattened.
    weights
        For each operation that has some, the weights, then the biases, flattened. Weights that
        several operations share appear once.
    """

    plan: NDArray[np.int32]
    numbers: Array
    weights: NDArray[np.floating[Any]]

    @property
    def precision(self) -> Precision:
        """Precision in which the runtime computes the network."""
        return precision_of(self.weights.dtype)

    @property
    def network(self) -> FlatPlan:
        """Operations of the network.

        Raises
        ------
        ValueError
            The plan or the numbers have another length than the counts in the plan require.
        """
        network = FlatPlan.from_array(self.plan[_N_ENDS:])
        n_inputs, n_features, n_outputs = self.plan[:_N_ENDS].tolist()
        n_operations = len(network.operations)
        if min(n_inputs, n_features, n_outputs) < 1:
            raise ValueError("it has no inputs, features or outputs")
        if len(self.codes) != 2 * n_features + 2 * n_outputs:
            raise ValueError(f"its plan has {len(self.plan)} integers")
        if len(self.numbers) != 2 * n_inputs + 2 * n_features + 4 * n_outputs + n_operations:
            raise ValueError(f"it has {len(self.numbers)} numbers")
        return network

    @property
    def codes(self) -> list[int]:
        """Integers between operations and tables, as `plan` lists them."""
        n_operations, *_, n_table = self.plan[_N_ENDS : _N_ENDS + N_HEAD].tolist()
        first = _N_ENDS + N_HEAD + N_OPERATION * n_operations
        codes: list[int] = self.plan[first : len(self.plan) - n_table].tolist()
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
    network, tables = flat_plan(emulator.plan).to_arrays()
    plan = np.concatenate(
        [
            [len(ranges), len(features), len(output_kinds)],
            network,
            [f + 1 for f in features],
            feature_kinds,
            output_kinds,
            references,
            tables,
        ]
    ).astype(np.int32)
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
            np.empty(0, dtype=DTYPES[emulator.precision]),
            *(
                np.asarray(emulator.parameters[name], dtype=DTYPES[emulator.precision]).ravel()
                for name in emulator.plan.parameter_shapes
            ),
        ]
    )
    # Source code has no infinity, and the generated module must hold the same numbers.
    largest = np.finfo(np.float64).max
    numbers = np.clip(numbers.astype(np.float64), -largest, largest)
    return FlatEmulator(plan, numbers, weights)
