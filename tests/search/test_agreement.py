"""How well step 1 foretold step 2: agreement.json, from numbers made up by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.config import RetrainConfig
from emufort.files import write_json
from emufort.retrain.agreement import (
    _rank_correlations,
    agreement,
    mean_losses,
    spearman,
    spearman_at_equal_cost,
)
from emufort.retrain.rounds import Rounds
from tests.search.candidates import made

examples = settings(deadline=None, derandomize=True, max_examples=15)
#: What an interval is given of.
ESTIMATES = (
    "spearman", "spearman_at_equal_cost", "spearman_of_cost_alone", "expected_regret",
    "expected_regret_along_the_front",
)  # fmt: skip


def study(n: int, said: float, seed: int = 0, cost: float = 1.0) -> tuple[Rounds, np.ndarray]:
    """Return `n` candidates and their final losses.

    The expensive ones are better, by the power `cost`. At equal cost final losses spread by a
    factor of e, of which step 1 says the share `said`.
    """
    rng = np.random.default_rng(seed)
    hidden = [(8 + i, 8) for i in range(n)]
    price = np.array(
        [made(i, 1.0, hidden=h).architecture.relative_cost for i, h in enumerate(hidden)]
    )
    level = np.power(price / price[0], -cost)
    worth, chance = rng.normal(size=(2, n))
    final = level * np.exp(worth)
    first = level * np.exp(said * worth + math.sqrt(1.0 - said**2) * chance)
    trials = [made(i, first[i], hidden=hidden[i]) for i in range(n)]
    return Rounds(trials, RetrainConfig(), seed), final


def about(rounds: Rounds, final: np.ndarray, also: int = 0) -> dict:
    """Return the agreement when the control group, and so many of the first, were trained."""
    control = [t.number for t in rounds.control()]
    trained = [*control, *(i for i in range(also) if i not in control)]
    return agreement(rounds, control, {i: [float(final[i])] for i in trained}, seed=1)


# ------------------------------------------------------------------- all candidates


@examples
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0), st.integers(12, 60))
def test_intervals_hold_the_value(seed, said, n):
    rounds, final = study(n, said, seed)
    found = about(rounds, final, also=4)["all_candidates"]
    assert found["n"] == n
    assert found["control_group"] == len(rounds.control())
    for name in ESTIMATES:
        one = found[name]
        assert one["low"] <= one["value"] <= one["high"]
        limits = (-1.0, 1.0) if "spearman" in name else (0.0, math.inf)
        assert all(limits[0] <= one[key] <= limits[1] for key in ("low", "value", "high"))
    assert found["error"] <= found["error_uncalibrated"]


def test_a_regret_that_is_almost_always_zero_is_within_its_interval():
    rounds, final = study(60, said=0.5)
    one = about(rounds, final, also=58)["all_candidates"]["expected_regret"]
    assert one["low"] == 0.0 < one["value"] == one["high"]


def test_where_step_1_says_all():
    rounds, final = study(128, said=1.0)
    found = about(rounds, final)["all_candidates"]
    assert [found["spearman"][key] for key in ("low", "value", "high")] == pytest.approx([1.0] * 3)
    assert found["spearman_at_equal_cost"]["value"] == pytest.approx(1.0)
    assert found["verdict"] == ""
    assert found["expected_regret"]["value"] >= 0.0


def test_the_verdict_where_step_1_says_nothing_at_equal_cost():
    for seed in range(5):
        rounds, final = study(128, said=0.0, seed=seed)
        found = about(rounds, final)["all_candidates"]
        assert found["spearman_at_equal_cost"]["low"] <= 0.0
        assert found["verdict"].startswith("Among candidates of equal cost, the ranking of step 1 ")
        assert "search.share" in found["verdict"]
    # Size alone may foretell a lot.
    rounds, final = study(128, said=0.0, cost=6.0)
    found = about(rounds, final)["all_candidates"]
    assert found["spearman"]["value"] > 0.8
    assert found["spearman_of_cost_alone"]["value"] > 0.8
    assert found["verdict"]


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held = 0
    for seed in range(40):
        rounds, final = study(320, said=0.8, seed=seed)
        control = [t.number for t in rounds.control()]
        one = about(rounds, final)["all_candidates"]["spearman"]
        truth = spearman(rounds.foretold, final)
        assert len(control) == 16
        held += one["low"] <= truth <= one["high"]
    assert 30 <= held <= 40  # 90 % in the mean


def test_the_chosen_ones_do_not_count_for_all():
    rounds, final = study(128, said=0.5)
    one, other = (about(rounds, final, also)["all_candidates"] for also in (0, 20))
    for name in ESTIMATES[:3]:
        assert one[name] == other[name]


def test_a_small_control_group_says_nothing():
    rounds, final = study(9, said=1.0)
    assert len(rounds.control()) == 4
    found = about(rounds, final)["all_candidates"]
    assert [found[name] for name in ESTIMATES[:3]] == [None] * 3
    assert found["verdict"] == ""
    assert len(about(study(10, said=1.0)[0], final=np.ones(10))["pairs"]) == 5


def test_regrets_fall_as_more_is_trained():
    rounds, final = study(128, said=0.5)
    values = [
        about(rounds, final, also)["all_candidates"]["expected_regret_along_the_front"]["value"]
        for also in (0, 64, 128)
    ]
    assert values[0] > values[1] > values[2] == 0.0


def test_it_is_the_same_again_and_can_be_written(tmp_path):
    rounds, final = study(40, said=0.5)
    final[[t.number for t in rounds.control()][:2]] = np.inf
    one, other = (about(rounds, final, 6) for _ in range(2))
    assert one == other
    write_json(tmp_path / "agreement.json", one)
    assert json.loads((tmp_path / "agreement.json").read_text()) == one
    assert one["all_candidates"]["control_group"] == len(rounds.control()) - 2


def test_the_rank_correlation_at_equal_cost_is_that_of_the_rests():
    rng = np.random.default_rng(0)
    cost = rng.normal(size=50)
    rest = rng.normal(size=50)
    parabola = 3.0 - 2.0 * cost + 0.5 * cost**2
    assert spearman_at_equal_cost(rest + parabola, rest - 4 * parabola, cost) == pytest.approx(1.0)
    assert spearman_at_equal_cost(rest + parabola, parabola - rest, cost) == pytest.approx(-1.0)
    other = rng.normal(size=50)
    assert abs(spearman_at_equal_cost(rest + 9 * parabola, other + 9 * parabola, cost)) < 0.4
    assert spearman(rest + 9 * parabola, other + 9 * parabola) > 0.9
    # Networks of one cost.
    assert spearman_at_equal_cost(rest, rest, np.ones(50)) == pytest.approx(1.0)


def test_spearman_of_few_and_of_constants():
    assert spearman([1.0, 2.0], [1.0, 2.0]) is None
    assert spearman([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]) is None
    assert spearman([1.0, 2.0, 3.0], [1.0, 4.0, 9.0]) == pytest.approx(1.0)


@examples
@given(st.integers(0, 2**32 - 1), st.integers(3, 20), st.integers(2, 9))
def test_spearman_is_that_of_scipy(seed, n, kinds):
    from scipy.stats import spearmanr

    a, b = np.random.default_rng(seed).integers(0, kinds, (2, 5, n)).astype(float)
    a[:, 0], a[:, 1], b[:, 0], b[:, 1] = -1.0, 9.0, 9.0, -1.0  # no constants
    together = _rank_correlations(a, b)
    for one, other, value in zip(a, b, together, strict=True):
        assert value == pytest.approx(float(spearmanr(one, other).statistic))
        assert spearman(one, other) == value


# ------------------------------------------------------------------- those that were retrained


def of_retrained(foretold: dict[int, float], losses: dict[int, list[float]]) -> dict:
    trials = [made(number, value) for number, value in foretold.items()]
    return agreement(Rounds(trials, RetrainConfig(control=0), 1), [], losses, seed=1)


def test_equal_and_opposite_rankings():
    losses = {i: [0.1 * (i + 1), 0.1 * (i + 1)] for i in range(6)}
    found = of_retrained({i: float(i + 1) for i in range(6)}, losses)
    assert found["retrained"]["spearman"] == pytest.approx(1.0)
    assert found["retrained"]["regret_top1"] == 0.0
    assert found["seed_spread"] == 0.0
    found = of_retrained({i: float(6 - i) for i in range(6)}, losses)
    assert found["retrained"]["n"] == 6
    assert found["retrained"]["spearman"] == pytest.approx(-1.0)
    assert found["retrained"]["regret_top1"] == pytest.approx(5.0)
    assert found["retrained"]["regret_top5"] == pytest.approx(1.0)
    assert [p["trial"] for p in found["pairs"]] == [5, 4, 3, 2, 1, 0]
    assert not any(p["control"] for p in found["pairs"])


def test_few_or_diverged():
    found = of_retrained({0: 1.0, 1: 2.0}, {0: [0.1], 1: [math.inf]})
    assert found["retrained"]["n"] == 1
    assert found["retrained"]["spearman"] is None
    assert found["seed_spread"] is None
    assert of_retrained({0: 1.0}, {0: [math.inf]})["retrained"]["regret_top1"] is None


def test_means_and_spreads_over_seeds():
    assert mean_losses({0: [1.0, 3.0], 1: [1.0, math.inf], 2: [math.inf], 3: [math.nan]}) == {
        0: 2.0, 1: 1.0,
    }  # fmt: skip
    found = of_retrained({0: 1.0, 1: 2.0, 2: 3.0}, {0: [1.0, 3.0], 1: [4.0, 4.0], 2: [5.0]})
    assert found["seed_spread"] == pytest.approx(np.mean([math.sqrt(2.0) / 2.0, 0.0]))


def test_losses_of_zero_are_not_an_error(tmp_path):
    trials = [made(i, 0.1 * i) for i in range(40)]
    rounds = Rounds(trials, RetrainConfig(), 1)
    assert rounds.calibrate({}).mean.argmin() == 0
    control = [t.number for t in rounds.control()]
    losses = {number: [0.0 if i < 2 else 0.1 * i] for i, number in enumerate(control)}
    found = agreement(rounds, control, losses, seed=1)
    write_json(tmp_path / "agreement.json", found)
    assert found["retrained"]["regret_top1"] == 0.0
    assert -1.0 <= found["all_candidates"]["spearman"]["value"] <= 1.0
    assert found["all_candidates"]["expected_regret"]["value"] >= 0.0
