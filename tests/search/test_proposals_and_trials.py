"""Samplers and the table of trials: parts that know nothing of training."""

from __future__ import annotations

import math

import pytest

from emufort.config import Config, SpaceConfig
from emufort.errors import EmufortError, UsageError
from emufort.network.architecture import Architecture
from emufort.search.samplers.registry import propose
from emufort.search.space import candidate_from, parameters_of
from emufort.search.trials import Trial, TrialsFile, ranked, read_trials

RATES = (1e-3, 3e-2)
SPACE = SpaceConfig(depth=(1, 3), width=(64, 8, 16), batch_size=(32, 64), learning_rate=RATES)


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
    space = SpaceConfig(depth=(1, 1), width=(8, 16, 64), batch_size=(32,), learning_rate=RATES)
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
    TrialsFile(tmp_path / "trials.csv").write(trials)
    assert read_trials(tmp_path / "trials.csv", 3, 2) == trials
    assert [t.number for t in ranked(trials)] == [2, 0]


def test_a_damaged_table_is_named(tmp_path):
    TrialsFile(tmp_path / "trials.csv").write([trial(0, 1.0)])
    text = (tmp_path / "trials.csv").read_text()
    (tmp_path / "trials.csv").write_text(text.replace("1:2.0 4:1.0", "1:"))
    with pytest.raises(EmufortError, match=r"line 2 of .*trials\.csv is no trial"):
        read_trials(tmp_path / "trials.csv", 3, 2)
