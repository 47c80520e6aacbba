"""Properties of moist air and water that the activation schemes share, elementwise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emufort.processes.aerosol_activation.constants import (
    GAS_CONSTANT,
    PYRCEL,
    PhysicalConstants,
)

Array = NDArray[np.float64]


def saturation_vapour_pressure(air_temperature: ArrayLike) -> Array:
    """Return the saturation vapour pressure over liquid water.

    Parameters
    ----------
    air_temperature : array_like
        [K].

    Returns
    -------
    ndarray
        [Pa]. Bolton (1980), doi:10.1175/1520-0493(1980)108<1046:TCOEPT>2.0.CO;2, eq. 10.
    """
    celsius = np.asarray(air_temperature, dtype=np.float64) - 273.15
    return np.asarray(611.2 * np.exp(17.67 * celsius / (celsius + 243.5)))


def surface_tension(air_temperature: ArrayLike) -> Array:
    """Return the surface tension of water, a linear fit as in pyrcel.

    Parameters
    ----------
    air_temperature : array_like
        [K].

    Returns
    -------
    ndarray
        [J m-2].
    """
    return 0.0761 - 1.55e-4 * (np.asarray(air_temperature, dtype=np.float64) - 273.15)


def diffusivity(air_temperature: ArrayLike, air_pressure: ArrayLike) -> Array:
    """Return the diffusivity of water vapour in air, continuum regime.

    Parameters
    ----------
    air_temperature, air_pressure : array_like
        [K], [Pa].

    Returns
    -------
    ndarray
        [m2 s-1]. Pruppacher and Klett (1997), eq. 13-3. The pressure conversion is pyrcel's
        (1.01325e-5 per Pa).
    """
    t, p = np.asarray(air_temperature, dtype=np.float64), np.asarray(air_pressure, dtype=np.float64)
    return np.asarray(1e-4 * (0.211 / (p * 1.01325e-5)) * (t / 273.0) ** 1.94)


def thermal_conductivity(air_temperature: ArrayLike) -> Array:
    """Return the thermal conductivity of air, continuum regime.

    Parameters
    ----------
    air_temperature : array_like
        [K].

    Returns
    -------
    ndarray
        [J m-1 s-1 K-1]. Seinfeld and Pandis (2006), eq. 17.71.
    """
    return 1e-3 * (4.39 + 0.071 * np.asarray(air_temperature, dtype=np.float64))


def supersaturation_source(
    air_temperature: ArrayLike, constants: PhysicalConstants = PYRCEL
) -> Array:
    """Return the supersaturation gained per metre of ascent, alpha.

    Parameters
    ----------
    air_temperature : array_like
        [K].
    constants : PhysicalConstants
        Constants of the host.

    Returns
    -------
    ndarray
        [m-1]. Abdul-Razzak et al. (1998), doi:10.1029/97JD03735, eq. 11.
    """
    t = np.asarray(air_temperature, dtype=np.float64)
    c = constants
    cooling = (
        c.gravity * c.molar_mass_water * c.latent_heat / (c.heat_capacity_air * GAS_CONSTANT * t**2)
    )
    return np.asarray(cooling - c.gravity * c.molar_mass_air / (GAS_CONSTANT * t))
