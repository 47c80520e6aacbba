"""Trials made up by hand, for tests that train nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from emufort.network.architecture import Architecture
from emufort.search.trials import Trial


def made(number: int, *losses: float, **changes: Any) -> Trial:
    """Return a trial with these losses at rungs of 1, 2, 4, ... epochs.

    Every number is a network of its own, the larger the more expensive, unless `hidden` is given.
    It was stopped at the last of its rungs if `stopped` is given.
    """
    rungs = tuple((1 << level, float(loss)) for level, loss in enumerate(losses))
    hidden = changes.pop("hidden", (4 + number, 4))
    options: dict[str, Any] = {
        "learning_rate": 1e-3,
        "batch_size": 64,
        "pruned_at": rungs[-1][0] if changes.pop("stopped", False) else None,
        **{name: changes.pop(name) for name in list(changes) if name != "activation"},
    }
    return Trial(
        number=number,
        architecture=Architecture(3, hidden, 2, changes.get("activation", "relu")),
        value=rungs[-1][1],
        epochs=rungs[-1][0],
        seconds=0.0,
        batch=0,
        rungs=rungs,
        **options,
    )


def random_trials(n: int, seed: int = 0) -> list[Trial]:
    """Return `n` different networks with random losses at one rung."""
    losses = np.exp(np.random.default_rng(seed).normal(size=n))
    return [made(i, loss) for i, loss in enumerate(losses)]
