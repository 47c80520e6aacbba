"""Physical constants of the activation formulas [SI].

The values are those of pyrcel 2.0 (Rothenberg and Wang 2016, doi:10.1175/JAS-D-15-0223.1) and of
the parcel model that labels the data set, so that differences between schemes are differences of
the schemes.
"""

from __future__ import annotations

from typing import Final

GRAVITY: Final = 9.81  #: [m s-2]
HEAT_CAPACITY_AIR: Final = 1004.0  #: of dry air at constant pressure [J kg-1 K-1]
LATENT_HEAT: Final = 2.25e6  #: of condensation of water [J kg-1]
DENSITY_WATER: Final = 1.0e3  #: [kg m-3]
GAS_CONSTANT: Final = 8.314  #: universal [J mol-1 K-1]
MOLAR_MASS_WATER: Final = 0.018  #: [kg mol-1]
MOLAR_MASS_AIR: Final = 0.0289  #: [kg mol-1]
THERMAL_ACCOMMODATION: Final = 0.96  #: [1]
MASS_RATIO_WATER_AIR: Final = 0.622  #: molar mass of water over that of air [1]

#: All constants by name, as the data set records them.
ALL: Final[dict[str, float]] = {
    "gravity": GRAVITY,
    "heat_capacity_air": HEAT_CAPACITY_AIR,
    "latent_heat": LATENT_HEAT,
    "density_water": DENSITY_WATER,
    "gas_constant": GAS_CONSTANT,
    "molar_mass_water": MOLAR_MASS_WATER,
    "molar_mass_air": MOLAR_MASS_AIR,
    "thermal_accommodation": THERMAL_ACCOMMODATION,
    "mass_ratio_water_air": MASS_RATIO_WATER_AIR,
}

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

#: Values of `CONSTANTS` with the constants of pyrcel.
PYRCEL: Final[dict[str, float]] = {
    "gravity": GRAVITY,
    "gas_constant_air": GAS_CONSTANT / MOLAR_MASS_AIR,
    "gas_constant_vapour": GAS_CONSTANT / MOLAR_MASS_WATER,
    "heat_capacity_air": HEAT_CAPACITY_AIR,
    "latent_heat": LATENT_HEAT,
    "density_water": DENSITY_WATER,
    "initial_supersaturation": -0.02,
    "accommodation_coefficient": 1.0,
}
