"""Predict the final loss of every candidate from step 1, with features that explain its errors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emufort.search.calibration import Calibration, log_of
from emufort.search.trials import Trial

Array = NDArray[np.float64]


def foretold_losses(trials: Sequence[Trial]) -> Array:
    """Return the loss (n,) of every candidate at the last rung; infinite where it diverged.

    Losses of different rungs cannot be compared. For a candidate that was stopped early, a
    `Calibration` on the candidates that continued predicts the loss at the next rung, from the last
    rung down to the first.
    """
    rungs = sorted({epochs for trial in trials for epochs, _ in trial.rungs})
    losses = np.full(len(trials), np.nan)
    for epochs in reversed(rungs):
        here = np.array([dict(trial.rungs).get(epochs, math.nan) for trial in trials])
        reached = ~np.isnan(here)
        known = reached & np.isfinite(losses)
        stopped = reached & np.isnan(losses)
        if not known.any():
            losses[stopped] = here[stopped]
        elif stopped.any():
            at = np.flatnonzero(reached).tolist()
            of_rung = Calibration.fit(
                here[at], features([trials[i] for i in at], here[at]), losses[at]
            )
            predicted = np.full(len(trials), np.inf)
            predicted[at] = np.exp(of_rung.mean)
            losses[stopped] = predicted[stopped]
    return losses


def predicted_ranks(trials: Sequence[Trial]) -> list[int]:
    """Return the rank (1, 2, ...) of every candidate in the order of the predicted losses (n,)."""
    losses = foretold_losses(trials)
    ranks = [0] * len(trials)
    for rank, i in enumerate(np.lexsort((np.arange(len(trials)), losses)), start=1):
        ranks[i] = rank
    return ranks


def features(trials: Sequence[Trial], losses: Array) -> Array:
    """Return quantities that may explain the errors of step 1 (n, n_features).

    These are the logarithms of the loss in step 1, of the cost (and its square), of the smallest
    width, of learning rate and batch size, the depth, and indicators of activation function, weight
    decay and target.

    Parameters
    ----------
    trials
        All trials of step 1.
    losses
        Loss that step 1 predicts for each (n,).
    """
    columns = [np.where(np.isfinite(losses), log_of(losses), 0.0)]
    if trials:
        log_cost = np.log([trial.architecture.relative_cost for trial in trials])
        columns += [log_cost, (log_cost - log_cost.mean()) ** 2]
        columns += [np.log([min(trial.architecture.hidden) for trial in trials])]
        columns += [np.array([float(len(trial.architecture.hidden)) for trial in trials])]
        columns += [np.log([trial.learning_rate for trial in trials])]
        columns += [np.log([float(trial.batch_size) for trial in trials])]
        for names in (
            [trial.architecture.activation_label for trial in trials],
            [trial.weight_decay for trial in trials],
            [trial.target for trial in trials],
        ):
            kinds = sorted(set(names))  # type: ignore[type-var]
            if len(kinds) > 1:
                columns += [np.array([float(name == kind) for name in names]) for kind in kinds]
    return np.stack(columns, axis=1)
