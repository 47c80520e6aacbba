"""The headline script: the runs that it counts, selects and refuses; no test of speed."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module as load
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from emufort.config import RetrainConfig
from emufort.network.architecture import Architecture
from emufort.retrain.rounds import Rounds
from emufort.search.candidate_task import final_plan, final_task
from emufort.search.halving import Course
from emufort.search.space import Candidate
from emufort.search.trials import Trial
from emufort.training import StepPlan, TrainerState, TrainingTask, make_trainer, with_fewer_steps
from emufort.training import native_trainer as native

TOP = Path(__file__).resolve().parents[2]
needs_native = pytest.mark.skipif(not native.available(), reason="the trainer is not built")


def headline(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.headline", *arguments],
        cwd=TOP, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_course_is_at_its_target_when_it_first_is_as_low() -> None:
    reach = load("benchmarks.headline.time_to_target")
    course = [(1.0, 0.5, 32), (2.0, 0.25, 32), (4.0, 0.125, 64)]
    assert reach.first_time(course, 0.25) == 2.0
    assert reach.first_time(course, 0.2) == 4.0
    assert reach.first_time(course, 0.1) is None


def test_a_search_ends_at_its_target_or_its_limit() -> None:
    reach = load("benchmarks.headline.time_to_target")

    def search() -> Iterator[tuple[float, float, int]]:
        for second, loss in enumerate([8.0, 4.0, 4.0, 2.0, 2.0, 1.0], 1):
            yield float(second), loss, second
        raise AssertionError("asked for more than it needed")

    assert reach.until(search(), 2.0, 100.0) == [(1.0, 8.0, 1), (2.0, 4.0, 2), (4.0, 2.0, 4)]
    # What ends at the limit says until when it searched.
    assert reach.until(search(), 0.5, 4.5)[-1] == (5.0, 2.0, 5)


def test_a_search_that_fails_counts_with_the_papers_time(monkeypatch: pytest.MonkeyPatch) -> None:
    reach = load("benchmarks.headline.time_to_target")
    paper = {"loss": 0.1, "seconds": 50.0}
    courses = iter([[(2.0, 0.05, 32)], [(51.0, 0.2, 64)], [(4.0, 0.1, 32)], [(9.0, 0.1, 3)]])
    monkeypatch.setattr(reach, "paper_search", lambda *_: paper)
    monkeypatch.setattr(reach, "aimed", lambda _, __, seeds, *___: [next(courses) for _ in seeds])
    options = type("Options", (), {"keras_python": "", "plain_repeats": 1})()
    one = reach.one_round(None, "jax", 1, 60, 3, options)
    assert one["emufort_seconds"] == [2.0, 50.0, 4.0]
    assert one["emufort_missed"] == 1
    assert one["ratio"] == 50.0 / 4.0
    assert one["native_in_full_seconds"] == [9.0]


def test_the_fastest_backend_is_the_contender_and_all_seeds_count() -> None:
    def one(backend: str, seconds: float, ours: list[float]) -> dict[str, Any]:
        return {
            "backend": backend, "seconds": seconds, "loss": 1.0, "emufort_seconds": ours,
            "emufort_missed": 0, "native_in_full_seconds": [10.0],
            "ratio": seconds / float(np.median(ours)),
        }  # fmt: skip

    rounds = [one("slow", 700.0, [1.0]), one("fast", 200.0, [1.0, 9.0]), one("fast", 300.0, [2.0])]
    first, second = load("benchmarks.headline.time_to_target").summarised(rounds)
    assert (first["backend"], second["backend"]) == ("fast", "slow")
    assert first["ratio"] == 250.0 / 2.0
    assert (first["ratio_least"], first["ratio_most"]) == (40.0, 150.0)


def test_a_round_is_kept_for_the_same_settings_only(tmp_path: Path) -> None:
    reach = load("benchmarks.headline.time_to_target")
    options = Namespace(plain_repeats=3, data=None, keras_python="python")
    wanted = reach.settings(60, 9, options)
    file = tmp_path / "jax_1.json"
    assert reach.kept_round(file, wanted) is None
    file.write_text(json.dumps({"settings": wanted, "loss": 1.0}))
    assert reach.kept_round(file, wanted)["loss"] == 1.0
    assert reach.kept_round(file, reach.settings(60, 8, options)) is None
    for key, other in (("plain_repeats", 0), ("data", "x.nc"), ("keras_python", "python3")):
        changed = Namespace(**{**vars(options), key: other})
        assert reach.kept_round(file, reach.settings(60, 9, changed)) is None


@needs_native
def test_the_search_trains_survivors_and_gets_better() -> None:
    reach, space = load("benchmarks.headline.time_to_target"), load("benchmarks.headline.problem")
    arrays = space.arrays_of_paper(rows=256)
    points = reach.halved_then_retrained(make_trainer(arrays, "native"), arrays, 1)
    course = reach.until(points, 0.0, 0.0)
    assert len(course) == 1
    spent, loss, asked = course[0]
    plain = next(reach.in_full(make_trainer(arrays, "native"), arrays, 1))
    assert spent > 0
    assert asked == reach.BATCH
    assert loss < plain[1]


def test_those_who_survived_longer_come_first_and_a_network_once() -> None:
    courses = [
        Course(((1, 0.1),), 1),
        Course(((1, 0.2), (4, 0.3)), None),
        Course(((1, 0.3), (4, 0.2)), None),
        Course(((1, 0.05),), 1),
        Course(((1, 0.02),), 1),
    ]
    tasks = [
        TrainingTask(Architecture(3, hidden, 1, "relu"), 1e-3, 64, 1)
        for hidden in ((8,), (16,), (8, 8), (32,), (16,))
    ]
    assert load("benchmarks.headline.two_steps_in_full").best_first(courses, tasks) == [2, 1, 3, 0]


@needs_native
def test_step_2_trains_by_the_plan_of_retrain() -> None:
    two, space = load("benchmarks.headline.two_steps_in_full"), load("benchmarks.headline.problem")
    arrays = space.arrays_of_paper(rows=600)
    trainer = make_trainer(arrays, "native")
    (task,) = space.tasks_of_space(1, arrays)
    second = two.SecondStep(3)
    seconds, state = second.train(trainer, task)
    assert seconds > 0
    assert state.step == 3 * (600 // two.PLAN_BATCH)
    a = task.architecture
    candidate = Candidate(a.hidden, a.activation, task.learning_rate, task.batch_size)
    for config in (
        two.configuration("cosine", two.EPOCHS, two.ROWS),
        two.default_configuration(1, second.plan(600).steps),
    ):
        wanted = final_task(candidate, a, config.retrain, second.task(task).seed)
        assert state.task == wanted
    assert final_plan(wanted, config.retrain, 600, two.LOOKS) == second.plan(600)
    assert state.curve[-1][3] < 0.5 * wanted.learning_rate
    # Other first weights than in step 1.
    assert wanted.seed != task.seed
    assert np.array_equal(second.train(trainer, task)[1].weights, state.weights)
    assert not np.array_equal(second.train(trainer, task, 1)[1].weights, state.weights)


@needs_native
def test_step_1_is_the_search_of_the_product() -> None:
    two, space = load("benchmarks.headline.two_steps_in_full"), load("benchmarks.headline.problem")
    arrays = space.arrays_of_paper(rows=400)
    tasks = space.tasks_of_space(8, arrays)
    config = two.configuration("cosine", (1, 2), (200, 400))
    _, courses = two.first_step(arrays, tasks, config)
    assert [len(course.rungs) for course in courses].count(2) == 2
    at = next(i for i, course in enumerate(courses) if len(course.rungs) == 2)
    batch = tasks[at].batch_size
    rate = two.PEAK * (batch / two.PLAN_BATCH) ** 0.5
    # The first rung, by which the rate goes, shows 200 samples.
    rate = with_fewer_steps(rate, config.retrain.samples / two.PLAN_BATCH, 200 / batch)
    alone = TrainerState.initial(replace(tasks[at], learning_rate=rate))
    steps = 2 * (400 // batch)
    plan = StepPlan.annealed(steps, min(10, steps))
    value = make_trainer(arrays, "native").run_steps(alone, plan).value
    assert courses[at].value == pytest.approx(value, rel=1e-6)


def test_candidates_come_in_the_order_of_step_2() -> None:
    values = [1.0 / (1 + i % 7) for i in range(60)]
    trials = [
        Trial(
            number=i, architecture=Architecture(3, (8 + 4 * i,), 1, "relu"), learning_rate=1e-3,
            batch_size=64, value=value, epochs=1, pruned_at=None, seconds=0.0, batch=0,
            rungs=((1, value),),
        )
        for i, value in enumerate(values)
    ]  # fmt: skip
    rounds = Rounds(trials, RetrainConfig(top=8, control=16), 3)
    order, ends = load("benchmarks.headline.two_steps_in_full").in_rounds(rounds, values)
    assert order[:16] == [t.number for t in rounds.control()]
    assert ends == [16, 22, 24] and len(set(order)) == 24
    few = Rounds(trials, RetrainConfig(top=2, control=0), 3)
    assert load("benchmarks.headline.two_steps_in_full").in_rounds(few, values)[1] == [2]


@needs_native
def test_the_reference_is_not_trained_again(tmp_path: Path) -> None:
    many, two, space = (
        load("benchmarks.headline.two_steps_ten_thousand"),
        load("benchmarks.headline.two_steps_in_full"),
        load("benchmarks.headline.problem"),
    )
    arrays = space.arrays_of_paper(rows=300)
    tasks = space.tasks_of_space(4, arrays)
    trainer, second = make_trainer(arrays, "native"), two.SecondStep(1)
    problem = two.Problem(arrays, arrays, arrays)
    file = tmp_path / "reference.jsonl"
    first = many.reference(file, problem, trainer, tasks, second, [0, 2])
    assert [row["i"] for row in first] == [0, 2]
    more = many.reference(file, problem, trainer, tasks, second, [0, 1, 2])
    assert (more[0], more[2]) == tuple(first)
    assert len(file.read_text().splitlines()) == 3
    with pytest.raises(SystemExit, match="other candidates"):
        many.reference(file, problem, trainer, tasks[::-1], second, [0])


@needs_native
def test_the_test_rows_judge_the_best_weights() -> None:
    two, space = load("benchmarks.headline.two_steps_in_full"), load("benchmarks.headline.problem")
    problem = two.Problem.of(None, 3200)
    task = space.tasks_of_space(1, problem.full)[0]
    state = TrainerState.initial(task)
    # All weights zero: every fraction is a half.
    state.best_weights = np.zeros_like(state.best_weights)
    wanted = np.sqrt(np.mean((problem.test.y_validation.astype(float) - 0.5) ** 2))
    assert problem.test_rmse(state) == pytest.approx(wanted, rel=1e-6)


def test_validation_chooses_and_cost_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    skill = load("benchmarks.headline.skill_against_time")
    rows = [
        {"data": "embedded", "id": "a", "label": "a", "validation_rmse": 2.0, "ns_per_sample": 40},
        {"data": "embedded", "id": "b", "label": "b", "validation_rmse": 3.0, "ns_per_sample": 30},
        {"data": "embedded", "id": "c", "label": "c", "validation_rmse": 1.0, "ns_per_sample": 60},
        {"data": "large", "id": "d", "label": "d", "validation_rmse": 0.1, "ns_per_sample": 10},
    ]
    seen = []

    class Loaded:
        def predict(self, x: Any) -> Any:
            return x

    def loaded(path: Path) -> Loaded:
        seen.append(path.name)
        return Loaded()

    class Data:
        x = None

        def part(self, name: str) -> Data:
            assert name == "test"
            return self

    scored = type("S", (), {"overall": type("O", (), {"rmse": 0.003})})
    monkeypatch.setattr(skill.Emulator, "load", loaded)
    monkeypatch.setattr(skill, "skill_of", lambda *_: scored)
    files = {row["id"]: Path(row["id"]) for row in rows}
    found = skill.judged(skill.Goal("embedded", 0.0036, 0.5), Data(), rows, files, 100.0)
    assert (found["choice"], found["share"], found["reached"]) == ("a", 0.4, True)
    assert not skill.judged(skill.Goal("embedded", 0.0028, 0.5), Data(), rows, files, 100.0)[
        "reached"
    ]
    # The others' test skill was not looked at.
    assert seen == ["a", "a"]
    none = skill.judged(skill.Goal("embedded", 0.0036, 0.1), Data(), rows, files, 100.0)
    assert not none["reached"]


@needs_native
def test_keras_tuner_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    space = load("benchmarks.headline.problem")
    assert not space.keras_is_installed(sys.executable, "no_such_backend")
    words = ("--keras", "no_such_backend", "--plain-repeats", "0")
    done = headline("reach", "--quick", *words, "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "no_such_backend is not installed" in done.stderr
    result = json.loads((tmp_path / "reach.json").read_text())
    assert not result["is_keras_tuner"]
    assert (tmp_path / "reach.png").is_file()


@needs_native
def test_figures_of_a_quick_run_go_into_no_document(tmp_path: Path) -> None:
    done = headline("two-step", "--quick", "--top", "2", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "two-step.json").read_text())
    for name in load("benchmarks.headline.two_steps_in_full").WAYS:
        one = result[name]
        # Of 8 candidates half are the control group, and by default all are taken.
        assert len(one["kept"]) == (8 if name == "default" else 2)
        assert 0 < one["step_2_seconds"] <= result["all_seconds"] * (1 + 1e-9)
        assert one["validation_loss"] >= result["validation_loss_all"]
        assert len(one["step_1_loss"]) == 8 and one["step_1_seconds"] > 0
    assert result["default"]["validation_loss"] == result["validation_loss_all"]
    document: ModuleType = load("benchmarks.headline.document")
    before = document.DOCUMENT.read_bytes()
    with pytest.raises(ValueError, match="quick run"):
        document.update(tmp_path)
    assert document.DOCUMENT.read_bytes() == before


def test_text_between_markers_is_replaced_and_nothing_else() -> None:
    document = load("benchmarks.headline.document")
    text = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb"
    assert document.replaced(text, "x", "new\\1") == (
        "a\n<!-- x: begin -->\nnew\\1\n<!-- x: end -->\nb"
    )
    with pytest.raises(ValueError, match="begin"):
        document.replaced(text, "y", "new")
