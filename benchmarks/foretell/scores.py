"""How well step 1 foretells step 2: numbers about candidates that were all trained to the end.

Throughout, `predicted` is a score that step 1 gives each candidate (lower is better), `final` the
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

#: Costs below this percentile do not count for the front: next to nothing is so cheap.
_CHEAPEST = 5.0
#: Resamples of a bootstrap.
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
    """Return the rank correlation of what the cost of a network does not explain.

    Larger networks are better nearly always, and their size is known without any training. So a
    parabola in the logarithm of the cost is fitted to the logarithms of either loss and taken off.
    """
    rest = [_beyond_cost(np.log(values), cost) for values in (predicted, final)]
    return rank_correlation(*rest)


def _beyond_cost(values: Array, cost: Array) -> Array:
    size = np.log(cost)
    powers = np.stack([np.ones_like(size), size, size**2], axis=1)
    coefficients, *_ = np.linalg.lstsq(powers, values, rcond=None)
    rest = np.asarray(values - powers @ coefficients)
    # What a function of the cost alone leaves are rounding errors, which have no order.
    return rest if np.ptp(rest) > 1e-9 * max(1.0, np.ptp(values)) else np.zeros_like(rest)


def resampled(predicted: Array, final: Array, cost: Array, seed: int) -> tuple[Array, Array]:
    """Return both rank correlations for candidates drawn anew with replacement (a bootstrap).

    Only rank correlations are resampled: regrets hang on the few best candidates, for which a
    bootstrap does not hold.

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
    """Return how much the best final loss of the first `k` exceeds the best of all, as a share."""
    first = np.argsort(predicted, kind="stable")[:k]
    return float(final[first].min() / final.min() - 1.0)


def regret_along_the_front(kept: Sequence[int], final: Array, cost: Array) -> float:
    """Return how much the best affordable loss among `kept` exceeds that among all, as a share.

    For every cost of a candidate from the 5th percentile on, the lowest final loss among those that
    cost no more is compared; the result is the geometric mean over these costs. Where nothing that
    was kept is cheap enough, the highest loss of all counts.
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
    """Return the group of each number: itself, or one of `most` ranges if there are more.

    The depths of a space may be many; in groups of few candidates a bias is chance.
    """
    numbers = np.arange(lowest, highest + 1)
    parts = np.array_split(numbers, min(most, len(numbers)))
    return {
        int(number): str(number) if len(part) == 1 else f"{part[0]} to {part[-1]}"
        for part in parts
        for number in part
    }
