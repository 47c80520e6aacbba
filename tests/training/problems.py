"""Small data on the network's side."""

from __future__ import annotations

import numpy as np

from emufort.network.architecture import Architecture, Family
from emufort.training import Arrays, TrainingTask


def smooth(n: int = 300, sigmoid: tuple[bool, bool] = (False, False), seed: int = 0) -> Arrays:
    """Three inputs, two outputs; those with a sigmoid lie in (0, 1)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n + 100, 3))
    y = np.stack([np.sin(x[:, 0]) + 0.5 * x[:, 1], x[:, 2] * x[:, 0]], axis=1)
    for j, bounded in enumerate(sigmoid):
        if bounded:
            y[:, j] = 1.0 / (1.0 + np.exp(-y[:, j]))
    x, y = x.astype(np.float32), y.astype(np.float32)
    return Arrays(x[:n], y[:n], x[n:], y[n:], sigmoid)


def task(
    activation: str | tuple[str, ...] = "silu",
    hidden: tuple[int, ...] = (8, 5),
    learning_rate: float = 1e-2,
    batch_size: int = 32,
    seed: int = 3,
    weight_decay: float = 0.0,
    family: Family = "mlp",
) -> TrainingTask:
    return TrainingTask(
        Architecture(3, hidden, 2, activation, family),
        learning_rate,
        batch_size,
        seed,
        weight_decay,
    )
