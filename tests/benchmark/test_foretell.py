"""Step 1 against step 2 over all candidates: the definitions, and that no training is lost."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emufort.errors import UsageError
from emufort.training import native_backend as native

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
needs_native = pytest.mark.skipif(not native.available(), reason="the trainer is not built")


@pytest.fixture(autouse=True)
def _on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def load(name: str) -> Any:
    return importlib.import_module(name)


@pytest.mark.parametrize("seed", range(20))
def test_what_the_cost_explains_does_not_count_at_equal_cost(seed: int) -> None:
    scores = load("_foretell_scores")
    rng = np.random.default_rng(seed)
    cost = np.exp(rng.uniform(0, 6, 8 + seed))
    noise, final = np.exp(rng.normal(size=(2, len(cost))))
    plain = scores.rank_correlation_at_equal_cost(noise, final, cost)
    # A power of the cost in either loss changes nothing.
    tilted = scores.rank_correlation_at_equal_cost(noise * cost**0.7, final / cost, cost)
    assert plain == pytest.approx(tilted, abs=1e-9)
    assert scores.rank_correlation_at_equal_cost(final * cost, final, cost) == pytest.approx(1.0)


def test_the_front_is_compared_at_every_cost() -> None:
    scores = load("_foretell_scores")
    cost = np.array([1.0, 2.0, 3.0, 4.0])
    final = np.array([8.0, 4.0, 2.0, 1.0])
    assert scores.regret_along_the_front([0, 1, 2, 3], final, cost) == 0.0
    # Costs of 2 to 4 count; the best affordable losses are 8, 8 and 1 instead of 4, 2 and 1.
    assert scores.regret_along_the_front([0, 3], final, cost) == pytest.approx(8 ** (1 / 3) - 1)
    # Nothing is cheap enough at 2 and 3: the worst loss counts.
    assert scores.regret_along_the_front([3], final, cost) == pytest.approx(8 ** (1 / 3) - 1)


@pytest.mark.parametrize(("k", "wanted"), [(1, 3.0), (2, 1.0), (3, 0.0)])
def test_regret_is_that_of_the_best_of_the_first(k: int, wanted: float) -> None:
    scores = load("_foretell_scores")
    predicted, final = np.array([2.0, 1.0, 3.0]), np.array([2.0, 4.0, 1.0])
    assert scores.regret(predicted, final, k) == pytest.approx(wanted)


def test_bias_is_the_mean_shift_of_ranks() -> None:
    scores = load("_foretell_scores")
    predicted, final = np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, 1.0, 2.0])
    found = scores.bias(predicted, final, ["relu", "relu", "silu", "silu"])
    assert found == {"relu": -2.0, "silu": 2.0}


@pytest.mark.parametrize(
    "text", ["cosine", "cosine:3", "linear:3:4", "cosine:a:2", "cosine:1:2:3:4"]
)
def test_a_way_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="no way to train"):
        load("_foretell_trainings").Way.parse(text)


@pytest.mark.parametrize("text", ["constant:5:2000", "cosine:16:0:32"])
def test_a_way_is_written_as_it_is_read(text: str) -> None:
    assert str(load("_foretell_trainings").Way.parse(text)) == text


@needs_native
def test_a_small_comparison_is_repeated_without_training(tmp_path: Path, capsys: Any) -> None:
    foretell, trainings = load("foretell"), load("_foretell_trainings")
    words = ["--out", str(tmp_path), "--candidates", "6", "--ways", "cosine:1:300,constant:1:300"]
    words += ["--steps", "30", "--keep", "2", "--workers", "1"]
    foretell.main(words)
    first = capsys.readouterr().out
    results = (tmp_path / "foretell.json").read_text()
    content = json.loads(results)
    assert set(content["samples"]["1"]) == {
        "cosine:1:300", "constant:1:300", "cost alone", "another seed of step 2", "2 at random",
    }  # fmt: skip
    table = (tmp_path / "trainings.csv").read_text()
    assert table.count("\n") == 1 + 2 * 6 + 2 * 6
    # As a kill leaves it: one line is cut, and two are missing.
    lines = table.splitlines(keepends=True)
    (tmp_path / "trainings.csv").write_text("".join(lines[:-3]) + lines[-3][:9])
    foretell.main(words)
    again = {k: v["loss"] for k, v in _losses(trainings, tmp_path).items()}
    (tmp_path / "trainings.csv").write_text(table)
    assert again == {k: v["loss"] for k, v in _losses(trainings, tmp_path).items()}
    assert "cost alone" in first and (tmp_path / "foretell.png").stat().st_size > 0


def _losses(trainings: Any, folder: Path) -> Any:
    return {key: {"loss": loss} for key, (loss, _) in trainings._read(folder / "trainings.csv")}
