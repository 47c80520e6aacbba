"""Different networks side by side give the same results as each one alone, up to rounding."""

from __future__ import annotations

import copy
import gc
from collections.abc import Sequence
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from emufort.network.activations import ACTIVATIONS
from emufort.network.architecture import Architecture
from emufort.training import Layout, StepPlan, TrainerState, TrainingTask, buckets, torch_together
from emufort.training.buckets import MOST_PADDING, padded, shape_of, work_of
from emufort.training.courses import Course
from emufort.training.torch_ensemble import Ensemble
from emufort.training.torch_rows import Rows, lean_torch
from emufort.training.torch_together import train_together
from emufort.training.torch_trainer import TorchTrainer
from tests.training.problems import smooth, task

PLAN = StepPlan(steps=45, warm_up=5, evaluate_every=10)


def states(tasks: Sequence[TrainingTask]) -> list[TrainerState]:
    return [TrainerState.initial(one) for one in tasks]


def assert_close(together: TrainerState, alone: TrainerState) -> None:
    for name in ("weights", "moment1", "moment2", "best_weights"):
        a, b = getattr(together, name), getattr(alone, name)
        assert np.allclose(a, b, rtol=1e-6, atol=1e-6 * max(1e-3, np.abs(b).max())), name
    assert together.best_loss == pytest.approx(alone.best_loss, rel=1e-6)
    assert np.allclose(np.array(together.curve), np.array(alone.curve), rtol=1e-6)
    for name in ("task", "step", "epoch", "stale", "stopped"):
        assert getattr(together, name) == getattr(alone, name)


def mixed() -> list[TrainingTask]:
    """Widths, depths, functions, families, batch sizes, rates and decays that all differ."""
    tasks = [
        task(
            name,
            (5 + i % 3, 9 - i % 4),
            1e-2 / (1 + i % 3),
            32,
            seed=i,
            weight_decay=0.01 * (i % 2),
        )
        for i, name in enumerate((*ACTIVATIONS, *ACTIVATIONS))
    ]
    tasks += [task("tanh", (width,), 3e-3, 16, seed=width) for width in (3, 8, 20, 40)]
    tasks += [
        task(("sigmoid", "tanh"), (w, w), 5e-3, 48, w, family="residual_mlp") for w in (4, 7, 11)
    ]
    # Longer batches than rows.
    return [
        *tasks,
        task("softplus", (4, 9, 6), 1e-2, 1000, 5),
        task("softplus", (8, 3, 6), 1e-2, 1000),
    ]


@pytest.mark.parametrize("sigmoid", [(False, False), (True, False)])
def test_plans_side_by_side_are_those_alone(sigmoid):
    # In double precision rounding has no time to grow.
    trainer = TorchTrainer(smooth(sigmoid=sigmoid), dtype=torch.float64)
    found = train_together(trainer, states(mixed()), lambda state: PLAN)
    for state, start in zip(found, states(mixed()), strict=True):
        assert_close(state, trainer.run_steps(start, PLAN))


def test_in_single_precision_first_losses_agree():
    trainer = TorchTrainer(smooth())
    plan = StepPlan(steps=5, warm_up=1, evaluate_every=5)
    found = train_together(trainer, states(mixed()), lambda state: plan)
    for state, start in zip(found, states(mixed()), strict=True):
        assert state.best_loss == pytest.approx(trainer.run_steps(start, plan).best_loss, rel=1e-5)


def test_epochs_side_by_side_are_those_alone_also_with_early_stopping():
    trainer = TorchTrainer(smooth(), dtype=torch.float64)
    # High rates, so that some networks stop early, at different epochs.
    tasks = [replace(one, learning_rate=10 * one.learning_rate) for one in mixed()]
    found = train_together(trainer, states(tasks), (12, 2))
    for state, start in zip(found, states(tasks), strict=True):
        assert_close(state, trainer.run_epochs(start, 12, 2))
    stopped = {state.epoch for state in found if state.stopped == "patience"}
    assert len(stopped) > 2
    assert any(not state.stopped for state in found)


def test_resumed_trainings_go_on_side_by_side_from_different_steps():
    trainer = TorchTrainer(smooth(), dtype=torch.float64)
    tasks = [task("silu", (6, 6 + i), 1e-2 / (i + 1), seed=i) for i in range(5)]
    # The third was stopped, the last is finished.
    begun = [
        trainer.run_epochs(start, epochs, 99)
        for start, epochs in zip(states(tasks), (0, 2, 3, 5, 7), strict=True)
    ]
    begun[2].stopped = "patience"
    alone = [trainer.run_epochs(copy.deepcopy(state), 7, 99) for state in begun]
    found = train_together(trainer, copy.deepcopy(begun), (7, 99))
    for state, one in zip(found, alone, strict=True):
        assert_close(state, one)

    plans = {i: StepPlan(40 + 10 * i, 5, 7 + i) for i in range(5)}
    half = [
        trainer.run_steps(start, replace(plans[i], steps=7 + i))
        for i, start in enumerate(states(tasks))
    ]
    for state in half:  # the end of the short plan is an evaluation of the long one
        state.curve.clear()
    alone = [trainer.run_steps(copy.deepcopy(s), plans[i]) for i, s in enumerate(half)]
    found = train_together(trainer, copy.deepcopy(half), lambda s: plans[s.task.seed])
    for state, one in zip(found, alone, strict=True):
        assert_close(state, one)


def test_the_path_of_a_gpu_gives_the_same(monkeypatch):
    # Counting on the device, one fused call for each network, and small blocks.
    trainer = TorchTrainer(smooth(sigmoid=(False, True)), dtype=torch.float64)
    tasks = [
        task("silu", (6, 6 + i), 1e-2 / (i + 1), seed=i, weight_decay=0.1 * i) for i in range(3)
    ]
    expected = [trainer.run_steps(start, PLAN) for start in states(tasks)]
    made = []

    def counting(trainer, courses):
        made.append(Ensemble(trainer, courses, counts_on_device=True))
        return made[-1]

    monkeypatch.setattr(torch_together, "Ensemble", counting)
    monkeypatch.setattr("emufort.training.torch_adam._LONG_ROW", 1)
    monkeypatch.setattr("emufort.training.torch_ensemble._GATHERED", {"cpu": 5 * 3 * 32 * 6})
    monkeypatch.setattr("emufort.training.torch_ensemble._EVALUATED", {"cpu": 33 * 3 * 9})
    found = train_together(trainer, states(tasks), lambda state: PLAN)
    assert made[0].adam.is_fused
    assert made[0]._most_steps == 5
    for state, one in zip(found, expected, strict=True):
        assert_close(state, one)


def test_trainings_leave_no_copies_of_the_data():
    # Every bucket is evaluated in blocks of another size.
    trainer = TorchTrainer(smooth())
    tasks = [task("tanh", (width,) * 2) for width in (3, 6, 12, 24, 48, 96)]
    train_together(trainer, states(tasks[:1]), (1, 9))
    before = held_by_tensors()
    train_together(trainer, states(tasks), (1, 9))
    assert held_by_tensors() <= before


def held_by_tensors() -> int:
    """Return the memory of all tensors [bytes]."""
    gc.collect()
    found = [one for one in gc.get_objects() if type(one) is torch.Tensor]
    return sum(
        {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in found}.values()
    )


def test_data_in_host_memory_give_the_same():
    resident = TorchTrainer(smooth())
    elsewhere = TorchTrainer(smooth())
    with lean_torch():
        elsewhere.rows = Rows(smooth(), torch.device("cpu"), torch.float32, is_resident=False)
    tasks = mixed()[:4]
    for a, b in zip(
        train_together(resident, states(tasks), (3, 9)),
        train_together(elsewhere, states(tasks), (3, 9)),
        strict=True,
    ):
        assert np.array_equal(a.weights, b.weights)
        assert a.best_loss == b.best_loss
    a, b = (one.run_steps(states(tasks)[0], PLAN) for one in (resident, elsewhere))
    assert np.array_equal(a.weights, b.weights)
    assert a.curve == b.curve


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("family", ["mlp", "residual_mlp"])
def test_padding_stays_exactly_zero(activation, family):
    trainer = TorchTrainer(smooth(sigmoid=(True, False)))
    tasks = [task(activation, (w, w), seed=w, weight_decay=0.1, family=family) for w in (4, 7, 9)]
    courses = [Course.of_epochs(state, 2, 9, trainer.n_train) for state in states(tasks)]
    with lean_torch():
        ensemble = Ensemble(trainer, courses)
        before = ensemble.weights.clone()
        ensemble.advance(12)
        ensemble.look([True] * 3, curve=False)
        for i, (here, there, _) in enumerate(ensemble.places):
            padding = np.ones(ensemble.layout.size, dtype=bool)
            padding[there] = False
            assert padding.sum() == ensemble.layout.size - len(here)
            for name in ("weights", "gradient", "moment1", "moment2", "best_weights"):
                row = getattr(ensemble, name)[i].numpy()
                assert not np.any(row[padding]), name
        assert not torch.equal(before, ensemble.weights)


def test_a_network_that_diverges_leaves_the_others_alone():
    trainer = TorchTrainer(smooth(), dtype=torch.float64)
    tasks = [task("squared_relu", (8, 5 + i), 1e-2, seed=i) for i in range(4)]
    tasks[1] = replace(tasks[1], learning_rate=1e30)
    found = train_together(trainer, states(tasks), lambda state: PLAN)
    assert [state.stopped for state in found] == ["", "diverged", "", ""]
    for state, start in zip(found, states(tasks), strict=True):
        if not state.stopped:
            assert_close(state, trainer.run_steps(start, PLAN))
    assert found[1].value == np.inf


def test_progress_is_told_of_every_training():
    trainer = TorchTrainer(smooth())
    seen: dict[int, list[float]] = {}
    tasks = mixed()[:3]
    train_together(
        trainer,
        states(tasks),
        lambda s: PLAN,
        lambda i, share: seen.setdefault(i, []).append(share),
    )
    assert seen == {i: [10 / 45, 20 / 45, 30 / 45, 40 / 45, 1.0] for i in range(3)}


# ----------------------------------------------------------------------- buckets

architectures = st.builds(
    lambda hidden, activation: Architecture(3, tuple(hidden), 2, activation),
    st.lists(st.sampled_from([8, 64, 100, 256, 700]), min_size=1, max_size=3),
    st.sampled_from(["relu", "tanh", "elu:0.5"]),
)
tasks_of_a_search = st.lists(
    st.builds(
        TrainingTask, architectures, st.just(1e-3), st.sampled_from([32, 64]), st.integers(0, 99)
    ),
    min_size=1,
    max_size=25,
)


@given(tasks_of_a_search)
@settings(max_examples=60, deadline=None)
def test_buckets_hold_every_training_once_with_bounded_padding(tasks):
    found = buckets.buckets(tasks)
    assert sorted(i for members in found for i in members) == list(range(len(tasks)))
    for members in found:
        assert len({shape_of(tasks[i]) for i in members}) == 1
        shape = padded([tasks[i].architecture for i in members])
        work = sum(work_of(tasks[i].architecture) for i in members)
        assert len(members) * work_of(shape) <= MOST_PADDING * work
        assert all(
            a <= b
            for i in members
            for a, b in zip(tasks[i].architecture.sizes, shape.sizes, strict=True)
        )
    # The same tasks in the same order give the same buckets; the seed does not matter.
    assert buckets.buckets([replace(one, seed=one.seed + 1) for one in tasks]) == found


def test_small_networks_share_a_bucket_and_large_ones_only_with_their_like():
    small = [task("relu", (width,)) for width in (8, 16, 32, 48)]
    assert buckets.buckets(small) == [[0, 1, 2, 3]]
    large = [task("relu", (width, width)) for width in (256, 300, 1024)]
    assert buckets.buckets(large) == [[2], [0, 1]]


@pytest.mark.parametrize("limit", [1, 3])
def test_memory_bounds_a_bucket(monkeypatch, limit):
    parameters = Layout(task("relu", (8,)).architecture).architecture.n_parameters
    monkeypatch.setattr(buckets, "_MOST_PARAMETERS", limit * parameters)
    found = buckets.buckets([task("relu", (8,), seed=i) for i in range(6)])
    assert [len(members) for members in found] == [limit] * (6 // limit)


widths = st.lists(st.integers(1, 12), min_size=2, max_size=2).map(tuple)


@given(
    st.lists(
        st.tuples(widths, st.sampled_from([1e-3, 1e-2]), st.sampled_from([0.0, 0.1])),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(ACTIVATIONS),
    st.integers(1, 20),
    st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_any_networks_side_by_side_are_those_alone(members, activation, batch, annealed):
    trainer = TorchTrainer(smooth(n=60), dtype=torch.float64)
    tasks = [
        task(activation, hidden, rate, batch, seed=i, weight_decay=decay)
        for i, (hidden, rate, decay) in enumerate(members)
    ]
    plan = StepPlan(steps=12, warm_up=2, evaluate_every=5)
    found = train_together(trainer, states(tasks), (lambda s: plan) if annealed else (2, 9))
    for state, start in zip(found, states(tasks), strict=True):
        alone = trainer.run_steps(start, plan) if annealed else trainer.run_epochs(start, 2, 9)
        assert_close(state, alone)
