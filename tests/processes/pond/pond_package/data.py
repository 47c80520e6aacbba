"""The label maker and the classical scheme of the pond."""

from __future__ import annotations

import numpy as np
import xarray as xr

LAYERS = ("skin", "bottom")
#: Cooling of each layer for a rate of evaporation [K m2 s kg-1].
FACTORS = np.array([-1e5, -1e4])


def evaporation(wind_speed, relative_humidity, water_temperature):
    """Return the rate of evaporation [kg m-2 s-1] and the cooling of the layers [K]."""
    wind = (1.0 + wind_speed) ** 0.7
    rate = 1e-6 * wind * (1.0 - relative_humidity) * np.exp(0.06 * (water_temperature - 273.0))
    return rate, rate[:, None] * FACTORS


def bulk(wind_speed, relative_humidity, water_temperature):
    """Return the same by a scheme that is linear in wind speed and temperature."""
    warmth = 1.0 + 0.15 * (water_temperature - 273.0)
    rate = 1e-6 * (1.0 + 0.4 * wind_speed) * (1.0 - relative_humidity) * warmth
    return rate, rate[:, None] * FACTORS


def make_labels(samples, seed, advance):
    """Return `samples` training samples, and half as many for validation and for test."""
    rng = np.random.default_rng(seed)
    n = 2 * samples
    inputs = {
        "wind_speed": (np.exp(rng.uniform(np.log(0.1), np.log(30.0), n)), "m s-1"),
        "relative_humidity": (rng.uniform(0.05, 0.95, n), "1"),
        "water_temperature": (rng.uniform(273.0, 310.0, n), "K"),
    }
    drawn = [values for values, _ in inputs.values()]
    found = xr.Dataset(coords={"layer": list(LAYERS)})
    for name, (values, units) in inputs.items():
        found[name] = ("sample", values, {"units": units})
    for names, (rate, cooling) in (
        (("evaporation_rate", "cooling"), evaporation(*drawn)),
        (("bulk_rate", "bulk_cooling"), bulk(*drawn)),
    ):
        found[names[0]] = ("sample", rate, {"units": "kg m-2 s-1"})
        found[names[1]] = (("sample", "layer"), cooling, {"units": "K"})
    advance(n)
    return found
