"""Equal trainings side by side give the same results as each one alone, up to rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emufort.errors import EmufortError
from emufort.network.activations import ACTIVATIONS
from emufort.network.emulator import Emulator
from emufort.retrain.driver import retrain
from emufort.search.driver import search
from emufort.training import StepPlan, TrainerState, durable
from emufort.training.buckets import pays
from emufort.training.durable import DurableUnit, forget_together, run_durably, run_durably_together
from emufort.training.torch_together import run_steps_together
from emufort.training.torch_trainer import TorchTrainer
from tests.search import pond
from tests.training.problems import smooth, task

PLAN = StepPlan(steps=60, warm_up=5, evaluate_every=10)


def initial(n: int = 3, **options) -> list[TrainerState]:
    return [TrainerState.initial(task(seed=i, **options)) for i in range(n)]


def same(a: TrainerState, b: TrainerState) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("weights", "moment1", "moment2", "best_weights")
    ) and (a.step, a.best_loss, a.curve) == (b.step, b.best_loss, b.curve)


@pytest.mark.parametrize(
    "options",
    [
        *({"activation": name} for name in ACTIVATIONS),
        {"activation": ("leaky_relu:0.2", "tanh"), "hidden": (6, 6), "family": "residual_mlp"},
    ],
    ids=str,
)
@pytest.mark.parametrize("sigmoid", [(False, False), (True, False)])
def test_side_by_side_is_alone_but_for_rounding(options, sigmoid):
    # In double precision rounding has no time to grow.
    trainer = TorchTrainer(smooth(sigmoid=sigmoid), dtype=torch.float64)
    options = {**options, "weight_decay": 0.01}
    together = run_steps_together(trainer, initial(**options), PLAN)
    for state, start in zip(together, initial(**options), strict=True):
        alone = trainer.run_steps(start, PLAN)
        assert state.step == alone.step == 60
        assert np.allclose(state.weights, alone.weights, rtol=1e-6, atol=1e-7)
        assert np.allclose(state.best_weights, alone.best_weights, rtol=1e-6, atol=1e-7)
        assert np.allclose(np.array(state.curve), np.array(alone.curve), rtol=1e-6)
    assert not np.allclose(together[0].weights, together[1].weights, atol=1e-2)


def test_in_single_precision_losses_agree():
    trainer = TorchTrainer(smooth())
    plan = StepPlan(steps=400, warm_up=5, evaluate_every=50)
    together = run_steps_together(trainer, initial(), plan)
    for state, start in zip(together, initial(), strict=True):
        alone = trainer.run_steps(start, plan)
        assert state.curve[0][1:] == pytest.approx(alone.curve[0][1:], rel=1e-5)
        assert state.best_loss == pytest.approx(alone.best_loss, rel=1e-2)


def test_only_one_shape_at_one_step_goes_together():
    trainer = TorchTrainer(smooth())
    others = [TrainerState.initial(task()), TrainerState.initial(task(learning_rate=1e-3))]
    for other in ({"hidden": (8,)}, {"activation": "relu"}, {"batch_size": 16}):
        with pytest.raises(EmufortError, match="of one depth, activation function and batch size"):
            run_steps_together(trainer, [others[0], TrainerState.initial(task(**other))], PLAN)
    later = initial(2)
    later[1].step = 10
    with pytest.raises(EmufortError, match="at the same step"):
        run_steps_together(trainer, later, PLAN)
    assert pays([s.task for s in initial()])
    assert not pays([s.task for s in others])
    assert not pays([initial()[0].task])
    assert not pays([s.task for s in initial(hidden=(256, 256))])


# ------------------------------------------------------------------- durability


class KilledError(Exception):
    pass


def units(folder, n: int = 3, **options) -> list[DurableUnit]:
    made = []
    for i in range(n):
        path = folder / str(i) / "checkpoint.safetensors"
        made.append(DurableUnit(task(seed=i, **options), PLAN, path, checkpoint_seconds=0.0))
    return made


@pytest.mark.parametrize("death", [10, 40, 60])
@pytest.mark.parametrize("member", [0, 2])
def test_killed_while_saving_they_end_the_same(tmp_path, monkeypatch, death, member):
    trainer = TorchTrainer(smooth())
    whole = run_durably_together(trainer, units(tmp_path / "a"))
    save = TrainerState.save

    def deadly(state, path):
        if state.step == death and path.parent.name == str(member):
            raise KilledError
        save(state, path)

    with monkeypatch.context() as patch:
        patch.setattr(TrainerState, "save", deadly)
        with pytest.raises(KilledError):
            run_durably_together(trainer, units(tmp_path / "b"))
    steps = []
    original = durable._common_step

    def watched(found):
        states = original(found)
        steps.append(states and states[0].step)
        return states

    monkeypatch.setattr(durable, "_common_step", watched)
    resumed = run_durably_together(trainer, units(tmp_path / "b"))
    assert steps == [death - 10 or None]
    assert all(same(a, b) for a, b in zip(whole, resumed, strict=True))
    # Its results not being kept yet, it is asked again: nothing is trained.
    again = run_durably_together(trainer, units(tmp_path / "b"))
    assert steps[-1] == 60
    assert all(same(a, b) for a, b in zip(whole, again, strict=True))
    forget_together(units(tmp_path / "b"))
    assert [p for p in (tmp_path / "b").rglob("*") if p.is_file()] == []


def test_who_diverges_starts_again_alone(tmp_path, monkeypatch):
    trainer = TorchTrainer(smooth())
    look = TrainerState.look

    def unlucky(state, loss, weights):
        bad = state.task.seed == 1 and state.task.learning_rate == 1e-2 and state.step >= 20
        look(state, float("nan") if bad else loss, weights)

    monkeypatch.setattr(TrainerState, "look", unlucky)
    found = run_durably_together(trainer, units(tmp_path / "a"))
    assert [s.stopped for s in found] == ["", "", ""]
    assert [s.step for s in found] == [60, 60, 60]
    assert found[1].task.learning_rate == pytest.approx(3e-3)
    slower = run_durably(trainer, units(tmp_path / "b", learning_rate=1e-2 * 0.3)[1])
    assert same(found[1], slower)


# ---------------------------------------------------------------------- step 2


def test_step_2_with_torch_trains_seeds_together(tmp_path, monkeypatch):
    config = pond.config(backend="torch", retrain__backend="torch", retrain__seeds=3)
    search(pond.data(), config, tmp_path / "search")
    sizes = []
    together = run_durably_together

    def watched(trainer, found, tell):
        sizes.append(len(found))
        return together(trainer, found)

    monkeypatch.setattr("emufort.retrain.jobs.run_durably_together", watched)
    rows = retrain(tmp_path / "search", pond.data(), config, tmp_path / "whole")
    # Eleven candidates with the first seed, then those on the front with the two others.
    front = {row.trial for row in rows if row.seed != config.seed}
    assert sizes == [2] * len(front)
    assert len(front) > 1
    assert len(rows) == 11 + 2 * len(front)
    assert list((tmp_path / "whole").rglob("checkpoint*")) == []

    # Killed between two seeds of a network: it goes on with both, and ends the same.
    from emufort.retrain.networks import Finisher

    finish = Finisher.finish
    finished = []

    def deadly(self, job, state):
        if len(finished) == 11 + 1:
            raise KilledError
        finished.append(job.id)
        return finish(self, job, state)

    with monkeypatch.context() as patch:
        patch.setattr(Finisher, "finish", deadly)
        with pytest.raises(KilledError):
            retrain(tmp_path / "search", pond.data(), config, tmp_path / "killed")
    two = config.model_copy(update={"workers": 2})
    again = retrain(tmp_path / "search", pond.data(), two, tmp_path / "killed")
    assert [(r.id, r.rmse, r.validation_loss) for r in again] == [
        (r.id, r.rmse, r.validation_loss) for r in rows
    ]
    for row in rows:
        first, second = (
            Emulator.load(tmp_path / name / row.id / "weights.safetensors")
            for name in ("whole", "killed")
        )
        assert all(map(np.array_equal, first.weights, second.weights))
        assert all(map(np.array_equal, first.biases, second.biases))
    assert list((tmp_path / "killed").rglob("checkpoint*")) == []
