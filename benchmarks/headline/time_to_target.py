"""Headline (a): processor time to the loss that the paper's procedure reaches.

The paper's procedure is Keras Tuner's random search, 60 trials trained in full, one after the
other. emufort has the same subset, validation rows and search space. It repeats a cycle: a batch of
candidates, successive halving, and a second training of the survivors on the same rows as `emufort
retrain` does it, with a learning rate that falls to zero. It stops when it reaches the loss.

Each search of Keras Tuner sets its own target (other candidates, other first weights). Several
searches of emufort with other seeds aim at this target directly afterwards. Each such round is kept
in FOLDER/reach and not measured again; delete the folder to start from the beginning.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.headline.problem import (
    EPOCHS,
    PATIENCE,
    SPACE,
    arrays_of_paper,
    keras_is_installed,
    keras_tuner_search,
    machine,
    tasks_of_space,
)
from emufort.search.halving import successive_halving
from emufort.search.samplers.registry import propose
from emufort.training import (
    Arrays,
    StepPlan,
    Trainer,
    TrainerState,
    TrainingTask,
    make_trainer,
)

GOAL = 150
#: emufort's search: candidates per batch, epochs of the rungs, and 1/ETA continue.
BATCH, RUNGS, ETA = 16, (1, 4, 16), 4
#: emufort's second training: number of steps at the batch size of the search, and the bounds of the
#: peak learning rate (`retrain.learning_rate`).
STEPS, PEAK = 10_000, (3e-3, 1e-2)
#: Share of warm-up (`retrain` takes 2 %) and number of evaluations on the validation rows.
WARM_UP, LOOKS = 0.05, 100

#: (processor time since the start [s], lowest loss, number of candidates so far)
Point = tuple[float, float, int]


def first_time(course: Sequence[Sequence[float]], target: float) -> float | None:
    """Return the time when a course of (seconds, loss, ...) reaches the target, or None."""
    return next((float(p[0]) for p in course if p[1] <= target), None)


def random_batch(arrays: Arrays, seed: int, batch: int, size: int) -> list[TrainingTask]:
    """Return a batch of random candidates."""
    sizes = arrays.x_train.shape[1], arrays.y_train.shape[1]
    return [
        TrainingTask(
            c.architecture(*sizes), c.learning_rate, c.batch_size, (seed << 20) + batch * size + i
        )
        for i, c in enumerate(propose("random", SPACE, [], size, seed, batch))
    ]


def halved_then_retrained(trainer: Trainer, arrays: Arrays, seed: int) -> Iterator[Point]:
    """Yield a point for each second training of an endless search."""
    plan = StepPlan(STEPS, max(1, round(WARM_UP * STEPS)), max(1, STEPS // LOOKS))
    start = time.process_time()
    best, batch = math.inf, 0
    while True:
        states = [TrainerState.initial(t) for t in random_batch(arrays, seed, batch, BATCH)]

        def rung(
            at: Sequence[int], epochs: int, states: Sequence[TrainerState] = states
        ) -> list[float]:
            return [trainer.run_epochs(states[p], epochs, PATIENCE).value for p in at]

        courses = successive_halving(BATCH, RUNGS, ETA, rung)
        batch += 1
        survivors = [i for i, course in enumerate(courses) if course.pruned_at is None]
        for i in sorted(survivors, key=lambda i: courses[i].value):
            task = states[i].task
            peak = min(max(task.learning_rate, PEAK[0]), PEAK[1])
            again = replace(task, learning_rate=peak, seed=task.seed + (1 << 40))
            best = min(best, trainer.run_steps(TrainerState.initial(again), plan).value)
            yield time.process_time() - start, best, batch * BATCH


def in_full(trainer: Trainer, arrays: Arrays, seed: int) -> Iterator[Point]:
    """Yield a point for each trial of an endless search by the native trainer in full."""
    start = time.process_time()
    best, batch = math.inf, 0
    while True:
        for i, task in enumerate(random_batch(arrays, seed, batch, BATCH)):
            state = trainer.run_epochs(TrainerState.initial(task), EPOCHS, PATIENCE)
            best = min(best, state.value)
            yield time.process_time() - start, best, batch * BATCH + i + 1
        batch += 1


def until(points: Iterator[Point], target: float, limit: float) -> list[Point]:
    """Return the improvements up to the target; the last point always ends the course."""
    course: list[Point] = []
    for point in points:
        better = not course or point[1] < course[-1][1]
        if better or point[0] > limit:
            course.append(point)
        if point[1] <= target or point[0] > limit:
            return course
    raise AssertionError("an endless search has ended")


def paper_search(arrays: Arrays, backend: str, seed: int, trials: int, python: str) -> Any:
    """Run the paper's procedure once."""
    tasks = tasks_of_space(trials, arrays, seed)
    if backend == "native":
        # The loss after this number of random trials does not depend on the trainer, the time does.
        trainer = make_trainer(arrays, "native")
        done, start = [], time.process_time()
        for task in tasks:
            state = trainer.run_epochs(TrainerState.initial(task), EPOCHS, PATIENCE)
            spent = time.process_time() - start
            done.append((spent, spent, state.value))
        versions: dict[str, str] = {}
    else:
        course = keras_tuner_search(tasks, arrays, backend, python)
        done, versions = course.trials, course.versions
    return {
        "backend": backend, "seed": seed, "trials": trials, "versions": versions,
        "seconds": done[-1][0], "wall_seconds": done[-1][1],
        "loss": min(loss for _, _, loss in done),
        "course": [(spent, loss) for spent, _, loss in done],
    }  # fmt: skip


def contenders(options: argparse.Namespace) -> list[tuple[str, int]]:
    """Return (backend, seed) of each search from `--keras jax:3,tensorflow:1`, seeds in turn."""
    wanted: list[tuple[str, int]] = []
    for word in options.keras.split(","):
        backend, _, searches = word.partition(":")
        if keras_is_installed(options.keras_python, backend):
            wanted += [(backend, seed) for seed in range(1, 1 + int(searches or 1))]
        else:
            print(f"    Keras Tuner with {backend} is not installed: left out", file=sys.stderr)
    return sorted(wanted or [("native", 1)], key=lambda w: w[1])


def aimed(
    search: Callable[[Trainer, Arrays, int], Iterator[Point]],
    arrays: Arrays,
    seeds: Sequence[int],
    target: float,
    limit: float,
) -> list[list[Point]]:
    trainer = make_trainer(arrays, "native")
    return [until(search(trainer, arrays, seed), target, limit) for seed in seeds]


def settings(trials: int, repeats: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that a round depends on."""
    return {
        "trials": trials, "repeats": repeats, "plain_repeats": options.plain_repeats,
        "data": options.data, "keras_python": options.keras_python, "batch": BATCH,
        "rungs": list(RUNGS), "eta": ETA, "steps": STEPS, "peak_learning_rate": list(PEAK),
        "warm_up": WARM_UP, "looks": LOOKS,
    }  # fmt: skip


def kept_round(file: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """Return an earlier round with the same settings, because a round takes many minutes."""
    if not file.is_file():
        return None
    found: dict[str, Any] = json.loads(file.read_text())
    return found if found["settings"] == wanted else None


def one_round(
    arrays: Arrays, backend: str, seed: int, trials: int, repeats: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Set a target by the paper's procedure, then run both of our searches up to the target."""
    paper = paper_search(arrays, backend, seed, trials, options.keras_python)
    # Seeds that no search of the paper's procedure uses.
    seeds = [1000 + 100 * seed + i for i in range(repeats)]
    target, limit = paper["loss"], paper["seconds"]
    ours = aimed(halved_then_retrained, arrays, seeds, target, limit)
    plain = aimed(in_full, arrays, seeds[: options.plain_repeats], target, limit)
    # A search that does not reach the target within the paper's time counts with that time.
    times = [first_time(course, target) or limit for course in ours]
    return paper | {
        "emufort_seconds": times,
        "emufort_courses": ours,
        "emufort_missed": sum(first_time(c, target) is None for c in ours),
        "native_in_full_seconds": [first_time(c, target) or limit for c in plain],
        "ratio": limit / float(np.median(times)),
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    arrays = arrays_of_paper(options.data)
    trials = options.keras_trials if not options.quick else 4
    repeats = 2 if options.quick else options.repeats
    rounds: list[dict[str, Any]] = []
    for backend, seed in contenders(options):
        file = options.out / "reach" / f"{backend}_{seed}.json"
        wanted = settings(trials, repeats, options)
        rounds.append(kept_round(file, wanted) or {})
        if not rounds[-1]:
            before = machine()
            rounds[-1] = one_round(arrays, backend, seed, trials, repeats, options)
            rounds[-1] |= {"settings": wanted, "machine": before}
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(rounds[-1]) + "\n")
        one = rounds[-1]
        times = one["emufort_seconds"]
        print(
            f"(a) Keras Tuner ({backend}), seed {seed}: loss {one['loss']:.3e} in"
            f" {one['seconds']:.0f} s; emufort {np.median(times):.2f} s (median of {len(times)},"
            f" {min(times):.2f} to {max(times):.2f}): {one['ratio']:.0f}x",
            flush=True,
        )
    summary = summarised(rounds)
    for row in summary:
        alone = row["ratio_native_in_full"]
        print(
            f"    {row['backend']}: {row['searches']} searches of {row['seconds']:.0f} s, emufort "
            f"{row['emufort_seconds']:.2f} s: {row['ratio']:.0f}x faster ({row['ratio_least']:.0f} "
            f"to {row['ratio_most']:.0f} from target to target)"
            + (f", native trainer alone {alone:.0f}x" if alone else "")
            + f"; goal {GOAL}x"
        )
    return {"rounds": rounds, "summary": summary, "goal": GOAL, "is_keras_tuner":
            rounds[0]["backend"] != "native"}  # fmt: skip


def summarised(rounds: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each backend, the fastest first, which is the contender."""
    rows = []
    for backend in dict.fromkeys(r["backend"] for r in rounds):
        some = [r for r in rounds if r["backend"] == backend]
        times = np.concatenate([r["emufort_seconds"] for r in some])
        plain = np.concatenate([r["native_in_full_seconds"] for r in some])
        seconds = float(np.median([r["seconds"] for r in some]))
        ratios = [r["ratio"] for r in some]
        rows.append({
            "backend": backend,
            "searches": len(some),
            "seconds": seconds,
            "losses": [r["loss"] for r in some],
            "emufort_seconds": float(np.median(times)),
            "emufort_quartiles": [float(q) for q in np.quantile(times, [0.25, 0.75])],
            "emufort_least": float(times.min()),
            "emufort_most": float(times.max()),
            "emufort_searches": len(times),
            "missed": sum(r["emufort_missed"] for r in some),
            "ratio": seconds / float(np.median(times)),
            "ratio_least": min(ratios),
            "ratio_most": max(ratios),
            "ratio_native_in_full": seconds / float(np.median(plain)) if len(plain) else None,
        })  # fmt: skip
    return sorted(rows, key=lambda row: row["seconds"])


def plot(result: dict[str, Any], axes: Any) -> None:
    colours = {row["backend"]: f"C{i + 1}" for i, row in enumerate(result["summary"])}
    named: set[str] = set()

    def line(course: Any, colour: str, label: str) -> None:
        spent, loss = np.array([p[:2] for p in course]).T
        axes.step(
            spent, np.minimum.accumulate(loss), where="post", color=colour, alpha=0.6, lw=1,
            label=None if label in named else label,
        )  # fmt: skip
        # Many courses consist of a single point.
        axes.plot(spent[-1], loss.min(), "o", ms=3, color=colour)
        named.add(label)

    for one in result["rounds"]:
        line(one["course"], colours[one["backend"]], f"Keras Tuner ({one['backend']})")
        for course in one["emufort_courses"]:
            line(course, "C0", "emufort")
    axes.set(xscale="log", yscale="log", xlabel="processor time [s]", ylabel="lowest loss")
    axes.legend()
