"""A training that begins with trained weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.errors import EmufortError
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator
from emufort.training import Layout, StepPlan, Trainer, TrainerState, make_trainer
from emufort.training import native_trainer as native
from emufort.training.durable import DurableUnit, WarmStart, run_durably
from emufort.training.scaling import fit_scalers
from emufort.training.start import output_biases, start
from tests.search.pond import data
from tests.training.problems import smooth, task

BACKENDS = ["torch", pytest.param("native", marks=pytest.mark.skipif(
    not native.available(), reason="the trainer is not built"))]  # fmt: skip
PLAN = StepPlan(steps=60, warm_up=5, evaluate_every=10)
#: One output behind a sigmoid, whose bias is set in trainings that begin with new weights.
ARRAYS = smooth(sigmoid=(True, False))


@pytest.fixture(params=BACKENDS)
def trainer(request: pytest.FixtureRequest) -> Trainer:
    return make_trainer(ARRAYS, request.param)


def trained(trainer: Trainer, folder: Path, **options) -> tuple[TrainerState, WarmStart]:
    """Train for the length of the plan; return the state, and what step 2 would begin with."""
    state = trainer.run_steps(TrainerState.initial(task(**options)), PLAN)
    parameters = Layout(state.task.architecture).parameters(state.best_weights)
    pond = data()
    emulator = Emulator(
        pond.contract, state.task.architecture, *fit_scalers(pond.part("train")), parameters
    )
    folder.mkdir(exist_ok=True)
    emulator.save(folder / "weights.safetensors")
    return state, WarmStart(folder / "weights.safetensors", state.value)


def unit(folder: Path, warm_start: WarmStart, **options) -> DurableUnit:
    folder.mkdir(exist_ok=True)
    return DurableUnit(task(**options), PLAN, folder / "checkpoint.safetensors", 0.0, warm_start)


# ------------------------------------------------------------------- where it begins


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(1, 20), st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 5))
def test_weights_and_biases_are_joined_as_they_were_split(n_inputs, hidden, n_outputs):
    layout = Layout(Architecture(n_inputs, tuple(hidden), n_outputs, "silu"))
    flat = layout.initial(1)
    for (rows, columns), at in zip(layout.shapes, layout.starts, strict=False):
        flat[at : at + rows * columns].reshape(rows, columns)[:, -1] = np.arange(rows)
    assert np.array_equal(layout.join(*layout.split(flat)), flat)


def test_it_begins_with_the_weights_of_the_file_and_no_bias_is_set(trainer, tmp_path):
    before, warm_start = trained(trainer, tmp_path)
    biases = output_biases(ARRAYS)
    assert biases[0] != 0.0
    state = unit(tmp_path, warm_start).first_state(before.task)
    assert (state.step, state.best_loss) == (0, before.best_loss)
    start(state, biases)
    assert np.array_equal(state.weights, before.best_weights)
    assert np.array_equal(state.best_weights, before.best_weights)
    assert not np.any(state.moment1)
    assert not np.any(state.moment2)
    # A rate of nearly nothing: what is looked at is the start.
    still = replace(before.task, learning_rate=1e-12)
    looked = trainer.run_steps(replace(state, task=still), StepPlan(1, 1, 1))
    assert looked.curve[0][2] == pytest.approx(before.best_loss, rel=1e-6)


def test_it_ends_with_less_loss_than_it_began_with(trainer, tmp_path):
    before, warm_start = trained(trainer, tmp_path)
    after = run_durably(trainer, unit(tmp_path, warm_start))
    assert after.value < 0.9 * before.value
    assert after.step == PLAN.steps


def test_if_nothing_better_is_found_it_ends_with_what_it_began_with(trainer, tmp_path):
    before, warm_start = trained(trainer, tmp_path)
    lower = replace(warm_start, loss=1e-9)  # which no training of this data reaches
    after = run_durably(trainer, unit(tmp_path, lower))
    assert after.value == 1e-9
    assert np.array_equal(after.best_weights, before.best_weights)
    assert not np.array_equal(after.weights, before.best_weights)


def test_a_missing_file_is_named(tmp_path):
    missing = WarmStart(tmp_path / "weights.safetensors", 1.0)
    with pytest.raises(EmufortError, match=r"cannot read the weights .*weights\.safetensors"):
        run_durably(make_trainer(ARRAYS), unit(tmp_path, missing))


# ------------------------------------------------------------------- durability


class KilledError(Exception):
    pass


def run_until(trainer: Trainer, the_unit: DurableUnit, step: int) -> None:
    """Run until the checkpoint of `step` is written, and die."""

    def deadly(share: float) -> None:
        # Told before the checkpoint is written: this look is lost.
        if share > step / PLAN.steps:
            raise KilledError

    with pytest.raises(KilledError):
        run_durably(trainer, the_unit, tell=deadly)


def test_killed_again_and_again_it_ends_the_same(trainer, tmp_path):
    _, warm_start = trained(trainer, tmp_path)
    whole = run_durably(trainer, unit(tmp_path / "a", warm_start))
    parts = unit(tmp_path / "b", warm_start)
    for step in (0, 10, 20, 50):
        run_until(trainer, parts, step)
        assert parts.checkpoint.exists() == (step > 0)
    # What is begun goes on from its checkpoint, not from the weights that it began with.
    warm_start.weights.unlink()
    end = run_durably(trainer, parts)
    assert np.array_equal(whole.best_weights, end.best_weights)
    assert np.array_equal(whole.weights, end.weights)
    assert whole.curve == end.curve


class Diverging:
    """A trainer whose first training diverges; it notes the weights that each begins with."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.begun: list[np.ndarray] = []

    def run_steps(self, state, plan, listener):
        self.begun.append(state.weights.copy())
        if len(self.begun) > 1:
            return self.trainer.run_steps(state, plan, listener)
        state.weights[:] = state.best_weights[:] = np.nan
        state.stopped = "diverged"
        return state


def test_a_diverging_training_starts_again_slower_from_the_same_weights(trainer, tmp_path):
    before, warm_start = trained(trainer, tmp_path)
    diverging = Diverging(trainer)
    end = run_durably(diverging, unit(tmp_path, warm_start))
    assert end.task.learning_rate < before.task.learning_rate
    assert len(diverging.begun) == 2
    assert all(np.array_equal(w, before.best_weights) for w in diverging.begun)
    assert end.value < before.value


def test_both_trainers_begin_alike(tmp_path):
    if not native.available():
        pytest.skip("the trainer is not built")
    _, warm_start = trained(make_trainer(ARRAYS), tmp_path)
    few = StepPlan(6, 2, 1)
    ends = [
        run_durably(
            make_trainer(ARRAYS, backend),
            replace(unit(tmp_path / backend, warm_start), plan=few),
        )
        for backend in ("torch", "native")
    ]
    for ours, theirs in zip(ends[0].curve, ends[1].curve, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
