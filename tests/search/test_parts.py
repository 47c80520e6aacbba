"""Halving, samplers, promotion, agreement: the parts that know nothing of training."""

from __future__ import annotations

import math

import numpy as np
import pytest

from emufort.config import Config, SpaceConfig
from emufort.errors import EmufortError, UsageError
from emufort.network import Architecture
from emufort.search.agreement import agreement
from emufort.search.halving import successive_halving, survivors
from emufort.search.promotion import non_dominated_fronts, promote
from emufort.search.sampling import propose
from emufort.search.space import candidate_from, parameters_of
from emufort.search.trials import Trial, ranked, read_trials, write_trials

SPACE = SpaceConfig(depth=(1, 3), width=(64, 8, 16), batch_size=(32, 64))


def trial(number: int, value: float, hidden=(8,), activation="relu", pruned_at=None) -> Trial:
    return Trial(
        number=number,
        architecture=Architecture(3, hidden, 2, activation),
        learning_rate=1e-3 * (1 + number % 28),
        batch_size=32,
        value=value,
        epochs=4,
        pruned_at=pruned_at,
        seconds=0.1,
        batch=number // 8,
        rungs=((1, value * 2), (4, value)),
    )


# ------------------------------------------------------------------- halving


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


# ------------------------------------------------------------------ samplers


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc", "parzen"])
def test_proposals_depend_on_seed_batch_and_finished_trials_only(sampler):
    done = [
        trial(i, float(i + 1), hidden=(8,) * (1 + i % 3), pruned_at=1 if i % 2 else None)
        for i in range(16)
    ]
    first = propose(sampler, SPACE, done, 8, seed=5, batch=2)
    assert first == propose(sampler, SPACE, done, 8, seed=5, batch=2)
    assert first != propose(sampler, SPACE, done, 8, seed=6, batch=2)
    assert first != propose(sampler, SPACE, done[:8], 8, seed=5, batch=1)
    assert len(set(first)) > 4
    for candidate in first:
        assert set(candidate.hidden) <= {8, 16, 64}
        assert 1 <= len(candidate.hidden) <= 3
        assert 1e-3 <= candidate.learning_rate <= 3e-2
        assert candidate_from(SPACE, parameters_of(SPACE, candidate)) == candidate


@pytest.mark.parametrize("sampler", ["tpe", "parzen"])
def test_samplers_learn_and_bear_infinite_values(sampler):
    done = [
        trial(i, math.inf if i % 9 == 0 else (0.1 if i % 2 else 1.0), (16,) if i % 2 else (64,))
        for i in range(40)
    ]
    space = SpaceConfig(depth=(1, 1), width=(8, 16, 64), batch_size=(32,))
    found = propose(sampler, space, done, 20, seed=1, batch=5)
    assert sum(c.hidden == (64,) for c in found) < 8


def test_qmc_batches_are_one_sequence():
    done = [trial(i, 1.0) for i in range(8)]
    space = SpaceConfig(depth=(1, 2), width=(8, 16), activation=("relu", "silu"))
    found = propose("qmc", space, [], 8, 1, 0) + propose("qmc", space, done, 8, 1, 1)
    assert found == propose("qmc", space, [], 16, 1, 0)
    assert sum(c.activation == "relu" for c in found) == 8


def test_unknown_samplers_are_refused():
    with pytest.raises(UsageError, match=r"no sampler 'rando'.*did you mean 'random'"):
        propose("rando", SPACE, [], 1, 0, 0)
    with pytest.raises(UsageError, match=r"search\.sampler"):
        Config.from_dict({"search": {"sampler": "rando"}})


# -------------------------------------------------------------------- tables


def test_trials_read_back_exactly(tmp_path):
    trials = [trial(0, 1.0 / 3.0, (8, 16)), trial(1, math.inf, pruned_at=4), trial(2, 1e-30)]
    write_trials(tmp_path / "trials.csv", trials)
    assert read_trials(tmp_path / "trials.csv", 3, 2) == trials
    assert [t.number for t in ranked(trials)] == [2, 0]


def test_a_damaged_table_is_named(tmp_path):
    write_trials(tmp_path / "trials.csv", [trial(0, 1.0)])
    text = (tmp_path / "trials.csv").read_text()
    (tmp_path / "trials.csv").write_text(text.replace("1:2.0 4:1.0", "1:"))
    with pytest.raises(EmufortError, match=r"line 2 of .*trials\.csv is no trial"):
        read_trials(tmp_path / "trials.csv", 3, 2)


# ----------------------------------------------------------------- promotion


def test_fronts():
    points = np.array([[1, 4], [2, 2], [4, 1], [3, 3], [4, 4], [1, 4]])
    assert non_dominated_fronts(points) == [[0, 1, 2, 5], [3], [4]]


def test_half_by_skill_and_half_by_cost():
    wide = [trial(i, 0.01 * (1 + i / 10), (64 + i,)) for i in range(5)]
    cheap = [trial(5, 0.1, (8,)), trial(6, 0.2, (9,)), trial(7, 0.3, (4,)), trial(8, 0.05, (16,))]
    taken = [(t.number, why) for t, why in promote([*wide, *cheap], 5)]
    assert taken[:3] == [(0, "skill"), (1, "skill"), (2, "skill")]
    assert {n for n, why in taken[3:] if why == "front"} == {7, 8}


def test_promotion_takes_every_network_once_and_none_that_diverged():
    trials = [trial(0, 0.3), trial(1, 0.2), trial(2, math.inf, (16,)), trial(3, 0.5, (4,))]
    assert [t.number for t, _ in promote(trials, 4)] == [1, 3]
    assert promote([trial(0, math.inf)], 2) == []


# ----------------------------------------------------------------- agreement


def test_agreement_of_equal_and_opposite_rankings():
    losses = {i: [0.1 * (i + 1), 0.1 * (i + 1)] for i in range(6)}
    found = agreement({i: float(i + 1) for i in range(6)}, losses)
    assert found["spearman"] == pytest.approx(1.0)
    assert found["regret_top1"] == 0.0
    assert found["seed_spread"] == 0.0
    found = agreement({i: float(6 - i) for i in range(6)}, losses)
    assert found["spearman"] == pytest.approx(-1.0)
    assert found["regret_top1"] == pytest.approx(5.0)
    assert found["regret_top5"] == pytest.approx(1.0)
    assert found["regret_topK"] == 0.0
    assert [p["trial"] for p in found["pairs"]] == [5, 4, 3, 2, 1, 0]


def test_agreement_of_few_or_diverged():
    found = agreement({0: 1.0, 1: 2.0}, {0: [0.1], 1: [math.inf]})
    assert (found["n"], found["spearman"], found["seed_spread"]) == (1, None, None)
    assert agreement({0: 1.0}, {0: [math.inf]})["regret_top1"] is None
