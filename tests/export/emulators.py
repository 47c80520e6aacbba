"""Emulators with random weights for tests: small contracts with every transform, and ours."""

from __future__ import annotations

import itertools
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.network.architecture import Architecture, Family
from emufort.network.emulator import Emulator, dense_parameters
from emufort.network.scaler import Scaler

MIXED = """
name = "mixed"
title = "Every transform once"
[dimensions]
mode = ["a", "b"]
[[input]]
name = "size"
units = "m"
dimension = "mode"
transform = "ln"
range = [[1e-9, 1e-7], [2e-8, 5e-6]]
[[input]]
name = "share"
transform = "logit"
range = [0.01, 0.99]
[[input]]
name = "reference"
units = "1"
transform = "none"
feature = false
range = [1e-4, 1e-1]
[[input]]
name = "temperature"
units = "K"
transform = "standardise"
range = [250.0, 310.0]
[[input]]
name = "height"
units = "m"
transform = "minmax"
range = [0.0, 2000.0]
[[output]]
name = "ratio"
units = "1"
transform = "ln"
relative_to = "reference"
lower_bound = 0.0
[[output]]
name = "growth"
units = "m"
transform = "ln"
[[output]]
name = "fraction"
dimension = "mode"
transform = "sigmoid"
lower_bound = 0.0
upper_bound = 1.0
[[output]]
name = "anomaly"
units = "K"
transform = "standardise"
[[output]]
name = "probability"
range = [0.0, 1.0]
transform = "logit"
"""


def mixed() -> Contract:
    """Six columns in, six out, with every transform."""
    return Contract.from_toml(MIXED)


def edges(contract: Contract) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Range of every input column; a column without one gets 1e-4 to 1e-1."""
    lower = [c.lower if np.isfinite(c.lower) else 1e-4 for c in contract.input_columns]
    upper = [c.upper if np.isfinite(c.upper) else 1e-1 for c in contract.input_columns]
    return np.array(lower), np.array(upper)


def inputs(contract: Contract, n: int, seed: int = 0) -> NDArray[np.float64]:
    """Rows within the range, logarithmic where the transform is, exact in single precision."""
    lower, upper = edges(contract)
    u = np.random.default_rng(seed).random((n, len(lower)))
    x = lower + u * (upper - lower)
    for j, column in enumerate(contract.input_columns):
        if column.transform in ("ln", "log10") or not column.feature:
            x[:, j] = lower[j] * (upper[j] / lower[j]) ** u[:, j]
    return np.asarray(x.astype(np.float32), dtype=np.float64)


def random_emulator(
    contract: Contract,
    hidden: tuple[int, ...] = (16, 16),
    activation: str = "tanh",
    seed: int = 0,
    constant: bool = False,
    constant_outputs: Collection[int] = (),
    family: Family = "mlp",
) -> Emulator:
    """Weights of the size that training gives, scalers fitted to rows within the range.

    With `constant` they are fitted to data that do not vary but for their first input and output;
    `constant_outputs` are the places of outputs that do not.
    """
    rng = np.random.default_rng(seed)
    x = inputs(contract, 500, seed)
    y = np.exp(rng.normal(-4.0, 1.0, (500, len(contract.output_columns))))
    for j, column in enumerate(contract.output_columns):
        if column.transform in ("logit", "sigmoid"):
            y[:, j] = 1.0 / (1.0 + y[:, j] * 50.0)
        elif column.transform == "standardise":
            y[:, j] = rng.normal(2.0, 5.0, 500)
    if constant:
        x[:, 1:], y[:, 1:] = x[0, 1:], y[0, 1:]
    y[:, list(constant_outputs)] = y[0, list(constant_outputs)]
    features = list(contract.feature_indices)
    output_scaler = Scaler.fit(contract.output_columns, y)
    architecture = Architecture(
        len(features),
        hidden,
        len(output_scaler.varying),
        activation,
        family,
    )
    sizes = architecture.sizes
    weights, biases = [], []
    # Squares of squares of unscaled weights would reach sizes that no training gives.
    size = 0.5 if activation == "squared_relu" else 1.0
    for i, o in itertools.pairwise(sizes):
        weights.append(rng.normal(0.0, size / np.sqrt(i), (o, i)).astype(np.float32))
        biases.append(rng.normal(0.0, 0.1, o).astype(np.float32))
    return Emulator(
        contract,
        architecture,
        Scaler.fit([contract.input_columns[j] for j in features], x[:, features]),
        output_scaler,
        dense_parameters(weights, biases),
        {"data_sha256": "d" * 64, "study_sha256": "5" * 64},
    )
