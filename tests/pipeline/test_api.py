"""The steps as functions, as the README shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import emufort.api as ef
from emufort import steps
from emufort.config import Config
from emufort.errors import UsageError
from emufort.search.result import SearchResult
from tests.conftest import synthetic_data


def test_from_data_to_predictions(synthetic: Path) -> None:
    contract = ef.Contract.load(synthetic / "evaporation.toml")
    data = ef.Dataset.open(synthetic / "evaporation.nc", contract)
    study = ef.search(
        data,
        trials=4,
        batch=4,
        subset=128,
        validation=100,
        rungs=(2, 6),
        space={"depth": (1, 2), "width": (8, 16)},
        out=synthetic / "search",
    )
    models = ef.retrain(
        study, data, top=2, seeds=1, steps=1500, batch_size=32, out=synthetic / "retrain"
    )
    assert [row.why for row in models].count("control") == 2, "half of the four"
    assert len(models) == 4
    times = ef.time(models, ncol=(8,), repeats=2, out=synthetic / "timing.csv")
    best = ef.select(models, times, rule="best", ncol=8)
    bundle = ef.export(best, data, synthetic / "bundle")
    assert bundle.manifest.metadata["agreement"]["control_group"] == 2
    ef.verify(bundle, rows=200).raise_if_failed()
    held_out = synthetic_data(n=50, seed=7)
    predicted = ef.load(bundle).predict(held_out)
    assert predicted.evaporation_rate.attrs["units"] == "kg m-2 s-1"
    error = np.log(predicted.evaporation_rate / held_out.evaporation_rate)
    spread = np.log(held_out.evaporation_rate).std()
    assert float(np.sqrt((error**2).mean())) < 0.2 * float(spread)


def test_an_unknown_option_is_named(synthetic: Path) -> None:
    contract = ef.Contract.load(synthetic / "evaporation.toml")
    data = ef.Dataset.open(synthetic / "evaporation.nc", contract)
    with pytest.raises(UsageError, match="did you mean 'trials'"):
        ef.search(data, trails=4, out=synthetic / "search")


def test_step_2_takes_options_that_are_not_given_from_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search was made for these options: its rungs are as long as they say."""
    seen: list[Config] = []
    monkeypatch.setattr(steps, "retrain", lambda study, data, config, *_: seen.append(config))
    content = {"seed": 5, "retrain": {"steps": 700, "learning_rate": [1e-4, 1e-3], "top": 2}}
    study = SearchResult(tmp_path, (), {"config": content})
    ef.retrain(study, None, out=tmp_path / "retrain")  # type: ignore[arg-type]
    ef.retrain(study, None, out=tmp_path / "retrain", top=3, workers=2)  # type: ignore[arg-type]
    assert seen[0].retrain == study.config.retrain
    assert (seen[0].seed, seen[0].workers, seen[1].workers) == (5, 0, 2)
    assert seen[1].retrain == study.config.retrain.model_copy(update={"top": 3})
    with pytest.raises(UsageError, match="did you mean 'steps'"):
        ef.retrain(study, None, out=tmp_path / "retrain", step=3)  # type: ignore[arg-type]
