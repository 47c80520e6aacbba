"""The skill of networks by their size, experiment (d)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.foretell.scores import Array
from benchmarks.paper.problem import Problem
from benchmarks.paper.sample import Sample

#: A network reaches the best skill if its test RMSE is at most this share above the lowest one.
TOLERANCE = 0.1


def front(cost: Array, error: Array) -> list[int]:
    """Return the candidates of which no cheaper one has a lower error, cheapest first."""
    found: list[int] = []
    for i in np.lexsort((error, cost)).tolist():
        if np.isfinite(error[i]) and (not found or error[i] < error[found[-1]]):
            found.append(i)
    return found


def within_tolerance(sample: Sample) -> list[int]:
    """Return the candidates that reach the best skill, see `TOLERANCE`."""
    return np.flatnonzero(sample.rmse <= (1 + TOLERANCE) * sample.rmse.min()).tolist()


def to_time(sample: Sample, most: int) -> list[tuple[int, ...]]:
    """Return the networks whose time (d) needs, at most `most`: those that may be on its front.

    They are the network with the lowest error, the cheapest ones that reach the best skill, and the
    front of error against cost.
    """
    cheapest_first = sorted(within_tolerance(sample), key=lambda i: sample.cost[i])
    best = int(np.argmin(sample.rmse))
    of_front = front(sample.cost, sample.rmse)
    room = max(0, most - 1 - len(of_front))
    chosen = dict.fromkeys([best, *of_front, *cheapest_first[:room]])
    return [sample.hidden[i] for i in list(chosen)[:most]]


def sizes(sample: Sample, problem: Problem, times: Mapping[str, Any]) -> dict[str, Any]:
    """Return (d): skill against parameters and measured time.

    Parameters
    ----------
    sample, problem
        Candidates and data.
    times
        Label of a network -> its measured time; empty if there are none, see `timing.measure`.
    """
    rows: list[dict[str, Any]] = [
        {
            "hidden": list(hidden),
            "label": problem.architecture(hidden).label,
            "rmse": result.rmse,
            "parameters": int(parameters),
            "multiply_adds": int(multiply_adds),
        }
        for hidden, result, parameters, multiply_adds in zip(
            sample.hidden, sample.whole, sample.parameters, sample.multiply_adds, strict=True
        )
        if math.isfinite(result.rmse)
    ]
    for row in rows:
        row |= times.get("networks", {}).get(row["label"], {})
    least = min(row["rmse"] for row in rows)
    good = [row for row in rows if row["rmse"] <= (1 + TOLERANCE) * least]
    timed = [row for row in good if "ns" in row]
    return {
        "candidates": rows,
        "best": min(rows, key=lambda row: row["rmse"]),
        "largest": max(rows, key=lambda row: row["parameters"]),
        "within tolerance": len(good),
        "fewest parameters": min(good, key=lambda row: row["parameters"]),
        "fastest": min(timed, key=lambda row: row["ns"]) if timed else None,
        "bins": binned(rows),
        **{key: times.get(key) for key in ("baseline", "compiler", "flags")},
    }


def binned(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the best network of each range of parameters; the limits are powers of two."""
    found: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(math.ceil(math.log2(row["parameters"])), []).append(row)
    return [
        {"up to": 2**power, "candidates": len(some)} | dict(min(some, key=lambda r: r["rmse"]))
        for power, some in sorted(found.items())
    ]
