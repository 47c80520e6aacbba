"""Successive halving: candidates that continue, by batch or among all, in groups or together."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.errors import EmufortError, UsageError
from emufort.files import read_json, write_json
from emufort.search.driver import search
from emufort.search.halving import Reached, places, successive_halving, survivors
from tests.search.pond import config, data

#: Few different values, so that some are equal; some are not finite.
VALUES = st.sampled_from([*map(float, range(12)), math.inf, math.nan])
GROUPS = st.integers(0, 3)
CANDIDATES = st.lists(st.tuples(VALUES, GROUPS), min_size=1, max_size=40)
ETA = st.integers(2, 5)
examples = settings(deadline=None, derandomize=True)


def plain(values: list[float], eta: int) -> list[int]:
    """Return the positions of the best 1/eta, compared together, as it is defined."""
    finite = [i for i, v in enumerate(values) if math.isfinite(v)]
    return sorted(sorted(finite, key=lambda i: (values[i], i))[: max(1, len(values) // eta)])


# ------------------------------------------------------------------- together


def test_halving_keeps_the_best_at_every_rung():
    goodness = [5.0, 1.0, 4.0, 8.0, 2.0, 7.0, 3.0, 6.0]
    trained: list[tuple[list[int], int]] = []

    def run(positions, epochs):
        trained.append((list(positions), epochs))
        return [goodness[p] + 10.0 / epochs for p in positions]

    courses = successive_halving(8, (1, 4, 16), 2, run)
    assert trained == [(list(range(8)), 1), ([1, 2, 4, 6], 4), ([1, 4], 16)]
    assert [c.pruned_at for c in courses] == [1, None, 4, 1, None, 1, 4, 1]
    assert courses[1].rungs == ((1, 11.0), (4, 3.5), (16, 1.625))
    assert courses[0].value == 15.0


def test_halving_keeps_at_least_one_and_no_diverged_one():
    assert survivors([3.0, 1.0], 4) == [1]
    assert survivors([math.inf, math.nan, 2.0, 1.0], 2) == [2, 3]
    assert survivors([math.inf, math.inf], 2) == []
    courses = successive_halving(2, (1, 2), 2, lambda at, epochs: [math.inf for _ in at])
    assert [c.pruned_at for c in courses] == [1, 1]


def test_ties_go_to_the_earlier_candidate():
    assert survivors([1.0, 1.0, 1.0, 1.0], 2) == [0, 1]


@examples
@given(CANDIDATES, ETA)
def test_without_groups_or_with_one_the_lowest_values_go_on(candidates, eta):
    values = [value for value, _ in candidates]
    assert survivors(values, eta) == plain(values, eta)
    assert survivors(values, eta, ["silu"] * len(values)) == plain(values, eta)


# ------------------------------------------------------------------- in groups


def test_places_by_hand():
    # Ranks within the groups: a 1, 2; b 1, 2, 3. Quantiles among all: 0.1, 0.3, 0.5, 0.7, 0.9.
    found = places([1.0, 2.0, 3.0, 4.0, 5.0], ["a", "a", "b", "b", "b"])
    assert found == pytest.approx(
        [(0.5 + 0.4) / 6, (1.5 + 1.2) / 6, (0.5 + 2.0) / 7, (1.5 + 2.8) / 7, (2.5 + 3.6) / 7]
    )
    # Equal values share the mean of their ranks, and what is not finite ranks last.
    assert places([2.0, 1.0, 2.0, math.nan, math.inf]) == pytest.approx([0.4, 0.1, 0.4, 0.8, 0.8])
    assert places([], []).shape == (0,)


def test_of_equal_places_the_lower_value_goes_on_then_the_earlier():
    # Two candidates alone in their groups, far apart: the level of a group counts.
    assert survivors([2.0, 1.0], 2, ["a", "b"]) == [1]
    assert survivors([1.0, 1.0], 2, ["b", "a"]) == [0]


def test_a_group_that_learns_late_keeps_its_best():
    rng = np.random.default_rng(0)
    early, late = rng.uniform(1.0, 2.0, 100), rng.uniform(10.0, 20.0, 100)
    values, groups = [*early, *late], ["silu"] * 100 + ["squared_relu"] * 100
    assert max(survivors(values, 4)) < 100
    kept = survivors(values, 4, groups)
    assert 21 <= sum(i >= 100 for i in kept) <= 25
    assert 100 + int(late.argmin()) in kept


@examples
@given(CANDIDATES, ETA)
def test_the_number_kept_does_not_depend_on_groups(candidates, eta):
    values, groups = zip(*candidates, strict=True)
    kept = survivors(values, eta, groups)
    finite = sum(math.isfinite(v) for v in values)
    assert len(kept) == min(finite, max(1, len(values) // eta))
    assert all(math.isfinite(values[i]) for i in kept)
    assert kept == sorted(set(kept))


@examples
@given(CANDIDATES, ETA, st.permutations(["tanh", "relu", ("silu", 32), None]))
def test_names_of_groups_mean_nothing(candidates, eta, names):
    values, groups = zip(*candidates, strict=True)
    assert survivors(values, eta, groups) == survivors(values, eta, [names[g] for g in groups])


@examples
@given(CANDIDATES, ETA, st.randoms(use_true_random=False))
def test_the_order_of_different_candidates_means_nothing(candidates, eta, random):
    values = [value + i / 1000 for i, (value, _) in enumerate(candidates)]
    groups = [group for _, group in candidates]
    order = list(range(len(values)))
    random.shuffle(order)
    kept = survivors([values[i] for i in order], eta, [groups[i] for i in order])
    assert sorted(order[i] for i in kept) == survivors(values, eta, groups)


@examples
@given(CANDIDATES, ETA, GROUPS)
def test_within_a_group_the_lower_value_goes_on(candidates, eta, group):
    values, groups = zip(*candidates, strict=True)
    kept = set(survivors(values, eta, groups))
    members = [i for i, g in enumerate(groups) if g == group and math.isfinite(values[i])]
    best = sorted(members, key=lambda i: (values[i], i))
    assert [i in kept for i in best] == sorted((i in kept for i in best), reverse=True)


@examples
@given(st.integers(0, 2**32), st.integers(1, 4), st.sampled_from([2.0**-20, 0.5, 2.0, 2.0**20]))
def test_the_level_of_a_group_is_worth_less_than_four_ranks(seed, n_groups, factor):
    n, eta = 64, 4
    rng = np.random.default_rng(seed)
    groups = list(np.repeat(np.arange(n_groups), n))
    values = np.exp(rng.normal(size=n * n_groups))
    shifted = np.where(np.array(groups) == 0, factor * values, values)
    for losses in (values, shifted):
        kept = survivors(list(losses), eta, groups)
        shares = Counter(groups[i] for i in kept)
        # Within each group the first n/eta go on, but for the four ranks at the cut.
        assert all(n // eta - 4 <= shares[g] <= n // eta + 4 for g in range(n_groups))
    change = places(list(shifted), groups) - places(list(values), groups)
    assert np.abs(change).max() < 4 / (n + 4)


# ---------------------------------------------------------------------- ASHA


def reached(*values: float) -> list[Reached]:
    return [Reached(value) for value in values]


def test_asha_compares_with_all_before():
    assert survivors([5.0, 1.0, 2.0, 3.0], 2, earlier=[]) == [1, 2]
    assert survivors([5.0, 1.0, 2.0, 3.0], 2, earlier=reached(*[9.0] * 4)) == [0, 1, 2, 3]
    assert survivors([5.0, 1.0], 2, earlier=reached(*[0.1] * 6)) == []
    courses = successive_halving(
        3, (1, 4), 2, lambda at, epochs: [float(p) for p in at], {1: reached(0.5, 9.0, 9.0)}
    )
    assert [c.pruned_at for c in courses] == [None, None, 1]
    before = {1: reached(*[0.0] * 8)}
    courses = successive_halving(2, (1, 4), 2, lambda at, e: [2.0] * len(at), before)
    assert [c.pruned_at for c in courses] == [1, 1]


def test_asha_compares_with_all_of_the_group_before():
    before = {1: [Reached(1.0 + i / 100, "early") for i in range(60)]}
    before[1] += [Reached(8.0 + i / 100, "late") for i in range(60)]

    def run(positions, epochs):
        return [[1.5, 7.5, 1.0][p] for p in positions]

    groups = ["early", "late", "early"]
    courses = successive_halving(3, (1, 4), 4, run, before, groups)
    # 1.5 is in the middle of its group; 7.5 is the best of its own.
    assert [c.pruned_at for c in courses] == [1, None, None]
    together = successive_halving(3, (1, 4), 4, run, before)
    assert [c.pruned_at for c in together] == [None if v < 1.31 else 1 for v in (1.5, 7.5, 1.0)]


@examples
@given(CANDIDATES, CANDIDATES, ETA)
def test_earlier_candidates_count_as_those_of_the_batch(before, batch, eta):
    values, groups = zip(*batch, strict=True)
    known = [Reached(value, group) for value, group in before]
    everyone = survivors(
        [*(v for v, _ in before), *values], eta, [*(g for _, g in before), *groups]
    )
    wanted = [i - len(before) for i in everyone if i >= len(before)]
    assert survivors(values, eta, groups, known) == wanted


# ------------------------------------------------------------------- the search


def pruned(found) -> dict[int, int | None]:
    return {trial.number: trial.pruned_at for trial in found.trials}


@pytest.mark.parametrize("halving", ["batch", "asha"])
def test_a_search_halves_within_its_groups(halving, tmp_path):
    options = {"halving": halving, "groups": ["batch_size", "activation"], "sampler": "random"}
    found = search(data(), config(**options), tmp_path)
    before: list[Reached] = []
    for batch in range(3):
        members = [t for t in found.trials if t.batch == batch]
        groups = [(t.architecture.activation, t.batch_size) for t in members]
        first = [t.rungs[0][1] for t in members]
        kept = survivors(first, 2, groups, before if halving == "asha" else ())
        assert [i for i, t in enumerate(members) if len(t.rungs) > 1] == kept
        before += map(Reached, first, groups)


def test_groups_are_part_of_what_a_search_is(tmp_path):
    found = search(data(), config(trials=6, groups=["activation", "batch_size"]), tmp_path)
    same = config(trials=6, groups=["batch_size", "activation", "activation"])
    assert search(data(), same, tmp_path).trials == found.trials
    with pytest.raises(EmufortError, match=r"\('activation', 'batch_size'\) instead of \('batc"):
        search(data(), config(trials=6), tmp_path)  # the default
    with pytest.raises(EmufortError, match=r"search\.groups = \('activation', 'batch_size'\) ins"):
        search(data(), config(trials=6, groups=[]), tmp_path)
    with pytest.raises(UsageError, match=r"search\.groups"):
        config(groups=["depth"])


def test_a_folder_from_before_there_were_groups_compares_all_together(tmp_path):
    search(data(), config(trials=6, groups=[]), tmp_path)
    kept = read_json(tmp_path / "subset.json")
    del kept["identity"]["search.groups"]
    write_json(tmp_path / "subset.json", kept)
    assert len(search(data(), config(trials=12, groups=[]), tmp_path).trials) == 12
    with pytest.raises(EmufortError, match=r"made with search\.groups = \(\) instead of"):
        search(data(), config(trials=12), tmp_path)
