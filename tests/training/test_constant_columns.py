"""Constant outputs take no part in a training: its losses and weights are those without them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import DataError
from emufort.network.architecture import Architecture
from emufort.skill import Yardstick
from emufort.training import Arrays, StepPlan, TrainerState, TrainingTask, make_trainer
from emufort.training.native_trainer import available
from emufort.training.scaling import fit_scalers, network_sizes
from emufort.workers.judge import Judge
from emufort.workers.shared_arrays import SharedArrays

CONTRACT = """
name = "pond"
[dimensions]
level = [{labels}]
[[input]]
name = "wind"
[[input]]
name = "sun"
[[output]]
name = "cooling"
dimension = "level"
transform = "{transform}"
"""


def pond(columns: str, transform: str = "standardise", n: int = 400) -> Dataset:
    """One output column per letter: v and w vary, 0 is zero, c is 0.3, r is not 0.3 in one row."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2))
    v = 1 / (1 + np.exp(-x[:, 0] - np.sin(x[:, 1])))
    rare = np.full(n, 0.3)
    rare[n // 2] = 0.8
    values = {"v": v, "w": v**2, "0": 0 * v, "c": 0 * v + 0.3, "r": rare}
    labels = ", ".join(f'"{i}"' for i in range(len(columns)))
    contract = Contract.from_toml(CONTRACT.format(labels=labels, transform=transform))
    y = np.stack([values[c] for c in columns], axis=1)
    split = np.repeat([0, 1, 2], [n - 100, 50, 50]).astype(np.int8)
    return Dataset(contract, Path("memory"), "ab" * 32, x, y, split, np.arange(n))


def arrays_of(data: Dataset) -> Arrays:
    return Arrays.from_datasets(data.part("train"), data.part("validation"))[0]


def backends() -> list[str]:
    return ["torch", *(["native"] if available() else [])]


@pytest.mark.parametrize("transform", ["standardise", "minmax", "none", "sigmoid"])
@pytest.mark.parametrize("backend", backends())
def test_losses_and_weights_are_those_of_the_varying_columns_alone(
    backend: str, transform: str
) -> None:
    found = []
    for columns in ("vw", "0vcwc"):
        arrays = arrays_of(pond(columns, transform))
        task = TrainingTask(Architecture(2, (6, 5), 2, "tanh"), 1e-2, 32, 7, weight_decay=1e-3)
        trainer = make_trainer(arrays, backend)
        searched = trainer.run_epochs(TrainerState.initial(task), 3, 10)
        plan = StepPlan.annealed(40, 4)
        retrained = trainer.run_steps(TrainerState.initial(task), plan)
        found.append(
            (
                searched.best_loss,
                searched.best_weights.tobytes(),
                retrained.best_loss,
                retrained.best_weights.tobytes(),
                [row[1:3] for row in retrained.curve],
            )
        )
    assert found[0] == found[1]


def test_networks_side_by_side_agree_too() -> None:
    from emufort.training.torch_together import run_steps_together

    found = []
    for columns in ("v", "c0v"):
        trainer = make_trainer(arrays_of(pond(columns)), "torch")
        tasks = [TrainingTask(Architecture(2, (6,), 1, "tanh"), 1e-2, 32, s) for s in (1, 2)]
        states = [TrainerState.initial(task) for task in tasks]
        run_steps_together(trainer, states, StepPlan.annealed(40, 4))  # type: ignore[arg-type]
        found.append([(s.best_loss, s.best_weights.tobytes()) for s in states])
    assert found[0] == found[1]


def test_stored_arrays_have_the_varying_columns(tmp_path: Path) -> None:
    data = pond("0vc")
    stored, _, scaler = SharedArrays.from_datasets(
        data.part("train"), data.part("validation"), tmp_path
    )
    assert scaler.kinds == ("constant", "affine", "constant")
    assert scaler.shift[[0, 2]].tolist() == [0.0, 0.3]
    loaded, made = stored.load(), arrays_of(data)
    assert loaded.y_train.shape == (300, 1)
    np.testing.assert_array_equal(loaded.y_train, made.y_train)
    assert loaded.sigmoid == (False,)


def test_a_subset_has_the_outputs_of_the_whole_training_rows() -> None:
    # 'r' varies in one training row, which the subset does not have.
    data = pond("vrc")
    subset = data.part("train").take(np.arange(50))
    assert network_sizes(data) == network_sizes(subset) == (2, 2)
    _, scaler = fit_scalers(subset)
    _, whole = fit_scalers(data.part("train"))
    assert scaler.kinds == whole.kinds == ("affine", "affine", "constant")
    assert (scaler.shift[1], scaler.scale[1]) == (
        pytest.approx(whole.shift[1], rel=1e-12),
        pytest.approx(whole.scale[1], rel=1e-12),
    )
    assert scaler.scale[0] != whole.scale[0]
    assert np.isfinite(scaler.forward(data.targets)).all()


def test_a_judge_keeps_what_errors_are_measured_by(tmp_path: Path) -> None:
    data = pond("0vrw")
    part = data.part("validation")
    judge = Judge.of(part, fit_scalers(data.part("train")), part)
    judge.save(tmp_path)
    again = Judge.load(tmp_path)
    assert again is not None
    assert again.yardstick.columns == (1, 2, 3)
    assert again.yardstick.units is not None
    np.testing.assert_array_equal(again.yardstick.units, Yardstick.of(data).units)
    np.testing.assert_allclose(again.yardstick.units, data.part("train").y.std(axis=0)[1:])
    state = TrainerState.initial(TrainingTask(Architecture(2, (4,), 3), 1e-2, 32, 1))
    assert again.error(state) == judge.error(state) < np.inf


def test_a_feature_that_single_precision_cannot_scale_is_refused() -> None:
    data = pond("v")
    data.x[:, 0] = 1e-30 * (1 + 1e-10 * np.arange(len(data)) / len(data))
    with pytest.raises(DataError, match=r"wind varies by .* single precision cannot scale"):
        fit_scalers(data.part("train"))
