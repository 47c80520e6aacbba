"""The scalers of a network, fitted to its training rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import DataError
from emufort.network.scaler import Scaler

#: Largest scale by which the single precision forms of an emulator multiply a feature.
_LARGEST_SCALE = float(np.finfo(np.float32).max)


def fit_scalers(rows: Dataset) -> tuple[Scaler, Scaler]:
    """Return the scalers of features and outputs, fitted to `rows`.

    An output is constant if it does not vary over the training rows of the whole data set. `rows`
    may be few of them. An output that varies in the whole data set but not in `rows` is scaled as
    in the whole data set, so that all networks of a run have the same outputs.

    Raises
    ------
    DataError
        A column cannot have the transform that the contract specifies, or the scale of a feature is
        beyond single precision.
    """
    contract = rows.contract
    features = [contract.input_columns[i] for i in contract.feature_indices]
    outputs = contract.output_columns
    found = Scaler.fit_blocks(outputs, rows.target_blocks)
    constants = rows.constant_outputs
    if constants:
        found = found.with_constants(constants)
    unknown = set(range(len(outputs))).difference(found.varying, constants)
    if unknown:
        whole = rows.whole
        of_whole = Scaler.fit_blocks(outputs, lambda: whole.training_blocks(whole.targets_of))
        found = found.replaced(of_whole, unknown)
    of_features = Scaler.fit_blocks(features, rows.feature_blocks)
    for column, scale in zip(features, of_features.scale.tolist(), strict=True):
        if scale > _LARGEST_SCALE:
            raise DataError(
                f"{rows.whole.source}: {column.name} varies by {1 / scale:.3g} {column.units} "
                "only, which single precision cannot scale; choose other units or omit it"
            )
    return of_features, _weighted(found, contract)


def _weighted(outputs: Scaler, contract: Contract) -> Scaler:
    """Return the scaler of outputs with the training weights of the contract."""
    weights = np.concatenate(
        [np.broadcast_to(v.training_weight, contract.width(v)) for v in contract.output]
    )
    varying = list(outputs.varying)
    weights = weights[varying]
    scale = outputs.scale.copy()
    scale[varying] *= np.sqrt(weights / weights.mean())
    return replace(outputs, scale=scale)


def network_sizes(data: Dataset) -> tuple[int, int]:
    """Return the number of features and the number of varying outputs of a network.

    Raises
    ------
    DataError
        All outputs are constant over the training rows.
    """
    contract = data.contract
    n_outputs = len(contract.output_columns) - len(data.constant_outputs)
    if n_outputs == 0:
        raise DataError(
            f"{data.whole.source}: all outputs of the contract '{contract.name}' are constant in "
            "the training rows, so there is nothing to learn; use other data or other outputs"
        )
    return len(contract.feature_indices), n_outputs
