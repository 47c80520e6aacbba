"""The script that measures what a warm start gains."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from emufort.config import Config
from emufort.search.candidate_task import final_plan, final_task
from emufort.training import TrainerState, make_trainer
from tests.training.problems import smooth

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(CHECKOUT))
    return importlib.import_module("benchmarks.warm_start")


def test_candidates_are_of_every_activation_function_and_not_too_large(script: Any) -> None:
    found = script.draw(Config(), 3, 700)
    assert [c.activation for c in found] == [
        name for name in Config().search.space.activation for _ in range(3)
    ]
    assert max(c.architecture(15, 1).multiply_adds for c in found) <= 700
    assert found == script.draw(Config(), 3, 700)


def test_losses_are_those_of_the_rounds_and_of_longer_trainings(script: Any) -> None:
    config = Config.from_dict({"retrain": {"steps": 40, "longer": 3}})
    arrays = smooth()
    trainer = make_trainer(arrays)
    candidate = script.draw(config, 1, 700)[0]
    rounds, cold, warm, warm_as_long = script.losses(trainer, arrays, candidate, config, 5)
    task = final_task(candidate, candidate.architecture(3, 2), config.retrain, 5)

    def plan(times: int) -> Any:
        return final_plan(task, config.retrain, trainer.n_train, 100, times)

    first = trainer.run_steps(TrainerState.initial(task), plan(1))
    assert rounds == first.value
    assert cold == trainer.run_steps(TrainerState.initial(task), plan(3)).value
    for times, value in ((2, warm), (3, warm_as_long)):
        begun = TrainerState.from_weights(task, first.best_weights, first.value)
        assert value == trainer.run_steps(begun, plan(times)).value < rounds


def test_the_table_has_ratios_to_the_cold_training(script: Any) -> None:
    found = [("relu", 2.0, 1.0, 0.5, 0.25), ("relu", 8.0, 4.0, 8.0, 4.0), ("silu", 1.0, 1.0, 1, 1)]
    head, _, relu, silu, both = script.lines(found, 3)
    assert head.endswith("| rounds | 3 in all | 4 in all |")
    assert relu == "| relu | 2 | 2.00 (2.00 to 2.00) | 1.00 (0.50 to 2.00) | 0.50 (0.25 to 1.00) |"
    assert silu == "| silu | 1 | 1.00 (1.00 to 1.00) | 1.00 (1.00 to 1.00) | 1.00 (1.00 to 1.00) |"
    assert both.startswith("| all | 3 | 1.59 (1.00 to 2.00) |")
