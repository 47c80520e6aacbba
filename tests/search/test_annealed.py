"""Step 1 with rungs that train from the start, each with a learning rate that falls to zero."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emufort.config import AdviceConfig, Config
from emufort.errors import EmufortError, UsageError
from emufort.files import read_csv, read_json
from emufort.retrain.driver import retrain
from emufort.search import rungs, unfinished
from emufort.search.advice import advise
from emufort.search.candidate_task import rung_task
from emufort.search.driver import search
from emufort.search.rungs import RungUnit, run_rung
from emufort.search.space import Candidate
from emufort.search.subset import draw_subset
from emufort.training import Arrays, StepPlan, TrainerState, TrainingTask, make_trainer
from emufort.workers.trainer_cache import TrainerCache
from tests.search.pond import config, data

ROWS = [32, 64, 128]


def options(**more) -> Config:
    return config(schedule="cosine", rung_rows=ROWS, **more)


def content(result) -> list:
    """Everything of the trials but the time they took."""
    return [replace(trial, seconds=0.0) for trial in result.trials]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return search(data(), options(), tmp_path_factory.mktemp("annealed"))


class KilledError(BaseException):
    pass


def test_every_rung_is_a_training_of_its_own_on_its_rows(finished):
    rows, wanted = data(), options()
    train, validation = rows.part("train"), rows.part("validation")
    subset = draw_subset(train, wanted.search.subset, "random", wanted.seed)
    arrays, _, _ = Arrays.from_datasets(
        subset, validation.subset(wanted.search.validation, wanted.seed)
    )
    (trial, *_) = [t for t in finished.trials if t.pruned_at is None]
    seed = (wanted.seed << 20) + trial.number
    for (epochs, value), n in zip(trial.rungs, ROWS, strict=True):
        task = rung_task(trial.candidate, trial.architecture, wanted, seed, epochs * n)
        first = replace(arrays, x_train=arrays.x_train[:n], y_train=arrays.y_train[:n])
        trainer = make_trainer(first, finished.summary["backend"])
        plan = StepPlan.annealed(steps := epochs * (n // task.batch_size), min(10, steps))
        assert trainer.run_steps(TrainerState.initial(task), plan).value == value
    assert trial.epochs == trial.rungs[-1][0]


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_what_was_trained_before_does_not_matter_but_for_the_time(backend):
    arrays, _, _ = Arrays.from_datasets(data().part("train"), data().part("validation"))
    trainers = TrainerCache({"": arrays}, backend)
    candidate = Candidate((8,), "silu", 1e-2, 32)
    task = TrainingTask(candidate.architecture(3, 2), 1e-2, 32, seed=1)
    fresh = TrainerState.initial(task)
    used = run_rung(trainers, RungUnit(fresh, 5, 1))
    used.stopped, used.stale = "patience", 3
    a, b = (run_rung(trainers, RungUnit(s, 3, 15, 64, anneal=True)) for s in (fresh, used))
    assert (a.value, a.epoch, a.step) == (b.value, 3, 3 * 2)
    assert (a.weights == b.weights).all()
    assert a.seconds > 0
    assert b.seconds > used.seconds
    # At the end of the plan hardly anything moves: not so at a constant rate.
    plain = run_rung(trainers, RungUnit(fresh, 3, 15, 64))
    assert plain.value != a.value


@pytest.mark.parametrize(("workers", "halving"), [(2, "batch"), (4, "batch"), (2, "asha")])
def test_many_workers_find_what_one_finds(workers, halving, finished, tmp_path):
    one = finished
    if halving != "batch":
        one = search(data(), options(halving=halving), tmp_path / "one")
    many = search(data(), options(halving=halving, workers=workers), tmp_path / "many")
    assert content(many) == content(one)


def test_killed_within_a_batch_it_ends_the_same(finished, tmp_path, monkeypatch):
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
            search(data(), options(), tmp_path)
    trained = []
    monkeypatch.setattr(rungs, "run_rung", lambda t, u: (trained.append(u), run_rung(t, u))[1])
    assert content(search(data(), options(), tmp_path)) == content(finished)
    assert len(trained) == 3 * (6 + 3 + 1) - 8


def test_the_schedule_is_part_of_what_a_search_is(finished, tmp_path):
    with pytest.raises(EmufortError, match=r"search\.schedule = cosine instead of constant"):
        search(data(), config(rung_rows=ROWS), finished.folder)
    # Step 1 takes its peak, its batch size and its lengths from step 2.
    other = {"learning_rate": [1e-3, 1e-2], "batch_size": 64, "steps": 200}
    for name, value in other.items():
        with pytest.raises(EmufortError, match=rf"retrain\.{name} = (None|32|300) instead of"):
            search(data(), options(**{f"retrain__{name}": value}), finished.folder)
    constant = search(data(), config(trials=6), tmp_path)
    again = config(trials=6, **{f"retrain__{name}": value for name, value in other.items()})
    assert content(search(data(), again, tmp_path)) == content(constant)


def test_a_folder_from_before_there_were_schedules_goes_on(tmp_path):
    from emufort.files import write_json

    search(data(), config(trials=6), tmp_path)
    kept = read_json(tmp_path / "subset.json")
    for key in ("search.schedule", "search.share", "search.batch_size"):
        kept["identity"].pop(key, None)
    del kept["plan"]
    write_json(tmp_path / "subset.json", kept)
    assert len(search(data(), config(trials=12), tmp_path).trials) == 12
    with pytest.raises(EmufortError, match="instead of cosine"):
        search(data(), config(trials=12, schedule="cosine"), tmp_path)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(UsageError, match=r"search\.schedule"):
        config(schedule="linear")


def test_step_2_and_advice_follow(finished, tmp_path):
    done = retrain(finished.folder, data(), options(), tmp_path / "retrain")
    assert len({row.trial for row in done}) == 11
    few = {"advice": AdviceConfig(candidates=8, first=32, largest=64)}
    for schedule in ("cosine", "constant"):
        asked = config(schedule=schedule, rungs=[3]).model_copy(update=few)
        advise(data(), asked, tmp_path / schedule)
    a, b = (read_csv(tmp_path / name / "losses.csv") for name in ("cosine", "constant"))
    assert len(a) == len(b) == 32
    assert all(x["loss"] != y["loss"] for x, y in zip(a, b, strict=True))
