"""Headline (b), small enough to measure in full: two steps compared with training everything.

The candidates are the same, and a candidate is trained on all rows in the same way, by the plan of
`emufort retrain`. One side trains all candidates on all embedded rows. The other side takes them
through step 1 and trains some of them. A training depends on its task and rows alone, so these
trainings are bitwise among those of the first side, and their times are taken from there. On both
sides, the lowest validation loss chooses, and the test rows judge the choice.

Two steps are run in several ways, see `WAYS`. The first one is the headline: `emufort search` with
its defaults, and the order of `emufort retrain` including its control group. The best network of
all is also trained with other seeds: differences within their spread are not significant.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.foretell.scores import rank_correlation, rank_correlation_at_equal_cost
from benchmarks.headline.problem import PATIENCE, SPACE, VALIDATION_ROWS
from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.retrain.rounds import Rounds
from emufort.search.candidate_task import rung_task
from emufort.search.driver import search
from emufort.search.halving import Course, successive_halving
from emufort.search.result import SearchResult
from emufort.search.rungs import RungUnit, run_rung
from emufort.search.space import Candidate
from emufort.training import (
    Arrays,
    StepPlan,
    TrainerState,
    TrainingTask,
    make_trainer,
    with_batch_size,
)
from emufort.workers.trainer_cache import TrainerCache

CONTRACT = "activation_fractions"
#: Step 2: passes through the embedded rows, batch size, evaluations on the validation rows. The
#: peak learning rate is the same for all, as the space has rates that are too high for many.
PLAN_EPOCHS, PLAN_BATCH, LOOKS, PEAK = 60, 256, 100, 3e-3
#: Ways of step 1 other than the default: epochs of each rung, and the rows that it sees. One in ETA
#: continues, compared with all candidates.
EPOCHS, ROWS, ETA = (1, 2, 4, 8), (2000, 4000, 8000, 16000), 4
CONSTANT_EPOCHS, CONSTANT_ROWS = (1, 4, 16, 100), (3200, 3200, 3200, 3200)
#: Seed of the candidates.
SEED = 3
#: Further seeds of the best network of all.
SEEDS = 4
KEPT = (1, 3, 5, 12, 24)

#: Ways of running two steps, and their names in the table.
WAYS = {
    "default": "two steps, by default",
    "few": "the same step 1, no control group",
    "cosine": "annealed rungs on few rows",
    "constant": "constant learning rate",
}


def configuration(schedule: str, epochs: Sequence[int], rows: Sequence[int]) -> Config:
    """Return the configuration of both steps with the given rungs; all candidates are one batch."""
    search = {
        "schedule": schedule, "rungs": list(epochs), "rung_rows": list(rows), "eta": ETA,
        "subset": rows[-1], "patience": PATIENCE, "space": SPACE.model_dump(),
        "batch_size": SPACE.batch_size[0],
    }  # fmt: skip
    retrain = {"batch_size": PLAN_BATCH, "learning_rate": [PEAK, PEAK]}
    return Config.from_dict({"search": search, "retrain": retrain})


def default_configuration(candidates: int, steps: int) -> Config:
    """Return the configuration of both steps with defaults, except for space and step 2's plan."""
    return Config.from_dict({
        "seed": SEED,
        "workers": 1,
        "search": {"trials": candidates, "sampler": "random", "space": SPACE.model_dump()},
        "retrain": {"steps": steps, "batch_size": PLAN_BATCH, "learning_rate": [PEAK, PEAK]},
    })  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """All rows, the subset of step 1, and data with test rows in place of validation rows."""

    full: Arrays
    subset: Arrays
    test: Arrays

    @classmethod
    def of(cls, file: str | None, n_subset: int) -> Problem:
        data = Dataset.open(file, Contract.load(CONTRACT))
        parts = {name: data.part(name) for name in ("train", "validation", "test")}
        full, x_scaler, y_scaler = Arrays.from_datasets(parts["train"], parts["validation"])
        rows = np.random.default_rng(1).permutation(len(full.x_train))[:n_subset]
        subset = replace(
            full,
            x_train=full.x_train[rows],
            y_train=full.y_train[rows],
            x_validation=full.x_validation[:VALIDATION_ROWS],
            y_validation=full.y_validation[:VALIDATION_ROWS],
        )
        test = replace(
            subset,
            x_validation=x_scaler.forward(parts["test"].features).astype(np.float32),
            y_validation=y_scaler.forward(parts["test"].targets).astype(np.float32),
        )
        return cls(full, subset, test)

    def test_rmse(self, state: TrainerState) -> float:
        """Return the RMSE of the fractions over the test rows."""
        trainer: Any = make_trainer(self.test, "native")
        x, y = trainer._x_validation, trainer._y_validation
        (loss,) = trainer.call("mean_squared_error", state.task, x, y, state.best_weights)
        return math.sqrt(loss)


@dataclass(frozen=True)
class SecondStep:
    """A training on all rows by the plan of `emufort retrain`, for a number of epochs."""

    epochs: int

    @property
    def label(self) -> str:
        return f"{self.epochs} epochs, batch {PLAN_BATCH}, peak {PEAK:g}"

    def task(self, task: TrainingTask, again: int = 0) -> TrainingTask:
        """Return the task of step 2, with another seed than step 1's for each `again`."""
        rate = with_batch_size(task.learning_rate, task.batch_size, PLAN_BATCH, (PEAK, PEAK))
        seed = task.seed + (1 + again << 40)
        return replace(task, batch_size=PLAN_BATCH, learning_rate=rate, seed=seed)

    def plan(self, n_train: int) -> StepPlan:
        return StepPlan.annealed(self.epochs * (n_train // PLAN_BATCH), LOOKS)

    def train(self, trainer: Any, task: TrainingTask, again: int = 0) -> tuple[float, TrainerState]:
        """Return processor seconds and the trained state."""
        start = time.process_time()
        state = TrainerState.initial(self.task(task, again))
        state = trainer.run_steps(state, self.plan(trainer.n_train))
        return time.process_time() - start, state


def searched(file: str | None, config: Config) -> tuple[float, SearchResult]:
    """Run step 1 as `emufort search` does; return its processor time [s] and its result."""
    data = Dataset.open(file, Contract.load(CONTRACT))
    with tempfile.TemporaryDirectory() as folder:
        # Imports on first use are not timed, as in all measurements.
        search(data, default_configuration(1, 1), Path(folder) / "first")
        start = time.process_time()
        found = search(data, config, Path(folder) / "search")
        return time.process_time() - start, found


def first_step(
    arrays: Arrays, tasks: Sequence[TrainingTask], config: Config
) -> tuple[float, list[Course]]:
    """Take candidates through the rungs; return the processor time [s] and the courses."""
    trainers = TrainerCache({"": arrays}, "native")
    search = config.search
    start = time.process_time()
    states = []
    for t in tasks:
        a = t.architecture
        candidate = Candidate(a.hidden, a.activation, t.learning_rate, t.batch_size)
        # All rungs share one task: batch size and rate are those of the first one.
        samples = search.rungs[0] * search.rung_rows[0]
        states.append(TrainerState.initial(rung_task(candidate, a, config, t.seed, samples)))

    def rung(at: Sequence[int], epochs: int) -> list[float]:
        rows = search.rung_rows[search.rungs.index(epochs)]
        anneal = search.schedule == "cosine"
        before = time.process_time()
        for p in at:
            unit = RungUnit(states[p], epochs, search.patience, rows, anneal=anneal)
            states[p] = run_rung(trainers, unit)
        spent = time.process_time() - before
        print(f"    rung {epochs} x {rows} rows: {len(at)} in {spent:.1f} s", flush=True)
        return [states[p].value for p in at]

    courses = successive_halving(len(tasks), search.rungs, search.eta, rung)
    return time.process_time() - start, courses


def best_first(courses: Sequence[Course], tasks: Sequence[TrainingTask]) -> list[int]:
    """Return the candidates in the order of step 1: by the rung that they reached, then by loss.

    Candidates with the same network are represented by the best one, as in `emufort retrain`.
    """
    order = sorted(range(len(courses)), key=lambda i: (-len(courses[i].rungs), courses[i].value))
    distinct: dict[str, int] = {}
    for i in order:
        distinct.setdefault(tasks[i].architecture.label, i)
    return list(distinct.values())


def in_rounds(rounds: Rounds, values: Sequence[float]) -> tuple[list[int], list[int]]:
    """Return the candidates in the order of `emufort retrain`, and their number after each round.

    Parameters
    ----------
    values
        Loss of every candidate on all rows, as step 2 measures it.
    """
    known: dict[int, float] = {}
    ends: list[int] = []
    chosen = rounds.control() or rounds.next(known)
    while chosen:
        known |= {t.number: values[t.number] for t in chosen}
        ends.append(len(known))
        chosen = rounds.next(known)
    return list(known), ends


def outcome(
    way: Mapping[str, Any], trained: Sequence[tuple[float, TrainerState]], problem: Problem
) -> dict[str, Any]:
    """Return the result of step 2 after one way of step 1.

    Parameters
    ----------
    way
        ``step_1_seconds``, ``step_1_loss`` (n,), ``order`` in which step 2 trains candidates, and
        ``ends``: numbers of trained candidates after which it may end; the last is its own number.
    trained
        Processor time [s] and state of all candidates on all rows.
    """
    values = np.array([state.value for _, state in trained])
    cost = np.array([state.task.architecture.relative_cost for _, state in trained])
    foretold = np.array(way["step_1_loss"])
    foretold[~np.isfinite(foretold)] = 10 * foretold[np.isfinite(foretold)].max()
    kept = way["order"][: way["ends"][-1]]
    best = min(kept, key=lambda i: values[i])
    seconds_2 = sum(trained[i][0] for i in kept)
    everything = sum(seconds for seconds, _ in trained)
    return {
        **{key: value for key, value in way.items() if key not in ("order", "ends")},
        "step_2_seconds": seconds_2,
        "ratio": everything / (way["step_1_seconds"] + seconds_2),
        "kept": kept,
        "ranks_of_kept": sorted(int(np.sum(values < values[i])) + 1 for i in kept),
        "validation_loss": float(values[best]),
        "test_rmse": problem.test_rmse(trained[best][1]),
        # Increase of the loss if step 2 ended after another number of candidates, in per cent.
        "regret": {
            n: float(100 * (values[way["order"][:n]].min() / values.min() - 1))
            for n in sorted({*way["ends"], *way.get("also", ())})
        },
        "rank_correlation": rank_correlation(foretold, values),
        "at_equal_cost": rank_correlation_at_equal_cost(foretold, values, cost),
    }


def by_rungs(
    problem: Problem, tasks: Sequence[TrainingTask], config: Config, top: int
) -> dict[str, Any]:
    """Run step 1 with the given rungs, and keep the first `top` by loss."""
    seconds, courses = first_step(problem.subset, tasks, config)
    order = best_first(courses, tasks)
    ends = sorted({*(k for k in KEPT if k <= len(order)), min(top, len(order))})
    return {
        "rungs": list(config.search.rungs),
        "rung_rows": list(config.search.rung_rows),
        "step_1_seconds": seconds,
        "step_1_loss": [course.value for course in courses],
        "step_1_epochs": [course.rungs[-1][0] for course in courses],
        "order": order,
        "also": ends,
        "ends": [min(top, len(order))],
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    candidates = 8 if options.quick else options.candidates
    second = SecondStep(2 if options.quick else PLAN_EPOCHS)
    problem = Problem.of(options.data, ROWS[-1])
    n_train = len(problem.full.x_train)
    config = default_configuration(candidates, second.plan(n_train).steps)
    seconds_1, found = searched(options.data, config)
    print(f"(b) step 1 by default: {candidates} candidates in {seconds_1:.1f} s", flush=True)
    tasks = [
        TrainingTask(t.architecture, t.learning_rate, t.batch_size, (SEED << 20) + t.number)
        for t in found.trials
    ]
    on_all = make_trainer(problem.full, "native")
    trained = [second.train(on_all, task) for task in tasks]
    values = [state.value for _, state in trained]
    best_all = min(range(candidates), key=lambda i: values[i])
    again = [second.train(on_all, tasks[best_all], k + 1)[1].value for k in range(SEEDS)]
    result: dict[str, Any] = {
        "candidates": candidates,
        "rows": n_train,
        "step_2": second.label,
        "all_seconds": sum(seconds for seconds, _ in trained),
        "validation_loss_all": values[best_all],
        "test_rmse_all": problem.test_rmse(trained[best_all][1]),
        "seeds": again,
        "labels": [task.architecture.label for task in tasks],
        "full_loss": values,
    }
    step_1: dict[str, Any] = {
        "rungs": found.summary["rungs"],
        "rung_rows": found.summary["rung_rows"],
        "step_1_seconds": seconds_1,
        "step_1_epochs": [t.epochs for t in found.trials],
    }
    few = config.retrain.model_copy(update={"top": options.top, "control": 0})
    for name, choice in (("default", config.retrain), ("few", few)):
        rounds = Rounds(found.trials, choice, SEED)
        order, ends = in_rounds(rounds, values)
        way = {**step_1, "step_1_loss": rounds.foretold.tolist(), "order": order, "ends": ends}
        result[name] = outcome(way, trained, problem)
    for name, rungs in (
        ("cosine", configuration("cosine", EPOCHS, ROWS)),
        ("constant", configuration("constant", CONSTANT_EPOCHS, CONSTANT_ROWS)),
    ):
        result[name] = outcome(by_rungs(problem, tasks, rungs, options.top), trained, problem)
    for name, title in WAYS.items():
        one = result[name]
        print(
            f"(b) {candidates} candidates, {n_train} rows, {title}: all"
            f" {result['all_seconds']:.0f} s, two steps {one['step_1_seconds']:.1f} +"
            f" {one['step_2_seconds']:.1f} s: {one['ratio']:.1f}x less; test RMSE of all"
            f" {result['test_rmse_all']:.5f}, two steps {one['test_rmse']:.5f}; the kept are the"
            f" {', '.join(map(str, one['ranks_of_kept']))}. best of all",
            flush=True,
        )
    return result


def plot(result: dict[str, Any], axes: Any) -> None:
    some = result["default"]
    first, full = np.array(some["step_1_loss"]), np.array(result["full_loss"])
    epochs = np.array(some["step_1_epochs"])
    for n in sorted(set(epochs)):
        at = epochs == n
        rows = some["rung_rows"][some["rungs"].index(n)]
        axes.plot(first[at], full[at], "o", ms=4, label=f"last rung {n} epochs, {rows} rows")
    kept = some["kept"]
    axes.plot(first[kept], full[kept], "ko", ms=10, mfc="none", label="trained in step 2")
    axes.set(xscale="log", yscale="log", xlabel="loss predicted by step 1",
             ylabel="validation loss, trained on all rows")  # fmt: skip
    axes.legend()
