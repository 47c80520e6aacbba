"""Compare searches for the front of skill and time by their cost to reach the same hypervolume.

    python -m benchmarks.objectives [--out FOLDER] [--seeds 10] [--update docs/objectives.md]

Every candidate of a small search space is trained once at every rung (embedded data, rungs of 1, 4
and 16 epochs of all training rows, which are 0.6, 2.5 and 10 % of a training of step 2). Searches
of every kind are then replayed over this table: a training costs the processor time that it took
for the table, and gives the loss of the table. Learning rates that a search proposes are rounded to
those of the table, so a candidate that is proposed again has the same loss.

The hypervolume is that of the candidates that reached the last rung, in the logarithms of the
validation loss there and of the predicted time. Its reference point is 100 times the lowest loss of
the table and the longest predicted time of the space. It is given as a share of the hypervolume of
all candidates.

Every contender searches with a budget: the processor time that the present default (parzen, the
best quarter by loss continues) needs for 256 candidates, the median over the seeds. The ratio is
the processor time after which the contender first reaches its final hypervolume, divided by the
processor time after which the search with two objectives reaches the same hypervolume with the same
seed. A ratio above 1 means that the search with two objectives is faster; where it does not reach
this hypervolume within four budgets, the ratio is 0. The table gives the median over the seeds with
its 90 % interval (bootstrap).

Rules were chosen with --table 1 and --table 2; the published figures are of --table 3, whose
trainings have other seeds.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.markdown_tables import replaced, table
from benchmarks.objectives.replay import Method, Table, hypervolume, replay
from benchmarks.objectives.trainings import table_of
from emufort.files import write_json, write_text
from emufort.provenance import cpu_model
from emufort.training import backend_detail

BOTH = ("skill", "time")
#: The search with two objectives, and what it is compared with.
OURS = Method("parzen, two objectives; front continues", "parzen", "front", BOTH)
DEFAULT = Method("parzen (default); best quarter continues", "parzen", "loss")
CONTENDERS = (
    Method(
        'parzen, `aim = "loss"`; best quarter continues', "parzen", "loss", options={"aim": "loss"}
    ),
    DEFAULT,
    Method("NSGA-II, two objectives; all trained in full", "nsga2", "none", BOTH),
    Method("random; all trained in full", "random", "none"),
    Method("random; best quarter continues", "random", "loss"),
)
#: The same promotion with other samplers.
VARIANTS = (
    Method("random; front continues", "random", "front", BOTH),
    Method("qmc; front continues", "qmc", "front", BOTH),
    Method("NSGA-II, two objectives; front continues", "nsga2", "front", BOTH),
)
#: Candidates of the default search whose processor time is the budget.
TRIALS = 256
#: The search with two objectives may take so many budgets to reach a hypervolume.
MOST = 4.0
_DRAWS = 2000


def reached(progress: np.ndarray, seconds: float) -> float:
    """Return the hypervolume after `seconds` of processor time."""
    return float(progress[progress[:, 0] <= seconds, 1].max(initial=0.0))


def first_reaching(progress: np.ndarray, wanted: float) -> float:
    """Return the processor time [s] after which a search has the hypervolume `wanted`."""
    there = progress[progress[:, 1] >= wanted * (1 - 1e-12), 0]
    return float(there[0]) if len(there) else np.inf


def ratio(contender: np.ndarray, ours: np.ndarray, budget: float) -> float:
    """Return how many times longer the contender takes to reach its hypervolume at the budget."""
    wanted = reached(contender, budget)
    return first_reaching(contender, wanted) / first_reaching(ours, wanted)


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median and its 90 % interval, by a bootstrap."""
    rng = np.random.default_rng(0)
    drawn = np.median(rng.choice(np.array(values), (_DRAWS, len(values))), axis=1)
    low, high = np.quantile(drawn, [0.05, 0.95])
    return float(np.median(values)), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.objectives",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("runs/objectives"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--table", type=int, default=3, help="seed of the trainings")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--update", type=Path, metavar="FILE", help="insert the table into FILE")
    options = parser.parse_args()
    known = Table(
        table_of(options.out / f"table-{options.table}.csv", options.table, options.workers)
    )
    everything = hypervolume(np.array([known.point(key) for key in known.rows]), known.reference)
    seeds = range(options.seeds)
    budget = float(np.median([replay(known, DEFAULT, s, trials=TRIALS)[-1, 0] for s in seeds]))
    ours = [replay(known, OURS, seed, seconds=MOST * budget) for seed in seeds]
    rows, found = [], {}
    for method in (*CONTENDERS, *VARIANTS, OURS):
        runs = [replay(known, method, seed, seconds=budget) for seed in seeds]
        shares = [
            100 * float(np.mean([reached(run, part * budget) for run in runs])) / everything
            for part in (0.25, 0.5, 1.0)
        ]
        ratios = [ratio(run, mine, budget) for run, mine in zip(runs, ours, strict=True)]
        middle, low, high = median_interval(ratios)
        found[method.name] = {"shares": shares, "ratios": ratios}
        speed = "1" if method is OURS else f"{middle:.2g} ({low:.2g} to {high:.2g})"
        rows.append([method.name, *(f"{share:.1f} %" for share in shares), speed])
        print("; ".join(rows[-1]), flush=True)
    write_json(options.out / "objectives.json", {"budget": budget, "methods": found})
    lines = [
        *table(["search", "1/4 of the budget", "1/2", "budget", "ratio of processor times"], rows),
        "",
        f"Hypervolume as a share of that of all {len(known.rows)} candidates, mean over "
        f"{options.seeds} seeds; the ratio is a median with its 90 % interval. The budget is "
        f"{budget:.1f} s of processor time. Measured with {backend_detail('native')} on "
        f"{cpu_model()}.",
    ]
    print("\n".join(lines))
    if options.update:
        text = replaced(options.update.read_text(), "objectives", "\n".join(lines))
        write_text(options.update, text)


if __name__ == "__main__":
    main()
