"""The tables of step 2: a row per network (candidates.csv), a prediction per candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from emufort.retrain.rounds import Rounds

COLUMNS = (
    "id", "trial", "seed", "why", "label", "activation", "n_parameters", "multiply_adds",
    "search_loss", "validation_loss", "rmse", "mae", "bias", "r2", "seconds", "steps",
)  # fmt: skip
PREDICTION_COLUMNS = ("rank", "trial", "label", "multiply_adds", "loss", "low", "high", "trained")
#: Standard deviations from the prediction to the ends of its interval: 90 % of a Gaussian.
_INTERVAL = 1.645


@dataclass(frozen=True)
class Retrained:
    """A network of step 2: one row of candidates.csv.

    Attributes
    ----------
    id
        Name of its folder, from the trial and the seed.
    trial
        The trial of step 1 that found it.
    why
        ``"control"`` for the random control group, ``"front"`` for what was chosen along the
        front of predicted loss against cost, see `emufort.retrain.rounds`.
    search_loss, validation_loss
        Lowest validation loss of step 1 and of step 2, both on the network's side; where targets
        were searched, the former is the error by which step 1 compared them.
    rmse, mae, bias, r2
        Of the contract's skill variables over the validation rows, physical units.
    steps
        Optimiser steps of the training; 0 where an earlier version has trained it.
    target
        What it predicts, see `emufort.dataset.targets`; empty for the run's contract.
    """

    id: str
    trial: int
    seed: int
    why: str
    label: str
    activation: str
    n_parameters: int
    multiply_adds: int
    search_loss: float
    validation_loss: float
    rmse: float
    mae: float
    bias: float
    r2: float
    seconds: float
    steps: int = 0
    target: str = ""

    def row(self) -> dict[str, Any]:
        """Return plain data; the target only where there are several."""
        found = asdict(self)
        return found if self.target else {k: v for k, v in found.items() if k != "target"}


def ordered(done: Sequence[Retrained]) -> list[Retrained]:
    """Return the rows by their skill, the best first."""

    def key(one: Retrained) -> tuple[float, str]:
        return (one.rmse if math.isfinite(one.rmse) else math.inf, one.id)

    return sorted(done, key=key)


def predictions(rounds: Rounds, final: Mapping[int, float]) -> list[dict[str, Any]]:
    """Return the rows of predictions.csv: the loss of every candidate after step 2, as calibrated.

    Ordered by it; candidates that diverged in step 1 are left out. `low` and `high` bound 90 % of
    what the calibration holds possible; `trained` is the loss where it is known.
    """
    calibration = rounds.calibrate(final)
    spread = calibration.spread()
    rows: list[dict[str, Any]] = []
    for i in np.argsort(calibration.mean, kind="stable"):
        trial, mean = rounds.trials[i], float(calibration.mean[i])
        if not math.isfinite(mean):
            continue
        rows.append(
            {
                "rank": len(rows) + 1,
                "trial": trial.number,
                "label": trial.architecture.label,
                "multiply_adds": trial.architecture.multiply_adds,
                "loss": math.exp(mean),
                "low": math.exp(mean - _INTERVAL * spread[i]),
                "high": math.exp(mean + _INTERVAL * spread[i]),
                "trained": final.get(trial.number, ""),
                **({"target": trial.target} if trial.target else {}),
            }
        )
    return rows


def finite(value: Any) -> Any:
    """JSON has no infinity: such numbers become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
