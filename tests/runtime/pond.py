"""A process with a dimension, an input the network does not see, and random weights."""

from __future__ import annotations

import numpy as np
import xarray as xr

from emufort.dataset.dataset import Dataset
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator, dense_parameters
from emufort.network.scaler import Scaler

CONTRACT = """
name = "pond"
title = "A pond with two layers"
[dimensions]
layer = ["upper", "lower"]
[[input]]
name = "wind_speed"
units = "m s-1"
transform = "ln"
range = [0.1, 30.0]
[[input]]
name = "water_temperature"
units = "K"
dimension = "layer"
range = [[275.0, 305.0], [274.0, 295.0]]
[[input]]
name = "first_guess"
units = "kg m-2 s-1"
transform = "none"
feature = false
range = [1e-7, 1e-3]
[[output]]
name = "evaporation"
long_name = "evaporation rate"
units = "kg m-2 s-1"
transform = "ln"
relative_to = "first_guess"
lower_bound = 0.0
[[output]]
name = "heat_flux"
units = "W m-2"
dimension = "layer"
"""


def pond_data(n: int = 240, seed: int = 0) -> xr.Dataset:
    """Rows within the contract's range."""
    rng = np.random.default_rng(seed)
    wind = np.exp(rng.uniform(np.log(0.1), np.log(30.0), n))
    temperature = rng.uniform([275.0, 274.0], [305.0, 295.0], (n, 2))
    guess = np.exp(rng.uniform(np.log(1e-7), np.log(1e-3), n))
    return xr.Dataset(
        {
            "wind_speed": ("sample", wind, {"units": "m s-1"}),
            "water_temperature": (("sample", "layer"), temperature, {"units": "K"}),
            "first_guess": ("sample", guess, {"units": "kg m-2 s-1"}),
            "evaporation": ("sample", guess * np.sqrt(wind), {"units": "kg m-2 s-1"}),
            "heat_flux": (("sample", "layer"), temperature - 270.0, {"units": "W m-2"}),
        },
        coords={"layer": ["upper", "lower"]},
    )


def pond_emulator(data: Dataset, hidden: tuple[int, ...] = (24, 17), seed: int = 0) -> Emulator:
    """Random weights of the size that training gives."""
    rng = np.random.default_rng(seed)
    contract = data.contract
    architecture = Architecture(3, hidden, 3, "silu")
    weights, biases = [], []
    for i, o in zip(architecture.sizes, architecture.sizes[1:], strict=False):
        weights.append(rng.normal(0.0, 1.0 / np.sqrt(i), (o, i)).astype(np.float32))
        biases.append(rng.normal(0.0, 0.1, o).astype(np.float32))
    features = [contract.input_columns[j] for j in contract.feature_indices]
    return Emulator(
        contract,
        architecture,
        Scaler.fit(features, data.features),
        Scaler.fit(contract.output_columns, data.targets),
        dense_parameters(weights, biases),
    )
