"""One driver per folder; signals of the driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from emufort import cli
from emufort.cli import command
from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError
from emufort.lock import only_writer
from emufort.retrain.driver import retrain
from emufort.search.driver import search
from emufort.search.trials import read_trials
from tests.conftest import PACKAGE, SYNTHETIC_CONFIG, SYNTHETIC_CONTRACT, synthetic_data
from tests.search.pond import config, data

ROOT = Path(__file__).parents[2]


def test_a_second_driver_is_refused(tmp_path):
    refused = []

    def second(step, done, total, note="", left=None):
        if done == 6:
            with pytest.raises(EmufortError, match=r"another emufort \(process \d+ on .*\) is at"):
                search(data(), config(), tmp_path)
            refused.append(done)

    assert len(search(data(), config(), tmp_path, second).trials) == 18
    assert refused
    # A finished search is only read.
    with only_writer(tmp_path):
        assert len(search(data(), config(), tmp_path).trials) == 18
    with only_writer(tmp_path / "retrain"), pytest.raises(EmufortError, match="another emufort"):
        retrain(tmp_path, data(), config(), tmp_path / "retrain")


@pytest.fixture
def folder(tmp_path):
    """Contract, data and configuration of a search of some seconds."""
    (tmp_path / "evaporation.toml").write_text(SYNTHETIC_CONTRACT)
    text = SYNTHETIC_CONFIG.replace("trials = 8", "trials = 24")
    (tmp_path / "run.toml").write_text(text)
    synthetic_data().to_netcdf(tmp_path / "evaporation.nc")
    return tmp_path


def start(folder: Path, out: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "emufort.cli", "search", "run.toml", "--out", out, *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": PACKAGE},
    )


def test_sigterm_ends_cleanly_and_the_search_goes_on(folder):
    process = start(folder, "parts")
    table = folder / "parts" / "search" / "trials.csv"
    while not table.exists():
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors
    assert errors == ("error: terminated; finished work is kept, the same command continues it\n")
    begun = len(read_trials(table, 3, 2))
    assert 4 <= begun < 24
    assert not list(table.parent.glob("arrays-*"))
    process = start(folder, "parts", "--workers", "1")
    assert process.wait(timeout=300) == 0
    options = Config.load(folder / "run.toml")
    rows = Dataset.open(folder / "evaporation.nc", Contract.from_toml(SYNTHETIC_CONTRACT))
    whole = search(rows, options.model_copy(update={"workers": 1}), folder / "whole").trials
    assert len(whole) == 24
    assert [replace(t, seconds=0) for t in read_trials(table, 3, 2)] == [
        replace(t, seconds=0) for t in whole
    ]


def test_what_fails_on_the_way_out_does_not_hide_that_it_was_stopped(monkeypatch):
    def app(**_):
        raise RuntimeError("a lock was released that was not held")

    def leave():
        raise SystemExit(143)

    monkeypatch.setattr(command, "app", app)
    monkeypatch.setattr(command.signals, "received", lambda settle=0.0: True)
    monkeypatch.setattr(command.signals, "leave", leave)
    with pytest.raises(SystemExit, match="143"):
        cli.execute(["search"])
