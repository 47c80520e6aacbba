"""The regression of final losses on those that step 1 foretells."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from emufort.search.calibration import Calibration, _ridge

SEEDS = st.integers(0, 2**32 - 1)
examples = settings(deadline=None, derandomize=True, max_examples=40)


def case(seed: int, n: int = 60, known: int = 20, noise: float = 0.05, shift: float = 1.0):
    """Return losses foretold, features, all final losses, and those that are known.

    Step 1 places half of the candidates, a group, too low by `shift` in the logarithm, and errs by
    half of that times another feature.
    """
    rng = np.random.default_rng(seed)
    foretold = np.exp(rng.normal(size=n))
    group, slope = (np.arange(n) % 2).astype(float), rng.normal(size=n)
    errors = -shift * group + 0.5 * shift * slope + noise * rng.normal(size=n)
    final = foretold * np.exp(0.3 + errors)
    features = np.column_stack([np.log(foretold), group, 100.0 + 10.0 * slope, rng.normal(size=n)])
    trained = np.full(n, np.nan)
    at = rng.permutation(n)[:known]
    trained[at] = final[at]
    return foretold, features, final, trained


def test_few_trainings_tell_the_shift_of_a_group_and_a_slope():
    for seed in range(5):
        foretold, features, final, trained = case(seed, n=200, known=20)
        found = Calibration.fit(foretold, features, trained)
        rest = np.isnan(trained)
        errors = (found.mean - np.log(final))[rest]
        before = (np.log(foretold) - np.log(final))[rest]
        assert math.isfinite(found.penalty)
        assert errors.std() < 0.15 < 0.5 < before.std()
        assert abs(errors.mean()) < 0.1
        assert spearmanr(found.mean[rest], final[rest]).statistic > 0.98
        assert found.noise < 0.5 * found.uncalibrated
        # Its own estimate of its error is about right.
        assert 0.5 < found.noise / errors.std() < 2.0


@examples
@given(SEEDS, st.integers(6, 60), st.floats(0.0, 2.0), st.floats(0.0, 2.0))
def test_by_its_own_estimate_it_is_never_worse_than_no_correction(seed, known, noise, shift):
    foretold, features, _, trained = case(seed, 60, known, noise, shift)
    found = Calibration.fit(foretold, features, trained)
    assert found.noise <= found.uncalibrated
    at = ~np.isnan(trained)
    errors = found.left_out[at] - np.log(trained[at])
    assert found.noise == pytest.approx(np.sqrt(np.mean(errors**2)), abs=1e-9)


def test_where_errors_have_no_direction_hardly_anything_is_corrected():
    corrected = 0
    for seed in range(40):
        foretold, features, _, trained = case(seed, known=20, noise=0.5, shift=0.0)
        found = Calibration.fit(foretold, features, trained)
        corrections = found.mean - np.log(foretold)
        if math.isinf(found.penalty):
            assert np.ptp(corrections) == pytest.approx(0.0, abs=1e-12)
        corrected += np.std(corrections) > 0.25
    assert corrected <= 4


@pytest.mark.parametrize("known", range(6))
def test_less_than_six_trainings_correct_the_level_alone(known):
    foretold, features, _, trained = case(1, known=known, noise=0.0)
    found = Calibration.fit(foretold, features, trained)
    at = ~np.isnan(trained)
    level = np.log(trained[at] / foretold[at]).mean() if known else 0.0
    assert math.isinf(found.penalty)
    assert found.mean == pytest.approx(np.log(foretold) + level)
    assert found.noise == found.uncalibrated > 0
    assert np.all(found.spread() >= found.noise)


def test_it_begins_to_correct_with_six():
    foretold, features, _, trained = case(1, known=6, noise=0.0)
    assert math.isfinite(Calibration.fit(foretold, features, trained).penalty)


@examples
@given(SEEDS, st.integers(0, 30))
def test_the_order_of_the_candidates_means_nothing(seed, known):
    foretold, features, _, trained = case(seed, known=known)
    order = np.random.default_rng(seed).permutation(len(foretold))
    one = Calibration.fit(foretold, features, trained)
    other = Calibration.fit(foretold[order], features[order], trained[order])
    assert other.mean == pytest.approx(one.mean[order], abs=1e-8)
    assert other.left_out == pytest.approx(one.left_out[order], abs=1e-8)
    assert other.spread() == pytest.approx(one.spread()[order], abs=1e-8)


@examples
@given(SEEDS, st.integers(0, 30), st.floats(-20.0, 20.0), st.floats(-20.0, 20.0))
def test_units_of_the_losses_and_features_mean_nothing(seed, known, first, second):
    foretold, features, _, trained = case(seed, known=known)
    one = Calibration.fit(foretold, features, trained)
    scaled = features * np.array([1.0, 1e3, 1e-3, -1.0]) + np.array([first, 0.0, 5.0, 0.0])
    other = Calibration.fit(foretold * math.exp(first), scaled, trained * math.exp(second))
    # Nothing is known of the level of step 2 until something is trained.
    moved = second if known else first
    assert other.mean == pytest.approx(one.mean + moved, abs=1e-6)
    assert other.noise == pytest.approx(one.noise, abs=1e-6)
    assert other.spread() == pytest.approx(one.spread(), abs=1e-6)


@examples
@given(SEEDS, st.integers(0, 30), st.integers(1, 60))
def test_what_diverged_in_step_1_stays_last_and_moves_no_other(seed, known, diverged):
    foretold, features, _, trained = case(seed, known=known)
    out = np.random.default_rng(seed).permutation(len(foretold))[:diverged]
    kept = np.setdiff1d(np.arange(len(foretold)), out)
    broken = foretold.copy()
    broken[out] = np.inf
    found = Calibration.fit(broken, features, trained)
    assert np.all(np.isinf(found.mean[out]))
    alone = Calibration.fit(foretold[kept], features[kept], trained[kept])
    assert found.mean[kept] == pytest.approx(alone.mean, abs=1e-9)
    assert np.all(np.isinf(found.draw(3, np.random.default_rng(0))[:, out]))


def test_trainings_that_diverged_in_step_2_are_no_evidence():
    foretold, features, _, trained = case(3, known=20)
    less = trained.copy()
    at = np.flatnonzero(~np.isnan(trained))[:5]
    less[at] = np.nan
    trained[at] = np.inf
    one, other = (Calibration.fit(foretold, features, t) for t in (less, trained))
    assert np.array_equal(one.mean, other.mean)
    assert one.noise == other.noise


def test_constant_features_and_no_candidates():
    foretold, _, _, trained = case(2, known=20)
    found = Calibration.fit(foretold, np.ones((60, 3)), trained)
    assert found.mean == pytest.approx(np.log(foretold) + found.mean[0] - np.log(foretold[0]))
    nothing = Calibration.fit(np.zeros(0), np.zeros((0, 1)), np.zeros(0))
    assert nothing.mean.shape == nothing.spread().shape == (0,)


@pytest.mark.parametrize("known", [0, 3, 20])
def test_draws_have_the_mean_and_the_spread(known):
    foretold, features, _, trained = case(5, known=known, noise=0.2)
    found = Calibration.fit(foretold, features, trained)
    drawn = found.draw(20_000, np.random.default_rng(1))
    spread = found.spread()
    assert np.abs(drawn.mean(axis=0) - found.mean).max() < 5 * spread.max() / np.sqrt(20_000)
    assert drawn.std(axis=0) == pytest.approx(spread, rel=0.03)
    assert np.array_equal(
        found.draw(4, np.random.default_rng(1)), found.draw(4, np.random.default_rng(1))
    )


@examples
@given(SEEDS, st.sampled_from([0.3, 10.0, 1000.0, np.inf]))
def test_left_out_is_what_the_others_predict(seed, penalty):
    rng = np.random.default_rng(seed)
    design, rest = np.column_stack([np.ones(12), rng.normal(size=(12, 4))]), rng.normal(size=12)
    fit = _ridge(design, rest, penalty)
    for i in range(12):
        others = np.delete(np.arange(12), i)
        alone = _ridge(design[others], rest[others], penalty)
        assert fit.left_out[i] == pytest.approx(rest[i] - design[i] @ alone.weights, abs=1e-9)


def test_errors_are_those_of_the_trained_candidates_that_are_near():
    rng = np.random.default_rng(0)
    n = 400
    foretold = np.exp(np.linspace(-6, 0, n))
    # Good networks end where they were foretold, poor ones scatter.
    final = foretold * np.exp(np.where(np.arange(n) < n // 2, 0.05, 0.8) * rng.normal(size=n))
    final[rng.permutation(n)[40:]] = np.nan
    found = Calibration.fit(foretold, np.log(foretold)[:, None], final)
    assert found.spread()[:50].max() < 0.3
    assert found.spread()[-50:].min() > 0.5
    drawn = found.draw(4000, np.random.default_rng(1)).std(axis=0)
    assert drawn == pytest.approx(found.spread(), rel=0.1)
