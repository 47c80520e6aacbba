"""The numbers of the experiments (a), (b), (c) and (e), from the table of trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.foretell.scores import (
    INTERVAL,
    Array,
    rank_correlation,
    rank_correlation_at_equal_cost,
    resampled,
)
from benchmarks.paper.plan import Plan, whole
from benchmarks.paper.problem import Problem
from benchmarks.paper.sample import Sample, losses, seconds, spread
from benchmarks.paper.searches import Search
from benchmarks.paper.trainings import Trainings

#: The best so many candidates are compared between step 1 and training on all rows.
TOP = 50
#: Numbers K of candidates that step 2 keeps.
KEPT = (1, 2, 5, 10, 20, 50)
#: Candidates of the paper's search by its published code, and how many are kept (an assumption).
PAPER_CANDIDATES, PAPER_KEPT = 10_000, 50
#: Draws of K candidates at random.
_DRAWS = 1000


# ------------------------------------------------------------------------- (a) ranks


def overlap(predicted: Array, final: Array, top: int) -> int:
    """Return how many of the best `top` candidates by one order are so by the other."""
    first, second = (set(np.argsort(v, kind="stable")[:top].tolist()) for v in (predicted, final))
    return len(first & second)


def agreement(predicted: Sequence[Array], final: Array, cost: Array) -> dict[str, Any]:
    """Return how well losses of step 1 (one array for each draw) order the candidates.

    The 95 % intervals come from a bootstrap over the candidates; each draw has an equal share of
    its resamples.
    """
    n = len(final)
    pairs = [resampled(p, final, cost, draw) for draw, p in enumerate(predicted)]
    intervals = [
        np.percentile(np.concatenate([pair[i] for pair in pairs]), INTERVAL).tolist()
        for i in range(2)
    ]
    return {
        "correlation": float(np.median([rank_correlation(p, final) for p in predicted])),
        "interval": intervals[0],
        "at equal cost": float(
            np.median([rank_correlation_at_equal_cost(p, final, cost) for p in predicted])
        ),
        "interval at equal cost": intervals[1],
        "overlap": {
            top: float(np.median([overlap(p, final, top) for p in predicted]))
            for top in (10, TOP)
            if top < n
        },
        "by chance": {top: top * top / n for top in (10, TOP) if top < n},
    }


def ranks(sample: Sample, problem: Problem, trainings: Trainings, plan: Plan) -> dict[str, Any]:
    """Return (a): each subset, the size of the network alone, and another training on all rows."""
    final, cost = sample.final, sample.cost
    rows = [
        {"share": share, "rows": sum(problem.sizes(share))}
        | agreement([losses(one) for one in draws], final, cost)
        for share, draws in sample.step_1.items()
    ]
    found: dict[str, Any] = {
        "subsets": rows,
        "multiply-adds alone": agreement([1.0 / sample.multiply_adds], final, cost),
    }
    twice = [
        i for i, h in enumerate(sample.hidden) if whole(h, 1) in trainings.done
    ][: plan.again]  # fmt: skip
    if len(twice) > 2:
        second = [trainings.done[whole(sample.hidden[i], 1)] for i in twice]
        found["all rows again"] = agreement([losses(second)], final[twice], cost[twice]) | {
            "candidates": len(twice),
            "change of RMSE": spread(
                [abs(b.rmse / sample.whole[i].rmse - 1)
                 for i, b in zip(twice, second, strict=True)]
            ),
        }  # fmt: skip
    return found


# ------------------------------------------------------------------------- (b) skill, (c) time


def after_step_2(predicted: Array, sample: Sample, k: int) -> float:
    """Return the test RMSE of the network that two steps choose if step 2 gets `k` candidates."""
    kept = np.argsort(predicted, kind="stable")[:k]
    return float(sample.rmse[kept[np.argmin(sample.final[kept])]])


def skills(sample: Sample, problem: Problem) -> dict[str, Any]:
    """Return (b): the skill after step 2 by subset and K, and that without any choice."""
    kept = [k for k in KEPT if k < len(sample)]
    rng = np.random.default_rng(1)
    random = [rng.permutation(len(sample)).astype(float) for _ in range(_DRAWS)]
    best = int(np.argmin(sample.final))
    rows = []
    for share, draws in sample.step_1.items():
        predicted = [losses(one) for one in draws]
        first = [one[int(np.argmin(p))].rmse for one, p in zip(draws, predicted, strict=True)]
        rows.append({
            "share": share, "rows": sum(problem.sizes(share)), "draws": len(draws),
            "step 1 alone": spread(first),
            "kept": {k: spread([after_step_2(p, sample, k) for p in predicted]) for k in kept},
        })  # fmt: skip
    return {
        "subsets": rows,
        "at random": {k: spread([after_step_2(p, sample, k) for p in random]) for k in kept},
        "all": float(sample.rmse[best]),
        "best": list(sample.hidden[best]),
    }


def speed(sample: Sample, problem: Problem) -> dict[str, Any]:
    """Return (c): how much less processor time two steps take than all candidates on all rows.

    ``as the paper`` is a product: the mean times of a training in both steps for the paper's
    numbers of candidates.
    """
    n, everything = len(sample), seconds(sample.whole)
    in_full = np.array([result.seconds for result in sample.whole])
    rows = []
    for share, draws in sample.step_1.items():
        first = float(np.median([seconds(one) for one in draws]))
        orders = [np.argsort(losses(one), kind="stable") for one in draws]
        second = {
            k: float(np.median([in_full[order[:k]].sum() for order in orders]))
            for k in KEPT
            if k < n
        }
        of_kept = float(np.median([in_full[order[: max(1, n // 20)]].mean() for order in orders]))
        as_paper = PAPER_CANDIDATES * first / n + PAPER_KEPT * of_kept
        rows.append({
            "share": share, "rows": sum(problem.sizes(share)), "step 1": first,
            "step 1 alone": everything / first,
            "epochs": float(np.median([r.epochs for one in draws for r in one])),
            "both steps": {k: everything / (first + more) for k, more in second.items()},
            "as the paper": PAPER_CANDIDATES * everything / n / as_paper,
        })  # fmt: skip
    epochs = float(np.median([result.epochs for result in sample.whole]))
    return {"subsets": rows, "all": everything, "epochs": epochs}


# ------------------------------------------------------------------------- (e) samplers


def samplers(found: Mapping[str, Sequence[Search]], problem: Problem) -> list[dict[str, Any]]:
    """Return (e): for each sampler its finished searches; geometric mean of losses.

    Parameters
    ----------
    found
        Sampler -> its searches.
    problem
        Data and space.
    """
    rows = []
    for name, some in found.items():
        if not some:
            continue
        first = [losses(one.step_1).min() for one in some]
        tenth = [np.sort(losses(one.step_1))[: max(1, len(one.step_1) // 10)] for one in some]
        chosen = [problem.architecture(one.best[0]) for one in some]
        rows.append({
            "sampler": name,
            "searches": len(some),
            "lowest loss of step 1": float(np.exp(np.mean(np.log(first)))),
            "best tenth of step 1": float(np.exp(np.mean(np.log(np.concatenate(tenth))))),
            "rmse": spread([one.best[1].rmse for one in some]),
            "seconds": spread([one.seconds for one in some]),
            "multiply_adds": spread([float(a.multiply_adds) for a in chosen]),
            "networks": [a.label for a in chosen],
        })  # fmt: skip
    return rows
