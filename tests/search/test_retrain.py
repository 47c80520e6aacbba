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

from emufort.errors import EmufortError
from emufort.files import read_csv, read_json
from emufort.network.emulator import Emulator
from emufort.retrain import jobs
from emufort.retrain.driver import retrain
from emufort.retrain.rounds import Rounds, on_the_front
from emufort.search.driver import search
from emufort.search.identity import study_sha256
from emufort.search.result import load_search
from emufort.search.trials import read_trials
from emufort.skill import skill_of
from tests.conftest import PACKAGE
from tests.search.pond import config, data

ROOT = Path(__file__).parents[2]
#: Candidates that are trained: the control group, and two rounds (of 6, then the rest).
CONTROL, CHOSEN = 3, 8


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
    assert [float(r["rmse"]) for r in rows] == sorted(float(r["rmse"]) for r in rows)
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
    assert len(ranked) == CONTROL + CHOSEN
    assert [float(r["rmse"]) for r in ranked] == sorted(float(r["rmse"]) for r in ranked)
    for row in ranked:
        of_trial = [float(r["rmse"]) for r in rows if r["trial"] == row["trial"]]
        assert int(row["seeds"]) == len(of_trial)
        assert float(row["rmse"]) == pytest.approx(np.mean(of_trial))
        if len(of_trial) > 1:
            assert float(row["rmse_spread"]) == pytest.approx(np.std(of_trial, ddof=1))
        else:
            assert row["rmse_spread"] == ""
    assert sorted(int(r["search_rank"]) for r in ranked) == list(range(1, len(ranked) + 1))
    found = read_json(folder / "agreement.json")
    assert found["retrained"]["n"] == len(ranked)
    assert found["all_candidates"]["n"] == len(trials)
    assert found["all_candidates"]["control_group"] == CONTROL
    assert found["seed_spread"] > 0


def test_the_control_group_is_random_and_the_other_seeds_are_for_the_front(finished):
    rows = read_csv(finished / "retrain" / "candidates.csv")
    trials = load_search(finished / "search").trials
    cost = {t.number: t.architecture.relative_cost for t in trials}
    rounds = Rounds(trials, config().retrain, config().seed)
    control = {t.number for t in rounds.control()}
    assert len(control) == CONTROL
    why = {int(r["trial"]): r["why"] for r in rows}
    assert why == {number: "control" if number in control else "front" for number in why}
    first = {int(r["trial"]): float(r["validation_loss"]) for r in rows if r["seed"] == "1"}
    assert len(first) == CONTROL + CHOSEN
    # The rounds, again from the losses that are in the table.
    known = {number: first[number] for number in control}
    for size in (6, CHOSEN - 6):
        chosen = [t.number for t in rounds.next(known)]
        assert len(chosen) == size
        known |= {number: first[number] for number in chosen}
    assert known == first
    assert rounds.next(known) == []
    seeds = [int(r["trial"]) for r in rows if r["seed"] == "2"]
    assert sorted(seeds) == sorted(on_the_front(cost, first))
    assert len(rows) == len(first) + len(seeds)


def test_the_front_is_trained_longer_and_that_takes_the_place(finished, tmp_path):
    options = {"retrain__longer": 3, "retrain__seeds": 2}
    rows = retrain(finished / "search", data(), config(**options), tmp_path)
    longer = [row for row in rows if row.id.endswith("-x3")]
    trials = load_search(finished / "search").trials
    cost = {t.number: t.architecture.relative_cost for t in trials}
    # What the rounds trained is what it was: longer trainings say nothing of step 1.
    pairs = read_json(tmp_path / "agreement.json")["pairs"]
    before = {pair["trial"]: pair["validation_loss"] for pair in pairs}
    table = read_csv(finished / "retrain" / "candidates.csv")
    first = {int(r["trial"]): float(r["validation_loss"]) for r in table if r["seed"] == "1"}
    assert before == first
    front = on_the_front(cost, first)
    assert sorted((row.trial, row.seed) for row in longer) == sorted(
        (number, seed) for number in front for seed in (1, 2)
    )
    assert {row.trial for row in rows if row not in longer} == set(first) - set(front)
    by_trial = {t.number: t for t in trials}
    for row in rows:
        times = 3 if row in longer else 1
        batch = 32 if config().retrain.batch_size else by_trial[row.trial].batch_size
        assert row.steps == times * 300 * 32 // batch
        assert (tmp_path / row.id / "weights.safetensors").is_file()
    again = retrain(finished / "search", data(), config(**options), tmp_path)
    assert again == rows


def test_predictions_are_of_all_candidates_and_say_what_is_known(finished):
    rows = read_csv(finished / "retrain" / "predictions.csv")
    assert [int(r["rank"]) for r in rows] == list(range(1, 19))
    assert sorted(int(r["trial"]) for r in rows) == list(range(18))
    losses = [float(r["loss"]) for r in rows]
    assert losses == sorted(losses)
    assert all(float(r["low"]) < float(r["loss"]) < float(r["high"]) for r in rows)
    pairs = read_json(finished / "retrain" / "agreement.json")["pairs"]
    known = {p["trial"]: p["validation_loss"] for p in pairs}
    assert {int(r["trial"]): float(r["trained"]) for r in rows if r["trained"]} == known


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
    original = jobs.run_durably
    monkeypatch.setattr(
        jobs, "run_durably", lambda t, u, tell: (trained.append(u.checkpoint), original(t, u))[1]
    )
    rows = retrain(tmp_path / "run" / "search", data(), config(), folder)
    assert [path.parent.name for path in trained] == names[:1]
    assert_same_weights(folder, finished / "retrain")
    monkeypatch.setattr(sys.modules["emufort.retrain.driver"], "executor_for", None)
    again = retrain(tmp_path / "run" / "search", data(), config(), folder)
    assert again == rows


def test_another_retraining_in_the_folder_is_left_alone(finished):
    with pytest.raises(EmufortError, match=r"retrain\.steps = 300 instead of 200"):
        retrain(finished / "search", data(), config(retrain__steps=200), finished / "retrain")
    with pytest.raises(EmufortError, match="another 'data' than"):
        retrain(finished / "search", data(seed=1), config(), finished / "retrain")


def diverging(unlucky: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the trainings in these folders diverge."""
    original = jobs.run_durably

    def diverge(trainer, unit, tell):
        state = original(trainer, unit)
        if not unlucky or unit.checkpoint.parent.name in unlucky:
            state.stopped = "diverged"
        return state

    monkeypatch.setattr(jobs, "run_durably", diverge)


@pytest.mark.parametrize("why", ["control", "front"])
def test_diverged_trainings_stay_in_the_table(why, finished, tmp_path, monkeypatch):
    rows = read_csv(finished / "retrain" / "candidates.csv")
    # The choice of the other candidates may become another one.
    unlucky = [r["id"] for r in rows if r["why"] == why and r["seed"] == "1"][-1]
    diverging({unlucky}, monkeypatch)
    rows = retrain(finished / "search", data(), config(), tmp_path)
    assert rows[-1].id == unlucky
    assert rows[-1].validation_loss == math.inf
    assert len({row.trial for row in rows}) == CONTROL + CHOSEN
    assert sum(row.trial == rows[-1].trial for row in rows) == 1  # not one of the front
    found = read_json(tmp_path / "agreement.json")
    assert rows[-1].trial not in {pair["trial"] for pair in found["pairs"]}
    assert found["retrained"]["n"] == CONTROL + CHOSEN - 1
    assert found["all_candidates"]["control_group"] == CONTROL - (why == "control")
    again = retrain(finished / "search", data(), config(), tmp_path)
    assert [r.id for r in again] == [r.id for r in rows]
    assert again[-1].validation_loss == math.inf


def test_if_all_trainings_diverge_that_is_the_error(finished, tmp_path, monkeypatch):
    diverging(set(), monkeypatch)
    with pytest.raises(EmufortError, match="all trainings of step 2 diverged"):
        retrain(finished / "search", data(), config(), tmp_path)


class KilledError(BaseException):
    pass


@pytest.mark.parametrize("after", [2, CONTROL + 1, CONTROL + 6, CONTROL + CHOSEN + 1])
def test_killed_in_any_round_it_ends_the_same(after, finished, tmp_path, monkeypatch):
    original = jobs.run_durably
    calls = 0

    def deadly(trainer, unit, tell):
        nonlocal calls
        calls += 1
        if calls > after:
            raise KilledError
        return original(trainer, unit)

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "run_durably", deadly)
        with pytest.raises(KilledError):
            retrain(finished / "search", data(), config(), tmp_path)
    retrain(finished / "search", data(), config(workers=2), tmp_path)
    assert_same_weights(tmp_path, finished / "retrain")
    for name in ("agreement.json", "predictions.csv", "ranking.csv"):
        assert (tmp_path / name).read_bytes() == (finished / "retrain" / name).read_bytes()


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
