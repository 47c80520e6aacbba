"""Rank architectures by their skill averaged over seeds: ranking.csv."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from emufort.retrain.table import Retrained

RANKING_COLUMNS = (
    "rank", "trial", "label", "multiply_adds", "seeds", "rmse", "rmse_spread", "validation_loss",
    "validation_loss_spread", "search_loss", "search_rank",
)  # fmt: skip


def ranking(done: Sequence[Retrained]) -> list[dict[str, Any]]:
    """Rank trials by their skill averaged over seeds, with standard deviations over the seeds.

    Differences between neighbours that are smaller than this spread are not significant.
    """
    trials: dict[int, list[Retrained]] = {}
    for one in done:
        if math.isfinite(one.rmse):
            trials.setdefault(one.trial, []).append(one)

    def spread(values: Sequence[float]) -> float | str:
        return statistics.stdev(values) if len(values) > 1 else ""

    order = sorted(trials, key=lambda t: (statistics.fmean(o.rmse for o in trials[t]), t))
    searched = sorted(trials, key=lambda t: (trials[t][0].search_loss, t))
    return [
        {
            "rank": rank,
            "trial": trial,
            "label": trials[trial][0].label,
            "multiply_adds": trials[trial][0].multiply_adds,
            "seeds": len(trials[trial]),
            "rmse": statistics.fmean(o.rmse for o in trials[trial]),
            "rmse_spread": spread([o.rmse for o in trials[trial]]),
            "validation_loss": statistics.fmean(o.validation_loss for o in trials[trial]),
            "validation_loss_spread": spread([o.validation_loss for o in trials[trial]]),
            "search_loss": trials[trial][0].search_loss,
            "search_rank": 1 + searched.index(trial),
            **({"target": trials[trial][0].target} if trials[trial][0].target else {}),
        }
        for rank, trial in enumerate(order, start=1)
    ]
