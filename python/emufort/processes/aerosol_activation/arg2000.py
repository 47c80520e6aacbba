"""Activation scheme of Abdul-Razzak and Ghan (2000), which many climate models use.

References
----------
Abdul-Razzak and Ghan (2000), doi:10.1029/1999JD901161, called ARG below.
Abdul-Razzak, Ghan and Rivera-Carpio (1998), doi:10.1029/97JD03735.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emufort.processes.aerosol_activation import thermodynamics as thermo
from emufort.processes.aerosol_activation.constants import (
    GAS_CONSTANT,
    PYRCEL,
    PhysicalConstants,
)
from emufort.processes.aerosol_activation.kohler import critical_supersaturation, kelvin_length

Factor = float | NDArray[np.float64]


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
    """Return the maximum supersaturation by ARG: accommodation coefficient 1, continuum growth.

    Parameters
    ----------
    air_temperature, air_pressure, updraft_speed : array_like, shape (n,)
        [K], [Pa], [m s-1].
    number_concentration, dry_median_radius, hygroscopicity : array_like, shape (n, mode)
        [m-3], number-median dry radius [m], kappa [1].
    geometric_standard_deviation : array_like, shape (mode,)
        [1].
    constants : PhysicalConstants
        Constants of the host.

    Returns
    -------
    ndarray, shape (n,)
        [1].
    """
    balance = ActivationBalance.of(
        air_temperature,
        air_pressure,
        updraft_speed,
        number_concentration,
        dry_median_radius,
        hygroscopicity,
        constants,
    )
    log_sigma = np.log(np.asarray(geometric_standard_deviation, dtype=np.float64))
    breadth = 0.5 * np.exp(2.5 * log_sigma**2)  # f, ARG eq. 7
    spread = 1.0 + 0.25 * log_sigma  # g, ARG eq. 8
    return balance.max_supersaturation(breadth, spread, 1.5)


@dataclass(frozen=True)
class ActivationBalance:
    """Terms of ARG eq. 6 that depend neither on mode widths nor on fitted constants.

    Attributes
    ----------
    kinetic_limitation : ndarray, shape (n, mode)
        zeta / eta [1].
    growth : ndarray, shape (n, mode)
        Squared critical supersaturation over eta + 3 zeta [1].
    critical : ndarray, shape (n, mode)
        Critical supersaturation of the median particle [1].
    """

    kinetic_limitation: NDArray[np.float64]
    growth: NDArray[np.float64]
    critical: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        air_temperature: ArrayLike,
        air_pressure: ArrayLike,
        updraft_speed: ArrayLike,
        number_concentration: ArrayLike,
        dry_median_radius: ArrayLike,
        hygroscopicity: ArrayLike,
        constants: PhysicalConstants,
    ) -> Self:
        """Compute the terms; parameters are those of `max_supersaturation`."""
        c = constants
        t = np.asarray(air_temperature, dtype=np.float64)
        p = np.asarray(air_pressure, dtype=np.float64)
        speed = np.asarray(updraft_speed, dtype=np.float64)
        number = np.asarray(number_concentration, dtype=np.float64)

        saturation = thermo.saturation_vapour_pressure(t)
        # gamma of Abdul-Razzak et al. (1998), eq. 12: supersaturation lost per mass of condensate
        # and volume of air
        sink = GAS_CONSTANT * t / (
            saturation * c.molar_mass_water
        ) + c.molar_mass_water * c.latent_heat**2 / (c.heat_capacity_air * c.molar_mass_air * t * p)
        # G of ARG eq. 4, from the resistances to diffusion of vapour and of heat
        vapour = (
            c.density_water
            * GAS_CONSTANT
            * t
            / (saturation * thermo.diffusivity(t, p) * c.molar_mass_water)
        )
        heat = (
            c.latent_heat
            * c.density_water
            * (c.latent_heat * c.molar_mass_water / (GAS_CONSTANT * t) - 1.0)
            / (thermo.thermal_conductivity(t) * t)
        )
        forcing = thermo.supersaturation_source(t, c) * speed * (vapour + heat)  # alpha V/G [m-2]

        zeta = (2.0 / 3.0) * kelvin_length(t, c) * np.sqrt(forcing)  # ARG eq. 10
        eta = forcing[:, None] ** 1.5 / (
            2.0 * np.pi * c.density_water * sink[:, None] * number
        )  # ARG eq. 11
        critical = critical_supersaturation(t, dry_median_radius, hygroscopicity, c)  # ARG eq. 9
        return cls(zeta[:, None] / eta, critical**2 / (eta + 3.0 * zeta[:, None]), critical)

    def max_supersaturation(
        self, breadth: Factor, spread: Factor, exponent: Factor
    ) -> NDArray[np.float64]:
        """Return the maximum supersaturation [1], (n,), by ARG eq. 6.

        Parameters
        ----------
        breadth, spread : ndarray, shape (mode,), or float
            f and g of ARG [1].
        exponent : ndarray, shape (n, mode), or float
            Exponent of zeta / eta [1], 3/2 in ARG.
        """
        terms = (
            breadth * self.kinetic_limitation**exponent + spread * self.growth**0.75
        ) / self.critical**2
        return np.asarray(1.0 / np.sqrt(terms.sum(axis=1)))
