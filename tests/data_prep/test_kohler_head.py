"""Properties of the activated fractions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emufort.processes.aerosol_activation.fortran import scheme_contract, widths
from emufort.processes.aerosol_activation.head import activated_fractions
from emufort.processes.aerosol_activation.kohler import (
    critical_supersaturation,
    kelvin_length,
    mass_activated_fraction,
    number_activated_fraction,
)

SIGMA = np.array(widths(scheme_contract()))
temperatures = st.floats(220.0, 320.0)
radii = st.floats(1e-9, 3e-6)
kappas = st.floats(1e-4, 1.5)
supersaturations = st.floats(1e-7, 1.0)
sigmas = st.floats(1.05, 3.0)


def fractions(temperature, radius, kappa, smax, sigma):
    critical = critical_supersaturation([temperature], [[radius]], [[kappa]])
    number = number_activated_fraction(critical, [smax], [sigma])
    mass = mass_activated_fraction(critical, [smax], [sigma])
    return float(number[0, 0]), float(mass[0, 0])


@given(temperatures, radii, kappas, supersaturations, sigmas)
def test_fractions_are_fractions_and_mass_leads(temperature, radius, kappa, smax, sigma):
    number, mass = fractions(temperature, radius, kappa, smax, sigma)
    assert 0.0 <= number <= mass <= 1.0


@given(temperatures, radii, kappas, supersaturations, sigmas, st.floats(1.0, 100.0))
def test_more_supersaturation_never_activates_less(temperature, radius, kappa, smax, sigma, factor):
    low = fractions(temperature, radius, kappa, smax, sigma)
    high = fractions(temperature, radius, kappa, smax * factor, sigma)
    assert high[0] >= low[0]
    assert high[1] >= low[1]


@given(temperatures, radii, kappas, supersaturations, sigmas)
def test_larger_or_more_soluble_particles_activate_more(temperature, radius, kappa, smax, sigma):
    base = fractions(temperature, radius, kappa, smax, sigma)[0]
    assert fractions(temperature, 1.1 * radius, kappa, smax, sigma)[0] >= base
    assert fractions(temperature, radius, 1.1 * kappa, smax, sigma)[0] >= base


@given(temperatures, radii, kappas, sigmas)
def test_half_of_the_mode_activates_at_its_critical_supersaturation(
    temperature, radius, kappa, sigma
):
    critical = float(critical_supersaturation([temperature], [[radius]], [[kappa]])[0, 0])
    assert fractions(temperature, radius, kappa, critical, sigma)[0] == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize(("smax", "expected"), [(0.0, 0.0), (-1e-3, 0.0), (np.inf, 1.0)])
def test_limits(smax, expected):
    assert fractions(285.0, 5e-8, 0.5, smax, 1.8) == (expected, expected)


def test_nan_stays_nan():
    assert np.isnan(fractions(285.0, 5e-8, 0.5, np.nan, 1.8)).all()


def test_against_integration_of_the_lognormal():
    # count particles with a smaller critical supersaturation, and their volume, numerically
    temperature, median, kappa, sigma, smax = 283.0, 4e-8, 0.4, 1.7, 4e-3
    z = np.linspace(-10.0, 10.0, 400_001)
    radius = median * np.exp(z * np.log(sigma))
    active = critical_supersaturation(temperature, radius, np.full_like(radius, kappa)) <= smax
    weight = np.exp(-0.5 * z**2)
    number, mass = fractions(temperature, median, kappa, smax, sigma)
    assert number == pytest.approx((weight * active).sum() / weight.sum(), abs=2e-5)
    volume = weight * radius**3
    assert mass == pytest.approx((volume * active).sum() / volume.sum(), abs=2e-5)


def test_kelvin_length_value():
    # A = 2 * 0.018 * (0.0761 - 1.55e-4 * 25) / (8.314 * 298.15 * 1000)
    assert float(kelvin_length(298.15)) == pytest.approx(1.04895e-9, rel=1e-5)


def columns(n: int) -> dict[str, np.ndarray]:
    return {
        "air_temperature": np.full(n, 285.0),
        "dry_median_radius": np.tile([6e-8, 1.5e-8, 1e-6, 3e-8], (n, 1)),
        "hygroscopicity": np.full((n, 4), 0.5),
        "geometric_standard_deviation": SIGMA,
    }


def test_head_shapes_and_agreement_with_the_functions():
    smax = np.array([1e-4, 1e-3, 1e-2])
    found = activated_fractions(columns(3), smax)
    assert set(found) == {"number_activated_fraction", "mass_activated_fraction"}
    for values in found.values():
        assert values.shape == (3, 4)
        assert values.dtype == np.float64
        assert (np.diff(values, axis=0) >= 0.0).all()


def test_head_names_what_is_missing_or_misshaped():
    given_columns = columns(2)
    del given_columns["hygroscopicity"]
    with pytest.raises(KeyError, match="hygroscopicity"):
        activated_fractions(given_columns, [1e-3, 1e-3])
    with pytest.raises(ValueError, match="air_temperature"):
        activated_fractions(columns(3), [1e-3, 1e-3])
