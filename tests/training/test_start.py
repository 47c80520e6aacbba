"""Where a training starts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emufort.training import Arrays, StepPlan, TrainerState, make_trainer
from emufort.training import native_trainer as native
from emufort.training.start import output_biases, start
from tests.training.problems import smooth, task

BACKENDS = ["torch", pytest.param("native", marks=pytest.mark.skipif(
    not native.available(), reason="the trainer is not built"))]  # fmt: skip


def nearly_one(n: int = 4000) -> Arrays:
    """A fraction that is 1 for most rows, and less for a few that the inputs tell."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n + 1000, 3)).astype(np.float32)
    rare = 1.0 / (1.0 + np.exp(-(12.0 + 6.0 * x[:, 0] + 2.0 * x[:, 1] ** 2)))
    often = 1.0 / (1.0 + np.exp(-3.0 * x[:, 2]))
    y = np.stack([rare, often], axis=1).astype(np.float32)
    return Arrays(x[:n], y[:n], x[n:], y[n:], (True, True))


def test_outputs_start_at_their_means():
    arrays = smooth(sigmoid=(True, False))
    biases = output_biases(arrays)
    assert biases[1] == 0.0
    assert 1.0 / (1.0 + np.exp(-biases[0])) == pytest.approx(arrays.y_train[:, 0].mean(), rel=1e-6)
    always = replace(arrays, y_train=np.ones_like(arrays.y_train))
    assert np.isfinite(output_biases(always)).all()


def test_only_what_has_not_begun_is_changed_and_nobody_elses_arrays():
    state = TrainerState.initial(task())
    before = state.weights.copy()
    other = replace(state)
    start(other, np.array([1.5, -0.5]))
    assert np.array_equal(state.weights, before)
    changed = other.weights != before
    assert changed.sum() == 2
    assert set(other.weights[changed]) == {1.5, -0.5}
    assert np.array_equal(other.weights, other.best_weights)
    begun = replace(state, step=1)
    start(begun, np.array([1.5, -0.5]))
    assert np.array_equal(begun.weights, before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_first_loss_is_that_of_the_mean(backend):
    arrays = nearly_one()
    # A rate of nearly nothing: what is looked at is the start.
    trainer = make_trainer(arrays, backend)
    plan = StepPlan(1, 1, 1)
    value = trainer.run_steps(TrainerState.initial(task(learning_rate=1e-12)), plan).value
    mean = arrays.y_train.mean(axis=0)
    assert value < 1.2 * float(np.mean((arrays.y_validation - mean) ** 2))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_fraction_that_is_nearly_always_one_is_learnt(backend):
    arrays = nearly_one()
    trainer = make_trainer(arrays, backend)
    plan = StepPlan.annealed(1000, 1)
    variance = float(np.mean((arrays.y_validation[:, 0] - 1.0) ** 2)) / 2
    for seed in range(3):
        some = task("relu", (32, 32), learning_rate=1e-2, batch_size=64, seed=seed)
        assert trainer.run_steps(TrainerState.initial(some), plan).value < 0.5 * variance
