from __future__ import annotations

import numpy as np

from emufort.training import StepPlan, TrainerState, make_trainer
from emufort.training.durable import DurableUnit, run_durably
from tests.training.problems import smooth, task

PLAN = StepPlan(steps=60, warm_up=5, evaluate_every=10)


class KilledError(Exception):
    pass


class Mortal:
    """A trainer that dies at a step."""

    def __init__(self, step: int) -> None:
        self.trainer = make_trainer(smooth())
        self.step = step

    def run_steps(self, state, plan, listener):
        def deadly(now):
            listener(now)
            if now.step == self.step:
                raise KilledError

        return self.trainer.run_steps(state, plan, deadly)


def unit(path, **options) -> DurableUnit:
    return DurableUnit(task(**options), PLAN, path, checkpoint_seconds=0.0)


def run_with_deaths(the_unit: DurableUnit, steps) -> TrainerState:
    for step in steps:
        try:
            run_durably(Mortal(step), the_unit)
        except KilledError:
            continue
        raise AssertionError("the trainer survived")
    return run_durably(make_trainer(smooth()), the_unit)


def test_killed_again_and_again_it_ends_the_same(tmp_path):
    whole = run_durably(make_trainer(smooth()), unit(tmp_path / "a"))
    parts = run_with_deaths(unit(tmp_path / "b"), (20, 30, 50))
    assert np.array_equal(whole.best_weights, parts.best_weights)
    assert whole.curve == parts.curve


def test_a_diverging_training_starts_again_slower(tmp_path):
    bad = {"activation": "squared_relu", "hidden": (8, 8, 8), "learning_rate": 1e5}
    state = run_durably(make_trainer(smooth()), unit(tmp_path / "a", **bad))
    assert state.task.learning_rate < 1e5
    parts = run_with_deaths(unit(tmp_path / "b", **bad), (10,))
    assert parts.task == state.task
    assert np.array_equal(state.best_weights, parts.best_weights)


def test_a_checkpoint_of_another_task_or_a_torn_one_is_not_used(tmp_path):
    fresh = run_durably(make_trainer(smooth()), unit(tmp_path / "a"))
    TrainerState.initial(task(seed=99)).save(tmp_path / "b")
    assert np.array_equal(
        run_durably(make_trainer(smooth()), unit(tmp_path / "b")).weights, fresh.weights
    )
    (tmp_path / "c").write_bytes(b"torn")
    assert np.array_equal(
        run_durably(make_trainer(smooth()), unit(tmp_path / "c")).weights, fresh.weights
    )
