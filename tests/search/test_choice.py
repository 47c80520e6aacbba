"""What step 2 trains next: the front of loss against cost in draws of what is not known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.retrain.choice import Front
from emufort.search.calibration import Calibration

SEEDS = st.integers(0, 2**32 - 1)
examples = settings(deadline=None, derandomize=True, max_examples=25)


def case(seed: int, n: int = 30, known: int = 8, diverged: int = 1):
    """Return a calibration, costs and the final losses that are known of `n` candidates."""
    rng = np.random.default_rng(seed)
    cost = np.exp(rng.integers(0, 8, n) / 2.0)  # some cost the same
    foretold = np.exp(rng.normal(size=n)) / cost
    final = np.full(n, np.nan)
    at = rng.permutation(n)
    final[at[:known]] = foretold[at[:known]] * np.exp(0.3 * rng.normal(size=known))
    final[at[: min(diverged, known)]] = np.inf
    foretold[at[n - 1]] = np.inf
    calibration = Calibration.fit(foretold, np.log(cost)[:, None], final)
    return calibration, cost, final


def heights(drawn, cost, taken) -> np.ndarray:
    """Return the front of the `taken` candidates in every draw at every cost, as it is defined."""
    limits = np.unique(np.geomspace(np.percentile(cost, 5.0), cost.max(), 40))
    limits[-1] = cost.max()
    found = np.full((len(drawn), len(limits)), drawn[np.isfinite(drawn)].max())
    for j, limit in enumerate(limits):
        for i in taken:
            if cost[i] <= limit:
                found[:, j] = np.minimum(found[:, j], drawn[:, i])
    return found


@examples
@given(SEEDS, st.integers(0, 12), st.integers(1, 8))
def test_the_choice_is_the_greedy_one(seed, known, k):
    calibration, cost, final = case(seed, known=known)
    front = Front(calibration, cost, final, seed=1)
    among = [i for i in range(len(cost)) if np.isnan(final[i])]
    taken = [i for i in range(len(cost)) if not np.isnan(final[i])]
    chosen = front.choose(among, k)
    assert len(chosen) == min(k, len(among))
    for i, gain in chosen:
        before = heights(front.drawn, cost, taken)
        gains = {
            other: float((before - heights(front.drawn, cost, [*taken, other])).mean())
            for other in among
            if other not in taken
        }
        assert gain == pytest.approx(gains[i], abs=1e-12)
        assert gains[i] >= max(gains.values()) - 1e-12
        taken.append(i)
    assert [gain for _, gain in chosen] == sorted((gain for _, gain in chosen), reverse=True)


@examples
@given(SEEDS, st.integers(0, 20))
def test_nothing_is_gained_from_what_is_known(seed, known):
    calibration, cost, final = case(seed, known=known)
    front = Front(calibration, cost, final, seed=1)
    assert all(front.gain(i) == 0.0 for i in np.flatnonzero(~np.isnan(final)))
    assert all(front.gain(i) >= 0.0 for i in range(len(cost)))
    for i, _ in front.choose(range(len(cost)), 5):
        assert front.gain(i) == 0.0


@examples
@given(SEEDS, st.integers(0, 12))
def test_regrets_by_definition(seed, known):
    calibration, cost, final = case(seed, known=known)
    front = Front(calibration, cost, final, seed=1)
    taken = np.flatnonzero(~np.isnan(final))
    of_taken = heights(front.drawn, cost, taken)
    of_all = heights(front.drawn, cost, range(len(cost)))
    best, along = front.regrets()
    assert best == pytest.approx(np.exp(of_taken[:, -1] - of_all[:, -1]) - 1.0, abs=1e-9)
    assert along == pytest.approx(np.exp((of_taken - of_all).mean(axis=1)) - 1.0, abs=1e-9)
    assert best.min() >= 0.0
    assert along.min() >= 0.0
    for i in range(len(cost)):
        front.add(i)
    assert not any(np.any(regret) for regret in front.regrets())


def test_nothing_is_lost_when_all_are_known():
    calibration, cost, final = case(4, known=30, diverged=3)
    for regret in Front(calibration, cost, final, seed=1).regrets():
        assert np.array_equal(regret, np.zeros(len(regret)))


def test_what_diverged_never_helps():
    calibration, cost, final = case(2, known=6, diverged=6)
    front = Front(calibration, cost, final, seed=1)
    assert np.ptp(heights(front.drawn, cost, np.flatnonzero(~np.isnan(final)))) == 0.0
    assert all(front.gain(i) == 0.0 for i in np.flatnonzero(np.isinf(final)))
    best, along = front.regrets()
    assert best.min() > 0.0
    assert along.min() > 0.0


def test_a_cheap_candidate_is_chosen_where_nothing_else_is_as_cheap():
    # Four of forty cost a tenth; one of them is ten times better than the others, and still twenty
    # times worse than those that cost more.
    cost = np.array([1.0] * 4 + [10.0] * 36)
    foretold = np.array([2.0, 20.0, 20.0, 20.0] + [0.1] * 36)
    final = np.full(40, np.nan)
    final[10:20] = 0.1 * np.exp(0.01 * np.arange(-5, 5))
    calibration = Calibration.fit(foretold, np.zeros((40, 1)), final)
    front = Front(calibration, cost, final, seed=1)
    among = [i for i in range(40) if np.isnan(final[i])]
    assert front.choose(among, 1)[0][0] == 0
    # Of the others none of the cheap ones is worth it now.
    assert all(i >= 4 for i, _ in front.choose([i for i in among if i], 5))


def test_at_the_same_cost_the_better_one_is_chosen():
    n = 40
    cost, final = np.full(n, 5.0), np.full(n, np.nan)
    foretold = np.full(n, 1.0)
    foretold[7] = 0.2
    final[20:30] = np.exp(0.1 * np.random.default_rng(0).normal(size=10))
    calibration = Calibration.fit(foretold, np.zeros((n, 1)), final)
    front = Front(calibration, cost, final, seed=1)
    # What is not known may turn out better than what is known to be as good.
    assert front.gain(3) > 0.0
    assert front.choose(range(20), 1)[0][0] == 7


def test_draws_are_those_of_the_seed():
    calibration, cost, final = case(3)
    one, same, other = (Front(calibration, cost, final, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.drawn, same.drawn)
    assert not np.array_equal(one.drawn, other.drawn)
