"""The benchmark of searches with two objectives, on a table that is made up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.objectives.__main__ import (
    DEFAULT,
    OURS,
    first_reaching,
    median_interval,
    ratio,
    reached,
)
from benchmarks.objectives.replay import Method, Table, hypervolume, predicted_ns, replay
from benchmarks.objectives.trainings import SPACE, Trained, all_candidates, key_of, rates
from emufort.search.space import Candidate

COORDINATE = st.integers(0, 6).map(float)
POINTS = st.lists(st.tuples(COORDINATE, COORDINATE), max_size=12)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(POINTS)
def test_hypervolume_by_counting_cells(points):
    cells = {
        (x, y)
        for a, b in points
        for x in range(5)
        for y in range(5)
        if x >= a and y >= b
    }  # fmt: skip
    found = hypervolume(np.array(points).reshape(-1, 2), (5.0, 5.0))
    assert found == pytest.approx(len(cells))


def test_candidates_of_the_space():
    candidates = all_candidates()
    assert all(key_of(candidate) == key for key, candidate in candidates.items())
    low, high = SPACE.learning_rate
    assert low < min(rates()) < max(rates()) < high
    assert key_of(Candidate((8,), "relu", 1.01 * rates()[2], 64)) == ((8,), "relu", 2)


@pytest.fixture(scope="module")
def table() -> Table:
    """Return a table where losses fall with the time, and a longer training costs more."""
    rows = {}
    for hidden, activation, rate in all_candidates():
        ns = predicted_ns(hidden, activation)
        loss = 1 / ns if activation == "relu" else 20 / ns
        rows[hidden, activation, rate] = Trained((8 * loss, 2 * loss, loss), (1.0, 4.0, 16.0))
    return Table(rows)


def test_a_replay_counts_the_trainings(table):
    ours = replay(table, OURS, 1, trials=64)
    # Two batches of 32: 32, 8 and 2 trainings of each.
    assert ours[-1, 0] == 2 * (32 * 1.0 + 8 * 4.0 + 2 * 16.0)
    assert len(ours) == 4
    assert (np.diff(ours[:, 1]) >= 0).all()
    assert np.array_equal(ours, replay(table, OURS, 1, trials=64))
    whole = replay(table, Method("all", "random", "none"), 1, seconds=16.0 * 33)
    assert len(whole) == 64
    assert whole[-1, 0] == 64 * 16.0


def test_the_front_is_found_faster_than_the_lowest_loss(table):
    seeds = range(4)
    ours = [replay(table, OURS, seed, trials=256) for seed in seeds]
    others = [replay(table, DEFAULT, seed, trials=256) for seed in seeds]
    assert np.mean([run[-1, 1] for run in ours]) > np.mean([run[-1, 1] for run in others])


def test_ratios_by_hand():
    slow = np.array([[1.0, 2.0], [4.0, 3.0], [8.0, 3.0], [20.0, 9.0]])
    fast = np.array([[1.0, 2.5], [2.0, 3.0]])
    assert reached(slow, 10.0) == 3.0
    assert reached(slow, 0.5) == 0.0
    assert first_reaching(slow, 2.5) == 4.0
    assert first_reaching(fast, 4.0) == math.inf
    assert ratio(slow, fast, 10.0) == 2.0
    assert ratio(slow, fast, 20.0) == 0.0
    middle, low, high = median_interval([1.0, 2.0, 3.0, 4.0, 100.0])
    assert middle == 3.0
    assert 1.0 <= low <= middle <= high <= 100.0
