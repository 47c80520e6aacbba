"""How well step 1 predicted step 2; works on numbers only."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def agreement(
    search_loss: Mapping[int, float], validation_losses: Mapping[int, Sequence[float]]
) -> dict[str, Any]:
    """Compare the ranking of step 1 with the losses of step 2.

    Parameters
    ----------
    search_loss
        Trial number -> lowest validation loss of step 1.
    validation_losses
        Trial number -> lowest validation loss of step 2 for each seed.

    Returns
    -------
    dict
        ``spearman``: rank correlation of the two (mean over seeds), None below 3 trials. It is
        that among trials which were good enough to be retrained, and says nothing about the
        others (``benchmarks/foretell.py`` compares all).
        ``regret_top1``, ``regret_top5``, ``regret_topK``: how much larger than the best loss of
        step 2 the best one among the first 1, 5, K of step 1 is, as a share of it. K is all
        that were retrained, so the last one is zero: what the others would have become is not
        known here (``emufort search --advise`` estimates it).
        ``seed_spread``: standard deviation over seeds as a share of the mean, averaged over trials;
        None with one seed. Differences below it say nothing.
    """
    means = {
        trial: float(np.mean([loss for loss in losses if math.isfinite(loss)]))
        for trial, losses in validation_losses.items()
        if any(math.isfinite(loss) for loss in losses)
    }
    order = sorted(means, key=lambda trial: (search_loss[trial], trial))
    pairs = [
        {"trial": t, "search_loss": search_loss[t], "validation_loss": means[t]} for t in order
    ]
    return {
        "spearman": _spearman([search_loss[t] for t in order], [means[t] for t in order]),
        "n": len(order),
        "regret_top1": _regret(means, order[:1]),
        "regret_top5": _regret(means, order[:5]),
        "regret_topK": _regret(means, order),
        "seed_spread": _seed_spread(validation_losses),
        "pairs": pairs,
    }


def _regret(means: Mapping[int, float], first: Sequence[int]) -> float | None:
    if not first:
        return None
    best = min(means.values())
    return min(means[t] for t in first) / best - 1.0 if best > 0 else 0.0


def _spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    from scipy.stats import spearmanr

    if len(a) < 3:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no correlation with a constant
        value = float(spearmanr(a, b).statistic)
    return value if math.isfinite(value) else None


def _seed_spread(losses: Mapping[int, Sequence[float]]) -> float | None:
    spreads = [
        float(np.std(values, ddof=1) / np.mean(values)) if any(values) else 0.0
        for values in losses.values()
        if len(values) > 1 and all(map(math.isfinite, values))
    ]
    return float(np.mean(spreads)) if spreads else None
