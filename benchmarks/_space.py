"""What the search benchmarks train: the space, the data and the contenders of other projects."""

from __future__ import annotations

import itertools
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import nn

from emufort._torch_module import ACTIVATIONS
from emufort.config import SpaceConfig
from emufort.contract import Contract
from emufort.dataset import Dataset
from emufort.provenance import cpu_model
from emufort.search.sampling import propose
from emufort.training import Arrays, TrainingTask, backend_detail, resolve_backend

#: Widths and depths as Yu et al. (2023) searched them, cut at what a laptop trains over lunch.
SPACE = SpaceConfig(
    depth=(1, 8),
    width=(8, 16, 32, 64, 128, 256),
    activation=("relu",),
    learning_rate=(1e-4, 1e-2),
    batch_size=(64,),
)
ROWS, VALIDATION_ROWS, EPOCHS, PATIENCE = 3200, 800, 100, 5
RUNGS, ETA = (1, 4, 16, 100), 4


def arrays_of_paper(data: str | None = None, rows: int = ROWS, seed: int = 1) -> Arrays:
    """Return a subset with 16 inputs and 4 outputs behind a sigmoid.

    The paper's 16th input is relative humidity; the labels here are for one start humidity, so it
    is noise that the networks learn to ignore.
    """
    opened = Dataset.open(data, Contract.load("activation_fractions"))
    arrays, _, _ = Arrays.from_datasets(
        opened.part("train").subset(rows, seed),
        opened.part("validation").subset(VALIDATION_ROWS, seed),
    )
    rng = np.random.default_rng(seed)

    def wider(x: np.ndarray) -> np.ndarray:
        noise = rng.standard_normal((len(x), 1), dtype=np.float32)
        return np.ascontiguousarray(np.concatenate([x, noise], axis=1))

    return Arrays(
        wider(arrays.x_train), arrays.y_train, wider(arrays.x_validation), arrays.y_validation,
        arrays.sigmoid,
    )  # fmt: skip


def tasks_of_space(n: int, arrays: Arrays, seed: int = 1) -> list[TrainingTask]:
    """Return `n` random candidates."""
    sizes = arrays.x_train.shape[1], arrays.y_train.shape[1]
    return [
        TrainingTask(c.architecture(*sizes), c.learning_rate, c.batch_size, seed=(seed << 20) + i)
        for i, c in enumerate(propose("random", SPACE, [], n, seed, 0))
    ]


def machine() -> dict[str, Any]:
    """Return what a figure depends on beside the code."""
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "trainer": backend_detail(resolve_backend("auto")),
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }


# ------------------------------------------------------------------ other projects' loops


@dataclass(frozen=True)
class Outcome:
    """Lowest validation loss of one training, and the epochs it took."""

    loss: float
    epochs: int


class Plain(nn.Module):
    """The network as torch's tutorials write it."""

    def __init__(self, task: TrainingTask, sigmoid: bool) -> None:
        super().__init__()
        sizes = task.architecture.sizes
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(sizes))
        self.activation = ACTIVATIONS[task.architecture.activation]
        self.sigmoid = sigmoid

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        x = self.layers[-1](x)
        return torch.sigmoid(x) if self.sigmoid else x


def _early_stopping(losses: Any) -> Outcome:
    best, stale, epochs = float("inf"), 0, 0
    for epochs, loss in enumerate(losses, 1):  # noqa: B007
        best, stale = (loss, 0) if loss < best else (best, stale + 1)
        if stale >= PATIENCE:
            break
    return Outcome(best, epochs)


def with_dataloader(task: TrainingTask, arrays: Arrays) -> Outcome:
    """Train as most tutorials do."""
    torch.manual_seed(task.seed)
    network = Plain(task, all(arrays.sigmoid))
    rows = torch.utils.data.TensorDataset(
        torch.from_numpy(arrays.x_train), torch.from_numpy(arrays.y_train)
    )
    loader = torch.utils.data.DataLoader(rows, batch_size=task.batch_size, shuffle=True)
    optimiser = torch.optim.Adam(network.parameters(), lr=task.learning_rate)
    x, y = torch.from_numpy(arrays.x_validation), torch.from_numpy(arrays.y_validation)

    def losses() -> Any:
        for _ in range(EPOCHS):
            for inputs, targets in loader:
                optimiser.zero_grad()
                nn.functional.mse_loss(network(inputs), targets).backward()
                optimiser.step()
            with torch.no_grad():
                yield float(nn.functional.mse_loss(network(x), y))

    return _early_stopping(losses())


def lean_torch(task: TrainingTask, arrays: Arrays) -> Outcome:
    """Train by torch without waste: tensors, a permuted index, autograd, foreach Adam."""
    torch.manual_seed(task.seed)
    network = Plain(task, all(arrays.sigmoid))
    optimiser = torch.optim.Adam(network.parameters(), lr=task.learning_rate, foreach=True)
    x_train, y_train = torch.from_numpy(arrays.x_train), torch.from_numpy(arrays.y_train)
    x, y = torch.from_numpy(arrays.x_validation), torch.from_numpy(arrays.y_validation)

    def losses() -> Any:
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(x_train)).split(task.batch_size):
                optimiser.zero_grad(set_to_none=True)
                nn.functional.mse_loss(network(x_train[rows]), y_train[rows]).backward()
                optimiser.step()
            with torch.no_grad():
                yield float(nn.functional.mse_loss(network(x), y))

    return _early_stopping(losses())


def keras_is_there() -> bool:
    """Whether Keras Tuner can be measured: pip install keras keras-tuner."""
    return find_spec("keras") is not None and find_spec("keras_tuner") is not None


def keras_tuner_search(
    tasks: Sequence[TrainingTask], arrays: Arrays, backend: str = "torch"
) -> list[tuple[float, float]]:
    """Search as Yu et al. (2023) published it: RandomSearch over Keras models, one after the other.

    Keras Tuner draws the candidates in an order of its own, but from `tasks` alone, each once.

    Returns
    -------
    list
        (CPU seconds since the start, lowest validation loss) of each trial.
    """
    os.environ.setdefault("KERAS_BACKEND", backend)
    import keras
    import keras_tuner

    activation = {"relu": "relu", "tanh": "tanh", "silu": "silu", "gelu": "gelu"}

    def build(parameters: Any) -> Any:
        task = tasks[parameters.Int("candidate", 0, len(tasks) - 1)]
        sizes = task.architecture.sizes
        layers = [keras.layers.Input((sizes[0],))]
        layers += [
            keras.layers.Dense(w, activation=activation[task.architecture.activation])
            for w in sizes[1:-1]
        ]
        layers.append(keras.layers.Dense(sizes[-1], activation="sigmoid"))
        model = keras.Sequential(layers)
        model.compile(optimizer=keras.optimizers.Adam(task.learning_rate), loss="mse")
        return model

    done: list[tuple[float, float]] = []
    start = time.process_time()

    class Watched(keras_tuner.RandomSearch):
        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            done.append((time.process_time() - start, float(trial.score)))

    with tempfile.TemporaryDirectory() as folder:
        tuner = Watched(
            build, objective="val_loss", max_trials=len(tasks), seed=1, directory=folder,
            overwrite=True,
        )  # fmt: skip
        tuner.search(
            arrays.x_train,
            arrays.y_train,
            validation_data=(arrays.x_validation, arrays.y_validation),
            batch_size=tasks[0].batch_size,
            epochs=EPOCHS,
            callbacks=[keras.callbacks.EarlyStopping(patience=PATIENCE)],
            verbose=0,
        )
    return done
