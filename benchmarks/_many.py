"""Headline (b) at the paper's size: 10,000 candidates, 1,000,000 rows.

Both sides train a candidate in the same way: at most 100 epochs at its constant learning rate,
patience 5. The two steps are measured, all of them: 10,000 candidates through successive halving
on 3,200 rows, and the best 5 on all rows. Training every candidate on all rows would take weeks:
that side is MULTIPLIED, from the mean time of an epoch on all rows over a sample of the candidates,
the mean number of epochs until a smaller sample ended, and the number of candidates.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from _space import EPOCHS, ROWS, tasks_of_space
from _two_step import Problem, best_of, first_step, timed

from emufort.training import make_trainer

GOAL, OF_THE_PAPER = 1000, 135


def run(options: argparse.Namespace) -> dict[str, Any]:
    if options.many is None and not options.quick:
        raise SystemExit("say --many FILE: python data_prep/make_dataset.py --train 1000000")
    candidates = 32 if options.quick else options.many_candidates
    n_epoch = 3 if options.quick else options.epoch_candidates
    n_full = 2 if options.quick else options.full_candidates
    epochs_at_most = 2 if options.quick else EPOCHS
    problem = Problem.of(options.many)
    tasks = tasks_of_space(candidates, problem.full, seed=2)
    seconds_1, courses = first_step(make_trainer(problem.subset, "native"), tasks)
    print(f"(b) step 1: {candidates} candidates in {seconds_1:.0f} s", flush=True)

    on_all = make_trainer(problem.full, "native")
    # Candidates are independent draws: the first ones are a sample as good as any.
    epochs = [timed(on_all, task, 1)[0] for task in tasks[:n_epoch]]
    print(f"    an epoch on {len(problem.full.x_train)} rows: {np.mean(epochs):.2f} s", flush=True)
    kept = best_of(courses)
    step_2 = [timed(on_all, tasks[i], epochs_at_most) for i in kept]
    seconds_2 = sum(seconds for seconds, _ in step_2)
    print(f"    step 2: {len(kept)} candidates in {seconds_2:.0f} s", flush=True)
    full = [timed(on_all, task, epochs_at_most) for task in tasks[:n_full]]
    n_epochs = [state.epoch for _, state in full]

    seconds_all = float(np.mean(epochs)) * float(np.mean(n_epochs)) * candidates
    best = min(step_2, key=lambda pair: pair[1].value)[1]
    sampled = min(full, key=lambda pair: pair[1].value)[1]
    standard_error = np.std(epochs, ddof=1) / np.mean(epochs) / np.sqrt(n_epoch)
    result = {
        "candidates": candidates,
        "rows": len(problem.full.x_train),
        "subset": ROWS,
        "how": "two steps measured; all: seconds per epoch x epochs x candidates",
        "step_1_seconds": seconds_1,
        "step_2_seconds": seconds_2,
        "step_2_labels": [tasks[i].architecture.label for i in kept],
        "step_2_epochs": [state.epoch for _, state in step_2],
        "seconds_per_epoch": epochs,
        "relative_standard_error": float(standard_error),
        "epochs_of_sample": n_epochs,
        "seconds_of_sample": [seconds for seconds, _ in full],
        "all_seconds": seconds_all,
        "ratio": seconds_all / (seconds_1 + seconds_2),
        "test_rmse_two_step": problem.test_rmse(best),
        "test_rmse_best_of_sample": problem.test_rmse(sampled),
        "goal": GOAL,
        "paper": OF_THE_PAPER,
    }
    print(
        f"    all MULTIPLIED: {np.mean(epochs):.2f} s an epoch (mean of {n_epoch}), "
        f"{np.mean(n_epochs):.0f} epochs (mean of {n_full}): {seconds_all / 3600:.0f} h; two steps "
        f"{(seconds_1 + seconds_2) / 60:.1f} min: {result['ratio']:.0f}x less, goal {GOAL}x, the "
        f"paper {OF_THE_PAPER}x; test RMSE {result['test_rmse_two_step']:.5f}"
    )
    return result


def plot(result: dict[str, Any], axes: Any) -> None:
    first, second = result["step_1_seconds"] / 3600, result["step_2_seconds"] / 3600
    axes.bar(0, result["all_seconds"] / 3600, label="all rows")
    axes.bar(1, second, label="the best 5 on all rows")
    axes.bar(2, first, label=f"{result['subset']} rows, halving")
    names = ["every candidate\n(multiplied)", "step 2\n(measured)", "step 1\n(measured)"]
    axes.set(yscale="log", ylabel="processor time [h]", xticks=[0, 1, 2], xticklabels=names)
    axes.legend()
