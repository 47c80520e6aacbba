"""The candidates of `benchmarks.gpu`, and the contenders that train them one by one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.headline.problem import keras_tuner_search
from emufort.config import Config
from emufort.search.samplers.registry import propose
from emufort.training import Arrays, TrainerState, TrainingTask, make_trainer


@dataclass(frozen=True)
class Size:
    """What is measured; the small size is for tests on a CPU."""

    depth: tuple[int, int] = (1, 20)
    width: tuple[int, int] = (8, 2048)
    rows: int = 3200
    validation: int = 800
    rungs: tuple[int, ...] = (1, 4, 16, 100)
    batch: int = 256
    eta: int = 4
    of_keras: int = 4
    keras_epochs: tuple[int, int] = (1, 4)

    def config(self, trials: int, device: str, workers: int) -> Config:
        lowest, highest = self.width
        space = {
            "depth": self.depth,
            "width": {"lowest": lowest, "highest": highest, "choices": 17},
            "activation": ["relu"],
            "learning_rate": [1e-4, 1e-2],
        }
        options = {
            "trials": trials,
            "batch": self.batch,
            "subset": self.rows,
            "validation": self.validation,
            "sampler": "random",
            "rungs": self.rungs,
            "eta": self.eta,
            "batch_size": 64,
            "side_by_side": True,
            "backend": "torch",
            "space": space,
        }
        return Config.from_dict({"device": device, "workers": workers, "search": options})

    @property
    def epochs_per_trial(self) -> float:
        """Mean number of epochs of a candidate under halving."""
        return sum(epochs / self.eta**i for i, epochs in enumerate(self.rungs))

    @property
    def trainings_per_trial(self) -> float:
        """Mean number of rungs of a candidate under halving."""
        return sum(1 / self.eta**i for i in range(len(self.rungs)))


SMALL = Size((1, 3), (8, 32), 320, 100, (1, 2), 8, 2, 0, (1, 2))


def tasks_of(size: Size, n: int, arrays: Arrays) -> list[TrainingTask]:
    """Return random candidates of the space."""
    config = size.config(1, "cpu", 1)
    sizes = arrays.x_train.shape[1], arrays.y_train.shape[1]
    return [
        TrainingTask(c.architecture(*sizes), c.learning_rate, 64, seed=i)
        for i, c in enumerate(propose("random", config.search.space, [], n, 1, 0))
    ]


def on_one_core(tasks: Sequence[TrainingTask], arrays: Arrays, seconds: float) -> dict[str, Any]:
    """Train candidates for one epoch each with the native trainer, for about `seconds`."""
    trainer = make_trainer(arrays, "native")
    begun, done = time.perf_counter(), 0
    for task in tasks:
        trainer.run_epochs(TrainerState.initial(task), 1, 99)
        done += 1
        if time.perf_counter() - begun > seconds:
            break
    return {"candidates": done, "seconds_per_epoch": (time.perf_counter() - begun) / done}


def with_keras(
    tasks: Sequence[TrainingTask], arrays: Arrays, size: Size, backend: str, python: str
) -> dict[str, Any]:
    """Let Keras Tuner train candidates for two numbers of epochs: its time per epoch and model."""
    walls = []
    for epochs in size.keras_epochs:
        course = keras_tuner_search(tasks, arrays, backend, python, epochs)
        walls.append(course.trials[-1][1] / len(course.trials))
    few, many = size.keras_epochs
    per_epoch = (walls[1] - walls[0]) / (many - few)
    fixed = max(0.0, walls[0] - few * per_epoch)
    per_trial = size.trainings_per_trial * fixed + size.epochs_per_trial * per_epoch
    return {
        "backend": backend,
        "versions": course.versions,
        "candidates": len(tasks),
        "seconds_per_epoch": per_epoch,
        "seconds_per_model": fixed,
        "trials_per_minute": 60 / per_trial,
    }
