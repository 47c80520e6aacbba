"""How many rows the first rung sees, where that is left open: the first candidates try it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emufort.errors import EmufortError
from emufort.files import read_json, write_json
from emufort.search import driver, rungs, unfinished
from emufort.search import plan as plans
from emufort.search.driver import search
from emufort.search.identity import study_sha256
from emufort.search.plan import Plan
from emufort.search.result import load_search
from emufort.search.rungs import run_rung
from tests.search.pond import config, data

#: 300 steps of 32 samples: 9600, of which a rung shows 0.06 and 0.16; 480 training rows.
OPTIONS = {"schedule": "cosine", "rungs": [], "subset": "auto", "share": [0.06, 0.16]}
ROWS = 480
SEED = 1 << 20  # of the first candidate
TRIED = [ROWS // 16, ROWS // 4, ROWS]


def options(**more):
    return config(**{**OPTIONS, **more})


def content(result) -> list:
    """Everything of a search but the time it took."""
    return [*(replace(t, seconds=0.0) for t in result.trials), study_sha256(result.folder)]


def longer_by(found, n):
    search_ = found.config.search.model_copy(update={"trials": len(found.trials) + n})
    return found.config.model_copy(update={"search": search_})


class KilledError(BaseException):
    pass


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    monkeypatch.setattr(plans, "_FEW_ROWS", 100)


@pytest.fixture
def trained(monkeypatch):
    """Return the list of units that are trained from now on."""
    found = []
    monkeypatch.setattr(rungs, "run_rung", lambda b, u: (found.append(u), run_rung(b, u))[1])
    return found


def choose(monkeypatch, correlation: float) -> None:
    """Let fewer rows be enough from this rank correlation on."""
    monkeypatch.setattr(plans, "_AS_WELL", correlation)


@pytest.mark.parametrize(("correlation", "chosen"), [(-1.0, 0), (2.0, 2)])
def test_trainings_of_the_trial_are_used(correlation, chosen, trained, tmp_path, monkeypatch):
    choose(monkeypatch, correlation)
    found = search(data(), options(), tmp_path)
    tried, rest = trained[: 3 * 6], trained[3 * 6 :]
    assert [unit.rows for unit in tried] == [rows for rows in TRIED for _ in range(6)]
    assert {unit.first for unit in tried} == {0}
    # Of three batches of six the first one has its first rung behind it; half goes on.
    first = [unit for unit in rest if unit.until_epoch == found.summary["rungs"][0]]
    assert len(first) == 6 + 6
    assert {unit.rows for unit in first} == {TRIED[chosen]}
    assert len(rest) - len(first) == 3 + 3 + 3
    # As many samples, whatever the number of rows, to half an epoch; so the same network.
    assert all(abs(unit.until_epoch * unit.rows - 576) <= unit.rows / 2 for unit in tried)
    for i in range(6):
        tasks = [unit.state.task for unit in tried if unit.state.task.seed == SEED + i]
        assert len(tasks) == 3
        assert len({(task.architecture, task.batch_size) for task in tasks}) == 1
        rates = [task.learning_rate for task in tasks]
        assert rates == pytest.approx([rates[0]] * 3, rel=0.25)  # by the number of steps


def test_the_choice_is_recorded(tmp_path, monkeypatch):
    choose(monkeypatch, -1.0)
    found = search(data(), options(), tmp_path)
    plan = Plan.from_dict(read_json(tmp_path / "subset.json")["plan"])
    assert plan.subset == ROWS == found.summary["subset"]
    assert plan.rung_rows[0] == TRIED[0]
    assert [rows for rows, _ in plan.tried] == TRIED[:2]
    assert all(-1.0 <= value <= 1.0 for _, value in plan.tried)
    assert found.summary["rung_rows"] == list(plan.rung_rows)
    assert found.summary["rungs"] == list(plan.rungs)
    assert found.summary["subset_reason"] == plan.reason
    assert f"{TRIED[0]} rows rank 6 candidates as {ROWS} rows do" in plan.reason
    assert [epochs for epochs, _ in found.top(1)[0].rungs] == list(plan.rungs)
    # The configuration is kept as it was, so that the search can be made longer by it.
    assert (found.config.search.subset, found.config.search.rungs) == ("auto", ())
    assert len(search(data(), longer_by(found, 6), tmp_path).trials) == 24


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
@pytest.mark.parametrize("correlation", [-1.0, 2.0])
def test_many_workers_choose_as_one(schedule, correlation, tmp_path, monkeypatch):
    choose(monkeypatch, correlation)
    more = {"schedule": schedule, "rungs": [] if schedule == "cosine" else [2, 4]}
    one = search(data(), options(**more), tmp_path / "one")
    many = search(data(), options(**more, workers=3), tmp_path / "many")
    assert content(many) == content(one)


@pytest.mark.parametrize("keeping", [0.0, 1e9])
@pytest.mark.parametrize("after", [1, 7, 13, 17, 18, 20])
def test_killed_during_the_trial_it_ends_the_same(after, keeping, trained, tmp_path, monkeypatch):
    choose(monkeypatch, -1.0)
    whole = search(data(), options(trials=6), tmp_path / "whole")
    n = 3 * 6 + 3
    assert len(trained) == n
    monkeypatch.setattr(unfinished, "WORTH_KEEPING_SECONDS", keeping)
    del trained[:]

    def deadly(trainers, unit):
        if len(trained) == after:
            raise KilledError
        trained.append(unit)
        return run_rung(trainers, unit)

    with monkeypatch.context() as patch:
        patch.setattr(rungs, "run_rung", deadly)
        with pytest.raises(KilledError):
            search(data(), options(trials=6), tmp_path / "killed")
    with pytest.raises(EmufortError, match="no search in"):
        load_search(tmp_path / "killed")
    del trained[:]
    assert content(search(data(), options(trials=6), tmp_path / "killed")) == content(whole)
    if keeping == 0.0:
        assert len(trained) == n - after
    else:
        # Nothing took long enough to be kept, but what the search takes over of the trial.
        assert len(trained) == (n if after < 3 * 6 else 3)


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_rungs_of_as_many_epochs_on_different_rows_are_kept_apart(
    schedule, trained, tmp_path, monkeypatch
):
    more = {"schedule": schedule, "rungs": [2, 4], "batch_size": 16}
    whole = search(data(), options(**more), tmp_path / "whole")
    n = len(trained)
    monkeypatch.setattr(unfinished, "WORTH_KEEPING_SECONDS", 0.0)
    assert content(search(data(), options(**more), tmp_path / "kept")) == content(whole)
    assert len(trained) == 2 * n


def test_another_search_does_not_take_what_a_killed_trial_left(tmp_path, monkeypatch):
    monkeypatch.setattr(unfinished, "WORTH_KEEPING_SECONDS", 0.0)

    def deadly(plans, values):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(driver, "fewest_rows", deadly)
        with pytest.raises(KilledError):
            search(data(), options(), tmp_path)
    assert any((tmp_path / "unfinished").iterdir())
    with pytest.raises(EmufortError, match=r"search\.subset_by = random instead of stratified"):
        search(data(), options(subset_by="stratified"), tmp_path)
    with pytest.raises(EmufortError, match="another 'data' than this call uses"):
        search(data(seed=1), options(), tmp_path)


def test_a_longer_search_goes_on_with_the_plan(trained, tmp_path, monkeypatch):
    choose(monkeypatch, -1.0)
    whole = search(data(), options(), tmp_path / "whole")
    search(data(), options(trials=6), tmp_path / "longer")
    choose(monkeypatch, 2.0)  # another choice now
    del trained[:]
    longer = search(data(), options(), tmp_path / "longer")
    assert content(longer) == content(whole)
    assert len(trained) == 2 * (6 + 3)


def test_a_damaged_plan_is_named(tmp_path):
    search(data(), options(trials=6), tmp_path)
    kept = read_json(tmp_path / "subset.json")
    longer = [2 * epochs for epochs in kept["plan"]["rungs"]]
    for broken in (
        {},
        {**kept["plan"], "rungs": None},
        [1],
        {**kept["plan"], "tried": [[1]]},
        {**kept["plan"], "rungs": longer},  # a plan, but not the one that was written
    ):
        write_json(tmp_path / "subset.json", {**kept, "plan": broken})
        with pytest.raises(EmufortError, match=r"subset\.json is damaged; remove the folder"):
            search(data(), options(trials=12), tmp_path)


def test_a_plan_of_an_earlier_version_has_no_hash(tmp_path):
    search(data(), options(trials=6), tmp_path / "earlier")
    kept = read_json(tmp_path / "earlier" / "subset.json")
    assert kept["plan_sha256"] == Plan.from_dict(kept["plan"]).sha256
    del kept["plan_sha256"]
    write_json(tmp_path / "earlier" / "subset.json", kept)
    longer = search(data(), options(), tmp_path / "earlier")
    now = search(data(), options(), tmp_path / "now")
    assert content(longer)[:-1] == content(now)[:-1]  # the last is the hash of the study


def test_few_rows_are_not_tried(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(plans, "_FEW_ROWS", ROWS)
    found = search(data(), options(), tmp_path)
    assert {unit.rows for unit in trained} == {ROWS}
    assert len(trained) == 3 * (6 + 3)
    assert found.summary["subset_reason"].startswith(f"{ROWS} rows are all")
