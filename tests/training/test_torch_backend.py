from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from emufort.errors import UsageError
from emufort.network.activations import ACTIVATION_FUNCTIONS, ACTIVATIONS
from emufort.training import Layout, StepPlan, TrainerState, make_trainer, torch_adam, torch_network
from emufort.training.torch_network import Network
from emufort.training.torch_rows import lean_torch
from emufort.training.torch_trainer import TorchTrainer
from tests.training.problems import smooth, task

ACTIVATION_NAMES = list(ACTIVATIONS)
PLAN = StepPlan(steps=50, warm_up=5, evaluate_every=10)
SIGMOIDS = [(False, False), (True, True), (False, True)]


def reference_output(flat: torch.Tensor, layout: Layout, x: torch.Tensor, sigmoid) -> torch.Tensor:
    """The same network written for autograd."""
    places = zip(layout.names, layout.shapes, layout.starts, strict=False)
    matrices = {name: flat[at : at + r * c].view(r, c) for name, (r, c), at in places}

    def step(operation, inputs):
        parameters = ()
        if operation.parameters:
            matrix = matrices[operation.parameters[0]]
            parameters = matrix[:, :-1], matrix[:, -1]
        plan_layout = layout.architecture.plan.layout(operation)
        z = operation.row.torch(torch, plan_layout, inputs, parameters)
        return ACTIVATION_FUNCTIONS[operation.activation].torch(torch, z, operation.slope)

    a = layout.architecture.plan.walk(x, step)
    return torch.where(torch.tensor(sigmoid), torch.sigmoid(a), a)


@pytest.mark.parametrize(
    "the_task",
    [
        *map(task, ACTIVATION_NAMES),
        task(("leaky_relu:0.2", "tanh"), weight_decay=0.1),
        task("elu:0.5", hidden=(6, 6, 6), family="residual_mlp"),
        task(("relu", "linear", "gelu"), hidden=(5, 5, 5), family="residual_mlp"),
    ],
    ids=lambda the_task: the_task.architecture.label,
)
@pytest.mark.parametrize("sigmoid", SIGMOIDS)
def test_gradient_and_loss_are_those_of_autograd(the_task, sigmoid):
    arrays = smooth(sigmoid=sigmoid)
    layout = Layout(the_task.architecture)
    trainer = TorchTrainer(arrays, dtype=torch.float64)
    with lean_torch():
        network = Network(trainer.rows, trainer.sigmoid, TrainerState.initial(the_task))
        x, y = next(iter(network.batches(0)))
        network.backward(x, y)
        gradient, loss = network.gradient.numpy().copy(), network.loss("validation")
        x, y = x.numpy().copy(), y.numpy().copy()
    flat = torch.tensor(layout.initial(the_task.seed), dtype=torch.float64, requires_grad=True)
    out = reference_output(flat, layout, torch.tensor(x[:, :-1]), sigmoid)
    (0.5 * (out - torch.tensor(y).T).square().sum()).backward()
    np.testing.assert_allclose(gradient, flat.grad.numpy(), rtol=1e-10, atol=1e-12)
    x_validation = torch.tensor(arrays.x_validation, dtype=torch.float64)
    out = reference_output(flat, layout, x_validation, sigmoid)
    expected = (out - torch.tensor(arrays.y_validation)).square().mean()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-10)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("adam", [torch_adam._fused_adam, torch_adam._plain_adam])
def test_steps_are_those_of_torchs_adam(weight_decay, adam, monkeypatch):
    monkeypatch.setattr(torch_network, "adam", adam)
    arrays, the_task = smooth(), task(weight_decay=weight_decay)
    layout = Layout(the_task.architecture)
    trainer = TorchTrainer(arrays, dtype=torch.float64)
    flat = torch.tensor(layout.initial(the_task.seed), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.AdamW([flat], lr=1e-2, weight_decay=weight_decay)
    with lean_torch():
        network = Network(trainer.rows, trainer.sigmoid, TrainerState.initial(the_task))
        for x, y in network.batches(0):
            network.step(x, y, 1e-2)
            with torch.inference_mode(False), torch.enable_grad():
                optimiser.zero_grad()
                inputs = torch.from_numpy(x.numpy()[:, :-1].copy())
                out = reference_output(flat, layout, inputs, arrays.sigmoid)
                (out - torch.from_numpy(y.numpy().copy()).T).square().mean().backward()
                optimiser.step()
        ours = network.flat.numpy().copy()
    np.testing.assert_allclose(ours, flat.detach().numpy(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
def test_it_learns(activation):
    trainer = make_trainer(smooth(n=1000))
    state = TrainerState.initial(task(activation, hidden=(16, 16)))
    state = trainer.run_steps(state, StepPlan(2000, 50, 200))
    # Sigmoids in hidden layers learn more slowly than all others.
    assert state.best_loss < (0.1 if activation == "sigmoid" else 0.02)
    assert [row[0] for row in state.curve] == list(range(200, 2001, 200))
    assert state.curve[-1][3] < 1e-4 < state.curve[1][3]


def same(a: TrainerState, b: TrainerState) -> bool:
    """Bitwise equal in everything but the time it took."""
    names = [field.name for field in fields(TrainerState) if field.name != "seconds"]
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def test_epochs_in_parts_are_bitwise_epochs_in_one_go(tmp_path):
    arrays = smooth()
    whole = make_trainer(arrays).run_epochs(TrainerState.initial(task()), 7, 10)
    state = make_trainer(arrays).run_epochs(TrainerState.initial(task()), 3, 10)
    state.save(tmp_path / "state")
    state = make_trainer(arrays).run_epochs(TrainerState.load(tmp_path / "state"), 7, 10)
    assert same(whole, state)
    assert whole.epoch == 7


@pytest.mark.parametrize("cut", [10, 30, 40])
def test_steps_from_any_checkpoint_are_bitwise_steps_in_one_go(tmp_path, cut):
    arrays = smooth()
    whole = make_trainer(arrays).run_steps(TrainerState.initial(task()), PLAN)

    class KilledError(Exception):
        pass

    def kill(state: TrainerState) -> None:
        if state.step == cut:
            state.save(tmp_path / "state")
            raise KilledError

    with pytest.raises(KilledError):
        make_trainer(arrays).run_steps(TrainerState.initial(task()), PLAN, kill)
    state = make_trainer(arrays).run_steps(TrainerState.load(tmp_path / "state"), PLAN)
    assert same(whole, state)


def test_listeners_do_not_change_the_result():
    arrays = smooth()
    states = []
    trainer = make_trainer(arrays)
    heard = trainer.run_steps(TrainerState.initial(task()), PLAN, states.append)
    assert same(heard, trainer.run_steps(TrainerState.initial(task()), PLAN))
    assert len(states) == 5


def test_patience_stops_for_good():
    trainer = make_trainer(smooth(n=40))
    state = trainer.run_epochs(TrainerState.initial(task(learning_rate=0.03)), 400, 5)
    assert state.stopped == "patience"
    assert state.epoch < 400
    assert state.stale == 5
    epoch = state.epoch
    assert trainer.run_epochs(state, 500, 5).epoch == epoch


def test_a_diverged_training_is_infinitely_bad():
    trainer = make_trainer(smooth())
    bad = task("squared_relu", hidden=(8, 8, 8), learning_rate=1e6)
    state = trainer.run_epochs(TrainerState.initial(bad), 20, 20)
    assert state.stopped == "diverged"
    assert state.value == math.inf
    state = trainer.run_steps(TrainerState.initial(bad), PLAN)
    assert state.stopped == "diverged"
    assert state.step == state.curve[-1][0] < PLAN.steps


def test_a_batch_larger_than_the_data_is_the_data():
    state = make_trainer(smooth(n=20)).run_epochs(TrainerState.initial(task(batch_size=64)), 2, 5)
    assert state.step == 2


def test_best_weights_give_the_best_loss():
    arrays = smooth(n=40)
    trainer = TorchTrainer(arrays)
    state = trainer.run_epochs(TrainerState.initial(task(learning_rate=0.03)), 60, 60)
    assert not np.array_equal(state.weights, state.best_weights)
    with lean_torch():
        network = Network(trainer.rows, trainer.sigmoid, replace(state, weights=state.best_weights))
        assert network.loss("validation") == state.best_loss


def test_torch_is_left_as_it_was():
    threads = torch.get_num_threads()
    make_trainer(smooth()).run_epochs(TrainerState.initial(task()), 1, 5)
    assert torch.get_num_threads() == threads
    assert not torch.is_inference_mode_enabled()


def test_unknown_backend_and_device():
    with pytest.raises(UsageError, match=r"no training backend 'torhc' .did you mean 'torch'"):
        make_trainer(smooth(), "torhc")
    with pytest.raises(UsageError, match="device 'abacus'"):
        make_trainer(smooth(), "torch", "abacus")
