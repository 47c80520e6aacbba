"""Measures of how well step 1 predicts step 2, for candidates that were all trained in full.

In all functions, `predicted` is the score of step 1 for each candidate (lower is better), `final`
validation loss after step 2, and `cost` the estimated time of one sample
(`Architecture.relative_cost`); all of shape (n_candidates,).
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

Array = NDArray[np.float64]

#: Costs below this percentile of all costs are excluded from the front: few candidates are there.
_CHEAPEST = 5.0
#: Number of resamples of a bootstrap.
RESAMPLES = 1000
#: Percentiles of its interval.
INTERVAL = (2.5, 97.5)


def rank_correlation(predicted: Array, final: Array) -> float:
    """Return Spearman's rank correlation over all candidates; 0 for a constant score."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a constant has no rank correlation
        found = float(spearmanr(predicted, final).statistic)
    return found if np.isfinite(found) else 0.0


def rank_correlation_at_equal_cost(predicted: Array, final: Array, cost: Array) -> float:
    """Return the rank correlation of the parts of both losses that the cost does not explain.

    Larger networks are nearly always better, and their size is known before any training. A
    parabola in the logarithm of the cost is therefore fitted to the logarithms of both losses and
    subtracted.
    """
    rest = [_beyond_cost(np.log(values), cost) for values in (predicted, final)]
    return rank_correlation(*rest)


def _beyond_cost(values: Array, cost: Array) -> Array:
    size = np.log(cost)
    powers = np.stack([np.ones_like(size), size, size**2], axis=1)
    coefficients, *_ = np.linalg.lstsq(powers, values, rcond=None)
    rest = np.asarray(values - powers @ coefficients)
    # For a function of the cost alone, the rest is rounding errors, which have no meaningful order.
    return rest if np.ptp(rest) > 1e-9 * max(1.0, np.ptp(values)) else np.zeros_like(rest)


def resampled(predicted: Array, final: Array, cost: Array, seed: int) -> tuple[Array, Array]:
    """Return both rank correlations for candidates drawn with replacement (a bootstrap).

    Only rank correlations are resampled. Regrets depend on the few best candidates, for which a
    bootstrap is not valid.

    Returns
    -------
    tuple of ndarray
        `rank_correlation` and `rank_correlation_at_equal_cost`, each of shape (RESAMPLES,). The
        parabola in cost is that of all candidates.
    """
    drawn = np.random.default_rng(seed).integers(len(cost), size=(RESAMPLES, len(cost)))
    rest = [_beyond_cost(np.log(values), cost) for values in (predicted, final)]
    return _rank_correlations(predicted[drawn], final[drawn]), _rank_correlations(
        rest[0][drawn], rest[1][drawn]
    )


def _rank_correlations(a: Array, b: Array) -> Array:
    """Return Spearman's rank correlation of each row; 0 where a row is constant."""
    first, second = (rankdata(values, axis=1) for values in (a, b))
    first, second = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (first, second))
    size = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return np.asarray((first * second).sum(axis=1) / np.where(size > 0, size, np.inf))


def regret(predicted: Array, final: Array, k: int) -> float:
    """Return the share by which the best final loss of the first `k` exceeds the best of all."""
    first = np.argsort(predicted, kind="stable")[:k]
    return float(final[first].min() / final.min() - 1.0)


def regret_along_the_front(kept: Sequence[int], final: Array, cost: Array) -> float:
    """Return by how much the best affordable loss among `kept` exceeds that among all, as a share.

    For every cost of a candidate from the 5th percentile on, the lowest final losses among those
    that cost at most as much are compared. The result is the geometric mean over these costs. Where
    no kept candidate is cheap enough, the highest loss of all replaces its loss.
    """
    chosen = np.asarray(kept, dtype=int)
    ratios = []
    for limit in np.sort(cost[cost >= np.percentile(cost, _CHEAPEST)]):
        affordable = chosen[cost[chosen] <= limit]
        best = final[affordable].min() if len(affordable) else final.max()
        ratios.append(best / final[cost <= limit].min())
    return float(np.exp(np.mean(np.log(ratios))) - 1.0)


def bias(predicted: Array, final: Array, groups: Sequence[Hashable]) -> dict[Hashable, float]:
    """Return by how many ranks step 1 places each group too low (positive) or too high, on average.

    A group is, for instance, all candidates of one activation function.
    """
    shift = rankdata(predicted) - rankdata(final)
    members: dict[Hashable, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    return {group: float(shift[at].mean()) for group, at in members.items()}


def ranges_of(lowest: int, highest: int, most: int = 4) -> dict[int, str]:
    """Return the group of each number: the number itself, or one of at most `most` ranges.

    A space may have many depths, and the bias of a group with few candidates is due to chance.
    """
    numbers = np.arange(lowest, highest + 1)
    parts = np.array_split(numbers, min(most, len(numbers)))
    return {
        int(number): str(number) if len(part) == 1 else f"{part[0]} to {part[-1]}"
        for part in parts
        for number in part
    }
