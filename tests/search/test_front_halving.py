"""Successive halving along the front of loss against time."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.search.halving import (
    Outlook,
    Reached,
    along_the_front,
    successive_halving,
    survivors,
)
from emufort.search.outlook import outlook
from tests.search.candidates import made

examples = settings(deadline=None, derandomize=True, max_examples=50)
#: Few different values, so that some are equal; some are not finite.
VALUES = st.sampled_from([*(2.0**i for i in range(-6, 6)), math.inf, math.nan])
TIMES = st.sampled_from([2.0**i for i in range(8)])
CANDIDATES = st.lists(st.tuples(VALUES, TIMES, st.integers(0, 2)), min_size=1, max_size=40)
ETA = st.integers(2, 5)


def sure(losses, noise: float = 0.0, front=()) -> Outlook:
    """Return the outlook of losses that change by nothing but the noise."""
    return Outlook(losses, np.full(len(losses), noise), front)


def front(n: int, seed: int = 0, spread: float = 3.0) -> tuple[list[float], list[float]]:
    """Return n candidates on a front and 3 n behind it; the front has the first positions."""
    rng = np.random.default_rng(seed)
    times = np.geomspace(10.0, 500.0, n)
    losses = 1.0 / times
    behind = rng.choice(times, 3 * n) * (1.0 + 0.01 * rng.random(3 * n))
    slower = spread * (1.0 + rng.random(3 * n)) / behind
    return [*losses, *slower], [*times, *behind]


# ------------------------------------------------------------------- properties


@examples
@given(CANDIDATES, ETA)
def test_one_in_eta_continues_at_least_one_never_a_diverged_one(candidates, eta):
    values, times, groups = (list(column) for column in zip(*candidates, strict=True))
    finite = sum(map(math.isfinite, values))
    kept = survivors(values, eta, groups, times=times)
    assert len(kept) == min(finite, max(1, len(values) // eta))
    assert kept == sorted(set(kept))
    assert all(math.isfinite(values[i]) for i in kept)


@examples
@given(CANDIDATES, ETA, st.randoms(use_true_random=False))
def test_the_order_of_candidates_does_not_matter(candidates, eta, random):
    values, times, _ = (list(column) for column in zip(*candidates, strict=True))
    order = list(range(len(values)))
    random.shuffle(order)
    kept = survivors([values[i] for i in order], eta, times=[times[i] for i in order])
    # Which of several equal candidates continues may differ.
    pairs = [(values[i], times[i]) for i in survivors(values, eta, times=times)]
    shuffled = [(values[order[i]], times[order[i]]) for i in kept]
    assert sorted(shuffled) == sorted(pairs)


@examples
@given(CANDIDATES, ETA, st.floats(0.01, 100.0))
def test_the_units_of_loss_and_time_do_not_matter(candidates, eta, factor):
    values, times, _ = (list(column) for column in zip(*candidates, strict=True))
    # Powers of 2 are exact, so that the logarithms differ by a constant up to rounding.
    factor = 2.0 ** round(math.log2(factor))
    kept = survivors(values, eta, times=times)
    assert survivors(values, eta, times=[factor * t for t in times]) == kept


@examples
@given(st.integers(1, 12), ETA)
def test_at_equal_times_the_lowest_losses_continue(n, eta):
    values = [1.5**i for i in np.random.default_rng(n).permutation(n)]
    kept = survivors(values, eta, times=[7.0] * n, foretell=sure)
    assert values.index(min(values)) in kept


# ------------------------------------------------------------------- a planted front


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_front_continues(seed):
    values, times = front(8, seed)
    kept = survivors(values, 4, times=times)
    assert len(kept) == 8
    # The losses are noisy, so that a few from closely behind the front may take a place.
    assert len([i for i in kept if i < 8]) >= 7
    assert {0, 7} <= set(kept)
    # The best quarter by loss alone has no cheap network.
    assert min(times[i] for i in survivors(values, 4)) > 3 * min(times)


def test_without_noise_exactly_the_front_continues():
    values, times = front(8)
    order = along_the_front(sure(np.log(values)), np.array(times), 8)
    assert sorted(order) == list(range(8))


def test_behind_the_front_the_next_front_follows():
    # Two fronts of four; the second has twice the losses of the first.
    times = np.array([10.0, 30.0, 90.0, 270.0] * 2)
    losses = np.log(np.concatenate([1 / times[:4], 2 / times[4:]]))
    order = along_the_front(sure(losses), times, 8)
    assert sorted(order[:4]) == [0, 1, 2, 3]
    assert sorted(order) == list(range(8))


def test_within_the_noise_several_of_one_time_continue():
    # At the first time ten candidates are equally good; at the second one is a little better.
    times = np.array([10.0] * 10 + [100.0])
    losses = np.log(np.array([1.0] * 10 + [0.9]))
    noisy = along_the_front(sure(losses, 0.5), times, 3)
    assert 10 in along_the_front(sure(losses), times, 3)
    assert len([i for i in noisy if i < 10]) >= 2


def test_a_useless_network_does_not_continue_however_cheap():
    # The cheapest has 10,000 times the lowest loss; a network of twice the time has a tenth more.
    values, times = [1.0, 1e-4, 1.1e-4, 5e-4], [1.0, 100.0, 50.0, 80.0]
    assert 0 not in survivors(values, 2, times=times)


# ------------------------------------------------------------------- earlier batches


def test_candidates_that_lower_the_known_front_come_first():
    # The front of earlier batches is as good as the first candidate, the second is better.
    values, times = [1.0, 0.1, 3.0, 4.0], [10.0, 100.0, 12.0, 90.0]
    known = [(math.log(0.5), 10.0), (math.log(0.4), 100.0)]

    def run(positions, epochs):
        return [values[p] for p in positions]

    def foretell(positions, epochs, losses):
        assert (list(positions), epochs) == ([0, 1, 2, 3], 1)
        assert losses == pytest.approx(np.log(values))
        return sure(losses, 0.05, known)

    alone = successive_halving(4, (1, 2), 4, run, times=times)
    after = successive_halving(4, (1, 2), 4, run, times=times, foretell=foretell)
    assert [c.pruned_at for c in alone] == [None, 1, 1, 1]
    assert [c.pruned_at for c in after] == [1, None, 1, 1]


def test_finished_trials_calibrate_the_outlook():
    # Networks with silu fall to a hundredth of their loss, the others to a tenth.
    rng = np.random.default_rng(0)
    here = np.exp(rng.normal(size=40))
    names = ["silu", "relu"] * 20
    finished = [
        dataclasses.replace(
            made(i, loss, loss / (100 if name == "silu" else 10), hidden=(8,), activation=name),
            predicted_ns=10.0 + i,
        )
        for i, (loss, name) in enumerate(zip(here, names, strict=True))
    ]
    active = [made(50 + i, 1.0, hidden=(8,), activation=name) for i, name in enumerate(names[:2])]
    found = outlook(finished, active, 1, np.log([0.5, 0.5]))
    assert np.exp(found.mean) == pytest.approx([0.005, 0.05], rel=0.1)
    assert found.front[3] == (pytest.approx(math.log(finished[3].value)), 13.0)
    # The usual noise counts as 4 candidates.
    assert max(found.spread) < 0.3
    few = outlook(finished[:1], active, 1, np.log([0.5, math.inf]))
    assert np.exp(few.mean) == pytest.approx([0.005, math.inf])
    # The factor of one candidate is as uncertain as its prediction.
    assert few.spread[0] > 0.5
    perfect = outlook([dataclasses.replace(finished[0], value=0.0)], active, 1, np.log([0.5, 0.25]))
    assert math.isfinite(perfect.front[0][0])
    nothing = outlook([], active, 1, np.log([0.5, 0.25]))
    assert np.exp(nothing.mean) == pytest.approx([0.5, 0.25])
    assert nothing.spread == pytest.approx([0.5, 0.5])


def test_asha_takes_a_share_of_all_so_far():
    values, times = front(4)
    good = [Reached(v / 100, None, t) for v, t in zip(values, times, strict=True)] * 4
    assert survivors(values, 4, earlier=good, times=times) == []
    poor = [Reached(v * 90, None, t) for v, t in zip(values, times, strict=True)] * 4
    kept = survivors(values, 4, earlier=poor, times=times)
    assert {0, 1, 2, 3} <= set(kept)
    assert len(kept) > 4
    # An evenly spaced sample represents many earlier ones.
    assert {0, 1, 2, 3} <= set(survivors(values, 4, earlier=poor * 63, times=times))
    assert survivors(values, 4, earlier=good * 63, times=times) == []


def test_groups_are_compared_by_their_places():
    # The group b learns late: its losses are a hundred times higher, in the same order.
    values, times = front(8)
    late = [100 * v for v in values]
    groups = ["a"] * 32 + ["b"] * 32
    kept = survivors([*values, *late], 4, groups, times=[*times, *times])
    assert len(kept) == 16
    assert len([i for i in kept if i >= 32]) >= 5
    together = survivors([*values, *late], 4, times=[*times, *times])
    assert all(i < 32 for i in together)
