"""Headline (b) at the paper's size: 10,000 candidates, 1,000,000 rows.

Both sides train a candidate on all rows in the same way: by step 2's plan, or with --constant as in
the paper. The two steps are measured, all of them: 10,000 candidates through successive halving on
--subset rows, and the best --top on all rows. Training every candidate on all rows would take days:
that side is MULTIPLIED, from the mean time of a step over a sample of the candidates, the number of
steps, and the number of candidates. (With --constant the number of steps is the mean of what a
smaller sample needed.) That smaller sample is trained in full, to compare skill.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from _space import EPOCHS, tasks_of_space
from _two_step import PLAN_BATCH, Problem, Schedule, best_first, first_step, with_peak

from emufort.training import StepPlan, TrainerState, TrainingTask, make_trainer

GOAL, OF_THE_PAPER = 1000, 135
#: Passes of step 2's plan through the million rows; steps that tell the time of one.
MANY_EPOCHS, STEPS_TIMED = 40, 400


def seconds_per_epoch(trainer: Any, task: TrainingTask, schedule: Schedule) -> float:
    """Return the processor time of an epoch on all rows, looks at the validation rows included."""
    if schedule.constant:
        return Schedule(1, True).train(trainer, task)[0]
    steps = STEPS_TIMED
    plan = StepPlan(steps, 1, max(1, min(steps, schedule.steps(trainer.n_train) // 100)))
    start = time.process_time()
    trainer.run_steps(TrainerState.initial(with_peak(task)), plan)
    return (time.process_time() - start) * (trainer.n_train // PLAN_BATCH) / steps


def run(options: argparse.Namespace) -> dict[str, Any]:
    if options.many is None and not options.quick:
        raise SystemExit("say --many FILE: python data_prep/make_dataset.py --train 1000000")
    candidates = 32 if options.quick else options.many_candidates
    n_step = 3 if options.quick else options.step_candidates
    n_full = 2 if options.quick else options.full_candidates
    epochs_at_most = EPOCHS if options.constant else MANY_EPOCHS
    schedule = Schedule(1 if options.quick else epochs_at_most, options.constant)
    problem = Problem.of(options.many, options.subset)
    tasks = tasks_of_space(candidates, problem.full, seed=2)
    seconds_1, courses = first_step(make_trainer(problem.subset, "native"), tasks)
    print(f"(b) step 1: {candidates} candidates in {seconds_1:.0f} s", flush=True)

    on_all = make_trainer(problem.full, "native")
    # Candidates are independent draws: the first ones are a sample as good as any.
    per_epoch = [seconds_per_epoch(on_all, task, schedule) for task in tasks[:n_step]]
    print(f"    {np.mean(per_epoch):.2f} s an epoch", flush=True)
    kept = best_first(courses, tasks)[: options.top]
    step_2 = [schedule.train(on_all, tasks[i]) for i in kept]
    seconds_2 = sum(seconds for seconds, _ in step_2)
    rmse = problem.test_rmse(min(step_2, key=lambda pair: pair[1].value)[1])
    print(
        f"    step 2: {len(kept)} candidates in {seconds_2:.0f} s, test RMSE {rmse:.5f}", flush=True
    )
    full = [schedule.train(on_all, task) for task in tasks[:n_full]]
    n_epochs = [s.epoch for _, s in full] if options.constant else [schedule.epochs] * n_full

    seconds_all = float(np.mean(per_epoch)) * float(np.mean(n_epochs)) * candidates
    sampled = min(full, key=lambda pair: pair[1].value)[1]
    standard_error = np.std(per_epoch, ddof=1) / np.mean(per_epoch) / np.sqrt(n_step)
    result = {
        "candidates": candidates,
        "rows": len(problem.full.x_train),
        "subset": options.subset,
        "how": "two steps measured; all: seconds per epoch x epochs x candidates",
        "schedule": schedule.label,
        "top": options.top,
        "step_1_seconds": seconds_1,
        "step_2_seconds": seconds_2,
        "step_2_labels": [tasks[i].architecture.label for i in kept],
        "seconds_per_epoch": per_epoch,
        "relative_standard_error": float(standard_error),
        "epochs_of_sample": n_epochs,
        "seconds_of_sample": [seconds for seconds, _ in full],
        "all_seconds": seconds_all,
        "ratio": seconds_all / (seconds_1 + seconds_2),
        "test_rmse_two_step": rmse,
        "test_rmse_best_of_sample": problem.test_rmse(sampled),
        "goal": GOAL,
        "paper": OF_THE_PAPER,
    }
    print(
        f"    test RMSE {result['test_rmse_two_step']:.5f}, best of {n_full} random candidates"
        f" {result['test_rmse_best_of_sample']:.5f}"
    )
    print(
        f"    all MULTIPLIED: {np.mean(per_epoch):.2f} s an epoch (mean of {n_step}), "
        f"{np.mean(n_epochs):.0f} epochs (mean of {n_full}): {seconds_all / 3600:.0f} h; two steps "
        f"{(seconds_1 + seconds_2) / 60:.1f} min: {result['ratio']:.0f}x less, goal {GOAL}x, the "
        f"paper {OF_THE_PAPER}x"
    )
    return result


def plot(result: dict[str, Any], axes: Any) -> None:
    first, second = result["step_1_seconds"] / 3600, result["step_2_seconds"] / 3600
    axes.bar(0, result["all_seconds"] / 3600, label="all rows")
    axes.bar(1, second, label=f"the best {result['top']} on all rows")
    axes.bar(2, first, label=f"{result['subset']} rows, halving")
    names = ["every candidate\n(multiplied)", "step 2\n(measured)", "step 1\n(measured)"]
    axes.set(yscale="log", ylabel="processor time [h]", xticks=[0, 1, 2], xticklabels=names)
    axes.legend()
