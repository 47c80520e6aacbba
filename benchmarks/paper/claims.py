"""The claims of the paper's abstract, each with what was measured here and a verdict.

The verdicts follow from the numbers by the rules in this file, so they change with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.markdown_tables import table
from benchmarks.paper.results import PAPER_CANDIDATES, PAPER_KEPT, TOP
from benchmarks.paper.sizes import TOLERANCE

#: "A few thousand rows": the smallest subset with at least so many.
FEW_THOUSAND = 2000
#: Number of kept candidates by which a subset suffices or not.
KEPT = 5
#: Speed-up that the abstract gives as the highest.
PAPER_SPEED = 135
#: A network is much smaller than another one with at most this share of its parameters.
MUCH_SMALLER = 0.5

Results = Mapping[str, Any]


def _kept(found: Results) -> int:
    return max(int(k) for k in found["skills"]["at random"] if k <= KEPT)


def few(found: Results) -> int:
    """Return the position of the subset with a few thousand rows."""
    rows = [row["rows"] for row in found["skills"]["subsets"]]
    return next((i for i, n in enumerate(rows) if n >= FEW_THOUSAND), len(rows) - 1)


def excess(found: Results, position: int) -> float:
    """Return by how much the RMSE after step 2 exceeds that of the best of all, as a share."""
    of = found["skills"]
    return float(of["subsets"][position]["kept"][_kept(found)]["median"] / of["all"] - 1)


def smallest_that_suffices(found: Results) -> int | None:
    """Return the position of the smallest subset from which on all suffice, or None."""
    n = len(found["skills"]["subsets"])
    enough = [excess(found, i) <= TOLERANCE for i in range(n)]
    return next((i for i in range(n) if all(enough[i:])), None)


AGREES, DIFFERS = "agrees", "**does not agree**"
BY_CHANCE, TOO_SMALL = "as good by chance", "the set is too small to tell"
LIMITED, TOO_FEW = "the candidates are too small to tell", "too few good candidates to tell"
#: Number of candidates within the tolerance from which on a cheap one among them means something.
ENOUGH = 5


def _verdict(agrees: bool) -> str:
    return AGREES if agrees else DIFFERS


def _rows_suffice(found: Results) -> tuple[str, str]:
    i, k = few(found), _kept(found)
    skill, rank = found["skills"]["subsets"][i], found["ranks"]["subsets"][i]
    random = found["skills"]["at random"][k]["median"]
    least = smallest_that_suffices(found)
    size = (
        f"from {found['skills']['subsets'][least]['rows']:,} rows on, all subsets are within"
        f" {100 * TOLERANCE:.0f} %"
        if least is not None
        else f"the largest subset is not within {100 * TOLERANCE:.0f} %"
    )
    common = (
        f", {rank['overlap'][TOP]:g} of the best {TOP} in common"
        f" ({rank['by chance'][TOP]:.0f} by chance)"
        if TOP in rank["overlap"]
        else ""
    )
    return (
        f"{skill['rows']:,} rows: rank correlation {rank['correlation']:.2f}{common}; with K = {k},"
        f" test RMSE {skill['kept'][k]['median']:.4f}, {100 * excess(found, i):+.0f} % from that of"
        f" training all candidates on all rows (K at random: {random:.4f}); {size}",
        BY_CHANCE
        if random <= (1 + TOLERANCE) * found["skills"]["all"]
        else _verdict(excess(found, i) <= TOLERANCE),
    )


def _speed(found: Results) -> tuple[str, str]:
    row, k = found["speed"]["subsets"][few(found)], _kept(found)
    ratio = found["rows"] / row["rows"]
    verdict = _verdict(row["as the paper"] >= PAPER_SPEED)
    if ratio < PAPER_SPEED and verdict == DIFFERS:
        verdict = TOO_SMALL
    return (
        f"{row['rows']:,} rows, one in {ratio:.0f}: step 1 alone is {row['step 1 alone']:.0f} times"
        f" faster than training all candidates on all rows, both steps with K = {k}"
        f" {row['both steps'][k]:.1f} times, and {row['as the paper']:.0f} times if multiplied to"
        f" {PAPER_CANDIDATES:,} candidates and K = {PAPER_KEPT}",
        verdict,
    )


def _complexity(found: Results) -> tuple[str, str]:
    of = found["sizes"]
    least, largest = of["fewest parameters"], of["largest"]["parameters"]
    return (
        f"{least['parameters']:,} parameters ({least['label']}) are enough for"
        f" {100 * TOLERANCE:.0f} % above the lowest RMSE; the largest candidate has {largest:,}",
        AGREES if least["parameters"] <= MUCH_SMALLER * largest else LIMITED,
    )


def _cheap(found: Results) -> tuple[str, str] | None:
    of = found["sizes"]
    fast, best = of["fastest"], of["best"]
    if fast is None or "ns" not in best:
        return None
    return (
        f"within {100 * TOLERANCE:.0f} % of the lowest RMSE, {fast['label']} takes"
        f" {fast['ns']:.0f} ns a sample, and the network with the lowest RMSE {best['ns']:.0f} ns",
        TOO_FEW
        if of["within tolerance"] < ENOUGH
        else _verdict(fast["ns"] <= MUCH_SMALLER * best["ns"]),
    )


def _any_search(found: Results) -> tuple[str, str] | None:
    if not found["samplers"]:
        return None
    median = {row["sampler"]: row["rmse"]["median"] for row in found["samplers"]}
    low, high = min(median, key=lambda s: median[s]), max(median, key=lambda s: median[s])
    best = found["skills"]["all"]
    return (
        f"test RMSE after step 2 from {median[low]:.4f} (`{low}`) to {median[high]:.4f}"
        f" (`{high}`); all random candidates on all rows: {best:.4f}",
        _verdict(median[high] <= (1 + 2 * TOLERANCE) * best),
    )


#: Claim of the abstract -> function that returns what was measured, and the verdict.
CLAIMS = {
    "a few thousand rows in step 1 suffice to find the best candidates": _rows_suffice,
    f"two steps are up to {PAPER_SPEED} times faster": _speed,
    "the search shows the least complexity that reaches the best skill": _complexity,
    "one can choose a good network that is cheap": _cheap,
    "the method works with any algorithm of search": _any_search,
}


def lines(found: Results) -> list[str]:
    """Return the table of claims."""
    measured = [(claim, of(found) or ("not measured yet", "")) for claim, of in CLAIMS.items()]
    done, planned = found["candidates"], found["planned"]["candidates"]
    preliminary = [
        "",
        f"**Preliminary**: {done} of {planned} candidates are trained, so the verdicts may change.",
    ]
    return [
        *table(["the abstract", "here", ""], [[claim, *one] for claim, one in measured]),
        *(preliminary if done < planned else []),
    ]
