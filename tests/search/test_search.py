from __future__ import annotations

import json
import math
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest

from emufort.errors import DataError, EmufortError, UsageError
from emufort.files import read_csv, read_json
from emufort.search import driver, rungs, unfinished
from emufort.search.cost import CostModel
from emufort.search.driver import search
from emufort.search.identity import study_sha256
from emufort.search.result import load_search
from tests.search.pond import config, data


def open_study(folder):
    import optuna

    journal = optuna.storages.journal.JournalFileBackend(str(folder / "study.journal"))
    storage = optuna.storages.JournalStorage(journal)
    return optuna.load_study(study_name="search", storage=storage)


def content(result) -> list:
    """Everything of the trials but the time they took, and the hash of the study."""
    trials = [replace(trial, seconds=0.0) for trial in result.trials]
    return [*trials, study_sha256(result.folder)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return search(data(), config(), folder)


class KilledError(BaseException):
    pass


def test_files_of_a_search(finished):
    rows = read_csv(finished.folder / "trials.csv")
    assert [int(row["number"]) for row in rows] == list(range(18))
    assert sum(row["pruned_at"] == "" for row in rows) == 3
    subset = read_json(finished.folder / "subset.json")
    assert len(subset["rows"]) == len(set(subset["rows"])) == subset["size"] == 128
    train = set(data().part("train").rows.tolist())
    assert set(subset["rows"]) <= train
    summary = read_json(finished.folder / "search.json")
    assert summary["finished"]
    assert summary["best"]["trial"] == finished.top(1)[0].number
    assert summary["trials"] == 18
    best = [trial.value for trial in finished.top(5)]
    assert best == sorted(best)
    assert not (finished.folder / "unfinished").exists()


def test_the_study_opens_in_optuna(finished):
    study = open_study(finished.folder)
    assert [t.number for t in study.trials] == list(range(18))
    assert study.best_value == min(t.value for t in finished.trials if t.pruned_at is None)
    assert study.trials[0].params["depth"] == len(finished.trials[0].architecture.hidden)
    states = {t.state.name for t in study.trials}
    assert states == {"COMPLETE", "PRUNED"}


@pytest.mark.parametrize("workers", [2, 4])
def test_many_workers_find_what_one_finds(workers, finished, tmp_path):
    assert content(search(data(), config(workers=workers), tmp_path)) == content(finished)


def test_rungs_of_more_rows_and_asha(tmp_path):
    options = {"rung_rows": [32, 64, 128], "halving": "asha"}
    whole = search(data(), config(**options), tmp_path / "whole")
    assert len({t.rungs[-1][0] for t in whole.trials}) > 1
    # From the second batch on a candidate is compared with all before it.
    last = [t for t in whole.trials if t.pruned_at is None]
    assert all(len(t.rungs) == 3 for t in last)
    search(data(), config(**options, trials=6), tmp_path / "parts")
    assert content(search(data(), config(**options, workers=2), tmp_path / "parts")) == content(
        whole
    )


def test_a_limit_of_cost(tmp_path):
    labels = [f"3-{w}-{v}-2 {a}" for w in (4, 8, 16) for v in (4, 16) for a in ("relu", "silu")]
    lines = [f"{label},{sum(map(int, label.split()[0].split('-')))}" for label in labels]
    (tmp_path / "times.csv").write_text("\n".join(["label,ns_per_sample", *lines]) + "\n")
    options = {"max_ns": 25.0, "cost_table": str(tmp_path / "times.csv"), "sampler": "random"}
    found = search(data(), config(**options), tmp_path / "s")
    model = CostModel.load(tmp_path / "s" / "cost_model.json")
    assert all(model.predict(t.architecture) <= 25.0 for t in found.trials)
    assert found.summary["cost_model"]["n"] == 12
    free = search(data(), config(sampler="random"), tmp_path / "free")
    assert any(model.predict(t.architecture) > 25.0 for t in free.trials)


@pytest.mark.slow
def test_costs_are_measured_where_no_table_is_given(tmp_path):
    if shutil.which("gfortran") is None:
        pytest.skip("needs gfortran")
    options = config(max_ns=1e6, trials=6)
    found = search(data(), options, tmp_path)
    model = found.summary["cost_model"]
    assert model["n"] >= 6
    # How well times are foretold depends on the machine and what else it does.
    assert math.isfinite(model["error"])
    assert max(model["coefficients"].values()) > 0
    assert min(model["coefficients"].values()) >= 0
    assert not (tmp_path / "cost").exists()
    # A search that goes on judges as it did.
    before = (tmp_path / "cost_model.json").read_bytes()
    search(data(), config(max_ns=1e6, trials=12), tmp_path)
    assert (tmp_path / "cost_model.json").read_bytes() == before


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe"])
def test_other_samplers(sampler, tmp_path):
    result = search(data(), config(sampler=sampler, trials=6), tmp_path)
    assert len(result.top(3)) == 3


def test_a_finished_search_is_not_repeated(finished, monkeypatch):
    monkeypatch.setattr(driver, "executor_for", None)
    before = (finished.folder / "trials.csv").stat().st_mtime_ns
    assert content(search(data(), config(), finished.folder)) == content(finished)
    assert (finished.folder / "trials.csv").stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="can grow but not shrink"):
        search(data(), config(trials=6), finished.folder)


def test_a_search_can_be_made_longer(finished, tmp_path):
    search(data(), config(trials=6), tmp_path)
    assert content(search(data(), config(), tmp_path)) == content(finished)


@pytest.mark.parametrize("when", ["TrialsFile.write", "Mirror.add", "write_summary", "write_json"])
def test_killed_at_the_end_of_a_batch(when, finished, tmp_path, monkeypatch):
    """Stop before each of the writes of the second batch: nothing is lost and nothing doubled."""
    owner = {
        "TrialsFile.write": driver.TrialsFile,
        "Mirror.add": driver.Mirror,
        "write_summary": driver._Run,
    }.get(when, driver)
    name = when.split(".")[-1]
    original = getattr(owner, name)
    calls = 0

    def deadly(*arguments):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KilledError
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, deadly)
        with pytest.raises(KilledError):
            search(data(), config(), tmp_path)
    assert content(search(data(), config(), tmp_path)) == content(finished)
    assert len(open_study(tmp_path).trials) == 18


def test_killed_within_a_batch_the_finished_units_are_kept(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(unfinished, "WORTH_KEEPING_SECONDS", 0.0)
    original = unfinished.UnfinishedBatch.keep
    calls = 0

    def deadly(self, *arguments):
        nonlocal calls
        calls += 1
        if calls == 9:
            raise KilledError
        original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(unfinished.UnfinishedBatch, "keep", deadly)
        with pytest.raises(KilledError):
            search(data(), config(), tmp_path)
    kept = len(list((tmp_path / "unfinished").iterdir()))
    assert kept == 8
    trained = []
    run_rung = rungs.run_rung
    monkeypatch.setattr(rungs, "run_rung", lambda t, u: (trained.append(u), run_rung(t, u))[1])
    assert content(search(data(), config(), tmp_path)) == content(finished)
    assert len(trained) == 3 * (6 + 3 + 1) - kept
    assert not (tmp_path / "unfinished").exists()


@pytest.mark.parametrize("damage", ["torn", "junk", "lost", "locked"])
def test_a_damaged_study_is_made_again(damage, finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "s")
    study = tmp_path / "s" / "study.journal"
    if damage == "torn":
        study.write_bytes(study.read_bytes()[:-20])
    elif damage == "junk":
        study.write_bytes(b"junk\n" * 1000)
    elif damage == "lost":
        study.unlink()
    else:
        (tmp_path / "s" / "study.journal.lock").symlink_to(study)
    summary = read_json(tmp_path / "s" / "search.json")
    (tmp_path / "s" / "search.json").write_text(json.dumps({**summary, "finished": False}))
    assert content(search(data(), config(), tmp_path / "s")) == content(finished)
    assert [t.number for t in open_study(tmp_path / "s").trials] == list(range(18))


def test_another_search_in_the_folder_is_left_alone(finished):
    before = (finished.folder / "trials.csv").read_bytes()
    with pytest.raises(EmufortError, match="seed = 1 instead of 2; choose another --out"):
        search(data(), config(seed=2), finished.folder)
    with pytest.raises(EmufortError, match="another 'data' than"):
        search(data(seed=1), config(), finished.folder)
    with pytest.raises(EmufortError, match=r"search\.rungs = \(1, 3, 6\) instead of \(1, 2\)"):
        search(data(), config(rungs=[1, 2]), finished.folder)
    assert (finished.folder / "trials.csv").read_bytes() == before


def test_a_subset_larger_than_the_data(tmp_path):
    with pytest.raises(DataError, match="a subset of 5000 rows cannot be drawn"):
        search(data(), config(subset=5000), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_diverged_trials_stay_in_the_table(tmp_path):
    options = config(
        trials=12,
        space={
            "learning_rate": [1e-3, 1e30],
            "width": [4],
            "depth": [2, 2],
            "activation": ["squared_relu"],
        },
    )
    result = search(data(), options, tmp_path)
    diverged = [t for t in result.trials if not t.finite]
    assert 0 < len(diverged) < 12
    assert read_json(tmp_path / "search.json")["diverged"] == len(diverged)
    assert all(math.isfinite(t.value) for t in result.top(12))
    assert len(result.top(12)) == 12 - len(diverged)


def test_all_diverged_is_an_error(tmp_path):
    space = {"learning_rate": [1e29, 1e30], "width": [4], "activation": ["squared_relu"]}
    options = config(trials=4, space={**space, "depth": [2, 2]})
    for _ in range(2):
        with pytest.raises(EmufortError, match="all 4 trainings of the search diverged"):
            search(data(), options, tmp_path)


def test_no_search_and_an_unfinished_one(finished, tmp_path):
    with pytest.raises(EmufortError, match="there is no search"):
        load_search(tmp_path)
    shutil.copytree(finished.folder, tmp_path / "s")
    summary = {**finished.summary, "finished": False, "trials": 6}
    (tmp_path / "s" / "search.json").write_text(json.dumps(summary))
    with pytest.raises(EmufortError, match="has done 6 of 18 trials"):
        load_search(tmp_path / "s")


@pytest.mark.parametrize("damage", ["deleted", "cut", "flipped", "flipped, journal too"])
def test_a_damaged_table_is_restored_from_the_study(finished, tmp_path, damage):
    search(data(), config(trials=12), tmp_path)
    table = tmp_path / "trials.csv"
    before = table.read_bytes()
    place = before.index(b",0.", len(before) // 2) + 4
    if damage == "deleted":
        table.unlink()
    elif damage == "cut":
        os.truncate(table, len(before) // 2)
    else:
        table.write_bytes(before[:place] + bytes([before[place] ^ 1]) + before[place + 1 :])
        with pytest.raises(EmufortError, match="is damaged; run the same 'emufort search'"):
            load_search(tmp_path)
    if "journal" in damage:
        os.truncate(tmp_path / "study.journal", 100)
    result = search(data(), config(), tmp_path)
    assert content(result) == content(finished)
    if "journal" not in damage:
        # Restored, not trained again: the seconds that were measured are the same, too.
        # The last column, of predicted ranks, is another one as there are more trials.
        old, new = (
            [line.rpartition(b",")[0] for line in t.splitlines()]
            for t in (before, table.read_bytes())
        )
        assert new[: len(old)] == old


def test_progress_is_reported(tmp_path):
    heard = []
    search(data(), config(), tmp_path, lambda *arguments: heard.append(arguments))
    # Between them, what is under way may be told of.
    batches = [h for h in dict.fromkeys(h[:3] for h in heard) if h[1] % 6 == 0]
    assert batches == [("search", n, 18) for n in (0, 6, 12, 18)]
    assert "best 3-" in heard[-1][3]


def test_a_killed_worker_costs_only_its_work(finished, tmp_path):
    killed = []

    def kill_one(step, done, total, note="", left=None):
        if done == 6 and not killed:
            import multiprocessing.process

            pids = [p.pid for p in multiprocessing.process.active_children()]
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    result = search(data(), config(workers=2), tmp_path, kill_one)
    assert killed
    assert content(result) == content(finished)
    assert np.isfinite([t.value for t in result.top(3)]).all()
