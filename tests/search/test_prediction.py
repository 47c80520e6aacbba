"""Losses that step 1 foretells of all candidates, and their order."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.search.prediction import features, foretold_losses, predicted_ranks
from tests.search.candidates import made, random_trials

examples = settings(deadline=None, derandomize=True, max_examples=60)
LOSS = st.one_of(st.floats(1e-9, 1e3), st.just(math.inf))
#: Losses at one to three rungs.
COURSES = st.lists(st.lists(LOSS, min_size=1, max_size=3), max_size=25)


def halved(n: int, seed: int, late: float = 1.0) -> tuple[list, np.ndarray]:
    """Return trials of three rungs, a quarter of which goes on, and their losses at the last.

    A rung lowers the loss to a third, of every second candidate to `late` of that.
    """
    rng = np.random.default_rng(seed)
    last = np.exp(rng.normal(size=n))
    factor = np.where(np.arange(n) % 2 == 0, 3.0, 3.0 / late)
    seen = np.stack([last * factor**2, last * factor, last])
    trials = []
    for i in range(n):
        reached = [1 + (i < n // 2) + (i < n // 4)][0]
        activation = "relu" if i % 2 == 0 else "silu"
        hidden = (8 + i // 2, 8)
        trials.append(made(i, *seen[:reached, i], hidden=hidden, activation=activation))
    return trials, last


def test_losses_of_one_rung_are_what_they_are():
    trials = random_trials(20)
    assert foretold_losses(trials).tolist() == [t.value for t in trials]
    order = sorted(range(20), key=lambda i: trials[i].value)
    assert [predicted_ranks(trials)[i] for i in order] == list(range(1, 21))


def test_those_that_reached_the_last_rung_keep_their_loss():
    trials, last = halved(40, seed=0)
    assert np.array_equal(foretold_losses(trials)[:10], last[:10])


def test_those_that_were_stopped_are_lifted_by_what_the_others_gained():
    trials, last = halved(40, seed=0)
    assert foretold_losses(trials) == pytest.approx(last, rel=1e-6)
    # Two survivors, too few for more than a common factor: 1/2 and 1/8, in the mean 1/4.
    few = [made(0, 8.0, 4.0), made(1, 8.0, 1.0), made(2, 16.0), made(3, 12.0)]
    assert foretold_losses(few) == pytest.approx([4.0, 1.0, 4.0, 3.0])
    assert predicted_ranks(few) == [3, 1, 4, 2] or predicted_ranks(few) == [4, 1, 3, 2]


def test_a_group_that_learns_late_is_lifted_by_its_own_gain():
    trials, last = halved(160, seed=1, late=0.5)
    found = foretold_losses(trials)
    first = np.array([t.rungs[0][1] for t in trials])
    stopped = np.arange(160) >= 40
    errors = np.log(found / last)[stopped]
    before = np.log(first / last)[stopped]
    assert errors.std() < 0.25 * before.std()
    assert abs(errors.mean()) < 0.25


@examples
@given(COURSES)
def test_ranks_are_a_permutation_and_follow_the_losses(courses):
    trials = [made(i, *losses) for i, losses in enumerate(courses)]
    losses, ranks = foretold_losses(trials), predicted_ranks(trials)
    assert sorted(ranks) == list(range(1, len(trials) + 1))
    in_order = losses[np.argsort(ranks)]
    assert not np.isnan(losses).any()
    assert list(in_order) == sorted(in_order)
    # A training that diverged is infinite, whatever it had before; no other is.
    assert [math.isinf(value) for value in losses] == [math.isinf(c[-1]) for c in courses]
    # Of equal losses the first one.
    for rank in range(1, len(trials)):
        if in_order[rank - 1] == in_order[rank]:
            assert ranks.index(rank) < ranks.index(rank + 1)


@examples
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_the_order_of_the_trials_means_nothing(seed, rungs):
    rng = np.random.default_rng(seed)
    courses = np.exp(rng.normal(size=(24, rungs)))
    trials = [made(i, *c[: 1 + (rungs - 1) * (i % 3 == 0)]) for i, c in enumerate(courses)]
    order = rng.permutation(24)
    shuffled = foretold_losses([trials[i] for i in order])
    assert shuffled == pytest.approx(foretold_losses(trials)[order], rel=1e-6)


@examples
@given(st.integers(0, 2**32 - 1))
def test_only_survivors_that_diverged_are_no_reason_to_place_others_last(seed):
    rng = np.random.default_rng(seed)
    first = np.exp(rng.normal(size=12))
    trials = [made(i, value, *([math.inf] if i < 3 else [])) for i, value in enumerate(first)]
    losses = foretold_losses(trials)
    assert np.isinf(losses[:3]).all()
    assert sorted(range(3, 12), key=lambda i: losses[i]) == sorted(
        range(3, 12), key=lambda i: first[i]
    )


def test_features_say_what_a_candidate_is():
    trials = [
        made(0, 2.0, hidden=(8, 4), activation="relu", weight_decay=0.0),
        made(1, 3.0, hidden=(16,), activation="silu", weight_decay=1e-4, batch_size=128),
        made(2, math.inf, hidden=(16, 8, 8), activation="silu", learning_rate=2e-3),
    ]
    trials = [replace(t, target="") for t in trials]
    found = features(trials, np.array([2.0, 3.0, math.inf]))
    cost = np.log([t.architecture.relative_cost for t in trials])
    columns = [
        [math.log(2.0), math.log(3.0), 0.0],
        cost,
        (cost - cost.mean()) ** 2,
        np.log([4, 16, 8]),
        [2, 1, 3],
        np.log([1e-3, 1e-3, 2e-3]),
        np.log([64, 128, 64]),
        [1, 0, 0], [0, 1, 1],  # relu, silu
        [1, 0, 1], [0, 1, 0],  # weight decay
    ]  # fmt: skip
    assert found == pytest.approx(np.array(columns, dtype=float).T)
    assert features([], np.zeros(0)).shape == (0, 1)
