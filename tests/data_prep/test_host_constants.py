"""The parcel model with the constants and modes of hosts, against an integration by scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from emufort.processes.aerosol_activation.constants import PYRCEL, PhysicalConstants
from emufort.processes.aerosol_activation.kohler import kelvin_length
from emufort.processes.aerosol_activation.parcel_model import (
    STATUS_PEAK,
    ParcelOptions,
    solve_cells,
    solve_modes,
)
from emufort.processes.aerosol_activation.preset import Preset, names
from emufort.processes.aerosol_activation.thermodynamics import (
    diffusivity,
    saturation_vapour_pressure,
    thermal_conductivity,
)
from tests.data_prep.conftest import SIGMA, columns_of

pytestmark = pytest.mark.usefixtures("gfortran")

EXACT = ParcelOptions(relative_tolerance=1e-8, maximum_steps=200_000)
RADII = np.array([3e-8, 6e-8, 1e-7, 2e-7, 5e-7])  # dry [m]
NUMBERS = np.array([5e8, 3e8, 1e8, 2e7, 1e6])  # [m-3]
KAPPAS = np.array([0.1, 0.3, 0.5, 0.6, 1.0])
#: Constants of no host, all of them far from those of pyrcel.
OTHERS = PhysicalConstants(
    gravity=9.0,
    gas_constant_air=300.0,
    gas_constant_vapour=430.0,
    heat_capacity_air=1100.0,
    latent_heat=2.6e6,
    density_water=950.0,
    initial_supersaturation=-0.03,
    accommodation_coefficient=0.4,
)


def equilibrium(radius, dry, kappa, kelvin):
    """Supersaturation in equilibrium with wet radii [1], Petters and Kreidenweis (2007), eq. 6."""
    volume = radius**3 - dry**3
    return np.exp(kelvin / radius) * volume / (volume + kappa * dry**3) - 1.0


def integrated(temperature, pressure, speed, c):
    """Largest supersaturation of an ascent, by scipy, from the equations with gas constants."""

    def rates(time, state):
        p, t, vapour, s, *radius = state
        radius = np.array(radius)
        es = saturation_vapour_pressure(t)
        density = p / (c.gas_constant_air * (1.0 + 0.61 * vapour) * t)
        d, k = diffusivity(t, p), thermal_conductivity(t)
        d_length = (
            d / c.accommodation_coefficient * np.sqrt(2 * np.pi / (c.gas_constant_vapour * t))
        )
        k_length = (
            k
            / (0.96 * density * c.heat_capacity_air)
            * np.sqrt(2 * np.pi / (c.gas_constant_air * t))
        )
        d, k = d / (1.0 + d_length / radius), k / (1.0 + k_length / radius)
        resistance = c.density_water * c.gas_constant_vapour * t / (es * d)
        resistance += (
            c.latent_heat * c.density_water / (k * t)
            * (c.latent_heat / (c.gas_constant_vapour * t) - 1.0)
        )  # fmt: skip
        excess = s - equilibrium(radius, RADII, KAPPAS, kelvin_length(t, c))
        growth = excess / (radius * resistance)
        dry_density = (p - (1.0 + s) * es) / (c.gas_constant_air * t)
        condensed = 4 * np.pi * c.density_water / dry_density * np.sum(NUMBERS * radius**2 * growth)
        warming = (c.latent_heat * condensed - c.gravity * speed) / c.heat_capacity_air
        source = c.gravity / t * (
            c.latent_heat / (c.gas_constant_vapour * c.heat_capacity_air * t)
            - 1.0 / c.gas_constant_air
        )  # fmt: skip
        sink = c.gas_constant_vapour / c.gas_constant_air * p / es
        sink += c.latent_heat**2 / (c.heat_capacity_air * c.gas_constant_vapour * t**2)
        moistening = source * speed - sink * condensed
        return [-density * c.gravity * speed, warming, -condensed, moistening, *growth]

    def turns(time, state):
        return rates(time, state)[3]

    turns.terminal, turns.direction = True, -1.0
    s0, kelvin = c.initial_supersaturation, kelvin_length(temperature, c)
    start = [
        brentq(
            lambda r, dry, kappa: equilibrium(r, dry, kappa, kelvin) - s0,
            (1.0 + 1e-9) * dry,
            20.0 * dry,
            (dry, kappa),
            xtol=1e-20,
        )
        for dry, kappa in zip(RADII, KAPPAS, strict=True)
    ]
    es = saturation_vapour_pressure(temperature)
    vapour = (1.0 + s0) * 0.622 * es / (pressure - es)
    state = [pressure, temperature, vapour, s0, *start]
    done = solve_ivp(
        rates,
        (0.0, 400.0 / speed),
        state,
        method="Radau",
        rtol=1e-8,
        atol=[1e-3, 1e-7, 1e-10, 1e-11, *(1e-16 for _ in RADII)],
        events=turns,
    )
    assert done.success
    return float(done.y_events[0][0][3])


@pytest.mark.parametrize("constants", [PYRCEL, OTHERS], ids=["pyrcel", "others"])
def test_the_parcel_model_solves_the_equations_of_its_constants(constants):
    for temperature, pressure, speed in ((285.0, 9e4, 0.5), (265.0, 6e4, 2.0)):
        found = solve_cells(
            [temperature], [pressure], [speed], [RADII], [NUMBERS], [KAPPAS],
            constants=constants, options=EXACT,
        )  # fmt: skip
        assert found.status[0] == STATUS_PEAK
        expected = integrated(temperature, pressure, speed, constants)
        assert found.max_supersaturation[0] == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("name", names())
def test_every_preset_is_solved(name):
    preset = Preset.load(name)
    sigma = [mode.sigma for mode in preset.modes.values()]
    constants = preset.physical_constants()
    columns = columns_of(40, preset)
    found = solve_modes(columns, sigma, bins=30, constants=constants)
    assert (found.status == STATUS_PEAK).mean() > 0.8
    # the order of the modes changes the rounding only
    turned = {k: v[:, ::-1] if v.ndim == 2 else v for k, v in columns.items()}
    again = solve_modes(turned, sigma[::-1], bins=30, constants=constants)
    np.testing.assert_array_equal(found.status, again.status)
    peak = found.status == STATUS_PEAK
    np.testing.assert_allclose(
        found.max_supersaturation[peak], again.max_supersaturation[peak], rtol=1e-4
    )


def test_half_of_a_mode_twice_is_the_mode():
    columns = columns_of(40)
    whole = solve_modes(columns, SIGMA, bins=30, options=EXACT)
    halves = {k: np.repeat(v, 2, axis=1) if v.ndim == 2 else v for k, v in columns.items()}
    halves["number_concentration"] = halves["number_concentration"] / 2.0
    parts = solve_modes(halves, np.repeat(SIGMA, 2), bins=30, options=EXACT)
    np.testing.assert_array_equal(whole.status, parts.status)
    np.testing.assert_allclose(whole.max_supersaturation, parts.max_supersaturation, rtol=1e-6)
