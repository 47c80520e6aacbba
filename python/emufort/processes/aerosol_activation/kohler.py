"""Kappa-Koehler theory of a lognormal mode: critical supersaturation and activated fractions.

References
----------
Petters and Kreidenweis (2007), doi:10.5194/acp-7-1961-2007: kappa-Koehler theory.
Abdul-Razzak and Ghan (2000), doi:10.1029/1999JD901161, eq. 13-15: fractions of a lognormal mode.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erfc

from emufort.processes.aerosol_activation.constants import (
    GAS_CONSTANT,
    PYRCEL,
    PhysicalConstants,
)
from emufort.processes.aerosol_activation.thermodynamics import surface_tension

Array = NDArray[np.float64]


def kelvin_length(air_temperature: ArrayLike, constants: PhysicalConstants = PYRCEL) -> Array:
    """Return the Kelvin length A = 2 M_w sigma_w / (R T rho_w).

    Parameters
    ----------
    air_temperature : array_like
        [K].
    constants : PhysicalConstants
        Constants of the host.

    Returns
    -------
    ndarray
        [m], shape of the input.
    """
    t = np.asarray(air_temperature, dtype=np.float64)
    return np.asarray(
        2.0
        * constants.molar_mass_water
        * surface_tension(t)
        / (GAS_CONSTANT * t * constants.density_water)
    )


def critical_supersaturation(
    air_temperature: ArrayLike,
    dry_radius: ArrayLike,
    hygroscopicity: ArrayLike,
    constants: PhysicalConstants = PYRCEL,
) -> Array:
    """Return the critical supersaturation of particles, sqrt(4 A^3 / (27 kappa r^3)).

    Parameters
    ----------
    air_temperature : array_like, shape (n,) or broadcastable to the rest
        [K]; an array of shape (n,) is broadcast against modes of shape (n, mode).
    dry_radius : array_like, shape (n, mode)
        [m].
    hygroscopicity : array_like, shape (n, mode)
        kappa [1].
    constants : PhysicalConstants
        Constants of the host.

    Returns
    -------
    ndarray, shape (n, mode)
        [1].
    """
    radius = np.asarray(dry_radius, dtype=np.float64)
    length = kelvin_length(air_temperature, constants)
    if length.ndim == 1 and radius.ndim == 2:
        length = length[:, None]
    return np.asarray(
        np.sqrt(4.0 * length**3 / (27.0 * np.asarray(hygroscopicity, dtype=np.float64) * radius**3))
    )


def _reduced_supersaturation(
    critical: ArrayLike, max_supersaturation: ArrayLike, geometric_standard_deviation: ArrayLike
) -> tuple[Array, Array]:
    """Return 2 ln(s_m/s_max) / (3 sqrt(2) ln sigma), infinite where s_max <= 0, and ln sigma."""
    critical = np.asarray(critical, dtype=np.float64)
    smax = np.asarray(max_supersaturation, dtype=np.float64)
    if smax.ndim == 1 and critical.ndim == 2:
        smax = smax[:, None]
    log_sigma = np.log(np.asarray(geometric_standard_deviation, dtype=np.float64))
    # a difference of logarithms: the quotient s_m/s_max may overflow
    with np.errstate(divide="ignore"):
        log_ratio = np.log(critical) - np.log(np.where(smax <= 0.0, 0.0, smax))
    return np.asarray(2.0 * log_ratio / (3.0 * np.sqrt(2.0) * log_sigma)), np.asarray(log_sigma)


def number_activated_fraction(
    critical: ArrayLike, max_supersaturation: ArrayLike, geometric_standard_deviation: ArrayLike
) -> Array:
    """Return the fraction of the number of a lognormal mode that activates, erfc(x)/2.

    Parameters
    ----------
    critical : array_like, shape (n, mode)
        Critical supersaturation at the median radius [1].
    max_supersaturation : array_like, shape (n,)
        [1]; nothing activates where it is zero or below.
    geometric_standard_deviation : array_like, shape (mode,)
        [1].

    Returns
    -------
    ndarray, shape (n, mode)
        In [0, 1]; NaN where the supersaturation is NaN.
    """
    x, _ = _reduced_supersaturation(critical, max_supersaturation, geometric_standard_deviation)
    return np.asarray(0.5 * erfc(x))


def mass_activated_fraction(
    critical: ArrayLike, max_supersaturation: ArrayLike, geometric_standard_deviation: ArrayLike
) -> Array:
    """Return the fraction of the mass that activates, erfc(x - 3 ln(sigma) / sqrt(2)) / 2.

    Parameters
    ----------
    critical : array_like, shape (n, mode)
        Critical supersaturation at the number-median radius [1].
    max_supersaturation : array_like, shape (n,)
        [1]; nothing activates where it is zero or below.
    geometric_standard_deviation : array_like, shape (mode,)
        [1].

    Returns
    -------
    ndarray, shape (n, mode)
        In [0, 1], not below the number fraction, because large particles activate first; NaN where
        the supersaturation is NaN.
    """
    x, log_sigma = _reduced_supersaturation(
        critical, max_supersaturation, geometric_standard_deviation
    )
    return np.asarray(0.5 * erfc(x - 1.5 * np.sqrt(2.0) * log_sigma))
