"""The Fortran trainer against torch, and against itself in pieces."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.errors import EmufortError, UsageError
from emufort.native import bindings as native_bindings
from emufort.network.activations import ACTIVATIONS
from emufort.network.architecture import Architecture
from emufort.training import (
    Arrays,
    Layout,
    StepPlan,
    TrainerState,
    TrainingTask,
    backend_detail,
    make_trainer,
    native_trainer,
    resolve_backend,
)
from emufort.training.native_trainer import NativeTrainer
from tests.training.double_trainer import DoubleTrainer
from tests.training.problems import smooth, task
from tests.training.test_torch_backend import PLAN, SIGMOIDS, reference_output, same

pytestmark = pytest.mark.skipif(not native_trainer.available(), reason="no native trainer built")

LEVELS = native_trainer._levels()
#: Widths on both sides of a panel, of two, and of the gap behind long columns.
HIDDEN = [(8, 5), (1,), (16, 16), (17, 33, 4), (70, 130), ()]


def problem(n_in: int, n_out: int, n: int = 150, seed: int = 0, sigmoid: bool = False) -> Arrays:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n + 70, n_in)).astype(np.float32)
    y = np.tanh(x @ rng.normal(size=(n_in, n_out))).astype(np.float32)
    flags = tuple(sigmoid and j % 2 == 0 for j in range(n_out))
    y = np.where(flags, 0.5 + 0.5 * y, y).astype(np.float32)
    return Arrays(x[:n], y[:n], x[n:], y[n:], flags)


def gradient_of(trainer: NativeTrainer, the_task: TrainingTask, rows: np.ndarray) -> np.ndarray:
    """Adam's first moment after one step from zero is a tenth of the gradient."""
    flat = Layout(the_task.architecture).initial(the_task.seed).astype(np.float64)
    moment1, moment2, best = np.zeros((3, len(flat)))
    state = [np.array(0, np.int64), np.array(np.inf), np.array(0, np.int32)]
    trainer.call(
        "train", the_task, trainer._x, trainer._y, trainer._x_validation, trainer._y_validation,
        rows.astype(np.int32).reshape(1, -1).T, np.array([1e-3]), 0.0, 1, 5, flat, moment1,
        moment2, best, *state, np.zeros(1),
    )  # fmt: skip
    return moment1 / (1.0 - 0.9)


def gradient_of_torch(arrays: Arrays, the_task: TrainingTask, rows: np.ndarray) -> np.ndarray:
    layout = Layout(the_task.architecture)
    flat = torch.tensor(layout.initial(the_task.seed), dtype=torch.float64, requires_grad=True)
    x = torch.tensor(arrays.x_train[rows], dtype=torch.float64)
    out = reference_output(flat, layout, x, arrays.sigmoid)
    (0.5 * (out - torch.tensor(arrays.y_train[rows])).square().sum()).backward()
    return flat.grad.numpy()


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "leaky_relu:0.2", "elu:0.5", "linear"])
@pytest.mark.parametrize("sigmoid", SIGMOIDS)
def test_gradients_are_those_of_autograd(activation, sigmoid):
    arrays = smooth(sigmoid=sigmoid)
    for hidden in HIDDEN:
        the_task = task(activation, hidden=hidden)
        rows = np.arange(100)  # a whole chunk and a part of one
        ours = gradient_of(DoubleTrainer(arrays), the_task, rows)
        expected = gradient_of_torch(arrays, the_task, rows)
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-11)


@settings(max_examples=25, deadline=None)
@given(
    n_in=st.integers(1, 40),
    layers=st.lists(st.tuples(st.integers(1, 100), st.sampled_from(ACTIVATIONS)), max_size=4),
    n_out=st.integers(1, 20),
    batch=st.integers(1, 150),
    seed=st.integers(0, 2**31),
)
def test_gradients_of_any_shape(n_in, layers, n_out, batch, seed):
    arrays = problem(n_in, n_out, seed=seed, sigmoid=bool(seed % 2))
    hidden, activations = (tuple(layer[i] for layer in layers) for i in (0, 1))
    the_task = TrainingTask(Architecture(n_in, hidden, n_out, activations), 1e-3, batch, seed)
    rows = np.random.default_rng(seed).permutation(150)[:batch]
    ours = gradient_of(DoubleTrainer(arrays), the_task, rows)
    np.testing.assert_allclose(
        ours, gradient_of_torch(arrays, the_task, rows), rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("level", LEVELS)
def test_losses_of_the_first_epochs_are_those_of_torch(activation, level):
    for hidden, sigmoid, decay in [((8, 5), False, 0.0), ((40, 64), True, 0.1)]:
        arrays = problem(5, 3, n=300, sigmoid=sigmoid)
        network = Architecture(5, hidden, 3, activation)
        the_task = TrainingTask(network, 3e-3, 50, 3, decay)
        ours, theirs = TrainerState.initial(the_task), TrainerState.initial(the_task)
        native, reference = NativeTrainer(arrays, level=level), make_trainer(arrays, "torch")
        for epoch in range(1, 4):
            native.run_epochs(ours, epoch, 9)
            reference.run_epochs(theirs, epoch, 9)
            assert ours.best_loss == pytest.approx(theirs.best_loss, rel=1e-6)
        assert (ours.step, ours.epoch, ours.stale) == (theirs.step, theirs.epoch, theirs.stale)
        np.testing.assert_allclose(ours.weights, theirs.weights, atol=2e-5)


def test_steps_with_a_schedule_are_those_of_torch():
    arrays = smooth()
    ours = NativeTrainer(arrays).run_steps(TrainerState.initial(task()), PLAN)
    theirs = make_trainer(arrays, "torch").run_steps(TrainerState.initial(task()), PLAN)
    np.testing.assert_allclose(ours.curve, theirs.curve, rtol=1e-5)
    assert ours.step == theirs.step == PLAN.steps


@pytest.mark.parametrize("level", LEVELS)
def test_all_levels_of_the_cpu_agree(level):
    arrays = problem(20, 4, sigmoid=True)
    the_task = TrainingTask(Architecture(20, (33, 64), 4, "silu"), 1e-3, 32, 1)
    best = NativeTrainer(arrays).run_epochs(TrainerState.initial(the_task), 3, 9)
    other = NativeTrainer(arrays, level=level).run_epochs(TrainerState.initial(the_task), 3, 9)
    assert other.best_loss == pytest.approx(best.best_loss, rel=1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_that_of_its_own_module(level):
    trainer = NativeTrainer(smooth(), level=level)
    assert trainer._module.__name__.removeprefix("emufort.") == native_trainer._MODULES[level]


@pytest.mark.parametrize("level", range(1, 5))
def test_the_environment_holds_training_to_a_level(level):
    # in a process of its own: this one has looked already
    script = "from emufort.training import native_trainer as n; print(n.variant())"
    environment = {**os.environ, native_trainer.LEVEL_VARIABLE: str(level)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    highest = min(level, native_bindings.cpu_level())
    best = max(known for known in native_trainer._MODULES if known <= highest)
    assert done.stdout.strip() == (f"x86-64-v{best}" if best else "generic")


@pytest.mark.parametrize("text", ["0", "5", "v3"])
def test_a_level_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv(native_trainer.LEVEL_VARIABLE, text)
    with pytest.raises(UsageError, match=r"EMUFORT_CPU_LEVEL is '.*': it must be 1, 2, 3 or 4"):
        native_trainer._levels.__wrapped__()


# ------------------------------------------------------------------ in pieces


@settings(max_examples=20, deadline=None)
@given(
    cuts=st.sets(st.integers(1, 11), max_size=4),
    hidden=st.lists(st.integers(1, 80), min_size=1, max_size=3).map(tuple),
    activation=st.sampled_from(ACTIVATIONS),
    batch=st.sampled_from([1, 7, 32, 100, 400]),
)
def test_epochs_in_any_parts_are_bitwise_epochs_in_one_go(cuts, hidden, activation, batch):
    arrays = problem(3, 2, n=120)
    the_task = task(activation, hidden=hidden, batch_size=batch)
    whole = NativeTrainer(arrays).run_epochs(TrainerState.initial(the_task), 12, 5)
    state = TrainerState.initial(the_task)
    for cut in [*sorted(cuts), 12]:
        state = NativeTrainer(arrays).run_epochs(state, cut, 5)
    assert same(whole, state)


@pytest.mark.parametrize("cut", [10, 30, 40])
def test_steps_from_any_checkpoint_are_bitwise_steps_in_one_go(tmp_path, cut):
    arrays = smooth()
    whole = NativeTrainer(arrays).run_steps(TrainerState.initial(task()), PLAN)

    class KilledError(Exception):
        pass

    def kill(state: TrainerState) -> None:
        if state.step == cut:
            state.save(tmp_path / "state")
            raise KilledError

    with pytest.raises(KilledError):
        NativeTrainer(arrays).run_steps(TrainerState.initial(task()), PLAN, kill)
    state = NativeTrainer(arrays).run_steps(TrainerState.load(tmp_path / "state"), PLAN)
    assert same(whole, state)


def test_alone_interleaved_and_in_threads_are_bitwise_the_same():
    arrays = problem(6, 2, n=300)
    tasks = [
        TrainingTask(Architecture(6, (width, width), 2, activation), 3e-3, 25, width)
        for width, activation in zip(
            (4, 30, 64, 90, 16, 8, 33, 5, 70, 17), ACTIVATIONS, strict=True
        )
    ]
    alone = [NativeTrainer(arrays).run_epochs(TrainerState.initial(t), 6, 9) for t in tasks]
    trainer = NativeTrainer(arrays)
    states = [TrainerState.initial(t) for t in tasks]
    for epoch in range(1, 7):
        states = [trainer.run_epochs(s, epoch, 9) for s in states]
    assert all(map(same, alone, states))
    with ThreadPoolExecutor(4) as pool:
        threaded = list(
            pool.map(lambda t: trainer.run_epochs(TrainerState.initial(t), 6, 9), tasks * 2)
        )
    assert all(map(same, alone * 2, threaded))


def test_a_state_that_was_given_stays_as_it_is():
    given = TrainerState.initial(task())
    before = [a.copy() for a in (given.weights, given.moment1, given.moment2, given.best_weights)]
    NativeTrainer(smooth()).run_epochs(replace(given), 2, 9)
    after = (given.weights, given.moment1, given.moment2, given.best_weights)
    assert all(map(np.array_equal, before, after))


def test_a_training_may_change_hands():
    arrays = smooth()
    whole = NativeTrainer(arrays).run_epochs(TrainerState.initial(task()), 4, 9)
    state = NativeTrainer(arrays).run_epochs(TrainerState.initial(task()), 2, 9)
    state = make_trainer(arrays, "torch").run_epochs(state, 4, 9)
    assert state.best_loss == pytest.approx(whole.best_loss, rel=1e-5)


# ------------------------------------------------------------------ endings


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_patience_stops_where_torch_stops(backend):
    trainer = make_trainer(smooth(n=40), backend)
    state = trainer.run_epochs(TrainerState.initial(task(learning_rate=0.03)), 400, 5)
    assert state.stopped == "patience"
    assert state.stale == 5
    epoch = state.epoch
    assert epoch < 400
    assert state.step == epoch
    assert trainer.run_epochs(state, 500, 5).epoch == epoch


def test_best_weights_give_the_best_loss():
    arrays = smooth(n=40)
    trainer = NativeTrainer(arrays)
    state = trainer.run_epochs(TrainerState.initial(task(learning_rate=0.03)), 60, 60)
    assert not np.array_equal(state.weights, state.best_weights)
    (loss,) = trainer.call(
        "mean_squared_error", state.task, trainer._x_validation, trainer._y_validation,
        state.best_weights,
    )  # fmt: skip
    assert loss == state.best_loss


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("backend", ["native", "torch"])
def test_a_diverged_training_is_infinitely_bad(activation, backend):
    trainer = make_trainer(smooth(), backend)
    bad = task(activation, hidden=(8, 8, 8), learning_rate=1e30)
    state = trainer.run_epochs(TrainerState.initial(bad), 20, 30)
    assert state.stopped == "diverged"
    assert state.value == math.inf
    state = trainer.run_steps(TrainerState.initial(bad), PLAN)
    assert state.stopped == "diverged"
    assert state.step == state.curve[-1][0] < PLAN.steps


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_lost_neuron_is_not_hidden_by_the_activation(activation):
    trainer = NativeTrainer(smooth())
    layout = Layout(task(activation).architecture)
    flat = layout.initial(1)
    flat[0] = np.nan
    x, y = trainer._x, trainer._y
    (loss,) = trainer.call("mean_squared_error", task(activation), x, y, flat)
    assert math.isnan(loss)


def test_denormal_numbers_are_allowed_again_afterwards():
    NativeTrainer(smooth()).run_epochs(TrainerState.initial(task()), 1, 5)
    assert np.float32(1e-38) * np.float32(0.1) > 0


def test_a_batch_larger_than_the_data_is_the_data():
    trainer = NativeTrainer(smooth(n=20))
    assert trainer.run_epochs(TrainerState.initial(task(batch_size=64)), 2, 5).step == 2


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_it_learns(activation):
    trainer = NativeTrainer(smooth(n=1000))
    state = TrainerState.initial(task(activation, hidden=(16, 16)))
    state = trainer.run_steps(state, StepPlan(2000, 50, 200))
    # Sigmoids in hidden layers learn more slowly than all others.
    assert state.best_loss < (0.1 if activation == "sigmoid" else 0.02)
    assert [row[0] for row in state.curve] == list(range(200, 2001, 200))


def test_what_does_not_fit_is_refused():
    trainer = NativeTrainer(smooth())
    wrong = replace(task(), architecture=Architecture(4, (8,), 2, "relu"))
    with pytest.raises(EmufortError, match="4-8-2 relu: the sizes"):
        trainer.run_epochs(TrainerState.initial(wrong), 1, 5)
    residual = task("tanh", hidden=(4, 4), family="residual_mlp")
    with pytest.raises(EmufortError, match=r'plain multilayer perceptrons.*backend = "torch"'):
        trainer.run_epochs(TrainerState.initial(residual), 1, 5)
    with pytest.raises(UsageError, match="CPU, not on 'cuda'"):
        make_trainer(smooth(), "native", "cuda")


def test_native_is_the_choice_where_it_is_built(monkeypatch):
    assert resolve_backend("auto") == "native"
    assert resolve_backend("auto", "cuda") == "torch"
    assert resolve_backend("auto", only_mlps=False) == "torch"
    assert resolve_backend("torch", only_mlps=False) == "torch"
    with pytest.raises(UsageError, match='choose backend = "torch" or "auto"'):
        resolve_backend("native", only_mlps=False)
    assert backend_detail("native").startswith("native (")
    monkeypatch.setattr(native_trainer, "_levels", tuple)
    assert resolve_backend("auto") == "torch"
    with pytest.raises(EmufortError, match="native trainer is not built"):
        resolve_backend("native")
