"""Measure how well step 1 predicted step 2, from numbers only.

Statements about all candidates come from the control group, which was drawn at random. Networks
that were chosen because they did well in step 1 carry no information about the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.retrain.rounds import Rounds
from emufort.search.calibration import log_of

Array = NDArray[np.float64]

#: Number of resamples of the control group, and the percentiles of the intervals.
_RESAMPLES, _INTERVAL = 2000, (5.0, 95.0)
#: A control group of fewer candidates is too small for any statement.
_FEWEST = 5


def agreement(
    rounds: Rounds, control: Sequence[int], losses: Mapping[int, Sequence[float]], seed: int
) -> dict[str, Any]:
    """Compare the ranking of step 1 with the losses of step 2.

    Parameters
    ----------
    rounds
        The candidates and their losses as predicted by step 1.
    control
        Numbers of the trials of the control group.
    losses
        Trial number -> validation losses of step 2, one for each seed.
    seed
        Random seed of the resamples and draws.

    Returns
    -------
    dict
        Content of agreement.json, see docs/run_folder.md.
    """
    means = mean_losses(losses)
    number_of = {trial.number: i for i, trial in enumerate(rounds.trials)}
    foretold = {number: float(rounds.foretold[number_of[number]]) for number in means}
    return {
        "all_candidates": _of_all(rounds, [n for n in control if n in means], means, seed),
        "retrained": _of_retrained(foretold, means),
        "seed_spread": _seed_spread(losses),
        "pairs": [
            {
                "trial": number,
                "control": number in control,
                "search_loss": foretold[number],
                "validation_loss": means[number],
            }
            for number in sorted(means, key=lambda number: (foretold[number], number))
        ],
    }


def mean_losses(losses: Mapping[int, Sequence[float]]) -> dict[int, float]:
    """Return the mean over the seeds that did not diverge; trials without one are left out."""
    means = {}
    for trial, values in losses.items():
        finite = [loss for loss in values if math.isfinite(loss)]
        if finite:
            means[trial] = float(np.mean(finite))
    return means


# ------------------------------------------------------------------- all candidates


def _of_all(
    rounds: Rounds, control: Sequence[int], means: Mapping[int, float], seed: int
) -> dict[str, Any]:
    """Return the estimates for all candidates from the control group."""
    calibration = rounds.calibrate(means)
    best, front = rounds.front(means).regrets()
    found: dict[str, Any] = {
        "n": len(rounds.trials),
        "control_group": len(control),
        "spearman": None,
        "spearman_at_equal_cost": None,
        "spearman_of_cost_alone": None,
        "error": calibration.noise,
        "error_uncalibrated": calibration.uncalibrated,
        "expected_regret": _interval(float(np.mean(best)), best),
        "expected_regret_along_the_front": _interval(float(np.mean(front)), front),
        "verdict": "",
    }
    if len(control) < _FEWEST:
        return found
    at = [i for i, trial in enumerate(rounds.trials) if trial.number in set(control)]
    step1, cost = log_of(rounds.foretold[at]), np.log(rounds.cost[at])
    final = log_of(np.array([means[rounds.trials[i].number] for i in at]))
    # The first row is the control group itself, the others are resamples.
    rows = np.random.default_rng([seed, 3]).integers(0, len(at), (_RESAMPLES, len(at)))
    rows = np.vstack([np.arange(len(at)), rows])
    step1, final, cost = step1[rows], final[rows], cost[rows]
    for name, values in {
        "spearman": _rank_correlations(step1, final),
        "spearman_at_equal_cost": _rank_correlations(
            _without_cost(step1, cost), _without_cost(final, cost)
        ),
        "spearman_of_cost_alone": _rank_correlations(-cost, final),
    }.items():
        values = np.nan_to_num(values)
        found[name] = _interval(float(values[0]), values[1:])
    if found["spearman_at_equal_cost"]["low"] <= 0.0:
        found["verdict"] = (
            "Among candidates of equal cost, the ranking of step 1 may be no better than chance: "
            "raise search.share or search.subset, or retrain more candidates (retrain.top)."
        )
    return found


def _interval(value: float, draws: Array) -> dict[str, float]:
    """Return an estimate with the interval of its draws, widened if it does not hold the estimate.

    The mean of draws that are mostly zero, such as a regret, may exceed their upper percentile.
    """
    low, high = np.percentile(draws, _INTERVAL)
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}


def spearman_at_equal_cost(step1: Array, final: Array, cost: Array) -> float:
    """Return the rank correlation of the parts of both losses that the cost does not explain.

    The size of a network is known before any training. A parabola in the logarithm of the cost is
    therefore subtracted from the logarithms of both losses.

    Parameters
    ----------
    step1, final, cost
        Logarithms of the losses of both steps and of the cost (n,).
    """
    return spearman(_without_cost(step1, cost), _without_cost(final, cost)) or 0.0


def spearman(a: Sequence[float] | Array, b: Sequence[float] | Array) -> float | None:
    """Return Spearman's rank correlation; None for fewer than 3 values or a constant."""
    if len(a) < 3:
        return None
    value = float(_rank_correlations(np.asarray(a), np.asarray(b)))
    return value if math.isfinite(value) else None


def _rank_correlations(a: Array, b: Array) -> Array:
    """Return Spearman's rank correlation along the last axis; NaN for a constant."""
    from scipy.stats import rankdata

    first, second = (rankdata(values, axis=-1) for values in (a, b))
    first -= first.mean(axis=-1, keepdims=True)
    second -= second.mean(axis=-1, keepdims=True)
    squares = (first**2).sum(axis=-1) * (second**2).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        found = (first * second).sum(axis=-1) / np.sqrt(squares)
    return np.asarray(np.clip(found, -1.0, 1.0))


def _without_cost(values: Array, cost: Array) -> Array:
    """Subtract the fit of a parabola in `cost` from `values`, along the last axis."""
    powers = np.stack([np.ones_like(cost), cost, cost**2], axis=-1)
    fit = powers @ (np.linalg.pinv(powers, rcond=1e-10) @ values[..., None])
    rest = values - fit[..., 0]
    # Differences of the size of rounding errors have no meaningful order.
    return np.asarray(np.where(np.abs(rest) > 1e-9, rest, 0.0))


# ------------------------------------------------------------------- those that were retrained


def _of_retrained(foretold: Mapping[int, float], means: Mapping[int, float]) -> dict[str, Any]:
    """Return the estimates over the retrained candidates, most of which were chosen as good."""
    order = sorted(means, key=lambda number: (foretold[number], number))
    return {
        "n": len(order),
        "spearman": spearman([foretold[n] for n in order], [means[n] for n in order]),
        "regret_top1": _regret(means, order[:1]),
        "regret_top5": _regret(means, order[:5]),
    }


def _regret(means: Mapping[int, float], first: Sequence[int]) -> float | None:
    if not first:
        return None
    best = min(means.values())
    return min(means[n] for n in first) / best - 1.0 if best > 0 else 0.0


def _seed_spread(losses: Mapping[int, Sequence[float]]) -> float | None:
    """Return the standard deviation over seeds as a share of the mean, averaged over trials."""
    spreads = [
        float(np.std(values, ddof=1) / np.mean(values)) if any(values) else 0.0
        for values in losses.values()
        if len(values) > 1 and all(map(math.isfinite, values))
    ]
    return float(np.mean(spreads)) if spreads else None
