"""Candidates that are trained side by side: the same trials for any workers and interruptions."""

from __future__ import annotations

import numpy as np
import pytest

from emufort.config.search import AdviceConfig
from emufort.errors import EmufortError
from emufort.files import read_csv, read_json
from emufort.network.emulator import Emulator
from emufort.retrain import jobs
from emufort.retrain.driver import retrain
from emufort.search import rungs, unfinished
from emufort.search.advice import advise
from emufort.search.driver import search
from emufort.search.rungs import RungUnit, groups_of
from emufort.training import TrainerState
from emufort.training.buckets import buckets
from emufort.workers.pool import InProcess
from tests.search import pond
from tests.training.problems import task


class KilledError(Exception):
    pass


def options(anneal: bool, **more):
    schedule = {"schedule": "cosine", "rungs": [2, 5]} if anneal else {}
    return pond.config(side_by_side=True, backend="torch", trials=12, **schedule, **more)


def values(found):
    return [(t.architecture.label, t.value, t.epochs, t.pruned_at, t.rungs) for t in found.trials]


@pytest.fixture
def carried_out(monkeypatch):
    """The sizes of the groups that are carried out, in this process."""
    sizes = []
    original = rungs.run_rungs

    def watched(trainers, units):
        sizes.append(len(units))
        return original(trainers, units)

    monkeypatch.setattr(rungs, "run_rungs", watched)
    return sizes


@pytest.mark.parametrize("anneal", [False, True], ids=["constant", "cosine"])
def test_any_workers_and_interruptions_give_the_same_trials(tmp_path, monkeypatch, anneal):
    data = pond.data()
    # One bucket in a group, so that a rung has several groups.
    monkeypatch.setattr(rungs, "_BUCKETS", 1)
    monkeypatch.setattr(unfinished, "WORTH_KEEPING_SECONDS", 0.0)
    whole = search(data, options(anneal), tmp_path / "whole")
    two = search(data, options(anneal, workers=2), tmp_path / "two")
    assert values(two) == values(whole)
    summary = read_json(tmp_path / "whole" / "search.json")
    assert summary["config"]["search"]["side_by_side"] is True
    assert read_json(tmp_path / "whole" / "subset.json")["identity"]["search.side_by_side"] is True

    run = InProcess.run
    done = []

    def deadly(executor, function, units):
        for result in run(executor, function, units):
            if len(done) in (2, 5, 9):
                done.append("killed")
                raise KilledError
            done.append(result[0])
            yield result

    monkeypatch.setattr(InProcess, "run", deadly)
    for _ in range(3):
        with pytest.raises(KilledError):
            search(data, options(anneal), tmp_path / "killed")
    assert values(search(data, options(anneal), tmp_path / "killed")) == values(whole)


def test_about_the_same_losses_as_one_by_one(tmp_path, carried_out):
    data = pond.data()
    together = search(data, options(False, rungs=[1]), tmp_path / "together")
    assert sum(carried_out) == 12
    assert max(carried_out) > 1
    alone = search(data, pond.config(backend="torch", trials=12, rungs=[1]), tmp_path / "alone")
    assert sum(carried_out) == 12
    for ours, theirs in zip(together.trials, alone.trials, strict=True):
        assert ours.value == pytest.approx(theirs.value, rel=1e-4)
    with pytest.raises(EmufortError, match=r"search.side_by_side = True instead of False"):
        other = pond.config(backend="torch", rungs=[1], side_by_side=False, trials=18)
        search(data, other, tmp_path / "together")


def test_targets_are_judged_side_by_side(tmp_path):
    targets = [f"evaporation_rate={name}, cooling=standardise" for name in ("standardise", "ln")]
    space = {**pond.OPTIONS["search"]["space"], "target": targets}
    found = search(pond.data(), options(True, space=space), tmp_path / "a")
    alone = pond.config(backend="torch", trials=12, schedule="cosine", rungs=[2, 5], space=space)
    expected = search(pond.data(), alone, tmp_path / "b")
    first = [[t.rungs[0][1] for t in one.trials[:6]] for one in (found, expected)]
    assert first[0] == pytest.approx(first[1], rel=1e-3)
    assert len({t.target for t in found.trials}) == 2


def test_groups_hold_whole_buckets_of_one_kind(monkeypatch):
    monkeypatch.setattr(rungs, "_BUCKETS", 2)
    tasks = [task("relu", (8 * (1 + i % 2),) * (1 + i % 3), seed=i) for i in range(12)]
    units = [
        RungUnit(TrainerState.initial(one), 4, 3, rows=100 + 50 * (i > 8))
        for i, one in enumerate(tasks)
    ]
    groups = groups_of(units)
    assert sorted(i for group in groups for i in group) == list(range(12))
    for group in groups:
        assert len({units[i].rows for i in group}) == 1
    for rows in (100, 150):
        at = [i for i in range(12) if units[i].rows == rows]
        for bucket in buckets([tasks[i] for i in at]):
            assert any({at[i] for i in bucket} <= set(group) for group in groups)
    # Three depths in two groups of at most two buckets, for each number of rows.
    assert len(groups) == 4


def test_advice_side_by_side_goes_on_with_whole_groups(tmp_path, monkeypatch, carried_out):
    config = options(False, rungs=[2])
    advice = AdviceConfig(candidates=8, first=32, largest=64)
    config = config.model_copy(update={"advice": advice})
    whole = advise(pond.data(), config, tmp_path / "whole")
    n = len(carried_out)
    assert max(carried_out) > 1
    run = InProcess.run

    def deadly(executor, function, units):
        results = run(executor, function, units)
        yield next(results)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(InProcess, "run", deadly)
        with pytest.raises(KilledError):
            advise(pond.data(), config, tmp_path / "killed")
    again = advise(pond.data(), config, tmp_path / "killed")
    assert len(carried_out) > n
    tables = [read_csv(tmp_path / name / "losses.csv") for name in ("whole", "killed")]
    losses = [[(row["label"], row["rows"], row["loss"]) for row in table] for table in tables]
    assert losses[0] == losses[1]
    assert again["subset"] == whole["subset"]


def test_step_2_in_buckets_as_on_a_gpu(tmp_path, monkeypatch):
    # On a CPU only seeds run side by side; here everything does.
    monkeypatch.setattr(jobs, "in_buckets", lambda config: True)
    monkeypatch.setattr("emufort.retrain.driver.in_buckets", lambda config: True)
    data, config = pond.data(), pond.config(backend="torch", retrain__backend="torch")
    search(data, config, tmp_path / "search")
    sizes = []
    together = jobs.run_durably_together

    def watched(trainer, units, tell):
        sizes.append(len(units))
        return together(trainer, units, tell)

    monkeypatch.setattr(jobs, "run_durably_together", watched)
    rows = retrain(tmp_path / "search", data, config, tmp_path / "whole")
    assert sum(sizes) == len(rows)
    assert max(sizes) > 1
    assert list((tmp_path / "whole").rglob("checkpoint*")) == []

    def deadly(trainer, units, tell):
        if len(sizes) > 2:
            raise KilledError
        return watched(trainer, units, tell)

    sizes.clear()
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "run_durably_together", deadly)
        with pytest.raises(KilledError):
            retrain(tmp_path / "search", data, config, tmp_path / "killed")
    again = retrain(tmp_path / "search", data, config, tmp_path / "killed")
    assert [(r.id, r.rmse) for r in again] == [(r.id, r.rmse) for r in rows]
    for row in rows:
        one, two = (
            Emulator.load(tmp_path / name / row.id / "weights.safetensors").weights
            for name in ("whole", "killed")
        )
        assert all(map(np.array_equal, one, two))
