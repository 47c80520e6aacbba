"""Trials per minute of emufort's search loop against Optuna with a torch DataLoader, one core.

    python benchmarks/search.py [--data FILE] [--contract NAME] [--trials 24] [--epochs 40]

All contenders train the same candidates (random, same seed) on the same subset with the same
patience, one after the other in one thread of this process. Absolute rates are those of the
machine and of what else runs on it; the ratios carry over.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from emufort._torch_module import ACTIVATIONS
from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset import Dataset
from emufort.search.halving import successive_halving
from emufort.search.sampling import propose
from emufort.search.space import Candidate
from emufort.training import Arrays, TrainerState, TrainingTask, make_trainer


class Plain(nn.Module):
    def __init__(self, sizes: tuple[int, ...], activation: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(sizes))
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


def with_dataloader(task: TrainingTask, arrays: Arrays, epochs: int, patience: int) -> float:
    """Return the best loss of the loop that most tutorials show."""
    torch.manual_seed(task.seed)
    network = Plain(task.architecture.sizes, task.architecture.activation)
    rows = torch.utils.data.TensorDataset(
        torch.from_numpy(arrays.x_train), torch.from_numpy(arrays.y_train)
    )
    loader = torch.utils.data.DataLoader(rows, batch_size=task.batch_size, shuffle=True)
    optimiser = torch.optim.Adam(network.parameters(), lr=task.learning_rate)
    x, y = torch.from_numpy(arrays.x_validation), torch.from_numpy(arrays.y_validation)
    best, stale = float("inf"), 0
    for _ in range(epochs):
        for inputs, targets in loader:
            optimiser.zero_grad()
            nn.functional.mse_loss(network(inputs), targets).backward()
            optimiser.step()
        with torch.no_grad():
            loss = float(nn.functional.mse_loss(network(x), y))
        best, stale = (loss, 0) if loss < best else (best, stale + 1)
        if stale >= patience:
            break
    return best


def timed(run: Callable[[], float]) -> tuple[float, float]:
    start = time.process_time()
    best = run()
    return time.process_time() - start, best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=None)
    parser.add_argument("--contract", default="activation")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = Config()
    data = Dataset.open(options.data, Contract.load(options.contract))
    validation = data.part("validation")
    n_validation = min(config.search.validation, len(validation))
    arrays, _, _ = Arrays.from_datasets(
        data.part("train").subset(config.search.subset, 1), validation.subset(n_validation, 1)
    )
    sizes = arrays.x_train.shape[1], arrays.y_train.shape[1]
    candidates: list[Candidate] = propose(
        "random", config.search.space, [], options.trials, seed=1, batch=0
    )
    tasks = [
        TrainingTask(c.architecture(*sizes), c.learning_rate, c.batch_size, seed=i)
        for i, c in enumerate(candidates)
    ]
    trainer, patience = make_trainer(arrays), config.search.patience
    rungs = (max(1, options.epochs // 25), max(2, options.epochs // 6), options.epochs)

    def plain() -> float:
        return min(with_dataloader(task, arrays, options.epochs, patience) for task in tasks)

    def lean() -> float:
        states = [TrainerState.initial(task) for task in tasks]
        return min(trainer.run_epochs(s, options.epochs, patience).value for s in states)

    def halved() -> float:
        states = [TrainerState.initial(task) for task in tasks]

        def rung(positions: list[int], epochs: int) -> list[float]:
            return [trainer.run_epochs(states[p], epochs, patience).value for p in positions]

        courses = successive_halving(len(states), rungs, 4, rung)
        return min(course.value for course in courses)

    contenders = {"Optuna + torch DataLoader": plain, "lean": lean, "lean + halving": halved}
    results = {name: timed(run) for name, run in contenders.items()}
    reference = results["Optuna + torch DataLoader"][0]
    print(f"{options.trials} trials, {options.epochs} epochs, {len(arrays.x_train)} rows, CPU time")
    for name, (seconds, best) in results.items():
        rate = 60 * options.trials / seconds
        print(
            f"{name:28s} {rate:9.0f} trials/min {reference / seconds:8.1f}x  best loss {best:.2e}"
        )
    if options.json is not None:
        table = {
            name: {"trials_per_minute": 60 * options.trials / s, "best_loss": float(np.float64(b))}
            for name, (s, b) in results.items()
        }
        options.json.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
