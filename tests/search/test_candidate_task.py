"""What a candidate is to the trainer: one meaning of each hyperparameter in both steps."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.config import Config, RetrainConfig
from emufort.errors import UsageError
from emufort.search.candidate_task import final_plan, final_task, rung_task
from emufort.search.space import Candidate
from emufort.training import StepPlan, TrainingTask
from emufort.training.schedule import shortened_batch, with_batch_size, with_fewer_steps

examples = settings(deadline=None, derandomize=True, max_examples=60)
CANDIDATE = Candidate((8, 4), "silu", 2e-3, 64, 1e-4)
NETWORK = CANDIDATE.architecture(3, 2)
SHARE = st.floats(1e-5, 1.0)
BATCH = st.integers(1, 4096)


def rung(candidate: Candidate, samples: int, **options) -> TrainingTask:
    return rung_task(candidate, NETWORK, Config.from_dict(options), 7, samples)


# ------------------------------------------------------------------- step 2


def test_step_2_trains_what_was_searched():
    found = final_task(CANDIDATE, NETWORK, RetrainConfig(), 7)
    assert found == TrainingTask(NETWORK, 2e-3, 64, 7, 1e-4)


def test_the_rate_goes_with_the_root_of_another_batch_size():
    for size, rate in ((256, 4e-3), (16, 1e-3), (64, 2e-3)):
        found = final_task(CANDIDATE, NETWORK, RetrainConfig(batch_size=size), 7)
        assert found.batch_size == size
        assert found.learning_rate == pytest.approx(rate)


def test_bounds_of_the_rate_are_those_after_scaling():
    for bounds, rate in (((1e-4, 3e-3), 3e-3), ((5e-3, 1e-2), 5e-3), ((1e-4, 1e-2), 4e-3)):
        options = RetrainConfig(batch_size=256, learning_rate=bounds)
        assert final_task(CANDIDATE, NETWORK, options, 7).learning_rate == pytest.approx(rate)
    with pytest.raises(UsageError, match="learning_rate needs 0 < lowest <= highest"):
        Config.from_dict({"retrain": {"learning_rate": [1e-2, 1e-3]}})


@examples
@given(BATCH, st.sampled_from([None, 32, 1024]), st.integers(5000, 10**6))
def test_every_network_sees_as_many_samples(batch_size, given_size, steps):
    options = RetrainConfig(steps=steps, batch_size=given_size)
    task = final_task(replace(CANDIDATE, batch_size=batch_size), NETWORK, options, 7)
    plan = final_plan(task, options, 10**6, 100)
    assert options.samples == steps * (given_size or 256)
    assert abs(plan.steps * task.batch_size - options.samples) <= task.batch_size / 2
    if given_size:
        assert plan.steps == steps


def test_a_step_has_no_more_samples_than_there_are_rows():
    options = RetrainConfig(steps=100)
    task = final_task(replace(CANDIDATE, batch_size=512), NETWORK, options, 7)
    assert final_plan(task, options, 128, 100).steps == 100 * 256 // 128
    assert final_plan(task, RetrainConfig(steps=1), 10**6, 100).steps == 1


# ------------------------------------------------------------------- step 1


def test_at_a_constant_rate_a_rung_trains_the_candidate():
    options = {"search": {"schedule": "constant"}, "retrain": {"batch_size": 256}}
    assert rung(CANDIDATE, 1000, **options) == TrainingTask(NETWORK, 2e-3, 64, 7, 1e-4)


def test_a_rung_as_long_as_step_2_is_step_2():
    for retrain in ({}, {"batch_size": 128}, {"batch_size": 128, "learning_rate": [1e-4, 2e-3]}):
        config = Config.from_dict({"retrain": retrain})
        task = rung_task(CANDIDATE, NETWORK, config, 7, config.retrain.samples)
        assert task == final_task(CANDIDATE, NETWORK, config.retrain, 7)


def test_a_shorter_rung_has_fewer_samples_per_step_and_the_rate_for_it():
    samples = Config().retrain.samples
    # A quarter: a quarter of the samples per step, so as many steps; the rate by the root.
    quarter = rung(replace(CANDIDATE, batch_size=256), samples // 4)
    assert (quarter.batch_size, quarter.learning_rate) == (64, pytest.approx(1e-3))
    # A hundredth: no less than 16 per step, so 6.25 times fewer steps, and a higher rate for that.
    short = rung(replace(CANDIDATE, batch_size=256), samples // 100)
    assert (short.batch_size, short.learning_rate) == (16, pytest.approx(5e-4 * 6.25 ** (2 / 3)))
    given_size = rung(CANDIDATE, samples // 100, search={"batch_size": 256})
    # 400 times fewer steps; a rate of four times as much at most.
    assert (given_size.batch_size, given_size.learning_rate) == (256, pytest.approx(16e-3))
    assert short.weight_decay == CANDIDATE.weight_decay
    assert short.seed == 7


@examples
@given(st.integers(2, 10), SHARE, st.floats(1e-4, 1e-2))
def test_rates_are_those_of_step_2_for_the_batch_size_and_the_number_of_steps(power, share, rate):
    candidate = replace(CANDIDATE, batch_size=1 << power, learning_rate=rate)
    config = Config()
    samples = max(1, round(share * config.retrain.samples))
    short = rung(candidate, samples)
    final = final_task(candidate, NETWORK, config.retrain, 7)
    fewer = config.retrain.samples / final.batch_size * short.batch_size / samples
    scale = math.sqrt(short.batch_size / final.batch_size) * min(max(1.0, fewer ** (2 / 3)), 4.0)
    assert short.learning_rate == pytest.approx(final.learning_rate * scale)


@examples
@given(st.floats(1e-5, 1.0), st.floats(1.0, 1e6), st.floats(1.0, 1e6), st.floats(1.0, 1e6))
def test_the_fewer_steps_the_higher_the_rate_up_to_four_times(rate, old, new, other):
    assert with_fewer_steps(rate, old, old) == pytest.approx(rate)
    assert rate <= with_fewer_steps(rate, old, new) <= 4.0 * rate
    few, many = sorted((new, other))
    assert with_fewer_steps(rate, old, few) >= with_fewer_steps(rate, old, many)
    assert with_fewer_steps(rate, 8.0, 1.0) == pytest.approx(4.0 * rate)


@examples
@given(BATCH, SHARE, SHARE)
def test_shortened_batches(batch_size, share, other):
    found = shortened_batch(batch_size, share)
    assert min(batch_size, 16) <= found <= batch_size
    assert found == batch_size or found & (found - 1) == 0  # a power of two
    if 16 < found < batch_size:
        assert share / math.sqrt(2) <= found / batch_size <= share * math.sqrt(2)
    assert shortened_batch(batch_size, 1.0) in {batch_size, 1 << (batch_size.bit_length() - 1)}
    low, high = sorted((share, other))
    assert shortened_batch(batch_size, low) <= shortened_batch(batch_size, high)


@examples
@given(st.floats(1e-5, 1.0), BATCH, BATCH, BATCH)
def test_scaling_rates_step_by_step_is_scaling_at_once(rate, a, b, c):
    assert with_batch_size(rate, a, a) == rate
    twice = with_batch_size(with_batch_size(rate, a, b), b, c)
    assert twice == pytest.approx(with_batch_size(rate, a, c))


# ------------------------------------------------------------------- the schedule


@examples
@given(st.integers(1, 10_000), st.integers(1, 200))
def test_an_annealed_plan_rises_then_falls_to_zero(steps, looks):
    plan = StepPlan.annealed(steps, looks)
    assert plan.steps == steps
    assert 1 <= plan.warm_up <= max(1, 0.03 * steps)
    assert 1 <= plan.evaluate_every <= steps
    assert steps // plan.evaluate_every >= min(looks, steps)
    factors = [plan.factor(step) for step in range(steps)]
    assert all(0.0 < factor <= 1.0 for factor in factors)
    peak = factors.index(max(factors))
    assert peak in {plan.warm_up - 1, plan.warm_up}
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert plan.factor(steps) == pytest.approx(0.0, abs=1e-12)
