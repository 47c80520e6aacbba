"""The labels against tables, exact solutions, another method, and laws that any layer obeys."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.interpolate import BarycentricInterpolator

from two_stream import adding_doubling
from two_stream.adding_doubling import (
    Layer,
    add,
    delta_scaled,
    doubled,
    fluxes,
    gauss_nodes,
    layer_fluxes,
    thin_layer,
)
from two_stream.dataset import samples

Array = NDArray[np.float64]

optical_depths = st.floats(-3.0, 2.0).map(lambda power: 10.0**power)
asymmetry_factors = st.floats(0.0, 0.9)
cosines = st.floats(0.02, 1.0)


def layer(
    tau: float,
    coalbedo: float,
    g: float,
    cosine: float | Array = 0.5,
    streams: int = 16,
    doublings: int = 16,
) -> Layer:
    cosine = np.atleast_1d(cosine)
    ones = np.ones(len(cosine))
    scaled = delta_scaled(tau * ones, coalbedo * ones, g ** (2 * streams) * ones)
    thin = thin_layer(scaled[0] / 2.0**doublings, scaled[1], g * ones, cosine, streams)
    return doubled(thin, doublings)


def reflection_function(matrix: Array) -> Array:
    """Return R(mu_i, mu_j) of the books, of which R 2 mu_i w_i is a flux; the beam is left out."""
    nodes, weights = gauss_nodes(matrix.shape[-1] - 1)
    return matrix[:, 1:, 1:] / (2.0 * nodes * weights)[:, None]


# ------------------------------------------------------------------------------------- tables


def test_isotropic_layer_of_van_de_hulst() -> None:
    """Van de Hulst (1980), Multiple Light Scattering, table 12: albedo 0.8, optical depth 2."""
    cosine = np.array([1.0, 0.9, 0.7, 0.3, 0.1])
    reflected = [0.28616, 0.30277, 0.34188, 0.45353, 0.53214]
    transmitted = [0.14864, 0.14731, 0.13963, 0.09425, 0.06601]
    found = layer(2.0, 0.2, 0.0, cosine, streams=24)
    nodes, weights = gauss_nodes(24)
    for matrix, table in ((found.reflection, reflected), (found.transmission, transmitted)):
        radiance = matrix[:, 1:, 0] / (2.0 * nodes * weights)
        at_half = [float(BarycentricInterpolator(nodes, row)(0.5)) for row in radiance]
        assert at_half == pytest.approx(table, abs=1e-5)


def test_henyey_greenstein_layer_of_van_de_hulst() -> None:
    """Van de Hulst (1980): albedo 0.9, optical depth 2, g = 0.75, perpendicular incidence.

    The values as Wang, Jacques and Zheng (1995, Comput. Methods Programs Biomed. 47, 131) quote
    them.
    """
    found = layer_fluxes(2.0, 0.1, 0.75, 1.0)[0]
    assert found[:2] == pytest.approx([0.09739, 0.66096], abs=6e-6)


# ----------------------------------------------------------------------------- exact solutions


def h_function(coalbedo: float, at: float) -> float:
    """Chandrasekhar's H function for isotropic scattering, by iteration of its equation."""
    nodes, weights = gauss_nodes(128)
    half = 0.5 * (1.0 - coalbedo)

    def once(cosine: float | Array, h: Array) -> Array:
        # 1/H = sqrt(1 - albedo) + albedo/2 times the integral of m H(m) / (mu + m)
        integral = np.sum(weights * nodes * h / (np.atleast_1d(cosine)[:, None] + nodes), axis=1)
        return 1.0 / (np.sqrt(coalbedo) + half * integral)

    h = np.ones_like(nodes)
    for _ in range(200):
        h = 0.5 * (h + once(nodes, h))  # the iteration alone goes to and fro
    return float(once(at, h)[0])


def test_h_function_is_that_of_chandrasekhar() -> None:
    """Chandrasekhar (1950), Radiative Transfer, table XI: H(1) without absorption."""
    assert h_function(0.0, 1.0) == pytest.approx(2.9078, abs=1e-4)


@pytest.mark.parametrize("coalbedo", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("cosine", [0.05, 0.5, 1.0])
def test_a_thick_isotropic_layer_is_half_a_space(coalbedo: float, cosine: float) -> None:
    expected = 1.0 - np.sqrt(coalbedo) * h_function(coalbedo, cosine)
    found = layer_fluxes(100.0, coalbedo, 0.0, cosine)[0]
    assert found[0] == pytest.approx(expected, abs=2e-6)
    assert found[1] < 1e-6


@given(coalbedo=st.floats(0.0, 0.9), g=asymmetry_factors, cosine=st.floats(0.2, 1.0))
@settings(max_examples=20, deadline=None)
def test_a_thin_layer_scatters_once(coalbedo: float, g: float, cosine: float) -> None:
    tau = 1e-5
    thin = layer_fluxes(tau, coalbedo, g, cosine)[0]
    # fraction of the phase function that leads upward
    nodes, weights = gauss_nodes(400)
    azimuth = np.pi * (np.arange(400) + 0.5) / 400
    angle = -cosine * nodes[:, None] + np.sqrt(
        (1 - cosine**2) * (1 - nodes[:, None] ** 2)
    ) * np.cos(azimuth)
    phase = (1 - g * g) / (1 + g * g - 2 * g * angle) ** 1.5
    upward = 0.5 * np.sum(weights * phase.mean(axis=1))
    scattered = (1.0 - coalbedo) * tau / cosine
    assert thin[0] == pytest.approx(scattered * upward, rel=1e-3, abs=1e-4 * scattered)
    assert 1.0 - thin[0] - thin[1] == pytest.approx(coalbedo * tau / cosine, rel=1e-3, abs=1e-10)


@given(tau=optical_depths, coalbedo=st.floats(0.0, 1.0), cosine=cosines)
@settings(max_examples=20, deadline=None)
def test_the_beam_is_attenuated_exponentially(tau: float, coalbedo: float, cosine: float) -> None:
    direct = layer(tau, coalbedo, 0.0, cosine, streams=4, doublings=20).transmission[0, 0, 0]
    assert direct == pytest.approx(np.exp(-tau / cosine), abs=1e-6)
    found = layer_fluxes(tau, 1.0, 0.5, cosine, streams=4)[0]
    assert found[0] == pytest.approx(0.0, abs=1e-12)
    assert found[1] == pytest.approx(np.exp(-tau / cosine), abs=2e-5)


# -------------------------------------------------------------------------------------- laws


@given(tau=optical_depths, g=asymmetry_factors, cosine=cosines)
@settings(max_examples=25, deadline=None)
def test_energy_is_conserved_without_absorption(tau: float, g: float, cosine: float) -> None:
    found = layer_fluxes(tau, 0.0, g, cosine)[0]
    assert found[0] + found[1] == pytest.approx(1.0, abs=1e-8)
    assert found[2] + found[3] == pytest.approx(1.0, abs=1e-8)
    assert (found >= 0).all()


@given(tau=optical_depths, coalbedo=st.floats(1e-6, 1.0), g=asymmetry_factors, cosine=cosines)
@settings(max_examples=25, deadline=None)
def test_fractions_are_fractions(tau: float, coalbedo: float, g: float, cosine: float) -> None:
    found = layer_fluxes(tau, coalbedo, g, cosine)[0]
    assert (found >= -1e-12).all()
    assert found[0] + found[1] <= 1.0 + 1e-8
    assert found[2] + found[3] <= 1.0 + 1e-8


@pytest.mark.parametrize(("tau", "coalbedo", "g"), [(0.3, 0.1, 0.85), (20.0, 1e-4, 0.5)])
def test_directions_can_be_exchanged(tau: float, coalbedo: float, g: float) -> None:
    """Reciprocity, R(mu, mu') = R(mu', mu), and the same for the transmission."""
    found = layer(tau, coalbedo, g)
    for matrix in (found.reflection, found.transmission):
        function = reflection_function(matrix)[0]
        assert function == pytest.approx(function.T, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("g", [0.0, 0.85])
def test_two_sublayers_are_the_whole_layer(g: float) -> None:
    tau, coalbedo = 3.0, 0.02
    whole = layer(tau, coalbedo, g)
    third, rest = layer(tau / 3.0, coalbedo, g), layer(tau * 2.0 / 3.0, coalbedo, g)
    expected = fluxes(whole.reflection, whole.transmission)
    assert fluxes(*add(third, rest)) == pytest.approx(expected, abs=1e-6)
    assert fluxes(*add(rest, third)) == pytest.approx(expected, abs=1e-6)


def test_the_number_of_doublings_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    x = samples(64, seed=5)
    found = layer_fluxes(*x.T, streams=12)
    monkeypatch.setattr(adding_doubling, "_THIN", adding_doubling._THIN / 4.0)
    assert found == pytest.approx(layer_fluxes(*x.T, streams=12), abs=2e-6)


def test_the_streams_are_enough_all_over_the_ranges() -> None:
    corners = np.array(np.meshgrid([0.1, 0.3, 3.0], [1e-6, 0.1], [0.9], [0.02, 0.04])).reshape(
        4, -1
    )
    x = np.concatenate([samples(64, seed=6), corners.T])
    difference = np.abs(layer_fluxes(*x.T) - layer_fluxes(*x.T, streams=64))
    assert difference[:, :2].max() < 2e-5
    assert difference[:, 2:].max() < 2e-6
    coarse = np.abs(layer_fluxes(*x.T, streams=8) - layer_fluxes(*x.T, streams=64))
    assert coarse.max() > 1e-4, "eight streams would not be enough"


# ---------------------------------------------------------------------------- another method


def monte_carlo(
    tau: float, coalbedo: float, g: float, cosine: float, n: int
) -> tuple[float, float]:
    """Follow `n` photons through the layer; return reflectance and transmittance."""
    rng = np.random.default_rng(7)
    depth, direction, weight = np.zeros(n), np.full(n, cosine), np.ones(n)
    reflected = transmitted = 0.0
    while len(depth):
        depth = depth - direction * np.log(1.0 - rng.random(len(depth)))
        up, down = depth < 0.0, depth > tau
        reflected, transmitted = reflected + weight[up].sum(), transmitted + weight[down].sum()
        inside = ~(up | down)
        depth, direction = depth[inside], direction[inside]
        weight = weight[inside] * (1.0 - coalbedo)
        # Henyey-Greenstein angle, then the new direction
        share = (1 - g * g) / (1 - g + 2 * g * rng.random(len(depth)))
        angle = (1 + g * g - share**2) / (2 * g)
        turned = np.sqrt((1 - angle**2) * (1 - direction**2)) * np.cos(
            2 * np.pi * rng.random(len(depth))
        )
        direction = direction * angle + turned
    return reflected / n, transmitted / n


@pytest.mark.parametrize(
    ("tau", "coalbedo", "g", "cosine"), [(5.0, 0.01, 0.85, 0.6), (0.5, 0.1, 0.9, 0.1)]
)
def test_photons_go_the_same_ways(tau: float, coalbedo: float, g: float, cosine: float) -> None:
    n = 100_000
    found = layer_fluxes(tau, coalbedo, g, cosine)[0]
    # the deviation of a mean of values between 0 and 1 is at most 1/(2 sqrt(n))
    assert monte_carlo(tau, coalbedo, g, cosine, n) == pytest.approx(
        found[:2], abs=2.0 / np.sqrt(n)
    )


# ------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "arguments",
    [(0.0, 0.1, 0.5, 0.5), (1.0, -0.1, 0.5, 0.5), (1.0, 0.1, 1.0, 0.5), (1.0, 0.1, 0.5, 0.0),
     (np.nan, 0.1, 0.5, 0.5), (np.inf, 0.1, 0.5, 0.5), (1.0, 0.1, 0.5, 1.1)],
)  # fmt: skip
def test_what_is_no_layer_is_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="a layer needs an optical depth above 0"):
        layer_fluxes(*arguments)


def test_progress_counts_every_layer() -> None:
    told: list[int] = []
    layer_fluxes(np.geomspace(1e-3, 10.0, 100), 0.1, 0.5, 0.5, streams=4, advance=told.append)
    assert sum(told) == 100
