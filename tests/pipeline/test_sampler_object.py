"""A run whose sampler is an object of Python."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import emufort.api as ef
from emufort.config import Config
from emufort.errors import UsageError
from emufort.files import read_csv
from emufort.search.samplers.optuna_quiet import quiet_optuna
from tests.pipeline.runs import emufort


class StopError(BaseException):
    pass


class Stop:
    """Stop the run after its first batch, like a kill would."""

    def on_trials(self, trials: object) -> None:
        raise StopError


def sampler(start: int = 3) -> object:
    return quiet_optuna().samplers.TPESampler(n_startup_trials=start)


def begin(folder: Path, out: Path, **options: object) -> None:
    config = Config.load(folder / "run.toml").model_dump(mode="json", exclude_none=True)
    ef.run(config, out=out, sampler=sampler(), **options)  # type: ignore[arg-type]


def test_only_python_can_continue_the_search(synthetic: Path) -> None:
    out = synthetic / "out"
    with pytest.raises(StopError):
        begin(synthetic, out, callbacks=[Stop()])
    assert len(read_csv(out / "search" / "trials.csv")) == 4
    shown = tomllib.loads((out / "config.toml").read_text())["search"]["sampler"]
    assert shown.startswith("object optuna.samplers.TPESampler(")
    done = emufort("run", "--out", out)
    assert done.returncode == 2
    assert "an object of Python, optuna.samplers.TPESampler(" in done.stderr
    assert "emufort.api.run or emufort.api.search" in done.stderr
    assert done.stderr.count("\n") == 1
    assert emufort("search", "--out", out, "--sampler", "random").returncode == 2
    with pytest.raises(UsageError, match=r"holds a run with search\.sampler = 'object "):
        ef.run(out=out, sampler=sampler(start=4))  # type: ignore[arg-type]
    bundle = ef.run(out=out, sampler=sampler())  # type: ignore[arg-type]
    assert bundle.path == out / "bundle"
    # the later steps do not need the object
    done = emufort("run", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("already finished") == 7
    begin(synthetic, synthetic / "whole")
    columns = ("number", "value", "label", "learning_rate")
    first, second = (
        [[row[name] for name in columns] for row in read_csv(folder / "search" / "trials.csv")]
        for folder in (out, synthetic / "whole")
    )
    assert first == second
