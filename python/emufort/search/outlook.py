"""Predict the losses of the candidates at a rung after the last rung, from earlier batches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from emufort.network.architecture import Architecture
from emufort.search.calibration import Calibration, log_of
from emufort.search.expected_front import Array
from emufort.search.halving import USUAL_NOISE, Outlook
from emufort.search.prediction import features
from emufort.search.space import Candidate
from emufort.search.trials import Trial

#: Weight of the usual noise of a prediction, in finished candidates.
_PRIOR_FINISHED = 4.0


def outlook(
    finished: Sequence[Trial], active: Sequence[Trial], epochs: int, losses: Array
) -> Outlook:
    """Return the outlook of candidates at a rung.

    The finished trials calibrate the prediction, see `Calibration`: a function that learns late,
    for instance, has a lower loss after the last rung than its loss at the first rung suggests.

    Parameters
    ----------
    finished
        Trials of earlier batches that reached the last rung, with predicted times. Their losses are
        finite.
    active
        The `draft` of each candidate at the rung (n,).
    epochs
        Length of the rung.
    losses
        Logarithm of the losses of `active` at the rung (n,); infinite if a training diverged.
    """
    here = np.array([dict(trial.rungs)[epochs] for trial in finished])
    foretold = np.concatenate([here, np.exp(losses)])
    final = np.array([trial.value for trial in finished] + [np.nan] * len(active))
    fit = Calibration.fit(foretold, features([*finished, *active], foretold), final)
    front = [
        (loss, trial.predicted_ns)
        for trial, loss in zip(finished, log_of(final[: len(finished)]).tolist(), strict=True)
        if trial.predicted_ns is not None
    ]
    n = len(finished)
    # A few errors say little of the noise, so the usual noise counts as some candidates.
    squares = n * fit.spread()[n:] ** 2 + _PRIOR_FINISHED * USUAL_NOISE**2
    return Outlook(fit.mean[n:], np.sqrt(squares / (n + _PRIOR_FINISHED)), front)


def draft(candidate: Candidate, architecture: Architecture) -> Trial:
    """Return a trial of a candidate that has not been trained yet."""
    return Trial(
        number=-1,
        architecture=architecture,
        learning_rate=candidate.learning_rate,
        batch_size=candidate.batch_size,
        value=math.nan,
        epochs=0,
        pruned_at=None,
        seconds=0.0,
        batch=-1,
        rungs=(),
        weight_decay=candidate.weight_decay,
        target=candidate.target,
    )
