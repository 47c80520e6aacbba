"""Compare training several seeds of one network together with training them one after the other.

    python -m benchmarks.ensembles [--seeds 4] [--steps 1000] [--json FILE]

The script prints the time per network and step on one thread (processor time, the best of three
rounds) for the native trainer and the torch backend with one network at a time, and for the torch
backend with all networks at once (`torch.bmm`).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.network.architecture import Architecture
from emufort.provenance import cpu_model
from emufort.training import Arrays, StepPlan, TrainerState, TrainingTask, make_trainer
from emufort.training.torch_together import run_steps_together
from emufort.training.torch_trainer import TorchTrainer

CASES = [
    ((8,), 64), ((16, 16), 64), ((16, 16), 256), ((32, 32), 256), ((64, 64), 64),
    ((64, 64), 256), ((128, 128), 256), ((256, 256, 256), 256),
]  # fmt: skip


def best(work: Callable[[], Any], rounds: int = 3) -> float:
    """Return the lowest processor time of `work` [s]."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    data = Dataset.open(None, Contract.load("activation"))
    arrays, _, _ = Arrays.from_datasets(data.part("train"), data.part("validation"))
    torch, native = TorchTrainer(arrays), make_trainer(arrays, "native")
    plan = StepPlan(options.steps, 1, options.steps)
    results = []
    print(f"{cpu_model()}; us per network and step, {options.seeds} seeds")
    print("network            batch   native    torch together  gain vs native")
    for hidden, batch in CASES:
        architecture = Architecture(15, hidden, 1, "relu")
        tasks = [TrainingTask(architecture, 1e-3, batch, seed=s) for s in range(options.seeds)]

        def one_by_one(trainer: Any, tasks: list[TrainingTask] = tasks) -> None:
            for task in tasks:
                trainer.run_steps(TrainerState.initial(task), plan)

        def together(tasks: list[TrainingTask] = tasks) -> None:
            run_steps_together(torch, [TrainerState.initial(t) for t in tasks], plan)

        share = 1e6 / (options.seeds * options.steps)
        us = [
            share * best(lambda: one_by_one(native)),
            share * best(lambda: one_by_one(torch)),
            share * best(together),
        ]
        label = architecture.label.removesuffix(" relu")
        results.append({"label": label, "batch": batch, "us": us})
        print(
            f"{label:18s} {batch:5d} {us[0]:8.1f} {us[1]:8.1f} {us[2]:8.1f} "
            f"{us[1] / us[2]:5.2f} {us[0] / us[2]:10.2f}",
            flush=True,
        )
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
