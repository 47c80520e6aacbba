"""Which candidates step 2 trains: the control group, and the rounds along the front."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.config import RetrainConfig
from emufort.retrain.rounds import Rounds, on_the_front
from tests.search.candidates import made, random_trials

examples = settings(deadline=None, derandomize=True, max_examples=40)
AUTO = RetrainConfig()


def carried_out(rounds: Rounds, final) -> tuple[list[int], list[int]]:
    """Train by `rounds` with the losses `final` (by number); return the control group, the rest."""
    control = [t.number for t in rounds.control()]
    known = {number: float(final[number]) for number in control}
    chosen: list[int] = []
    while following := rounds.next(known):
        assert len(following) <= 6
        chosen += [t.number for t in following]
        known |= {t.number: float(final[t.number]) for t in following}
    assert len(known) == len(control) + len(chosen)  # each once
    return control, chosen


# ------------------------------------------------------------------- the control group


@pytest.mark.parametrize(
    ("n", "size"), [(1, 0), (2, 1), (20, 10), (31, 15), (32, 16), (128, 16), (320, 16), (321, 17)]
)
def test_five_percent_at_least_sixteen_at_most_half(n, size):
    control = Rounds(random_trials(n), AUTO, seed=1).control()
    assert len({t.number for t in control}) == len(control) == size
    assert [t.number for t in control] == sorted(t.number for t in control)


def test_as_many_as_asked_for():
    for asked in (0, 1, 7, 30, 99):
        rounds = Rounds(random_trials(30), RetrainConfig(control=asked, top=3), seed=1)
        assert len(rounds.control()) == min(asked, 30)
        assert rounds.most == min(asked + 3, 30)


def test_the_control_group_is_random_and_that_of_the_seed():
    trials = random_trials(64)
    groups = [[t.number for t in Rounds(trials, AUTO, seed).control()] for seed in range(200)]
    assert groups[3] == [t.number for t in Rounds(trials, AUTO, 3).control()]
    assert len(set(map(tuple, groups))) == 200
    # Every candidate is as likely, good or not: 50 of 200 groups, with a deviation of 6.1.
    counts = np.bincount(np.concatenate(groups), minlength=64)
    assert counts.sum() == 200 * 16
    assert 25 < counts.min() <= counts.max() < 75
    order = np.argsort([t.value for t in trials])
    assert abs(counts[order[:32]].sum() / counts.sum() - 0.5) < 0.03


def test_losses_do_not_matter_to_the_control_group():
    one, other = random_trials(40, seed=1), random_trials(40, seed=2)
    numbers = [[t.number for t in Rounds(trials, AUTO, 5).control()] for trials in (one, other)]
    assert numbers[0] == numbers[1]


# ------------------------------------------------------------------- the rounds


@examples
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 20), st.integers(0, 12))
def test_as_many_are_chosen_as_asked_for(seed, n, top, control):
    trials = random_trials(n, seed)
    final = np.exp(np.random.default_rng(seed).normal(size=n))
    rounds = Rounds(trials, RetrainConfig(top=top, control=control), seed=seed)
    group, chosen = carried_out(rounds, final)
    assert len(group) == min(control, n)
    assert len(chosen) == min(top, n - len(group))
    assert not set(group) & set(chosen)


def test_an_open_number_stops_early_where_nothing_is_to_be_gained():
    # Step 1 foretells exactly, but for the level; the more expensive, the better.
    trials = [made(i, 1.0 / (1 + i)) for i in range(240)]
    rounds = Rounds(trials, AUTO, seed=1)
    assert (len(rounds.control()), rounds.most) == (16, 16 + 30)
    # One is the best at any cost: nothing is left to be gained once it is trained.
    best = [made(i, 0.001 if i == 0 else 1.0 + i / 100) for i in range(240)]
    group, chosen = carried_out(Rounds(best, AUTO, seed=1), [3 * t.value for t in best])
    assert (len(group), len(chosen)) == (16, 12)
    assert 0 in group + chosen[:1]
    # Where step 1 says nothing, the next may always be the best.
    noise = np.exp(np.random.default_rng(0).normal(size=240))
    _, chosen = carried_out(rounds, noise)
    assert len(chosen) == 30


def test_a_given_number_does_not_stop_early():
    best = [made(i, 0.001 if i == 0 else 1.0 + i / 100) for i in range(60)]
    options = RetrainConfig(top=25, control=16)
    _, chosen = carried_out(Rounds(best, options, seed=1), [3 * t.value for t in best])
    assert len(chosen) == 25


def test_the_choice_follows_what_the_control_group_showed():
    # One activation function is placed too low by step 1, by a factor of 5.
    rng = np.random.default_rng(1)
    late = np.arange(160) % 2 == 1
    true = np.exp(0.5 * rng.normal(size=160))
    trials = [
        made(i, true[i] * (5.0 if late[i] else 1.0), activation="silu" if late[i] else "relu",
             hidden=(8, 4 + i))
        for i in range(160)
    ]  # fmt: skip
    rounds = Rounds(trials, RetrainConfig(top=12, control=16), seed=1)
    assert not late[np.argsort(rounds.foretold)[:20]].any()
    _, chosen = carried_out(rounds, true)
    assert 3 <= sum(late[chosen]) <= 9
    group = [t.number for t in rounds.control()]
    assert int(np.argmin(true)) in {*group, *chosen}


def test_what_diverged_in_step_1_is_never_trained():
    trials = [made(i, math.inf if i % 3 == 0 else 1.0 + i) for i in range(30)]
    rounds = Rounds(trials, RetrainConfig(top=99, control=4), seed=1)
    group, chosen = carried_out(rounds, np.ones(30))
    assert sorted(group + chosen) == [i for i in range(30) if i % 3]
    nothing = Rounds([made(0, math.inf)], AUTO, seed=1)
    assert carried_out(nothing, [1.0]) == ([], [])


def test_trainings_of_step_2_may_all_diverge():
    rounds = Rounds(random_trials(40), RetrainConfig(top=12), seed=1)
    group, chosen = carried_out(rounds, np.full(40, np.inf))
    assert (len(group), len(chosen)) == (16, 12)


def test_of_the_same_network_the_lowest_loss_stands_for_all():
    trials = [
        made(0, 0.5, hidden=(8,)),
        made(1, 0.3, hidden=(8,), learning_rate=2e-3),
        made(2, 0.4, hidden=(8,), activation="silu"),
        made(3, 0.2, hidden=(8,), target="a"),
        made(4, 0.3, hidden=(8,), batch_size=128),
        made(5, math.inf, hidden=(16,)),
    ]
    rounds = Rounds(trials, RetrainConfig(top=9, control=0), seed=1)
    assert rounds.distinct == [1, 2, 3]
    assert sorted(carried_out(rounds, np.ones(6))[1]) == [1, 2, 3]


def test_numbers_of_trials_are_no_positions():
    trials = [replace(trial, number=100 - i) for i, trial in enumerate(random_trials(20))]
    rounds = Rounds(trials, RetrainConfig(top=5, control=5), seed=1)
    found = rounds.known({100: 0.5, 81: math.inf})
    assert found[0] == 0.5
    assert math.isinf(found[19])
    assert np.isnan(found[1:19]).all()
    group, chosen = carried_out(rounds, np.ones(101))
    assert {*group, *chosen} <= {t.number for t in trials}


# ------------------------------------------------------------------- the front


@examples
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=20))
def test_the_front(points):
    cost = {i: float(c) for i, (c, _) in enumerate(points)}
    loss = {i: float(value) for i, (_, value) in enumerate(points)}
    found = on_the_front(cost, loss)

    losses = [loss[i] for i in found]
    assert all(later < 0.9 * before for before, later in itertools.pairwise(losses))
    useful = [i for i in cost if loss[i] <= 100 * min(loss.values())]
    assert set(found) <= set(useful)
    for i in useful:
        affordable = [loss[j] for j in found if cost[j] <= cost[i]]
        assert i in found or loss[i] >= 0.9 * min(affordable)
    assert [cost[i] for i in found] == sorted(cost[i] for i in found)
    # Of equals the first one.
    assert all(i == min(j for j in cost if points[j] == points[i]) for i in found)
