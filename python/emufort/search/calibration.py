"""Predict the final losses of all candidates from a few finished trainings, by a regression.

The predictions of step 1 have systematic errors: an activation function that learns late is placed
too low, and an expensive network gains more from a long training than a cheap one. A sample of
candidates that were trained in full shows these errors. `Calibration` corrects them as far as the
sample supports a correction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Penalties of the ridge regression that are compared; the infinite one makes no correction.
_PENALTIES = (*np.geomspace(0.3, 1000.0, 15), np.inf)
#: With fewer trainings than this there is no correction.
_FEWEST = 6
#: Assumed error of a prediction, in the logarithm of the loss, while there are no trainings.
_USUAL_ERROR = 0.5
#: Width of the Gaussian weights as a share of the spread of all predictions, and the weight of the
#: mean error of all in units of one trained candidate.
_NEAR, _ALL = 0.5, 1.0
#: Losses are floored at this value, so that a loss of zero has a logarithm.
_LEAST_LOSS = 1e-30


def log_of(losses: Array) -> Array:
    """Return the logarithms of losses, which are floored at `_LEAST_LOSS`."""
    return np.asarray(np.log(np.maximum(losses, _LEAST_LOSS)))


@dataclass(frozen=True)
class Calibration:
    """The distribution of the final loss of every candidate, as a Gaussian in the logarithm.

    The model is log(final) = log(foretold) + a + w.x + noise, where x are the features, scaled over
    all candidates. A ridge penalty shrinks w to zero, so that without evidence the order is
    that of step 1. The penalty is the one with the lowest squared error over the trained
    candidates, where each is predicted from the others. No correction at all (w = 0) is among the
    choices, so by this estimate a calibrated prediction is never worse than the uncalibrated one.

    Attributes
    ----------
    mean
        Predicted log final loss (n,); infinite where step 1 diverged.
    left_out
        As `mean`, but each trained candidate is predicted from the others (n,).
    design
        Features with a column of ones in front (n, 1 + n_features).
    covariance
        Covariance of a and w, in units of the squared noise (1 + n_features, 1 + n_features).
    noise
        Root mean square of the errors of the trained candidates, each predicted from the others.
    scatter
        The same error for each candidate (n,): the nearer two predictions are, the more the error
        of one counts for the other. Good networks are predicted better than poor ones, whose
        trainings scatter widely.
    uncalibrated
        As `noise`, but with w = 0.
    penalty
        Penalty of the chosen regression; infinite for w = 0.
    """

    mean: Array
    left_out: Array
    design: Array
    covariance: Array
    noise: float
    scatter: Array
    uncalibrated: float
    penalty: float

    @classmethod
    def fit(cls, foretold: Array, features: Array, final: Array) -> Calibration:
        """Fit the model to the candidates that were trained in full.

        Parameters
        ----------
        foretold
            Loss that step 1 predicts for each candidate (n,); infinite where it diverged.
        features
            Quantities that may explain the errors of step 1 (n, n_features).
        final
            Loss after step 2 (n,); NaN for candidates that were not trained.
        """
        usable = np.isfinite(foretold)
        base = log_of(foretold)
        design = np.column_stack([np.ones(len(features)), _scaled(features, usable)])
        known = usable & np.isfinite(final)
        rest = log_of(final[known]) - base[known]
        fits = [
            _ridge(design[known], rest, penalty)
            for penalty in (_PENALTIES if known.sum() >= _FEWEST else (np.inf,))
        ]
        best = min(fits, key=lambda fit: (fit.error, -fit.penalty))
        mean = base + design @ best.weights
        left_out = mean.copy()
        left_out[known] = log_of(final[known]) - best.left_out
        scatter = _scatter(mean, left_out[known], best)
        return cls(
            mean, left_out, design, best.covariance, best.error, scatter, fits[-1].error,
            best.penalty,
        )  # fmt: skip

    def spread(self) -> Array:
        """Return the standard deviation of the log final loss of every candidate (n,)."""
        shared = np.einsum("ij,jk,ik->i", self.design, self.covariance, self.design)
        return np.asarray(self.scatter * np.sqrt(1.0 + shared))

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """Return draws of the log final losses of all candidates (n, n_candidates)."""
        root = np.linalg.cholesky(self.covariance + 1e-12 * np.eye(len(self.covariance)))
        shifts = rng.standard_normal((n, len(root))) @ root.T @ self.design.T
        return self.mean + self.scatter * (shifts + rng.standard_normal(shifts.shape))


def _scatter(mean: Array, known: Array, fit: _Fit) -> Array:
    """Return the expected error of each candidate (n,) from the errors of the trained ones.

    `known` holds the predictions of the trained candidates. The expected squared error is a mean
    with Gaussian weights, in which the mean squared error of all has the weight `_ALL`.
    """
    finite = mean[np.isfinite(mean)]
    if len(fit.left_out) < _FEWEST or finite.std() == 0:
        return np.full(len(mean), fit.error)
    width = _NEAR * finite.std()
    distance = (np.where(np.isfinite(mean), mean, finite.max())[:, None] - known) / width
    weights = np.exp(-0.5 * distance**2)
    squares = (weights @ fit.left_out**2 + _ALL * fit.error**2) / (weights.sum(axis=1) + _ALL)
    return np.asarray(np.sqrt(squares))


def _scaled(features: Array, usable: NDArray[np.bool_]) -> Array:
    """Return the features with mean zero and unit spread over the usable candidates."""
    if not usable.any():
        return np.zeros_like(features)
    centre, spread = features[usable].mean(axis=0), features[usable].std(axis=0)
    return np.asarray((features - centre) / np.where(spread > 0, spread, 1.0))


@dataclass(frozen=True)
class _Fit:
    """A ridge regression: weights (k,), their covariance (k, k), leave-one-out errors (n,)."""

    penalty: float
    weights: Array
    covariance: Array
    left_out: Array

    @property
    def error(self) -> float:
        """Root mean square of the leave-one-out errors."""
        if len(self.left_out) < 2:
            return _USUAL_ERROR
        return float(np.sqrt(np.mean(self.left_out**2)))


def _ridge(design: Array, rest: Array, penalty: float) -> _Fit:
    """Fit `rest` (n,) by the design (n, k), whose first column is not penalised.

    An infinite penalty fits the first column alone.
    """
    n, k = design.shape
    columns = k if np.isfinite(penalty) else 1
    x = design[:, :columns]
    weights, covariance = np.zeros(k), np.zeros((k, k))
    if n == 0:
        return _Fit(penalty, weights, covariance, np.zeros(0))
    penalties = np.diag([0.0, *[penalty] * (columns - 1)]) if columns > 1 else np.zeros((1, 1))
    inverse = np.linalg.inv(x.T @ x + penalties)
    weights[:columns] = inverse @ x.T @ rest
    covariance[:columns, :columns] = inverse
    hat = x @ inverse @ x.T
    left_out = (rest - hat @ rest) / np.maximum(1.0 - np.diag(hat), 1e-6)
    return _Fit(penalty, weights, covariance, left_out)
