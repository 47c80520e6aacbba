"""Trials per minute and core of Keras Tuner, torch, the native trainer, and successive halving.

    python -m benchmarks.search [--trials 48] [--keras-trials 4] [--keras tensorflow,jax,torch]
                                [--keras-python PYTHON] [--json FILE] [--csv FILE]

All contenders train the same candidates (1-8 layers of 8-256, 16 inputs, 4 outputs behind a
sigmoid, 3,200 rows, at most 100 epochs, patience 5), one after the other on one thread. They are
timed by processor time, which other work on the machine disturbs little. Slow contenders train the
first few candidates only; each ratio compares times for the same candidates. Absolute rates depend
on the machine; ratios depend on it less. Keras Tuner is measured with every backend that the
interpreter of --keras-python has (pip install keras keras-tuner and tensorflow-cpu tensorboard, jax
or torch). The goal refers to the first backend of --keras, by default TensorFlow, which Yu et al.
used.

Two cores are compared with one by wall time, several times in turn. The comparison is valid only on
an idle machine. To check this, one process per core counts before and after the measurement, and
each must get a core to itself.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks.headline.problem import (
    EPOCHS,
    ETA,
    PATIENCE,
    ROWS,
    RUNGS,
    arrays_of_paper,
    keras_is_installed,
    keras_tuner_search,
    lean_torch,
    machine,
    tasks_of_space,
    with_dataloader,
)
from emufort.search.halving import successive_halving
from emufort.search.rungs import RungUnit, run_rung
from emufort.training import Arrays, Trainer, TrainerState, TrainingTask, make_trainer
from emufort.workers.pool import make_executor

Timed = list[float]

#: A machine is idle if each of two counting processes gets this share of a core, and the load
#: average of the last minute was at most this value when the script started.
IDLE_SHARE, IDLE_LOAD = 0.97, 0.5

#: Goals of the native trainer on one core, in trials per minute or as a ratio.
GOALS = {
    "native, in full": 135.0,
    "native, halving": 2000.0,
    "native / lean torch": 3.0,
    "native / Keras Tuner": 28.0,
    "two cores / one": 1.9,
}


def each(tasks: Sequence[TrainingTask], train: Callable[[TrainingTask], Any]) -> Timed:
    """Return the CPU seconds of each training."""
    seconds = []
    for task in tasks:
        start = time.process_time()
        train(task)
        seconds.append(time.process_time() - start)
    return seconds


def in_full(trainer: Trainer, tasks: Sequence[TrainingTask]) -> Timed:
    return each(
        tasks, lambda task: trainer.run_epochs(TrainerState.initial(task), EPOCHS, PATIENCE)
    )


def halved(trainer: Trainer, tasks: Sequence[TrainingTask]) -> tuple[float, float]:
    """Return CPU seconds and the best loss of all tasks under successive halving."""
    start = time.process_time()
    states = [TrainerState.initial(task) for task in tasks]

    def rung(positions: Sequence[int], epochs: int) -> list[float]:
        return [trainer.run_epochs(states[p], epochs, PATIENCE).value for p in positions]

    courses = successive_halving(len(states), RUNGS, ETA, rung)
    return time.process_time() - start, min(course.value for course in courses)


def on_workers(workers: int, tasks: Sequence[TrainingTask], arrays: Arrays) -> tuple[float, float]:
    """Return wall seconds and CPU seconds of all tasks on worker processes."""
    units = [RungUnit(TrainerState.initial(task), EPOCHS, PATIENCE) for task in tasks]
    units.sort(key=lambda unit: -unit.seconds_estimate(ROWS))
    with make_executor(workers, arrays, "native") as executor:
        # The workers run and are warm before the clock starts.
        list(executor.run(run_rung, [RungUnit(u.state, 1, PATIENCE) for u in units[-8:]]))
        start = time.perf_counter()
        states = [state for _, state in executor.run(run_rung, units)]
        return time.perf_counter() - start, sum(state.seconds for state in states)


def _count(seconds: float) -> float:
    start, start_cpu = time.perf_counter(), time.process_time()
    while (wall := time.perf_counter() - start) < seconds:
        pass
    return (time.process_time() - start_cpu) / wall


def share_of_a_core(processes: int = 2, seconds: float = 2.0) -> float:
    """Return the smallest share of a core that one of `processes` busy processes gets."""
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(_count, [0.1] * processes))  # wait until all processes run
        return min(pool.map(_count, [seconds] * processes))


def two_cores(
    tasks: Sequence[TrainingTask], arrays: Arrays, repeats: int, load_at_start: float
) -> dict[str, Any]:
    """Compare one and two worker processes by wall time, in turn."""
    share = [share_of_a_core()]
    one, two = [], []
    for _ in range(repeats):
        one.append(on_workers(1, tasks, arrays))
        two.append(on_workers(2, tasks, arrays))
    share.append(share_of_a_core())
    ratios = [a / b for (a, _), (b, _) in zip(one, two, strict=True)]
    return {
        "wall": [[wall for wall, _ in one], [wall for wall, _ in two]],
        "trainings": [[cpu for _, cpu in one], [cpu for _, cpu in two]],
        "ratios": ratios,
        "ratio": statistics.median(ratios),
        "share_of_a_core": share,
        "idle": min(share) >= IDLE_SHARE and load_at_start <= IDLE_LOAD,
    }


def row_of(name: str, seconds: Timed, native: Timed | None) -> dict[str, Any]:
    """Return a row of the table; `native` holds the native trainer's times for the same tasks."""
    return {
        "contender": name,
        "trials": len(seconds),
        "trials_per_minute": 60 * len(seconds) / sum(seconds),
        "native_is_faster_by": sum(seconds) / sum(native) if native else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=None, help="netCDF file; the embedded data otherwise")
    parser.add_argument("--trials", type=int, default=144)
    parser.add_argument("--torch-trials", type=int, default=16)
    parser.add_argument("--keras-trials", type=int, default=4)
    parser.add_argument("--keras", default="tensorflow,jax,torch", help="backends, in this order")
    parser.add_argument("--keras-python", default=sys.executable, help="interpreter with Keras")
    parser.add_argument("--core-repeats", type=int, default=3, help="repeats of one and two cores")
    parser.add_argument("--halving-trials", type=int, default=512)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--csv", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    before = machine()
    arrays = arrays_of_paper(options.data)
    tasks = tasks_of_space(options.trials, arrays)
    few, fewer = tasks[: options.torch_trials], tasks[: options.keras_trials]

    trainer = make_trainer(arrays, "native")
    in_full(trainer, tasks[:2])
    native = in_full(trainer, tasks)
    table = [row_of("native, in full", native, native)]

    def beside(name: str, run: Callable[[], Timed]) -> None:
        """Measure a contender between two measurements of the native trainer.

        The load of the machine changes over minutes, and with it even the processor time.
        """
        seconds = run()
        before = table[-1]["native_after"] if len(table) > 1 else native
        after = in_full(trainer, tasks[: len(seconds)])
        mean = [(b + a) / 2 for b, a in zip(before, after, strict=False)]
        table.append(row_of(name, seconds, mean) | {"native_after": after})

    torch_trainer = make_trainer(arrays, "torch")
    beside("emufort's torch backend", lambda: in_full(torch_trainer, few))
    beside("lean torch loop", lambda: each(few, lambda task: lean_torch(task, arrays)))
    beside("torch DataLoader", lambda: each(fewer, lambda task: with_dataloader(task, arrays)))
    with_keras = []
    for backend in options.keras.split(","):
        if not keras_is_installed(options.keras_python, backend):
            continue

        def tuned(backend: str = backend) -> Timed:
            course = keras_tuner_search(fewer, arrays, backend, options.keras_python)
            return [course.seconds / len(course.trials)] * len(course.trials)

        with_keras.append(f"Keras Tuner ({backend})")
        beside(with_keras[-1], tuned)
    note = None
    if not with_keras:
        note = "Keras Tuner is not installed: left out (pip install keras keras-tuner)"
    for row in table:
        row.pop("native_after", None)

    many = tasks_of_space(options.halving_trials, arrays, seed=2)
    seconds, best = halved(trainer, many)
    table.append(row_of("native, halving", [seconds / len(many)] * len(many), None))
    cores = two_cores(tasks, arrays, options.core_repeats, before["load_average"][0])

    rates = {row["contender"]: row["trials_per_minute"] for row in table}
    ratios = {row["contender"]: row["native_is_faster_by"] for row in table}
    # A slow contender trained a few candidates only: its rate over all candidates follows from the
    # native trainer's rate and the ratio over these few.
    for row in table[1:-1]:
        row["trials_per_minute"] = rates["native, in full"] / row["native_is_faster_by"]
    reached = {
        "native, in full": rates["native, in full"],
        "native, halving": rates["native, halving"],
        "native / lean torch": ratios["lean torch loop"],
        "two cores / one": cores["ratio"],
    }
    if with_keras:
        reached["native / Keras Tuner"] = ratios[with_keras[0]]
    print(f"{before['cpu']}, {before['trainer']}, load {before['load_average']}")
    for row in table:
        ratio = row["native_is_faster_by"]
        slower = f"{ratio:8.1f}x slower than native" if ratio and ratio != 1.0 else ""
        print(
            f"{row['contender']:28s} {row['trials_per_minute']:9.1f} trials/min"
            f" ({row['trials']} trials) {slower}"
        )
    if note:
        print(note)
    print(
        f"two cores: {cores['ratio']:.2f}x by wall time, median of"
        f" {', '.join(f'{ratio:.2f}' for ratio in cores['ratios'])}; a busy process had"
        f" {min(cores['share_of_a_core']):.2f} of a core"
    )
    for name, goal in GOALS.items():
        if name not in reached:
            continue
        verdict = "reached" if reached[name] >= goal else "MISSED"
        if name == "two cores / one" and not cores["idle"]:
            verdict = "not evaluated, the machine is busy"
        print(f"{verdict}: {name}: {reached[name]:.4g}, goal {goal:g}")
    after = machine()
    result = {
        "machine": before,
        "load_average_after": after["load_average"],
        "table": table,
        "reached": reached,
        "goals": GOALS,
        "halving_best_loss": best,
        "two_cores": cores,
        "note": note,
    }
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    if options.csv is not None:
        with options.csv.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(table[0]))
            writer.writeheader()
            writer.writerows(table)


if __name__ == "__main__":
    main()
