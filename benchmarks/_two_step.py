"""Headline (b), small enough to be measured in full: two steps against training everything.

The candidates are the same, and so is how one is trained on all rows: by step 2's plan (Adam, a
warm-up, a cosine down to zero), or with --constant as in the paper (at most 100 epochs at the
candidate's own learning rate, patience 5). One side trains all of them on all embedded rows; the
other takes them through successive halving on --subset of those rows and trains the best --top.
As a training hangs on its task and its rows alone, those are among the former, bit by bit, and
their time is taken from there. On either side the lowest validation loss chooses, and the test rows
judge the choice.

Few candidates are kept, so a longer training costs little: the kept ones are also trained anew by a
plan that is LONGER times as long.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from _space import EPOCHS, ETA, PATIENCE, ROWS, RUNGS, VALIDATION_ROWS, tasks_of_space

from emufort.contract import Contract
from emufort.dataset import Dataset
from emufort.search.halving import Course, successive_halving
from emufort.training import Arrays, StepPlan, Trainer, TrainerState, TrainingTask, make_trainer

#: Candidates that are cut together.
BATCH = 64
#: Step 2's plan: passes through the embedded rows, batch size, bounds of the peak learning rate.
PLAN_EPOCHS, PLAN_BATCH, PEAK = 60, 256, (3e-3, 1e-2)
LONGER = 2


@dataclass(frozen=True)
class Problem:
    """All rows, the subset of step 1, and test rows in the place of validation rows."""

    full: Arrays
    subset: Arrays
    test: Arrays

    @classmethod
    def of(cls, file: str | None, n_subset: int = ROWS) -> Problem:
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


def with_peak(task: TrainingTask) -> TrainingTask:
    """Return the task as step 2 trains it; see `emufort.retrain.learning_rate_for`."""
    peak = task.learning_rate * math.sqrt(PLAN_BATCH / task.batch_size)
    return replace(task, batch_size=PLAN_BATCH, learning_rate=min(max(peak, PEAK[0]), PEAK[1]))


@dataclass(frozen=True)
class Schedule:
    """How a candidate is trained on all rows: by a plan of so many epochs, or as in the paper."""

    epochs: int
    constant: bool

    @property
    def label(self) -> str:
        if self.constant:
            return f"constant learning rate, at most {self.epochs} epochs, patience {PATIENCE}"
        return f"warm-up and cosine, {self.epochs} epochs, batch {PLAN_BATCH}"

    def steps(self, n_train: int) -> int:
        """Return the steps of the plan."""
        return self.epochs * (n_train // PLAN_BATCH)

    def train(self, trainer: Any, task: TrainingTask) -> tuple[float, TrainerState]:
        """Return processor seconds and the trained state."""
        start = time.process_time()
        if self.constant:
            state = trainer.run_epochs(TrainerState.initial(task), self.epochs, PATIENCE)
        else:
            steps = self.steps(trainer.n_train)
            plan = StepPlan(steps, max(1, steps // 20), max(1, steps // 100))
            state = trainer.run_steps(TrainerState.initial(with_peak(task)), plan)
        return time.process_time() - start, state


def first_step(trainer: Trainer, tasks: Sequence[TrainingTask]) -> tuple[float, list[Course]]:
    """Take candidates through successive halving, batch by batch; return seconds and courses."""
    start = time.process_time()
    courses: list[Course] = []
    for first in range(0, len(tasks), BATCH):
        states = [TrainerState.initial(task) for task in tasks[first : first + BATCH]]

        def rung(
            at: Sequence[int], epochs: int, states: Sequence[TrainerState] = states
        ) -> list[float]:
            return [trainer.run_epochs(states[p], epochs, PATIENCE).value for p in at]

        courses += successive_halving(len(states), RUNGS, ETA, rung)
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
    problem = Problem.of(options.data, options.subset)
    tasks = tasks_of_space(candidates, problem.full)
    seconds_1, courses = first_step(make_trainer(problem.subset, "native"), tasks)
    order = best_first(courses, tasks)
    kept = order[: options.top]
    on_all = make_trainer(problem.full, "native")
    epochs = EPOCHS if options.constant else PLAN_EPOCHS
    schedule = Schedule(2 if options.quick else epochs, options.constant)
    trained = [schedule.train(on_all, task) for task in tasks]
    values = [state.value for _, state in trained]
    best_all = min(range(candidates), key=lambda i: values[i])
    best_two = min(kept, key=lambda i: values[i])
    seconds_all = sum(seconds for seconds, _ in trained)
    seconds_2 = sum(trained[i][0] for i in kept)
    result = {
        "candidates": candidates,
        "rows": len(problem.full.x_train),
        "subset": options.subset,
        "top": options.top,
        "schedule": schedule.label,
        "all_seconds": seconds_all,
        "step_1_seconds": seconds_1,
        "step_2_seconds": seconds_2,
        "ratio": seconds_all / (seconds_1 + seconds_2),
        "kept": kept,
        "ranks_of_kept": sorted(int(np.sum(np.array(values) < values[i])) + 1 for i in kept),
        "validation_loss_all": values[best_all],
        "validation_loss_two_step": values[best_two],
        "test_rmse_all": problem.test_rmse(trained[best_all][1]),
        "test_rmse_two_step": problem.test_rmse(trained[best_two][1]),
        # What keeping another number would have cost, in per cent of the loss.
        "regret": {
            k: 100 * (min(values[i] for i in order[:k]) / values[best_all] - 1)
            for k in (1, 3, 5, 12, 24)
            if k <= candidates
        },
        "labels": [task.architecture.label for task in tasks],
        "epochs": [state.epoch for _, state in trained],
        "step_1_loss": [course.value for course in courses],
        "step_1_epochs": [course.rungs[-1][0] for course in courses],
        "full_loss": values,
    }
    if not options.constant:
        longer = replace(schedule, epochs=LONGER * schedule.epochs)
        retrained = [longer.train(on_all, tasks[i]) for i in kept]
        chosen = min(retrained, key=lambda pair: pair[1].value)[1]
        result["longer"] = {
            "schedule": longer.label,
            "step_2_seconds": (seconds_longer := sum(seconds for seconds, _ in retrained)),
            "ratio": seconds_all / (seconds_1 + seconds_longer),
            "validation_loss": chosen.value,
            "test_rmse": problem.test_rmse(chosen),
        }
    print(
        f"(b) {candidates} candidates, {result['rows']} rows, measured: all {seconds_all:.0f} s,"
        f" two steps {seconds_1:.1f} + {seconds_2:.1f} s: {result['ratio']:.1f}x less"
    )
    print(
        f"    test RMSE of the fractions: all {result['test_rmse_all']:.5f}, two steps"
        f" {result['test_rmse_two_step']:.5f}; the kept are the"
        f" {', '.join(map(str, result['ranks_of_kept']))}. best of all"
    )
    if "longer" in result:
        some = result["longer"]
        print(f"    step 2 {LONGER} times as long: {some['step_2_seconds']:.1f} s, test RMSE"
              f" {some['test_rmse']:.5f}, {some['ratio']:.1f}x less")  # fmt: skip
    return result


def plot(result: dict[str, Any], axes: Any) -> None:
    first, full = np.array(result["step_1_loss"]), np.array(result["full_loss"])
    epochs = np.array(result["step_1_epochs"])
    for n in sorted(set(epochs)):
        at = epochs == n
        axes.plot(first[at], full[at], "o", ms=4, label=f"stopped after {n} epochs")
    kept = result["kept"]
    axes.plot(first[kept], full[kept], "ko", ms=10, mfc="none", label="trained in step 2")
    axes.set(xscale="log", yscale="log", xlabel="validation loss in step 1",
             ylabel="validation loss, trained on all rows")  # fmt: skip
    axes.legend()
