"""Restore the emulator of a weights.bin for the numpy and torch forms."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.errors import EmufortError
from emufort.export.flat import AFFINE, CONSTANT, LN, LOGIT, SIGMOID
from emufort.export.unflatten import plan_of
from emufort.export.weights_file import WeightsFile
from emufort.network.emulator import Emulator
from emufort.network.imported import architecture_of_plan
from emufort.network.scaler import Scaler, ScalerKind

Array = NDArray[np.float64]


def restore(file: WeightsFile, source: str = "weights.bin") -> Emulator:
    """Return the emulator whose coefficients, network and contract `file` holds.

    Its double precision outputs equal those of the exported emulator up to rounding, because the
    file holds the reciprocals of some scales.

    Parameters
    ----------
    file
        Content of a weights.bin.
    source
        Name of the file in error messages.

    Raises
    ------
    EmufortError
        The parts of the file contradict each other.
    """
    try:
        contract = Contract.from_dict(json.loads(file.contract), source)
        return _restore(file, contract)
    except (ValueError, KeyError, IndexError, RecursionError) as error:
        raise EmufortError(f"{source} contradicts itself: {error}; export again") from error


def _restore(file: WeightsFile, contract: Contract) -> Emulator:
    flat = file.flat
    n_inputs, n_features, n_outputs = (int(n) for n in flat.plan[:3])
    plan, parameters = plan_of(flat)
    architecture = architecture_of_plan(plan)
    codes = flat.codes[n_features:]
    feature_kinds, codes = codes[:n_features], codes[n_features:]
    output_kinds = codes[:n_outputs]

    numbers = flat.numbers
    start = 2 * n_inputs
    features = numbers[start : start + 2 * n_features].reshape(n_features, 2)
    start += 2 * n_features
    outputs = numbers[start : start + 2 * n_outputs].reshape(n_outputs, 2)

    of_plan = zip(architecture.plan.parameter_shapes, plan.parameter_shapes, strict=True)
    return Emulator(
        contract,
        architecture,
        _input_scaler(feature_kinds, features),
        _output_scaler(output_kinds, outputs, contract),
        {name: parameters[found] for name, found in of_plan},
        dict(file.about),
        flat.precision,
    )


def _input_scaler(kinds: list[int], numbers: Array) -> Scaler:
    """Return the scaler of the features from kinds and coefficients of the file."""
    names: dict[int, ScalerKind] = {AFFINE: "affine", LN: "ln", LOGIT: "logit"}
    shift, scale = numbers[:, 0].copy(), numbers[:, 1].copy()
    for j, kind in enumerate(kinds):
        if kind == LN:
            shift[j] = 1.0 / shift[j]
        elif kind == LOGIT:
            with np.errstate(divide="ignore", invalid="ignore"):  # the file is untrusted
                shift[j] = -np.log(shift[j])
    return Scaler(tuple(names[kind] for kind in kinds), shift, scale)


def _output_scaler(kinds: list[int], numbers: Array, contract: Contract) -> Scaler:
    """Return the scaler of the outputs from kinds and coefficients of the file."""
    names: dict[int, ScalerKind] = {
        AFFINE: "affine",
        LN: "ln",
        SIGMOID: "logit",
        CONSTANT: "constant",
    }
    found = [names[kind] for kind in kinds]
    for j, column in enumerate(contract.output_columns):
        if found[j] == "logit" and column.transform == "sigmoid":
            found[j] = "sigmoid"
    return Scaler(tuple(found), numbers[:, 1].copy(), 1.0 / numbers[:, 0])
