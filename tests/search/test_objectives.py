"""Searches for the front of loss against predicted time."""

from __future__ import annotations

import dataclasses
import math
import shutil

import numpy as np
import optuna
import pytest

from emufort.config import Config, SpaceConfig
from emufort.errors import EmufortError
from emufort.files import read_csv, read_json, write_csv, write_json
from emufort.network.architecture import Architecture
from emufort.search import driver
from emufort.search.cost import CostModel, usual_cost_model
from emufort.search.driver import search
from emufort.search.front import front_of
from emufort.search.importance_words import importance_rows
from emufort.search.importances import FEWEST, importances
from emufort.search.samplers.optuna_quiet import quiet_optuna
from emufort.search.samplers.parzen import objectives_first
from emufort.search.samplers.registry import make_proposer, propose
from emufort.search.trials import Trial
from tests.search.candidates import made
from tests.search.pond import config, data
from tests.search.test_search import KilledError, content, open_study

BOTH = ("skill", "time")
SPACE = SpaceConfig(depth=(1, 2), width=(8, 16, 32, 64), learning_rate=(1e-3, 4e-3))


def damaged(folder, name, **changes):
    """Change entries of a JSON file of a search."""
    content = read_json(folder / name)
    write_json(folder / name, {**content, **changes})


@pytest.mark.parametrize(
    "content", [[1], {"coefficients": {"sample": "fast"}}, {"coefficients": {"sample": -1.0}}]
)
def test_a_damaged_cost_model_is_one_line(content, finished, tmp_path):
    folder = shutil.copytree(finished.folder, tmp_path / "copy")
    if isinstance(content, dict):
        damaged(folder, "cost_model.json", **content)
    else:
        write_json(folder / "cost_model.json", content)
    with pytest.raises(EmufortError, match=r"cost_model\.json is damaged"):
        search(data(), options(trials=24), folder)


def test_a_predicted_time_has_a_logarithm():
    nothing = CostModel({"sample": 0.0, "multiply_add": 0.0}, None, 0, "")
    assert nothing.predict(Architecture(3, (4,), 2)) > 0.0


def test_the_usual_time_of_a_further_layer_is_that_of_its_parts():
    model = usual_cost_model()
    one, two = (model.predict(Architecture(8, (8,) * depth, 8, "tanh")) for depth in (1, 2))
    of = model.coefficients
    assert two - one == pytest.approx(of["layer"] + 64 * of["multiply_add"] + 8 * of["neuron tanh"])


def test_a_study_of_other_objectives_is_made_again(finished, tmp_path):
    folder = shutil.copytree(finished.folder, tmp_path / "copy")
    (folder / "study.journal").unlink()
    quiet_optuna().create_study(
        storage=optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(folder / "study.journal"))
        ),
        study_name="search",
    )
    search(data(), options(trials=24), folder)
    study = open_study(folder)
    assert len(study.directions) == 2
    assert len(study.trials) == 24


def options(sampler: str = "parzen", **more) -> Config:
    """Return a search with two objectives, whose sampler learns from the second batch on."""
    if sampler == "parzen":
        more["sampler_options"] = {"startup": 6}
    return config(objectives=list(BOTH), sampler=sampler, **more)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return search(data(), options(), tmp_path_factory.mktemp("finished"))


# ------------------------------------------------------------------- a search


def test_files_of_a_search(finished):
    model = usual_cost_model()
    for trial in finished.trials:
        assert trial.predicted_ns == model.predict(trial.architecture)
    rows = read_csv(finished.folder / "trials.csv")
    assert [float(row["predicted_ns"]) for row in rows] == [t.predicted_ns for t in finished.trials]
    # One of two continues from every rung of a batch of six: 6, 3, 1.
    reached = [len(trial.rungs) for trial in finished.trials]
    assert [reached.count(n) for n in (1, 2, 3)] == [9, 6, 3]
    summary = read_json(finished.folder / "search.json")
    assert summary["cost_model"]["n"] == 0
    assert "predicted_ns" not in read_csv(search_of_one(finished) / "trials.csv")[0]


def search_of_one(finished):
    folder = finished.folder.parent / "one"
    return search(data(), config(trials=6), folder).folder


def test_the_study_has_two_values(finished):
    study = open_study(finished.folder)
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MINIMIZE"]
    for frozen, trial in zip(study.trials, finished.trials, strict=True):
        assert tuple(frozen.values) == (trial.value, trial.predicted_ns)
    front = {t.number for t in study.best_trials}
    assert {trial.number for trial in front_of(finished.trials)} <= front


def test_two_workers_find_what_one_finds(finished, tmp_path):
    assert content(search(data(), options(workers=2), tmp_path)) == content(finished)


@pytest.mark.parametrize("sampler", ["parzen", "nsga2", "nsga3", "random", "qmc"])
def test_a_killed_search_ends_with_the_same_trials(sampler, tmp_path, monkeypatch):
    whole = search(data(), options(sampler), tmp_path / "whole")
    add, calls = driver.Mirror.add, []

    def deadly(*arguments):
        calls.append(arguments)
        if len(calls) == 4:  # the first call opens the study
            raise KilledError
        add(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(driver.Mirror, "add", deadly)
        with pytest.raises(KilledError):
            search(data(), options(sampler), tmp_path / "killed")
    assert content(search(data(), options(sampler), tmp_path / "killed")) == content(whole)


def test_a_damaged_table_is_restored(finished, tmp_path):
    found = search(data(), options(), tmp_path)
    (tmp_path / "trials.csv").write_text("number\n1\n")
    assert content(search(data(), options(), tmp_path)) == content(finished) == content(found)


def test_asha_with_two_objectives(tmp_path):
    one, other = (
        search(data(), options(halving="asha", workers=n), tmp_path / str(n)) for n in (1, 2)
    )
    assert content(one) == content(other)
    assert max(len(trial.rungs) for trial in one.trials) == 3


def test_a_search_of_one_objective_is_not_continued_with_two(finished, tmp_path):
    search(data(), config(trials=6), tmp_path)
    with pytest.raises(EmufortError, match=r"holds results made with"):
        search(data(), options(trials=6), tmp_path)


def test_times_come_from_a_table(tmp_path):
    shapes = ["3-4-2", "3-8-2", "3-16-2", "3-16-16-2", "3-8-8-2", "3-4-16-2", "3-16-4-2"]
    rows = [
        {"label": f"{shape} {name}", "ns_per_sample": 100.0 * Architecture.from_label(
            f"{shape} {name}").multiply_adds}
        for shape in shapes for name in ("relu", "silu")
    ]  # fmt: skip
    write_csv(tmp_path / "times.csv", rows, ("label", "ns_per_sample"))
    found = search(
        data(), options(trials=6, cost_table=str(tmp_path / "times.csv")), tmp_path / "a"
    )
    usual = usual_cost_model()
    assert all(t.predicted_ns > 10 * usual.predict(t.architecture) for t in found.trials)
    assert read_json(tmp_path / "a" / "search.json")["cost_model"]["n"] == 14


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_samplers_with_one_objective_are_refused(sampler):
    with pytest.raises(EmufortError, match=rf"'{sampler}' has one objective.*parzen"):
        config(objectives=list(BOTH), sampler=sampler)


def test_objectives_are_checked():
    with pytest.raises(EmufortError, match=r"objectives are \['skill'\]"):
        config(objectives=["time"])
    with pytest.raises(EmufortError, match="aim = 'loss' contradicts"):
        config(objectives=list(BOTH), sampler_options={"aim": "loss"})
    assert config(objectives=["time", "skill"]).search.objectives == BOTH
    assert Config().search.objectives == ("skill",)


# ------------------------------------------------------------------- sampler and front


def timed(number: int, ns: float, *losses: float, **changes) -> Trial:
    return dataclasses.replace(made(number, *losses, **changes), predicted_ns=ns)


def test_the_front_has_trials_of_the_last_rung_only():
    trials = [
        timed(0, 10.0, 0.5, 0.4),
        timed(1, 20.0, 0.4, 0.1),
        timed(2, 20.0, 0.4, 0.2),
        timed(3, 5.0, 0.1, stopped=True),
        timed(4, 90.0, 0.4, math.inf),
        timed(5, 40.0, 0.4, 0.3),
    ]
    assert [trial.number for trial in front_of(trials)] == [0, 1]
    assert front_of([]) == []


def test_good_trials_are_those_along_the_front():
    times = np.geomspace(10.0, 200.0, 10)
    on_it = [timed(i, t, 2 / t, 1 / t) for i, t in enumerate(times.tolist())]
    behind = [timed(10 + i, t, 8 / t, stopped=True) for i, t in enumerate(times.tolist())]
    order = objectives_first([*behind, *on_it]).tolist()
    assert sorted(order[:10]) == list(range(10, 20))
    assert sorted(order) == list(range(20))


def test_parzen_does_not_repeat_itself_along_the_front():
    def trials_of(proposer, batch):
        model = usual_cost_model()
        new = []
        for i, c in enumerate(proposer.propose(16, batch)):
            network = c.architecture(3, 2)
            # The smallest networks are the best ones by far, so that a density has one peak.
            loss = float(network.multiply_adds)
            new.append(
                dataclasses.replace(
                    made(16 * batch + i, loss, activation=c.activation, hidden=c.hidden),
                    learning_rate=c.learning_rate, architecture=network, batch=batch,
                    predicted_ns=model.predict(network),
                )
            )  # fmt: skip
        proposer.add(new)
        return new

    def repeats(objectives):
        proposer = make_proposer("parzen", SPACE, 1, objectives=objectives)
        done = []
        count = 0
        for batch in range(8):
            new = trials_of(proposer, batch)
            if batch >= 2:
                for t in new:
                    near = [
                        o for o in done
                        if o.architecture == t.architecture
                        and abs(math.log(o.learning_rate / t.learning_rate)) <= 0.1 * math.log(4)
                    ]  # fmt: skip
                    count += bool(near)
            done += new
        return count

    assert repeats(BOTH) == 0
    assert repeats(("skill",)) > 0


# ------------------------------------------------------------------- importances


def planted(n: int, seed: int = 1) -> tuple[list[Trial], np.ndarray]:
    """Return random trials whose loss depends on the learning rate alone."""
    candidates = propose("random", SPACE, [], n, seed, 0)
    trials = [
        dataclasses.replace(
            made(i, 1.0, hidden=c.hidden, activation=c.activation), learning_rate=c.learning_rate
        )
        for i, c in enumerate(candidates)
    ]
    return trials, np.array([(t.learning_rate / 1e-3) ** 3 for t in trials])


def test_importances_find_what_matters():
    trials, losses = planted(200)
    found = importances(SPACE, trials, losses)
    assert list(found) == ["skill", "time"]
    assert next(iter(found["skill"])) == "learning_rate"
    assert found["skill"]["learning_rate"] > 0.6
    # The time of a network follows from its shape and activation function.
    assert found["time"]["learning_rate"] < 0.1
    for of_objective in found.values():
        assert sum(of_objective.values()) == pytest.approx(1.0)
        assert set(of_objective) == {
            "depth", "width_1", "width_2", "activation", "learning_rate",
        }  # fmt: skip
        values = list(of_objective.values())
        assert values == sorted(values, reverse=True)
    assert importances(SPACE, trials, losses) == found


def test_few_trials_have_no_importances():
    trials, losses = planted(FEWEST)
    assert importances(SPACE, trials, losses)
    losses[3] = math.inf
    assert importances(SPACE, trials, losses) == {}
    assert importances(SPACE, [], np.zeros(0)) == {}


def test_importances_of_a_summary():
    summary = {"importances": {"skill": {"width_2": 0.2, "depth": 0.8}, "time": {"depth": 1.0}}}
    rows = importance_rows(summary)
    assert [(row.name, row.skill, row.time) for row in rows] == [
        ("depth", 0.8, 1.0),
        ("width of layer 2", 0.2, 0.0),
    ]
    assert importance_rows({}) == importance_rows({"importances": {"skill": 3}}) == []


def test_a_search_writes_its_importances(tmp_path):
    found = search(data(), config(trials=60, batch=30, rungs=[1]), tmp_path)
    rows = importance_rows(found.summary)
    assert {row.name for row in rows} == {
        "depth", "width of layer 1", "width of layer 2", "activation", "learning rate",
        "batch size",
    }  # fmt: skip
    assert sum(row.skill for row in rows) == pytest.approx(1.0)
