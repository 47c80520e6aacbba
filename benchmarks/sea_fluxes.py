"""A data set of a process other than aerosol activation: air-sea fluxes by bulk formulae.

Evaporation, sensible heat flux and wind stress as in Large and Yeager (2004, "Diurnal to decadal
global forcing for ocean and sea-ice models", NCAR/TN-460+STR, equations 5 to 10), with the drag
coefficient of Large and Yeager (2009, doi:10.1007/s00382-008-0441-3, equation 11). Ocean models
take their surface fluxes from these formulae. They are not smooth: the transfer coefficient of heat
is discontinuous where the surface layer changes from stable to unstable.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.files import replacing, write_text

Array = NDArray[np.float64]

VON_KARMAN = 0.4
GRAVITY = 9.8  # m s-2
GAS_CONSTANT = 287.04  # of dry air, J kg-1 K-1
HEAT_CAPACITY = 1000.5  # of air, J kg-1 K-1
#: Further iterations change fewer than one sample in 1,000 by more than 0.001 standard deviations.
ITERATIONS = 20

#: Rows of the data set; a tenth of them is for validation and another tenth for the test.
ROWS, SEED = 40_000, 1

CONTRACT = """\
name = "evaporation"
title = "Evaporation, sensible heat flux and wind stress over the sea (Large and Yeager 2009)"

[[input]]
name = "wind_speed"
units = "m s-1"
transform = "ln"
range = [2.0, 30.0]

[[input]]
name = "sea_surface_temperature"
units = "K"
range = [271.3, 305.0]

[[input]]
name = "air_sea_temperature_difference"
units = "K"
range = [-12.0, 3.0]

[[input]]
name = "relative_humidity"
units = "1"
range = [0.3, 1.0]

[[input]]
name = "air_pressure"
units = "Pa"
range = [94000.0, 105000.0]

[[input]]
name = "height"
units = "m"
transform = "ln"
range = [2.0, 60.0]

[[output]]
name = "evaporation_rate"
units = "kg m-2 s-1"

[[output]]
name = "sensible_heat_flux"
units = "W m-2"

[[output]]
name = "wind_stress"
units = "N m-2"
transform = "ln"
lower_bound = 0.0
"""

_LONG_NAMES = {
    "wind_speed": "wind speed at the height of the lowest model level",
    "sea_surface_temperature": "sea surface temperature",
    "air_sea_temperature_difference": "potential temperature of the air minus that of the sea",
    "relative_humidity": "relative humidity at the height of the lowest model level",
    "air_pressure": "air pressure",
    "height": "height of the lowest model level above the sea",
    "evaporation_rate": "upward water vapour flux at the surface",
    "sensible_heat_flux": "upward sensible heat flux at the surface",
    "wind_stress": "magnitude of the surface stress",
}
_STANDARD_NAMES = {
    "wind_speed": "wind_speed",
    "sea_surface_temperature": "sea_surface_temperature",
    "relative_humidity": "relative_humidity",
    "air_pressure": "air_pressure",
    "height": "height",
    "sensible_heat_flux": "surface_upward_sensible_heat_flux",
    "wind_stress": "magnitude_of_surface_downward_stress",
}


def saturation_humidity(temperature: Array, density: Array) -> Array:
    """Return the saturation specific humidity [1] over pure water (2004, equation 5)."""
    return 640380.0 / density * np.exp(-5107.4 / temperature)


def neutral_coefficients(wind: Array, is_stable: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """Return the neutral coefficients of drag, heat and evaporation for the 10 m neutral wind.

    Drag by equation 11 of 2009, the others by equation 6 of 2004; all dimensionless.
    """
    drag = 1e-3 * (2.7 / wind + 0.142 + 0.0764 * wind - 3.14807e-10 * wind**6)
    drag = np.where(wind < 33.0, drag, 2.34e-3)
    root = np.sqrt(drag)
    return drag, 1e-3 * np.where(is_stable, 18.0, 32.7) * root, 34.6e-3 * root


def stability_functions(zeta: Array) -> tuple[Array, Array]:
    """Return the integrated stability functions of momentum and of heat (2004, equation 8)."""
    x_squared = np.sqrt(np.maximum(1.0 - 16.0 * zeta, 1.0))
    x = np.sqrt(x_squared)
    momentum = np.log((1.0 + x) ** 2 * (1.0 + x_squared) / 8.0) - 2.0 * np.arctan(x) + np.pi / 2
    heat = 2.0 * np.log((1.0 + x_squared) / 2.0)
    return np.where(zeta > 0, -5.0 * zeta, momentum), np.where(zeta > 0, -5.0 * zeta, heat)


def fluxes(
    wind: Array, sea: Array, difference: Array, humidity: Array, pressure: Array, height: Array
) -> tuple[Array, Array, Array]:
    """Return evaporation [kg m-2 s-1], sensible heat flux [W m-2] and stress [N m-2].

    Parameters
    ----------
    wind, humidity, height
        Wind speed [m s-1] and relative humidity [1] at a height [m].
    sea
        Sea surface temperature [K].
    difference
        Potential temperature of the air minus that of the sea [K].
    pressure
        Air pressure [Pa].
    """
    air = sea + difference
    moist = humidity * saturation_humidity(air, pressure / (GAS_CONSTANT * air))
    virtual = air * (1.0 + 0.608 * moist)
    density = pressure / (GAS_CONSTANT * virtual)
    # Salt lowers the humidity over sea water to 0.98 of the value over pure water.
    moisture = moist - 0.98 * saturation_humidity(sea, density)

    # The stability follows from the buoyancy before the iteration. If it followed from each
    # iteration, near-neutral states would exist where each heat coefficient leads to the other.
    is_stable = virtual > sea * (1.0 + 0.608 * (moist - moisture))

    neutral = neutral_coefficients(wind, is_stable)
    drag, heat, vapour = neutral
    for _ in range(ITERATIONS):
        root = np.sqrt(drag)
        buoyancy = (GRAVITY / root) * (
            heat * difference / virtual + vapour * moisture / (moist + 1.0 / 0.608)
        )
        zeta = np.clip(VON_KARMAN * height * buoyancy / (drag * wind**2), -10.0, 10.0)
        momentum, scalar = (
            (np.log(height / 10.0) - psi) / VON_KARMAN for psi in stability_functions(zeta)
        )
        at_ten_metres = wind / (1.0 + np.sqrt(neutral[0]) * momentum)
        neutral = neutral_coefficients(at_ten_metres, is_stable)
        root = np.sqrt(neutral[0])
        ratio = 1.0 / (1.0 + root * momentum)
        drag = neutral[0] * ratio**2
        heat, vapour = (c * ratio / (1.0 + c / root * scalar) for c in neutral[1:])
    return (
        -density * vapour * wind * moisture,
        -density * HEAT_CAPACITY * heat * wind * difference,
        density * drag * wind**2,
    )


def dataset(rows: int = ROWS, seed: int = SEED) -> xr.Dataset:
    """Return random states within the ranges of the contract, and their fluxes.

    Inputs with the transform ``ln`` are uniform in their logarithm, the others are uniform.
    """
    contract = Contract.from_toml(CONTRACT)
    columns = [*contract.input_columns, *contract.output_columns]
    unit = np.random.default_rng(seed).random((len(contract.input_columns), rows))
    inputs = []
    for column, u in zip(contract.input_columns, unit, strict=True):
        low, high = column.lower, column.upper
        is_log = column.transform == "ln"
        inputs.append(low * (high / low) ** u if is_log else low + (high - low) * u)
    values = [*inputs, *fluxes(*inputs)]

    def attributes(name: str, units: str) -> dict[str, str]:
        standard = {"standard_name": _STANDARD_NAMES[name]} if name in _STANDARD_NAMES else {}
        return {**standard, "long_name": _LONG_NAMES[name], "units": units}

    return xr.Dataset(
        {
            column.variable: ("sample", value, attributes(column.variable, column.units))
            for column, value in zip(columns, values, strict=True)
        },
        attrs={
            "Conventions": "CF-1.11",
            "title": contract.title,
            "source": f"bulk formulae of Large and Yeager (2004, 2009), random states, seed {seed}",
            "references": "NCAR/TN-460+STR; doi:10.1007/s00382-008-0441-3",
        },
    )


def write(folder: Path, rows: int = ROWS) -> tuple[Path, Path]:
    """Write data set and contract to `folder`; return their paths.

    The values depend on `rows` and `SEED` alone.
    """
    data, contract = folder / "evaporation.nc", folder / "evaporation.toml"
    write_text(contract, CONTRACT)
    with replacing(data) as temporary:
        dataset(rows).to_netcdf(temporary)
    return data, contract
