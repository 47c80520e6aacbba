"""Headline (b) at the paper's size: 10,000 candidates, 1,000,000 rows.

Both sides train a candidate on all rows in the same way, by the plan of `emufort retrain`. The two
steps are measured in full: 10,000 candidates through the rungs of step 1, and the best --many-top
on all rows. Training every candidate on all rows would take days. Its time is EXTRAPOLATED from the
mean time of a step over a sample of the candidates, the number of steps, and the number of
candidates.

Its skill is bounded by a reference: candidates of the same 10,000 that are trained on all rows.
These are the first ones (a random sample, --reference) and those of --reference-more. They are kept
in FOLDER/reference.jsonl, one line each, and not trained again.

--budget RATIO adds a result to FOLDER/many.json: one network that is trained for as long as 1/RATIO
of the compute of all trainings allows, including step 1 and the choice of the length.
--budget-seeds 3,4 does so for candidates of these seeds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.headline.problem import tasks_of_space
from benchmarks.headline.two_steps_in_full import (
    PLAN_BATCH,
    Problem,
    SecondStep,
    best_first,
    configuration,
    first_step,
)
from emufort.training import StepPlan, TrainerState, TrainingTask, make_trainer

GOAL, OF_THE_PAPER = 1000, 135
#: Passes of step 2's plan through the million rows; number of steps to time one step.
MANY_EPOCHS, STEPS_TIMED = 40, 400
#: Step 1: each rung costs a candidate about four times the one before it.
EPOCHS, ROWS = (1, 2, 3, 4, 6, 8), (1500, 2500, 5000, 12000, 24000, 50000)
#: With --budget: largest loss of the network at the last rung relative to the best one, and the
#: planned share of the budget.
NEARLY, SHARE = 1.05, 0.95
#: Seed of the candidates. The settings above were chosen with candidates of another seed.
SEED = 3
#: Number of further trainings, with other seeds, of the network that two steps choose.
SEEDS = 1


def seconds_per_epoch(trainer: Any, task: TrainingTask, second: SecondStep) -> float:
    """Return the processor time of an epoch on all rows, including evaluations [s]."""
    every = max(1, min(STEPS_TIMED, second.plan(trainer.n_train).evaluate_every))
    start = time.process_time()
    trainer.run_steps(TrainerState.initial(second.task(task)), StepPlan(STEPS_TIMED, 1, every))
    return (time.process_time() - start) * (trainer.n_train // PLAN_BATCH) / STEPS_TIMED


def reference(
    file: Path, problem: Problem, trainer: Any, tasks: Sequence[TrainingTask], second: SecondStep,
    wanted: Sequence[int],
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the results of candidates trained on all rows, which `file` holds one per line."""
    lines = file.read_text().splitlines() if file.is_file() else []
    known = {row["i"]: row for row in map(json.loads, lines)}
    for i in wanted:
        if i in known:
            continue
        seconds, state = second.train(trainer, tasks[i])
        known[i] = {
            "i": i, "label": tasks[i].architecture.label, "value": state.value,
            "rmse": problem.test_rmse(state), "seconds": seconds,
        }  # fmt: skip
        with file.open("a") as stream:
            stream.write(json.dumps(known[i]) + "\n")
    for i in wanted:
        if known[i]["label"] != tasks[i].architecture.label:
            raise SystemExit(f"{file} has results of other candidates; remove it")
    return [known[i] for i in wanted]


def with_budget(options: argparse.Namespace) -> dict[str, Any]:
    """Return the result in FOLDER with the added result for a whole budget."""
    result: dict[str, Any] = json.loads((options.out / "many.json").read_text())
    problem = Problem.of(options.many, ROWS[-1])
    of_seeds = {row["seed"]: row for row in result.get("budget", [])}
    for seed in map(int, options.budget_seeds.split(",")):
        of_seeds[seed] = spend(result["all_seconds"], options.budget, problem, seed,
                               result["candidates"])  # fmt: skip
        print(f"    budget: {of_seeds[seed]}", flush=True)
    result["budget"] = [of_seeds[seed] for seed in sorted(of_seeds)]
    return result


def spend(
    all_seconds: float, goal: float, problem: Problem, seed: int, candidates: int
) -> dict[str, Any]:
    """Return the result of both steps for the candidates of `seed` within the budget.

    Among the candidates at step 1's last rung that are nearly as good as the best, the network with
    the fewest multiply-adds is trained on all rows, for as many epochs as the budget allows.
    """
    tasks = tasks_of_space(candidates, problem.full, seed=seed)
    seconds_1, courses = first_step(problem.subset, tasks, configuration("cosine", EPOCHS, ROWS))
    last = [i for i in best_first(courses, tasks) if len(courses[i].rungs) == len(EPOCHS)]
    near = [i for i in last if courses[i].value <= NEARLY * courses[last[0]].value]
    chosen = min(near, key=lambda i: tasks[i].architecture.multiply_adds)
    on_all = make_trainer(problem.full, "native")
    start = time.process_time()
    epoch = seconds_per_epoch(on_all, tasks[chosen], SecondStep(MANY_EPOCHS))
    seconds_1 += time.process_time() - start
    second = SecondStep(int((SHARE * all_seconds / goal - seconds_1) / epoch))
    seconds, state = second.train(on_all, tasks[chosen])
    return {
        "seed": seed, "near": len(near), "label": tasks[chosen].architecture.label,
        "step_2": second.label, "epochs": second.epochs, "step_1_seconds": seconds_1,
        "step_2_seconds": seconds, "ratio": all_seconds / (seconds_1 + seconds),
        "value": state.value, "rmse": problem.test_rmse(state),
    }  # fmt: skip


def run(options: argparse.Namespace) -> dict[str, Any]:
    if options.budget:
        return with_budget(options)
    if options.many is None and not options.quick:
        raise SystemExit("give --many FILE: python data_prep/make_dataset.py --train 1000000")
    candidates = 64 if options.quick else options.many_candidates
    n_step = 3 if options.quick else options.step_candidates
    n_random = 2 if options.quick else options.reference
    more = [] if options.quick else [int(i) for i in options.reference_more.split(",") if i]
    second = SecondStep(1 if options.quick else MANY_EPOCHS)
    problem = Problem.of(options.many, ROWS[-1])
    tasks = tasks_of_space(candidates, problem.full, seed=SEED)
    config = configuration("cosine", EPOCHS, ROWS)
    seconds_1, courses = first_step(problem.subset, tasks, config)
    print(f"(b) step 1: {candidates} candidates in {seconds_1:.0f} s", flush=True)

    on_all = make_trainer(problem.full, "native")
    kept = best_first(courses, tasks)[: options.many_top]
    step_2 = [second.train(on_all, tasks[i]) for i in kept]
    seconds_2 = sum(seconds for seconds, _ in step_2)
    chosen = min(range(len(kept)), key=lambda k: step_2[k][1].value)
    state = step_2[chosen][1]
    rmse = problem.test_rmse(state)
    print(
        f"    step 2: {len(kept)} candidates in {seconds_2:.0f} s, {state.task.architecture.label},"
        f" loss {state.value:.3e}, test RMSE {rmse:.5f}", flush=True,
    )  # fmt: skip
    # Candidates are independent draws, so the first ones are a random sample.
    per_epoch = [seconds_per_epoch(on_all, task, second) for task in tasks[:n_step]]
    seconds_all = float(np.mean(per_epoch)) * second.epochs * candidates
    print(f"    {np.mean(per_epoch):.2f} s an epoch: {seconds_all / 3600:.0f} h, two steps"
          f" {seconds_1 + seconds_2:.0f} s: {seconds_all / (seconds_1 + seconds_2):.0f}x",
          flush=True)  # fmt: skip
    file = options.out / ("reference-quick.jsonl" if options.quick else "reference.jsonl")
    sample = reference(file, problem, on_all, tasks, second, range(n_random))
    picked = reference(file, problem, on_all, tasks, second, more)
    again = []
    for k in range(1 if options.quick else SEEDS):
        _, other = second.train(on_all, tasks[kept[chosen]], k + 1)
        again.append({"value": other.value, "rmse": problem.test_rmse(other)})
        print(f"    another seed: loss {other.value:.3e}, test RMSE {again[-1]['rmse']:.5f}",
              flush=True)  # fmt: skip
    return {
        "candidates": candidates,
        "rows": len(problem.full.x_train),
        "rungs": list(EPOCHS),
        "rung_rows": list(ROWS),
        "step_2": second.label,
        "epochs": second.epochs,
        "top": len(kept),
        "step_1_seconds": seconds_1,
        "step_2_seconds": seconds_2,
        "kept": [
            {"i": i, "label": tasks[i].architecture.label, "value": s.value,
             "rmse": problem.test_rmse(s)}
            for i, (_, s) in zip(kept, step_2, strict=True)
        ],
        "label": state.task.architecture.label,
        "validation_loss": state.value,
        "test_rmse": rmse,
        "seeds": again,
        "seconds_per_epoch": per_epoch,
        "relative_standard_error": float(
            np.std(per_epoch, ddof=1) / np.mean(per_epoch) / np.sqrt(n_step)
        ),
        "all_seconds": seconds_all,
        "ratio": seconds_all / (seconds_1 + seconds_2),
        "random": sample,
        "picked": picked,
        "goal": GOAL,
        "paper": OF_THE_PAPER,
    }  # fmt: skip


def plot(result: dict[str, Any], axes: Any) -> None:
    for name, label in (("random", "random"), ("picked", "picked")):
        some = result[name]
        if some:
            axes.plot(
                [r["seconds"] for r in some], [r["rmse"] for r in some], "o", ms=4, label=label
            )
    n = result["candidates"]
    axes.axhline(result["test_rmse"], color="k", lw=1, label="two steps")
    for other in result["seeds"]:
        axes.axhline(other["rmse"], color="k", lw=0.5, ls=":")
    axes.set(xscale="log", yscale="log", xlabel="processor time on all rows [s]",
             ylabel="test RMSE of the fractions")  # fmt: skip
    axes.set_title(f"a few of {n} candidates, trained on all rows", fontsize="medium")
    axes.legend()
