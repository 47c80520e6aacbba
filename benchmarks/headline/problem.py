"""The training problem of the search benchmarks: space, data, and contenders of other projects."""

from __future__ import annotations

import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.paper_inputs import with_noise_input
from emufort.config import SpaceConfig
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.network.activations import parse
from emufort.provenance import cpu_model
from emufort.search.samplers.registry import propose
from emufort.training import Arrays, TrainingTask, backend_detail, resolve_backend

#: Widths and depths that Yu et al. (2023) searched, limited to networks that a laptop can train.
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
    """Return a subset with the paper's 16 inputs, and 4 outputs behind a sigmoid."""
    opened = Dataset.open(data, Contract.load("activation_fractions"))
    arrays, _, _ = Arrays.from_datasets(
        opened.part("train").subset(rows, seed),
        opened.part("validation").subset(VALIDATION_ROWS, seed),
    )
    return with_noise_input(arrays, seed)


def tasks_of_space(n: int, arrays: Arrays, seed: int = 1) -> list[TrainingTask]:
    """Return `n` random candidates."""
    sizes = arrays.x_train.shape[1], arrays.y_train.shape[1]
    return [
        TrainingTask(c.architecture(*sizes), c.learning_rate, c.batch_size, seed=(seed << 20) + i)
        for i, c in enumerate(propose("random", SPACE, [], n, seed, 0))
    ]


def machine() -> dict[str, Any]:
    """Return the properties of the machine that a figure depends on."""
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
    """Lowest validation loss of one training, and its number of epochs."""

    loss: float
    epochs: int


class Plain(nn.Module):
    """The network as written in torch's tutorials."""

    def __init__(self, task: TrainingTask, sigmoid: bool) -> None:
        super().__init__()
        sizes = task.architecture.sizes
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(sizes))
        self.function, self.parameter = parse(task.architecture.activation_label)
        self.sigmoid = sigmoid

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers[:-1]:
            x = self.function.torch(torch, layer(x), self.parameter)
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
    """Train with torch's DataLoader, as most tutorials do."""
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
    """Train with torch and little overhead: tensors, a permuted index, autograd, foreach Adam."""
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


_KERAS = Path(__file__).with_name("keras_tuner_search.py")
#: Environment variables that limit numerical libraries to one thread.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def keras_is_installed(python: str, backend: str) -> bool:
    """Return whether an interpreter has Keras Tuner and a backend of Keras.

    TensorFlow also needs tensorboard, which Keras Tuner imports with it.
    """
    names = ["keras", "keras_tuner", backend, *(["tensorboard"] if backend == "tensorflow" else [])]
    code = f"from importlib.util import find_spec as f; assert all(map(f, {names!r}))"
    found = subprocess.run([python, "-c", code], capture_output=True, check=False)
    return found.returncode == 0


@dataclass(frozen=True)
class KerasCourse:
    """The result of Keras Tuner.

    Attributes
    ----------
    trials
        For each trial, processor time and wall time since the start [s], and its loss.
    versions
        Versions of Keras, Keras Tuner and the backend.
    """

    trials: list[tuple[float, float, float]]
    versions: dict[str, str]

    @property
    def seconds(self) -> float:
        """Processor time of all trials."""
        return self.trials[-1][0]

    @property
    def loss(self) -> float:
        """Lowest validation loss."""
        return min(trial[2] for trial in self.trials)


def keras_tuner_search(
    tasks: Sequence[TrainingTask],
    arrays: Arrays,
    backend: str = "torch",
    python: str = sys.executable,
    epochs: int = EPOCHS,
) -> KerasCourse:
    """Search as Yu et al. (2023) published it: RandomSearch over Keras models, one after the other.

    Keras Tuner draws the candidates from `tasks`, each once, in its own order. It runs in a
    separate process on one thread, pinned to one core; its start and imports are not timed.

    Raises
    ------
    RuntimeError
        Keras Tuner failed.
    """
    plan = {
        "tasks": [
            {"sizes": list(t.architecture.sizes), "learning_rate": t.learning_rate} for t in tasks
        ],
        "batch_size": tasks[0].batch_size,
        "epochs": epochs,
        "patience": PATIENCE,
    }
    names = ("x_train", "y_train", "x_validation", "y_validation")
    environment = {**os.environ, **ONE_THREAD, "KERAS_BACKEND": backend}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.savez(folder / "arrays.npz", **{name: getattr(arrays, name) for name in names})
        (folder / "tasks.json").write_text(json.dumps(plan))
        core = max(os.sched_getaffinity(0))
        run = subprocess.run(
            [python, str(_KERAS), str(folder)],
            env=environment, capture_output=True, text=True, check=False,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )  # fmt: skip
        if run.returncode != 0:
            raise RuntimeError(f"Keras Tuner ({backend}) failed:\n{run.stderr[-2000:]}")
        course = json.loads((folder / "course.json").read_text())
    return KerasCourse([tuple(trial) for trial in course["trials"]], course["versions"])
