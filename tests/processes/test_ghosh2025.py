"""The scheme of Ghosh et al. (2025): ARG2000 with other f, g and p."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.processes.aerosol_activation import arg2000, ghosh2025
from emufort.processes.aerosol_activation.arg2000 import ActivationBalance
from emufort.processes.aerosol_activation.constants import PYRCEL, PhysicalConstants
from emufort.processes.aerosol_activation.fortran import widths
from emufort.processes.aerosol_activation.preset import Preset

#: f, g and p (kinetically limited) for some widths, computed by hand from the fits of the paper.
FITS = {1.4: (0.371, 0.6648, 0.8800), 1.8: (0.956, 0.5388, 1.0101), 2.1: (1.945, 0.4443, 1.0299)}
MODES = {"sigma": [1.59, 1.4, 2.0]}


def parcels(n: int, seed: int = 0) -> dict[str, NDArray[np.float64]]:
    """Inputs with three modes, from clean air to air in which activation is kinetically limited."""
    rng = np.random.default_rng(seed)
    return {
        "air_temperature": rng.uniform(255.0, 305.0, n),
        "air_pressure": rng.uniform(5e4, 1e5, n),
        "updraft_speed": np.exp(rng.uniform(np.log(0.02), np.log(8.0), n)),
        "number_concentration": np.exp(rng.uniform(np.log(1e6), np.log(1e10), (n, 3))),
        "dry_median_radius": np.array([2e-8, 8e-8, 5e-7]) * rng.uniform(0.7, 1.4, (n, 3)),
        "hygroscopicity": rng.uniform(0.1, 1.1, (n, 3)),
    }


def scalar(row: dict[str, NDArray[np.float64]], width: float) -> float:
    """Return the maximum supersaturation of one parcel, term by term from ARG eq. 6 to 11."""
    balance = ActivationBalance.of(**{k: v[None] for k, v in row.items()}, constants=PYRCEL)
    total = 0.0
    for limitation, growth, critical in zip(
        balance.kinetic_limitation[0], balance.growth[0], balance.critical[0], strict=True
    ):
        f = 0.0135 * math.exp(2.367 * width)
        g = 1.1058 - 0.315 * width
        p = 1.5 if limitation <= 1.0 else -0.5073 + 1.5088 * width - 0.3699 * width * width
        total += (f * limitation**p + g * growth**0.75) / critical**2
    return total**-0.5


def test_the_fits_have_the_values_of_the_hand() -> None:
    for width, (f, g, p) in FITS.items():
        assert 0.0135 * math.exp(2.367 * width) == pytest.approx(f, abs=1e-3)
        assert 1.1058 - 0.315 * width == pytest.approx(g, abs=1e-4)
        assert -0.5073 + 1.5088 * width - 0.3699 * width**2 == pytest.approx(p, abs=1e-4)


@pytest.mark.parametrize("width", FITS)
def test_the_scheme_is_the_sum_over_modes(width: float) -> None:
    rows = parcels(200)
    found = ghosh2025.max_supersaturation(**rows, accumulation_width=width)
    limited = ActivationBalance.of(**rows, constants=PYRCEL).kinetic_limitation > 1.0
    assert 20 < limited.sum() < 500  # both branches of p
    for i in range(200):
        row = {name: values[i] for name, values in rows.items()}
        assert found[i] == pytest.approx(scalar(row, width), rel=1e-13)


def test_the_exponent_is_continuous_at_the_kinetic_limit() -> None:
    balance = ActivationBalance(
        np.array([[1.0 - 1e-12], [1.0 + 1e-12]]), np.ones((2, 1)), np.ones((2, 1))
    )
    exponent = np.where(balance.kinetic_limitation > 1.0, 0.88, 1.5)
    below, above = balance.max_supersaturation(0.371, 0.6648, exponent)
    assert above == pytest.approx(below, rel=1e-11)


def test_the_balance_with_other_factors_is_arg2000() -> None:
    rows, sigma = parcels(50), np.array(MODES["sigma"])
    balance = ActivationBalance.of(**rows, constants=PYRCEL)
    log_sigma = np.log(sigma)
    same = balance.max_supersaturation(
        0.5 * np.exp(2.5 * log_sigma**2), 1.0 + 0.25 * log_sigma, 1.5
    )
    whole = arg2000.max_supersaturation(**rows, geometric_standard_deviation=sigma)
    np.testing.assert_array_equal(same, whole)


def test_constants_of_the_host_count() -> None:
    rows = parcels(50)
    host = PhysicalConstants(latent_heat=2.501e6)
    there = ghosh2025.max_supersaturation(**rows, accumulation_width=1.6, constants=host)
    here = ghosh2025.max_supersaturation(**rows, accumulation_width=1.6)
    assert (there > here).all()


@pytest.mark.parametrize("width", [1.39, 2.11, float("nan")])
def test_other_widths_are_refused(width: float) -> None:
    with pytest.raises(ValueError, match=r"fitted for widths of 1\.4 to 2\.1"):
        ghosh2025.max_supersaturation(**parcels(2), accumulation_width=width)


def test_the_scheme_is_nearer_to_the_parcel_model_than_arg2000() -> None:
    # The paper finds less bias at all widths; labels and schemes here have the same constants.
    contract = Contract.load("activation")
    test = Dataset.open(None, contract).part("test")
    inputs = {
        variable.name: values
        for variable, values in zip(
            contract.input, np.split(test.x, [1, 2, 3, 7, 11], axis=1), strict=True
        )
    }
    rows = {
        name: values[:, 0] if values.shape[1] == 1 else values for name, values in inputs.items()
    }
    preset = Preset.load("e3sm_mam4")
    assert preset.accumulation_width == widths(contract)[0]
    constants = {
        "constants": PhysicalConstants.of(
            {p.name: p.values[0] for p in contract.parameter if len(p.values) == 1}
        )
    }
    truth = np.log(test.y[:, 0])
    arg = arg2000.max_supersaturation(
        **rows, geometric_standard_deviation=widths(contract), **constants
    )
    ghosh = ghosh2025.max_supersaturation(**rows, accumulation_width=1.8, **constants)
    bias = {
        name: np.mean(np.log(found) - truth) for name, found in (("arg", arg), ("ghosh", ghosh))
    }
    assert bias["arg"] < -0.4
    assert abs(bias["ghosh"]) < 0.5 * abs(bias["arg"])
