"""Training weights of outputs: the loss has them; the mapping of values and the skill do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import ContractError
from emufort.export.bundle import export
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator
from emufort.skill import Yardstick, skill_of_emulator
from emufort.training import Arrays, Layout, StepPlan, TrainerState, TrainingTask, make_trainer
from emufort.training.native_trainer import available
from emufort.training.scaling import fit_scalers

CONTRACT = """
name = "column"
[dimensions]
lev = 3
[[input]]
name = "x"
[[input]]
name = "y"
[[output]]
name = "heating"
dimension = "lev"
transform = "{transform}"
{weight}
[[output]]
name = "rain"
"""


def contract(weight: str = "", transform: str = "standardise", rain: str = "") -> Contract:
    text = CONTRACT.format(weight=weight and f"training_weight = {weight}", transform=transform)
    return Contract.from_toml(text + (rain and f"training_weight = {rain}"))


def column(weight: str = "", *, rain: str = "", constant_level: bool = False) -> Dataset:
    """Level 2 depends on y alone and the other outputs on x, so one neuron cannot fit them all."""
    n = 600
    xy = np.random.default_rng(3).uniform(-1, 1, size=(n, 2))
    y = np.tanh(xy[:, [0, 0, 1, 0]]) * [1.0, -20.0, 3e-4, 0.1]
    if constant_level:
        y[:, 0] = 0.25
    split = np.repeat([0, 1, 2], [400, 100, 100]).astype(np.int8)
    return Dataset(
        contract(weight, rain=rain), Path("memory"), "ab" * 32, xy, y, split, np.arange(n)
    )


@given(
    weights=st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3),
    constant_level=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_loss_is_the_weighted_mean_square_error(
    weights: list[float], constant_level: bool, seed: int
) -> None:
    data = column(repr(weights), constant_level=constant_level)
    scaler = fit_scalers(data)[1]
    spread = np.std(data.y, axis=0)
    kept = list(scaler.varying)
    assert kept == [1, 2, 3] if constant_level else [0, 1, 2, 3]
    true = data.y[:50]
    guess = np.where(
        spread > 0, true + spread * np.random.default_rng(seed).normal(size=(50, 4)), true
    )
    loss = np.square(scaler.forward(guess) - scaler.forward(true)).mean()
    w = np.array([*weights, 1.0])[kept]
    errors = np.square((guess - true) / np.where(spread > 0, spread, 1.0))[:, kept]
    assert loss == pytest.approx((errors * w).mean() / w.mean(), rel=1e-9)
    np.testing.assert_allclose(scaler.backward(scaler.forward(true)), true, rtol=1e-9)


@given(weight=st.floats(1e-6, 1e6))
def test_the_same_weight_for_all_outputs_has_no_effect(weight: float) -> None:
    plain, data = column(), column(repr(weight), rain=repr(weight))
    of_plain, of_data = fit_scalers(plain)[1], fit_scalers(data)[1]
    np.testing.assert_allclose(of_data.scale, of_plain.scale, rtol=1e-15)
    assert Yardstick.of(plain).to_dict() == Yardstick.of(data).to_dict()


@pytest.mark.parametrize("backend", ["torch", *(["native"] if available() else [])])
def test_a_level_with_a_large_weight_is_fitted_better(backend: str) -> None:
    found = []
    for weight in ("1.0", "[1.0, 1.0, 30.0]"):
        data = column(weight)
        arrays, x_scaler, y_scaler = Arrays.from_datasets(
            data.part("train"), data.part("validation")
        )
        task = TrainingTask(Architecture(2, (1,), 4, "tanh"), 1e-2, 64, 8)
        trainer = make_trainer(arrays, backend)
        state = trainer.run_steps(TrainerState.initial(task), StepPlan.annealed(600, 6))
        parameters = Layout(task.architecture).parameters(state.best_weights)
        network = Emulator(data.contract, task.architecture, x_scaler, y_scaler, parameters)
        found.append([one.r2 for one in skill_of_emulator(network, data).columns.values()])
    assert found[0][2] < 0.1 < 0.9 < found[0][0]
    assert found[1][0] < 0.1 < 0.9 < found[1][2]


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ("2", "standardised; training weight 2"),
        ("[1, 2, 0.5]", "standardised; training weights 0.5 to 2"),
    ],
)
def test_the_model_card_has_the_weights(weight: str, words: str, tmp_path: Path) -> None:
    data = column(weight)
    network = Architecture(2, (4,), 4, "relu")
    state = TrainerState.initial(TrainingTask(network, 1e-2, 32, 1))
    parameters = Layout(network).parameters(state.best_weights)
    emulator = Emulator(data.contract, network, *fit_scalers(data.part("train")), parameters)
    card = export(emulator, data, tmp_path / "bundle", golden=2).path / "MODEL_CARD.md"
    assert card.read_text().count(words) == 1


def test_a_contract_without_weights_keeps_its_hash() -> None:
    assert contract().sha256 == contract("1.0").sha256
    assert "training_weight" not in str(contract().to_dict())
    weighted = contract("[1.0, 2.0, 0.5]")
    assert weighted.sha256 != contract().sha256
    assert Contract.from_dict(weighted.to_dict()) == weighted


@pytest.mark.parametrize(
    ("weight", "transform", "message"),
    [
        ("0.0", "standardise", "is not 1e-06 to 1e"),
        ("-2.0", "standardise", "is not 1e-06 to 1e"),
        ("1e7", "standardise", "is not 1e-06 to 1e"),
        ("nan", "standardise", "training_weight"),
        ("[1.0, 2.0]", "standardise", "has 2 values; give one number, or 3 values"),
        ("2.0", "sigmoid", "takes no training_weight"),
        ('"high"', "standardise", "training_weight"),
    ],
)
def test_weights_that_are_not_valid_are_refused(weight: str, transform: str, message: str) -> None:
    with pytest.raises(ContractError, match=message) as caught:
        contract(weight, transform)
    assert "\n" not in str(caught.value)
