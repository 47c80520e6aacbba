from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

from emufort.errors import EmufortError
from emufort.network.architecture import Architecture
from emufort.training import Layout, StepPlan, TrainerState
from tests.training.problems import task


def test_layout_starts_every_layer_on_a_cache_line():
    layout = Layout(Architecture(3, (8, 5), 2, "relu"))
    assert layout.shapes == ((8, 4), (5, 9), (2, 6))
    assert layout.starts == (0, 32, 80, 96)
    flat = np.arange(layout.size, dtype=np.float32)
    weights, biases = layout.split(flat)
    assert [w.shape for w in weights] == [(8, 3), (5, 8), (2, 5)]
    assert weights[1][0, 0] == 32
    assert biases[0].tolist() == [3, 7, 11, 15, 19, 23, 27, 31]


@pytest.mark.parametrize(
    ("activation", "gain"),
    [("relu", 1 / 3), ("squared_relu", 1 / 3), ("silu", 2 / 3), ("tanh", 2 / 3)],
)
def test_first_weights_are_small_and_seeded(activation, gain):
    layout = Layout(Architecture(100, (200, 200), 1, activation))
    weights, biases = layout.split(layout.initial(0))
    assert all(np.all(b == 0) for b in biases)
    for w in weights[:2]:
        spread = np.sqrt(gain / w.shape[1])
        assert np.abs(w).max() <= np.sqrt(3.0) * spread
        assert w.std() == pytest.approx(spread, rel=0.02)
    assert not np.array_equal(layout.initial(0), layout.initial(1))


def test_state_files_are_exact(tmp_path):
    state = TrainerState.initial(task())
    state.curve = [(10, 0.1, 1.0 / 3.0, 1e-3)]
    state.step, state.best_loss, state.seconds = 10, 1.0 / 3.0, 1.5
    state.save(tmp_path / "s")
    read = TrainerState.load(tmp_path / "s")
    assert read.task == state.task
    assert read.curve == state.curve
    assert (read.step, read.best_loss, read.seconds) == (10, 1.0 / 3.0, 1.5)
    assert np.array_equal(read.weights, state.weights)
    TrainerState.initial(task()).save(tmp_path / "s")
    assert TrainerState.load(tmp_path / "s").best_loss == math.inf


def test_damaged_state_files_are_named(tmp_path):
    (tmp_path / "s").write_bytes(b"nonsense")
    with pytest.raises(EmufortError, match="cannot read the training"):
        TrainerState.load(tmp_path / "s")
    with pytest.raises(EmufortError, match="cannot read the training"):
        TrainerState.load(tmp_path / "absent")


def broken(header: dict[str, str], arrays: dict[str, np.ndarray], path: Path) -> None:
    """Write a state whose header and arrays are partly replaced."""
    TrainerState.initial(task()).save(path)
    with safe_open(path, framework="numpy") as stream:
        known = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        metadata = {**stream.metadata(), **header}
    path.write_bytes(save({**known, **arrays}, metadata=metadata))


@pytest.mark.parametrize(
    ("header", "arrays"),
    [
        ({"numbers": "nonsense"}, {}),
        ({"numbers": '{"steps": 1}'}, {}),
        ({"task": "[]"}, {}),
        ({"task": "{}"}, {}),
        ({}, {"weights": np.zeros(16, np.float32)}),
        ({}, {"moment1": np.zeros(0, np.float32)}),
        ({}, {"best_weights": np.zeros(Layout(task().architecture).size)}),
        ({}, {"curve": np.zeros(4)}),
    ],
)
def test_a_state_that_does_not_fit_together_is_damaged(header, arrays, tmp_path):
    broken(header, arrays, tmp_path / "s")
    with pytest.raises(EmufortError, match="cannot read the training"):
        TrainerState.load(tmp_path / "s")


def test_schedule_rises_and_falls():
    plan = StepPlan(steps=1000, warm_up=20, evaluate_every=10)
    factors = [plan.factor(s) for s in range(1000)]
    assert factors[0] == pytest.approx(0.05)
    assert max(factors) == pytest.approx(1.0, abs=1e-2)
    assert factors[500] == pytest.approx(0.5)
    assert 0 <= factors[-1] < 1e-5
