"""A process with profiles (lev, band): a contract with several dimensions, data, an emulator."""

from __future__ import annotations

import xarray as xr

from emufort.contract import Contract
from emufort.contract_arrays import split_columns
from emufort.network.emulator import Emulator
from tests.export.emulators import inputs, random_emulator

CONTRACT = """
name = "profile"
title = "Profiles of two bands"
[dimensions]
lev = 3
band = ["red", "green"]
angle = 2
[[input]]
name = "cosine"
transform = "none"
range = [0.0, 1.0]
[[input]]
name = "depth"
long_name = "optical depth"
dimensions = ["lev", "band"]
transform = "ln"
range = [1e-3, 10.0]
[[input]]
name = "temperature"
units = "K"
dimension = "lev"
range = [[200.0, 300.0], [210.0, 310.0], [220.0, 320.0]]
[[output]]
name = "heating"
units = "K s-1"
dimensions = ["lev", "band"]
[[output]]
name = "radiance"
units = "W m-2"
dimensions = ["band", "angle", "lev"]
[[output]]
name = "albedo"
transform = "sigmoid"
"""


def contract() -> Contract:
    return Contract.from_toml(CONTRACT)


def emulator() -> Emulator:
    return random_emulator(contract(), (12, 9), "tanh", seed=4)


def profile_data(n: int = 64, seed: int = 2) -> xr.Dataset:
    """Samples that the emulator gives, the dimensions in the order of the contract."""
    found = emulator()
    x = inputs(found.contract, n, seed)
    variables = {}
    for group, values in ((contract().input, x), (contract().output, found.predict(x))):
        arrays = split_columns(contract(), group, values)
        for variable in group:
            dimensions = ("sample", *variable.dimensions)
            variables[variable.name] = (
                dimensions, arrays[variable.name], {"units": variable.units}
            )  # fmt: skip
    coordinates = {"band": ["red", "green"], "lev": ("lev", [900.0, 500.0, 100.0])}
    return xr.Dataset(variables, coordinates)
