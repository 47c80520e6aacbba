"""Physical constants of the activation formulas and of the parcel model [SI].

Host models differ in some constants. `PhysicalConstants` holds those; its defaults are the values
of pyrcel 2.0 (Rothenberg and Wang 2016, doi:10.1175/JAS-D-15-0223.1). Labels and classical schemes
get the same constants, so that differences between them are differences of the schemes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

#: Universal gas constant [J mol-1 K-1]. Only its ratios to molar masses matter.
GAS_CONSTANT: Final = 8.314

#: Parameters of a contract that hold constants: name -> (long name, units).
CONSTANTS: Final = {
    "gravity": ("acceleration of gravity", "m s-2"),
    "gas_constant_air": ("gas constant of dry air", "J kg-1 K-1"),
    "gas_constant_vapour": ("gas constant of water vapour", "J kg-1 K-1"),
    "heat_capacity_air": ("heat capacity of dry air at constant pressure", "J kg-1 K-1"),
    "latent_heat": ("latent heat of condensation of water", "J kg-1"),
    "density_water": ("density of liquid water", "kg m-3"),
    "initial_supersaturation": ("supersaturation at the start of the ascent", "1"),
    "accommodation_coefficient": ("mass accommodation coefficient of water", "1"),
}


@dataclass(frozen=True)
class PhysicalConstants:
    """Constants in which host models differ, and choices of the parcel model.

    The names are those of the parameters of a contract, in the order of `CONSTANTS`.

    Attributes
    ----------
    gravity : float
        Acceleration of gravity [m s-2].
    gas_constant_air, gas_constant_vapour : float
        Gas constants of dry air and of water vapour [J kg-1 K-1].
    heat_capacity_air : float
        Heat capacity of dry air at constant pressure [J kg-1 K-1].
    latent_heat : float
        Latent heat of condensation of water, constant [J kg-1].
    density_water : float
        Density of liquid water [kg m-3].
    initial_supersaturation : float
        Supersaturation over water at the start of the ascent [1], below 0: at 0 the equilibrium
        radius of an insoluble particle does not exist and the start is singular.
    accommodation_coefficient : float
        Mass accommodation coefficient of water [1].
    """

    gravity: float = 9.81
    gas_constant_air: float = GAS_CONSTANT / 0.0289
    gas_constant_vapour: float = GAS_CONSTANT / 0.018
    heat_capacity_air: float = 1004.0
    latent_heat: float = 2.25e6
    density_water: float = 1.0e3
    initial_supersaturation: float = -0.02
    accommodation_coefficient: float = 1.0

    @property
    def molar_mass_air(self) -> float:
        """Molar mass of dry air [kg mol-1], which belongs to `GAS_CONSTANT`."""
        return GAS_CONSTANT / self.gas_constant_air

    @property
    def molar_mass_water(self) -> float:
        """Molar mass of water [kg mol-1], which belongs to `GAS_CONSTANT`."""
        return GAS_CONSTANT / self.gas_constant_vapour

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Take the constants from a mapping of names to numbers or arrays of one number.

        Other names are ignored; constants that the mapping lacks are those of pyrcel.
        """
        names = (field.name for field in fields(cls))
        return cls(**{name: float(values[name]) for name in names if name in values})


#: The constants of pyrcel.
PYRCEL: Final = PhysicalConstants()
