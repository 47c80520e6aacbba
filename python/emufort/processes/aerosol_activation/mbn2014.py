"""Activation scheme of Morales Betancourt and Nenes (2014), population splitting.

The physics follows the published scheme as implemented in pyrcel 2.0, including its empirical
constants and its fits of vapour pressure and surface tension about 273 K. These fits differ
slightly from those of the other schemes.

References
----------
Morales Betancourt and Nenes (2014), doi:10.5194/gmd-7-2345-2014, called MBN below.
Nenes and Seinfeld (2003), doi:10.1029/2002JD002911: population splitting.
Fountoukis and Nenes (2005), doi:10.1029/2004JD005591: lognormal modes, size-averaged diffusivity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emufort.processes.aerosol_activation import thermodynamics as thermo
from emufort.processes.aerosol_activation.constants import (
    GAS_CONSTANT,
    PYRCEL,
    PhysicalConstants,
)

Array = NDArray[np.float64]

LOWER_BOUND = 1e-5  #: lower bound of the search for the supersaturation [1]
UPPER_BOUND = 0.5  #: upper bound of the search for the supersaturation [1]
TOLERANCE = 1e-6  #: relative width of the bracket at the end [1]
MAXIMUM_ITERATIONS = 200

_ROOT_2 = np.sqrt(2.0)


def _saturation_vapour_pressure(air_temperature: Array) -> Array:
    """Sixth-order polynomial of Lowe and Ficke (1974) about 273 K; [K] to [Pa], elementwise."""
    celsius = air_temperature - 273.0
    millibar = np.polynomial.polynomial.polyval(
        celsius,
        [
            6.107799610,
            4.436518521e-1,
            1.428945805e-2,
            2.650648471e-4,
            3.031240396e-6,
            2.034080948e-8,
            6.136820929e-11,
        ],
    )
    return np.asarray(100.0 * millibar)


def _erf(x: Array) -> Array:
    """Error function by Abramowitz and Stegun (1964), eq. 7.1.27: part of the scheme."""
    y = np.abs(x)
    polynomial = 1.0 + y * (0.278393 + y * (0.230389 + y * (0.000972 + y * 0.078108)))
    return np.copysign(1.0 - polynomial**-4, x)


@dataclass(frozen=True)
class _Parcel:
    """Coefficients of the equation apart from the supersaturation, (n, 1) or (n, mode)."""

    kelvin_diameter: Array  # Kelvin coefficient for diameters, (n, 1) [m]
    forcing: Array  # alpha V beta2, (n, 1) [m-2]
    scale: Array  # factor of the condensation integrals, (n, 1)
    number: Array  # (n, mode) [m-3]
    critical: Array  # critical supersaturation, (n, mode) [1]
    log_sigma: Array  # (mode,) [1]

    def select(self, rows: NDArray[np.intp]) -> _Parcel:
        """Return the parcels of the given rows."""
        return _Parcel(
            self.kelvin_diameter[rows],
            self.forcing[rows],
            self.scale[rows],
            self.number[rows],
            self.critical[rows],
            self.log_sigma,
        )


def _prepare(
    t: Array,
    p: Array,
    speed: Array,
    number: Array,
    radius: Array,
    kappa: Array,
    log_sigma: Array,
    constants: PhysicalConstants,
) -> _Parcel:
    """Return the coefficients of the implicit equation; shapes as in `max_supersaturation`."""
    c, accommodation = constants, constants.accommodation_coefficient
    tension = 0.0761 - 1.55e-4 * (t - 273.0)
    kelvin = 4.0 * c.molar_mass_water * tension / (GAS_CONSTANT * t * c.density_water)
    critical = np.expm1(np.sqrt(4.0 * kelvin[:, None] ** 3 / (27.0 * kappa * (2.0 * radius) ** 3)))
    saturation = _saturation_vapour_pressure(t)
    source = thermo.supersaturation_source(t, c)
    sink = p * c.molar_mass_air / (
        saturation * c.molar_mass_water
    ) + c.molar_mass_water * c.latent_heat**2 / (c.heat_capacity_air * GAS_CONSTANT * t**2)
    # diffusivity averaged over droplet diameters from `small` to `large` (Fountoukis and Nenes
    # 2005, eq. 17-19)
    continuum = 1e-4 * (0.211 / (p / 1.013e5)) * (t / 273.0) ** 1.94
    large = 5.0e-6
    small = 0.207683e-6 * accommodation**-0.33048
    jump = (
        2.0
        * continuum
        / accommodation
        * np.sqrt(2.0 * np.pi * c.molar_mass_water / (GAS_CONSTANT * t))
    )
    width = large - small
    average = continuum / width * (width - jump * np.log((large + jump) / (small + jump)))
    # inverse growth coefficient for diameters
    resistance = GAS_CONSTANT * t * c.density_water / (
        4.0 * saturation * average * c.molar_mass_water
    ) + c.latent_heat * c.density_water / (4.0 * thermo.thermal_conductivity(t) * t) * (
        c.latent_heat * c.molar_mass_water / (GAS_CONSTANT * t) - 1.0
    )
    density = p * c.molar_mass_air / (GAS_CONSTANT * t)
    scale = 0.5 * np.pi * sink * c.density_water / (resistance * source * speed * density)
    return _Parcel(
        kelvin[:, None],
        (source * speed * resistance)[:, None],
        scale[:, None],
        number,
        critical,
        log_sigma,
    )


def _residual(smax: Array, parcel: _Parcel) -> Array:
    """MBN's implicit equation for the supersaturation, left minus right, (n, 1) to (n, 1)."""
    kelvin, critical, log_sigma = parcel.kelvin_diameter, parcel.critical, parcel.log_sigma
    # population splitting: which particles have grown much larger than their critical size at s_max
    limit = (16.0 / 9.0 * parcel.forcing * kelvin**2) ** 0.25
    discriminant = 1.0 - (limit / smax) ** 4
    kinetic = (
        discriminant <= 0.0
    )  # no real split: most droplets are near their critical size (MBN appendix B)
    root = np.sqrt(np.where(kinetic, 0.0, discriminant))
    empirical = 1.0 / _ROOT_2 + 2e7 / 3.0 * kelvin * (smax**-0.3824 - limit**-0.3824)
    upper_split = smax * np.where(kinetic, np.minimum(empirical, 1.0), np.sqrt(0.5 * (1.0 + root)))
    lower_split = smax * np.maximum(np.sqrt(np.maximum(0.5 * (1.0 - root), 0.0)), 1e-30)

    def argument(bound: Array) -> Array:
        return np.asarray(2.0 * np.log(critical / bound) / (3.0 * _ROOT_2 * log_sigma))

    half = 3.0 * log_sigma / (2.0 * _ROOT_2)
    number_over_critical = np.exp(9.0 / 8.0 * log_sigma**2) * parcel.number
    at_upper, at_lower, at_peak = argument(upper_split), argument(lower_split), argument(smax)

    # particles that have not outgrown their critical size: growth limited by curvature
    second = number_over_critical / critical * (_erf(at_upper - half) - _erf(at_peak - half))

    # particles far beyond it: growth by the history of the supersaturation
    def grown(at: Array) -> Array:
        volume = 0.5 * (critical / smax) ** 2 * np.exp(4.5 * log_sigma**2)
        return np.asarray(
            parcel.number
            * smax
            * ((1.0 - _erf(at)) - volume * (1.0 - _erf(at + 3.0 * log_sigma / _ROOT_2)))
        )

    first = np.where(kinetic, 0.0, grown(at_upper) - grown(at_lower))

    # inertially limited particles: large ones that stay near their equilibrium size
    equilibrium_diameter = 2.0 * kelvin / (3.0 * np.sqrt(3.0) * critical)
    inertial = (
        equilibrium_diameter
        * number_over_critical
        * (1.0 - _erf(np.where(kinetic, at_upper, at_lower) - half))
        * np.sqrt(parcel.forcing)
    )
    total = 0.5 / np.sqrt(parcel.forcing) * (first + inertial).sum(axis=1, keepdims=True)
    total = total + kelvin / 3.0 * second.sum(axis=1, keepdims=True)
    return np.asarray(total * parcel.scale * smax - 1.0)


def max_supersaturation(
    air_temperature: ArrayLike,
    air_pressure: ArrayLike,
    updraft_speed: ArrayLike,
    number_concentration: ArrayLike,
    dry_median_radius: ArrayLike,
    hygroscopicity: ArrayLike,
    geometric_standard_deviation: ArrayLike,
    constants: PhysicalConstants = PYRCEL,
) -> NDArray[np.float64]:
    """Return the maximum supersaturation by MBN, by bisection for all parcels at once.

    Parameters
    ----------
    air_temperature, air_pressure, updraft_speed : array_like, shape (n,)
        [K], [Pa], [m s-1].
    number_concentration, dry_median_radius, hygroscopicity : array_like, shape (n, mode)
        [m-3], number-median dry radius [m], kappa [1].
    geometric_standard_deviation : array_like, shape (mode,)
        [1].
    constants : PhysicalConstants
        Constants of the host, and the accommodation coefficient.

    Returns
    -------
    ndarray, shape (n,)
        [1], in [1e-5, 0.5].
    """
    t, p, speed, number, radius, kappa = (
        np.asarray(x, dtype=np.float64)
        for x in (
            air_temperature,
            air_pressure,
            updraft_speed,
            number_concentration,
            dry_median_radius,
            hygroscopicity,
        )
    )
    log_sigma = np.log(np.asarray(geometric_standard_deviation, dtype=np.float64))
    parcel = _prepare(t, p, speed, number, radius, kappa, log_sigma, constants)
    low = np.full((t.size, 1), LOWER_BOUND)
    high = np.full((t.size, 1), UPPER_BOUND)
    sign_low = np.sign(_residual(low, parcel))
    active = np.arange(t.size)
    for _ in range(MAXIMUM_ITERATIONS):
        active = active[np.abs(high - low)[active, 0] > TOLERANCE * low[active, 0]]
        if active.size == 0:
            break
        middle = 0.5 * (low[active] + high[active])
        same = np.sign(_residual(middle, parcel.select(active))) * sign_low[active] > 0.0
        low[active] = np.where(same, middle, low[active])
        high[active] = np.where(same, high[active], middle)
    return np.asarray(0.5 * (low + high)[:, 0])
