"""The tables of step 2: one row per network (candidates.csv), one prediction per candidate."""

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
#: Half width of the prediction interval in standard deviations: 90 % of a Gaussian.
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
        ``"control"`` for the random control group, ``"front"`` for candidates chosen along the
        front of predicted loss against cost, see `emufort.retrain.rounds`.
    search_loss, validation_loss
        Lowest validation loss of step 1 and of step 2, both of the transformed outputs. Where
        targets were searched, the former is the error that step 1 compared.
    rmse, mae, bias, r2
        Scores of the contract's skill variables over the validation rows, physical units.
    steps
        Optimiser steps of the training; 0 if an earlier version trained it.
    target
        Target of the network, see `emufort.dataset.targets`; empty for the run's contract.
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
        """Return plain data; with the target only if there are several."""
        found = asdict(self)
        return found if self.target else {k: v for k, v in found.items() if k != "target"}


def ordered(done: Sequence[Retrained]) -> list[Retrained]:
    """Return the rows by their skill, the best first."""

    def key(one: Retrained) -> tuple[float, str]:
        return (one.rmse if math.isfinite(one.rmse) else math.inf, one.id)

    return sorted(done, key=key)


def predictions(rounds: Rounds, final: Mapping[int, float]) -> list[dict[str, Any]]:
    """Return the rows of predictions.csv: the calibrated final loss of every candidate.

    Rows are ordered by the predicted loss; candidates that diverged in step 1 are left out. `low`
    and `high` bound the 90 % interval of the calibration; `trained` is the loss where it is known.

    Parameters
    ----------
    rounds
        The candidates of step 1.
    final
        Number of a trained candidate -> its final loss.
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
    """Replace infinite numbers by None, because JSON has no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
