"""Headline (b), small enough to be measured in full: two steps against training everything.

The candidates are the same, and so is how one is trained on all rows: by the plan of `emufort
retrain`. One side trains all of them on all embedded rows; the other takes them through step 1 and
trains the best --top. As a training hangs on its task and its rows alone, those are among the
former, bit by bit, and their time is taken from there. On either side the lowest validation loss
chooses, and the test rows judge the choice.

Step 1 is done twice: with `search.schedule = "cosine"`, which is the headline, and "constant". The
network that is best of all is trained with other seeds too: differences within their spread say
nothing.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from _space import PATIENCE, SPACE, VALIDATION_ROWS, tasks_of_space

from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset import Dataset
from emufort.search.halving import Course, successive_halving
from emufort.search.space import Candidate
from emufort.search.tasks import task_of
from emufort.search.work import RungUnit, run_rung
from emufort.search.workbench import Workbench
from emufort.training import (
    Arrays,
    StepPlan,
    TrainerState,
    TrainingTask,
    make_trainer,
    with_batch_size,
)

#: Step 2: passes through the embedded rows, batch size, looks at the validation rows. The peak
#: learning rate is the same for all: that of a candidate was never tried over so many steps.
PLAN_EPOCHS, PLAN_BATCH, LOOKS, PEAK = 60, 256, 100, 3e-3
#: Step 1: rows of the subset and epochs of each rung; one in ETA goes on.
EPOCHS, ROWS, ETA = (1, 2, 4, 8), (2000, 4000, 8000, 16000), 4
#: The same without a schedule, as `emufort search` does it if nothing is said.
CONSTANT_EPOCHS, CONSTANT_ROWS = (1, 4, 16, 100), (3200, 3200, 3200, 3200)
#: Further seeds of the best network of all.
SEEDS = 4
KEPT = (1, 3, 5, 12, 24)


def configuration(schedule: str, epochs: Sequence[int], rows: Sequence[int]) -> Config:
    """Return the configuration of both steps; all candidates are one batch."""
    search = {
        "schedule": schedule, "rungs": list(epochs), "rung_rows": list(rows), "eta": ETA,
        "subset": rows[-1], "patience": PATIENCE, "space": SPACE.model_dump(),
    }  # fmt: skip
    retrain = {"batch_size": PLAN_BATCH, "learning_rate": [PEAK, PEAK]}
    return Config.from_dict({"search": search, "retrain": retrain})


@dataclass(frozen=True)
class Problem:
    """All rows, the subset of step 1, and test rows in the place of validation rows."""

    full: Arrays
    subset: Arrays
    test: Arrays

    @classmethod
    def of(cls, file: str | None, n_subset: int) -> Problem:
        data = Dataset.open(file, Contract.load("activation_fractions"))
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
    """A training on all rows: so many epochs of the plan of `emufort retrain`."""

    epochs: int

    @property
    def label(self) -> str:
        return f"{self.epochs} epochs, batch {PLAN_BATCH}, peak {PEAK:g}"

    def task(self, task: TrainingTask, again: int = 0) -> TrainingTask:
        """Return the task of step 2, with another seed for each `again`."""
        rate = with_batch_size(task.learning_rate, task.batch_size, PLAN_BATCH, (PEAK, PEAK))
        seed = task.seed + (again << 40)
        return replace(task, batch_size=PLAN_BATCH, learning_rate=rate, seed=seed)

    def plan(self, n_train: int) -> StepPlan:
        return StepPlan.annealed(self.epochs * (n_train // PLAN_BATCH), LOOKS)

    def train(self, trainer: Any, task: TrainingTask, again: int = 0) -> tuple[float, TrainerState]:
        """Return processor seconds and the trained state."""
        start = time.process_time()
        state = TrainerState.initial(self.task(task, again))
        state = trainer.run_steps(state, self.plan(trainer.n_train))
        return time.process_time() - start, state


def first_step(
    arrays: Arrays, tasks: Sequence[TrainingTask], config: Config
) -> tuple[float, list[Course]]:
    """Take candidates through the rungs; return processor seconds and courses."""
    bench = Workbench({"": arrays}, "native")
    search = config.search
    start = time.process_time()
    states = []
    for t in tasks:
        a = t.architecture
        candidate = Candidate(a.hidden, a.activation, t.learning_rate, t.batch_size)
        states.append(TrainerState.initial(task_of(candidate, a, config, t.seed)))

    def rung(at: Sequence[int], epochs: int) -> list[float]:
        rows = search.rung_rows[search.rungs.index(epochs)]
        anneal = search.schedule == "cosine"
        before = time.process_time()
        for p in at:
            unit = RungUnit(states[p], epochs, search.patience, rows, anneal=anneal)
            states[p] = run_rung(bench, unit)
        spent = time.process_time() - before
        print(f"    rung {epochs} x {rows} rows: {len(at)} in {spent:.1f} s", flush=True)
        return [states[p].value for p in at]

    courses = successive_halving(len(tasks), search.rungs, search.eta, rung)
    return time.process_time() - start, courses


def best_first(courses: Sequence[Course], tasks: Sequence[TrainingTask]) -> list[int]:
    """Return the candidates as step 1 ranks them: the longer survived the better, then by loss.

    Of candidates with the same network the best one stands for all, as in `emufort retrain`.
    """
    order = sorted(range(len(courses)), key=lambda i: (-len(courses[i].rungs), courses[i].value))
    distinct: dict[str, int] = {}
    for i in order:
        distinct.setdefault(tasks[i].architecture.label, i)
    return list(distinct.values())


def run(options: argparse.Namespace) -> dict[str, Any]:
    candidates = 8 if options.quick else options.candidates
    configs = {
        "cosine": configuration("cosine", EPOCHS, ROWS),
        "constant": configuration("constant", CONSTANT_EPOCHS, CONSTANT_ROWS),
    }
    problem = Problem.of(options.data, ROWS[-1])
    tasks = tasks_of_space(candidates, problem.full, seed=3)
    on_all = make_trainer(problem.full, "native")
    second = SecondStep(2 if options.quick else PLAN_EPOCHS)
    trained = [second.train(on_all, task) for task in tasks]
    values = [state.value for _, state in trained]
    best_all = min(range(candidates), key=lambda i: values[i])
    again = [second.train(on_all, tasks[best_all], k + 1)[1].value for k in range(SEEDS)]
    seconds_all = sum(seconds for seconds, _ in trained)
    result: dict[str, Any] = {
        "candidates": candidates,
        "rows": len(problem.full.x_train),
        "top": options.top,
        "step_2": second.label,
        "all_seconds": seconds_all,
        "validation_loss_all": values[best_all],
        "test_rmse_all": problem.test_rmse(trained[best_all][1]),
        "seeds": again,
        "labels": [task.architecture.label for task in tasks],
        "full_loss": values,
    }
    for name, config in configs.items():
        seconds_1, courses = first_step(problem.subset, tasks, config)
        order = best_first(courses, tasks)
        kept = order[: options.top]
        best = min(kept, key=lambda i: values[i])
        seconds_2 = sum(trained[i][0] for i in kept)
        result[name] = {
            "rungs": list(config.search.rungs),
            "rung_rows": list(config.search.rung_rows),
            "step_1_seconds": seconds_1,
            "step_2_seconds": seconds_2,
            "ratio": seconds_all / (seconds_1 + seconds_2),
            "kept": kept,
            "ranks_of_kept": sorted(int(np.sum(np.array(values) < values[i])) + 1 for i in kept),
            "validation_loss": values[best],
            "test_rmse": problem.test_rmse(trained[best][1]),
            # What keeping another number would have cost, in per cent of the loss.
            "regret": {
                k: 100 * (min(values[i] for i in order[:k]) / values[best_all] - 1)
                for k in KEPT
                if k <= candidates
            },
            "step_1_loss": [course.value for course in courses],
            "step_1_epochs": [course.rungs[-1][0] for course in courses],
        }
        one = result[name]
        print(
            f"(b) {candidates} candidates, {result['rows']} rows, step 1 {name}: all"
            f" {seconds_all:.0f} s, two steps {seconds_1:.1f} + {seconds_2:.1f} s:"
            f" {one['ratio']:.1f}x less; test RMSE of all {result['test_rmse_all']:.5f}, two steps"
            f" {one['test_rmse']:.5f}; the kept are the"
            f" {', '.join(map(str, one['ranks_of_kept']))}. best of all",
            flush=True,
        )
    return result


def plot(result: dict[str, Any], axes: Any) -> None:
    some = result["cosine"]
    first, full = np.array(some["step_1_loss"]), np.array(result["full_loss"])
    epochs = np.array(some["step_1_epochs"])
    for n in sorted(set(epochs)):
        at = epochs == n
        rows = some["rung_rows"][some["rungs"].index(n)]
        axes.plot(first[at], full[at], "o", ms=4, label=f"last rung {n} epochs, {rows} rows")
    kept = some["kept"]
    axes.plot(first[kept], full[kept], "ko", ms=10, mfc="none", label="trained in step 2")
    axes.set(xscale="log", yscale="log", xlabel="validation loss in step 1",
             ylabel="validation loss, trained on all rows")  # fmt: skip
    axes.legend()
