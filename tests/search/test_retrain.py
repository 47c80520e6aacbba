from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emufort import retrain as module
from emufort.errors import EmufortError
from emufort.files import read_csv, read_json
from emufort.network import Emulator
from emufort.retrain import learning_rate_for, retrain
from emufort.search import load_search, search
from emufort.search.identity import study_sha256
from emufort.search.trials import read_trials
from emufort.skill import skill_of
from tests.conftest import PACKAGE
from tests.search.pond import config, data

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder with a search and a retraining that were not disturbed."""
    folder = tmp_path_factory.mktemp("finished")
    search(data(), config(), folder / "search")
    retrain(folder / "search", data(), config(), folder / "retrain")
    return folder


def weights(folder: Path) -> dict[str, list[np.ndarray]]:
    return {
        path.parent.name: [*Emulator.load(path).weights, *Emulator.load(path).biases]
        for path in sorted(folder.glob("*/weights.safetensors"))
    }


def assert_same_weights(a: Path, b: Path) -> None:
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    assert first
    for name in first:
        assert all(map(np.array_equal, first[name], second[name]))


def test_files_of_a_retraining(finished):
    folder = finished / "retrain"
    rows = read_csv(folder / "candidates.csv")
    assert len(rows) == 6
    assert [float(r["rmse"]) for r in rows] == sorted(float(r["rmse"]) for r in rows)
    assert {r["why"] for r in rows} == {"skill", "front"}
    trials = {t.number: t for t in load_search(finished / "search").trials}
    for row in rows:
        assert row["id"] == f"t{int(row['trial']):05d}-s{row['seed']}"
        assert float(row["search_loss"]) == trials[int(row["trial"])].value
        files = {path.name for path in (folder / row["id"]).iterdir()}
        assert files == {"weights.safetensors", "curve.csv", "metrics.json"}
        curve = read_csv(folder / row["id"] / "curve.csv")
        assert int(curve[-1]["step"]) == 300
        best = min(float(line["validation_loss"]) for line in curve)
        assert best == float(row["validation_loss"])
    ranked = read_csv(folder / "ranking.csv")
    assert [float(r["rmse"]) for r in ranked] == sorted(float(r["rmse"]) for r in ranked)
    for row in ranked:
        of_trial = [float(r["rmse"]) for r in rows if r["trial"] == row["trial"]]
        assert float(row["rmse"]) == pytest.approx(np.mean(of_trial))
        assert float(row["rmse_spread"]) == pytest.approx(np.std(of_trial, ddof=1))
    assert sorted(int(r["search_rank"]) for r in ranked) == [1, 2, 3]
    found = read_json(folder / "agreement.json")
    assert found["n"] == 3
    assert found["seed_spread"] > 0


def test_the_table_tells_the_skill_of_the_saved_emulator(finished):
    validation = data().part("validation")
    row = read_csv(finished / "retrain" / "candidates.csv")[0]
    emulator = Emulator.load(finished / "retrain" / row["id"] / "weights.safetensors")
    skill = skill_of(validation, emulator.predict(validation.x))
    assert float(row["rmse"]) == skill.overall.rmse
    chain = emulator.metadata
    assert chain["contract_sha256"] == data().contract.sha256
    subset = read_json(finished / "search" / "subset.json")
    assert chain["subset_sha256"] == subset["sha256"]
    assert chain["data_sha256"] == subset["data_sha256"]
    assert chain["study_sha256"] == study_sha256(finished / "search")
    assert (chain["trial"], chain["seed"]) == (int(row["trial"]), int(row["seed"]))


def test_two_workers_train_what_one_trains(finished, tmp_path):
    retrain(finished / "search", data(), config(workers=2), tmp_path)
    assert_same_weights(tmp_path, finished / "retrain")


@pytest.mark.parametrize("old", ['"rmse": 0.', '"files"', "sha256"])
def test_metrics_in_which_a_byte_is_wrong_are_made_again(finished, tmp_path, old):
    shutil.copytree(finished, tmp_path / "run")
    folder = tmp_path / "run" / "retrain"
    path = sorted(folder.glob("*/metrics.json"))[0]
    text = path.read_text()
    place = text.index(old) + len(old) - 1
    path.write_text(text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :])
    (folder / "candidates.csv").unlink()
    retrain(tmp_path / "run" / "search", data(), config(), folder)

    def untimed(table):
        return [{**row, "seconds": ""} for row in read_csv(table)]

    assert untimed(folder / "candidates.csv") == untimed(finished / "retrain" / "candidates.csv")
    assert_same_weights(folder, finished / "retrain")


def test_finished_trainings_are_not_repeated(finished, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "run")
    folder = tmp_path / "run" / "retrain"
    names = sorted(weights(folder))
    shutil.rmtree(folder / names[0])
    trained = []
    original = module.run_durably
    monkeypatch.setattr(
        module, "run_durably", lambda t, u, tell: (trained.append(u.checkpoint), original(t, u))[1]
    )
    rows = retrain(tmp_path / "run" / "search", data(), config(), folder)
    assert [path.parent.name for path in trained] == names[:1]
    assert_same_weights(folder, finished / "retrain")
    monkeypatch.setattr(module, "executor_for", None)
    again = retrain(tmp_path / "run" / "search", data(), config(), folder)
    assert again == rows


def test_another_retraining_in_the_folder_is_left_alone(finished):
    with pytest.raises(EmufortError, match=r"retrain\.steps = 300, asked for is 200"):
        retrain(finished / "search", data(), config(retrain__steps=200), finished / "retrain")
    with pytest.raises(EmufortError, match="another 'data' than"):
        retrain(finished / "search", data(seed=1), config(), finished / "retrain")


def test_diverged_trainings_stay_in_the_table(finished, tmp_path, monkeypatch):
    unlucky = sorted(weights(finished / "retrain"))[0]
    original = module.run_durably

    def diverge(trainer, unit, tell):
        state = original(trainer, unit)
        if unit.checkpoint.parent.name == unlucky:
            state.stopped = "diverged"
        return state

    monkeypatch.setattr(module, "run_durably", diverge)
    rows = retrain(finished / "search", data(), config(), tmp_path)
    assert rows[-1].id == unlucky
    assert rows[-1].validation_loss == math.inf
    again = retrain(finished / "search", data(), config(), tmp_path)
    assert [r.id for r in again] == [r.id for r in rows]
    assert again[-1].validation_loss == math.inf


def test_learning_rates_go_with_the_root_of_the_batch_size(finished):
    trial = load_search(finished / "search").trials[0]
    trial = replace(trial, learning_rate=2e-3, batch_size=64)
    assert learning_rate_for(trial, 256, (1e-4, 1e-2)) == pytest.approx(4e-3)
    assert learning_rate_for(trial, 256, (1e-4, 3e-3)) == 3e-3
    assert learning_rate_for(trial, 16, (2e-3, 1e-2)) == 2e-3


def test_kill_9_at_any_moment(finished, tmp_path):
    """A real process, killed again and again, ends with what an undisturbed one ends with."""
    path = os.pathsep.join([str(ROOT), PACKAGE])
    command = [sys.executable, "-m", "tests.search.pond", str(tmp_path), "2"]
    for moment in (_within_the_search, _within_the_retraining):
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, cwd=ROOT)
        while not moment(tmp_path):
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, cwd=ROOT, check=True)
    whole = read_trials(finished / "search" / "trials.csv", 3, 2)
    parts = read_trials(tmp_path / "search" / "trials.csv", 3, 2)
    assert [replace(t, seconds=0) for t in parts] == [replace(t, seconds=0) for t in whole]
    assert_same_weights(tmp_path / "retrain", finished / "retrain")


def _within_the_search(folder: Path) -> bool:
    return (folder / "search" / "trials.csv").exists()


def _within_the_retraining(folder: Path) -> bool:
    return bool(list((folder / "retrain").glob("*/metrics.json")))
