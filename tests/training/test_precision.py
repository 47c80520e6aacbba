"""Batches in parts, and products in bfloat16."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from emufort.config import Config
from emufort.errors import EmufortError, UsageError
from emufort.files import read_json
from emufort.network.activations import ACTIVATIONS
from emufort.retrain.driver import retrain
from emufort.search.driver import search
from emufort.training import StepPlan, TrainerState, TrainingTask, make_trainer, native_trainer
from emufort.training.buckets import pays
from emufort.training.torch_network import Network
from emufort.training.torch_rows import lean_torch
from emufort.training.torch_trainer import TorchTrainer
from tests.search import pond
from tests.training.problems import smooth, task

PLAN = StepPlan(steps=40, warm_up=5, evaluate_every=10)


def changed(one: TrainingTask, **how) -> TrainingTask:
    return replace(one, **how)


@pytest.mark.parametrize("microbatch", [1, 7, 16, 31])
@pytest.mark.parametrize("sigmoid", [(False, False), (True, False)])
def test_parts_of_a_batch_add_up(microbatch, sigmoid):
    trainer = TorchTrainer(smooth(sigmoid=sigmoid), dtype=torch.float64)
    whole = trainer.run_steps(TrainerState.initial(task()), PLAN)
    divided = changed(task(), microbatch=microbatch)
    parts = trainer.run_steps(TrainerState.initial(divided), PLAN)
    assert np.allclose(parts.weights, whole.weights, rtol=1e-6, atol=1e-8)
    assert np.allclose(np.array(parts.curve), np.array(whole.curve), rtol=1e-9)


def test_a_microbatch_as_large_as_the_batch_is_the_batch():
    trainer = TorchTrainer(smooth())
    whole, same = (
        trainer.run_steps(TrainerState.initial(changed(task(), microbatch=n)), PLAN)
        for n in (None, 32)
    )
    assert np.array_equal(whole.weights, same.weights)


def test_no_buffer_is_larger_than_a_microbatch():
    trainer = TorchTrainer(smooth())
    state = TrainerState.initial(changed(task(batch_size=300), microbatch=20))
    with lean_torch():
        network = Network(trainer.rows, trainer.sigmoid, state)
    assert {n: passes.last.z.shape[-1] for n, passes in network.part_passes.items()} == {20: 20}
    assert not hasattr(network, "passes")


@pytest.mark.parametrize("how", [{"microbatch": 9}, {"precision": "bfloat16"}], ids=str)
def test_resumed_bit_by_bit(tmp_path, how):
    trainer = TorchTrainer(smooth())
    start = TrainerState.initial(changed(task("tanh"), **how))
    whole = trainer.run_steps(copy.deepcopy(start), PLAN)

    class EndError(Exception):
        pass

    path = tmp_path / "state.safetensors"

    def listener(state):
        if state.step == 20:
            state.save(path)
            raise EndError

    with pytest.raises(EndError):
        trainer.run_steps(copy.deepcopy(start), PLAN, listener)
    resumed = TrainerState.load(path)
    assert (resumed.task, resumed.step) == (start.task, 20)
    resumed = trainer.run_steps(resumed, PLAN)
    assert np.array_equal(resumed.weights, whole.weights)
    assert np.array_equal(resumed.moment2, whole.moment2)
    assert resumed.curve == whole.curve


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bfloat16_trains_nearly_as_well(activation):
    trainer = TorchTrainer(smooth(sigmoid=(True, False)))
    plan = StepPlan(steps=600, warm_up=12, evaluate_every=50)
    low, single = (
        trainer.run_steps(
            TrainerState.initial(changed(task(activation, (24, 24)), precision=precision)), plan
        )
        for precision in ("bfloat16", "single")
    )
    first = TrainerState.initial(task(activation, (24, 24)))
    with lean_torch():
        before = Network(trainer.rows, trainer.sigmoid, first).loss("validation")
    # Bfloat16 has 8 bits, and the loss that is left after training differs by less than a half.
    assert low.best_loss < 1.5 * single.best_loss
    assert single.best_loss < 0.5 * before
    assert not np.array_equal(low.weights, single.weights)


def test_gradients_in_bfloat16_are_those_in_double_precision_to_its_precision():
    trainer = TorchTrainer(smooth(sigmoid=(False, True)))
    exact = TorchTrainer(smooth(sigmoid=(False, True)), dtype=torch.float64)
    found = []
    for one, precision in ((trainer, "bfloat16"), (exact, "single")):
        state = TrainerState.initial(changed(task("silu"), precision=precision, microbatch=10))
        with lean_torch():
            network = Network(one.rows, one.sigmoid, state)
            x, y = next(network.batches(0))
            network.backward(x, y)
            found.append(network.gradient.double().numpy())
    assert np.linalg.norm(found[0] - found[1]) < 0.02 * np.linalg.norm(found[1])
    assert trainer.run_steps(TrainerState.initial(task()), PLAN).weights.dtype == np.float32


def test_records_show_what_is_not_usual():
    usual = task().to_dict()
    assert "precision" not in usual
    other = changed(task(), precision="bfloat16", microbatch=64)
    assert (other.to_dict()["precision"], other.to_dict()["microbatch"]) == ("bfloat16", 64)
    for one in (task(), other):
        assert TrainingTask.from_dict(one.to_dict()) == one


@pytest.mark.skipif(not native_trainer.available(), reason="no native trainer built")
def test_the_native_trainer_refuses_them():
    trainer = make_trainer(smooth(), "native")
    with pytest.raises(EmufortError, match="whole batches in single precision"):
        trainer.run_steps(TrainerState.initial(changed(task(), microbatch=8)), PLAN)
    with pytest.raises(UsageError, match="whole batches in single precision"):
        Config.from_dict({"retrain": {"backend": "native", "precision": "bfloat16"}})


def test_seeds_do_not_run_side_by_side_then():
    seeds = [changed(task(seed=i), microbatch=8) for i in range(3)]
    assert pays([task(seed=i) for i in range(3)])
    assert not pays(seeds)


def test_step_2_takes_the_options(tmp_path):
    options = {"retrain__precision": "bfloat16", "retrain__microbatch": 16}
    config = pond.config(trials=6, retrain__seeds=1, **options)
    search(pond.data(), config, tmp_path / "search")
    row = retrain(tmp_path / "search", pond.data(), config, tmp_path / "retrain")[0]
    training = read_json(tmp_path / "retrain" / row.id / "metrics.json")["training"]
    assert (training["precision"], training["microbatch"]) == ("bfloat16", 16)
    assert training["backend"] == "torch"
    again = retrain(tmp_path / "search", pond.data(), config, tmp_path / "retrain")[0]
    assert again == row
    other = pond.config(trials=6, retrain__seeds=1)
    with pytest.raises(EmufortError, match=r"retrain.precision = bfloat16 instead of single"):
        retrain(tmp_path / "search", pond.data(), other, tmp_path / "retrain")
