"""The script that measures a search on a GPU, small and on the CPU."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(CHECKOUT))
    return importlib.import_module("benchmarks.gpu")


def test_it_runs_small_on_a_cpu_and_claims_nothing(
    script: Any, tmp_path: Path, capsys: Any
) -> None:
    found = script.main(["--device", "cpu", "--small", "--json", str(tmp_path / "gpu.json")])
    assert found["search"]["trials"] == 16
    assert 0 < found["search"]["best"]["loss"] < 1
    assert found["search"]["best"]["rmse"] == found["search"]["best"]["loss"] ** 0.5
    assert json.loads((tmp_path / "gpu.json").read_text())["small"] is True
    shown = capsys.readouterr().out
    assert "this says nothing about GPUs" in shown
    assert "extrapolated from" in shown or "not built" in shown
    assert "aim on an H100" not in shown


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_it_says_how_to_test_it(script: Any) -> None:
    with pytest.raises(SystemExit, match="--device cpu --small"):
        script.main([])


def test_time_that_is_over_ends_a_batch(script: Any, tmp_path: Path) -> None:
    data = script.Dataset.open(None, script.Contract.load("activation_fractions"))
    found = script.searched(data, script.SMALL, "cpu", 1, -1.0, 8, tmp_path)
    assert found["trials"] == 0


def test_halving_sums_up(script: Any) -> None:
    assert script.Size().epochs_per_trial == 1 + 4 / 4 + 16 / 16 + 100 / 64
    assert script.Size().trainings_per_trial == 1 + 1 / 4 + 1 / 16 + 1 / 64
    config = script.Size().config(256, "cpu", 1)
    assert max(config.search.space.width) == 2048
    assert config.search.space.typical_multiply_adds > 100_000


def test_keras_is_extrapolated_from_two_numbers_of_epochs(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def course(tasks: Any, arrays: Any, backend: str, python: str, epochs: int) -> Any:
        wall = 2 * (3.0 + 0.5 * epochs)  # two models of 3 s each, and half a second per epoch
        return type("Course", (), {"trials": [(0, wall / 2, 0), (0, wall, 0)], "versions": {}})

    contenders = importlib.import_module("benchmarks.gpu_contenders")
    monkeypatch.setattr(contenders, "keras_tuner_search", course)
    found = script.with_keras([None, None], None, script.Size(), "torch", "python")
    assert found["seconds_per_epoch"] == pytest.approx(0.5)
    assert found["seconds_per_model"] == pytest.approx(3.0)
    size = script.Size()
    per_trial = 3.0 * size.trainings_per_trial + 0.5 * size.epochs_per_trial
    assert found["trials_per_minute"] == pytest.approx(60 / per_trial)
