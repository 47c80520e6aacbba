"""Replay a published search to find what our halving and our choice of K would have kept of it.

    python -m benchmarks.replay [--out FOLDER]

data/README.md describes the search: 7,983 trials of up to 12 epochs (step 1), of which the 160 with
the lowest loss were trained again (step 2). The script takes the learning curves through
`successive_halving` as `emufort search` does, without any training, and orders the trials by their
losses. `emufort retrain` chooses along the front of loss against cost instead. Most of these trials
are not among the 160, so this choice cannot be replayed. For each rule the script prints

- the share of the epochs of step 1 that the rule spends;
- the places, in the order after step 1, of the trials that ended as 1st to 5th after step 2: a
  trial is retrained if K is at least its place, and `x` means that halving stopped it;
- for several K: how many of the final five are among the first K, and the best final rank there;
- Spearman's rank correlation between that order and the final rank over the 160 trials whose final
  rank is known. All other trials count in the order, but their results in step 2 are not known, so
  the best final rank is the best among the 160.

FOLDER/replay.json and replay.png hold the results.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.published_search import TABLE, Published
from emufort.files import write_json
from emufort.search.halving import Course, Reached, places, successive_halving
from emufort.search.trials import Trial, ranked

#: Numbers K of trials that step 2 retrains.
KEPT = (12, 40, 80, 160)
TOP = 5
#: Default of `search.groups` when the rules were written. The default for annealed rungs is
#: `batch_size` alone.
GROUPS = ("activation", "batch_size")


@dataclass(frozen=True)
class Rule:
    """A rule that spends the epochs of step 1 and orders the trials at its end.

    Attributes
    ----------
    rungs, eta, groups
        As in the section ``[search]``; `groups` also defines the places that `order` uses.
    batch
        Number of trials that are proposed at once and compared with each other; 0: all.
    asha
        Whether they are also compared with all earlier trials.
    order
        ``"loss"`` as in `emufort.search.trials.ranked`, or ``"place"``: first by the rung that a
        trial reached, then by its place within its group there.
    """

    rungs: tuple[int, ...] = (1, 4, 12)
    eta: int = 4
    groups: tuple[str, ...] = ()
    batch: int = 0
    asha: bool = False
    order: str = "loss"

    @property
    def name(self) -> str:
        """Short description for tables."""
        words = ["no halving"]
        if len(self.rungs) > 1:
            together = "all together" if not self.groups else "groups " + " + ".join(self.groups)
            words = [f"{', '.join(map(str, self.rungs))}, eta {self.eta}", together]
        if self.batch:
            words.append(f"batches of {self.batch}" + (", asha" if self.asha else ""))
        if self.order == "place":
            words.append("order by place")
        return "; ".join(words)


#: These rules were written before the replay. The rungs and the groups of equal batch size, which
#: are the default of a search, were known from an earlier analysis of the same table.
RULES = (
    Rule(rungs=(12,)),
    Rule(rungs=(12,), groups=GROUPS, order="place"),
    Rule(),
    Rule(groups=GROUPS),
    Rule(groups=GROUPS, order="place"),
    Rule(groups=GROUPS, batch=32),
    Rule(groups=GROUPS, batch=256),
    Rule(groups=GROUPS, batch=32, asha=True),
    Rule(groups=("activation",)),
    Rule(groups=("batch_size",)),
    Rule(groups=("activation", "batch_size", "optimizer")),
)
#: These rules were added after the replay of the rules above, so they are not an independent test.
AFTERWARDS = tuple(
    Rule(rungs=rungs, eta=eta, groups=groups)
    for rungs, eta in (((1, 12), 8), ((1, 3, 12), 4), ((1, 6, 12), 4), ((1, 2, 4, 8, 12), 2))
    for groups in ((), ("batch_size",), GROUPS)
)


def courses_of(published: Published, rule: Rule) -> list[Course]:
    """Take all trials through the rungs, batch by batch."""
    groups = published.groups(rule.groups)
    size = rule.batch or len(published)
    earlier: dict[int, list[Reached]] = {}
    found: list[Course] = []
    for first in range(0, len(published), size):
        members = groups[first : first + size]

        def run(at: Sequence[int], epochs: int, first: int = first) -> list[float]:
            return [float(v) for v in published.loss[np.array(at) + first, epochs - 1]]

        courses = successive_halving(
            len(members), rule.rungs, rule.eta, run, earlier if rule.asha else None, members
        )
        for course, group in zip(courses, members, strict=True):
            for epochs, value in course.rungs:
                earlier.setdefault(epochs, []).append(Reached(value, group))
        found += courses
    return found


def trials_of(published: Published, courses: Sequence[Course]) -> list[Trial]:
    """Return the trials as a search would have written them.

    `target` holds the activation function, because it also distinguishes networks.
    """
    return [
        Trial(
            number=number,
            architecture=published.architectures[number],
            learning_rate=1e-3,
            batch_size=int(published.hyperparameters["batch_size"][number]),
            value=course.value,
            epochs=course.rungs[-1][0],
            pruned_at=course.pruned_at,
            seconds=0.0,
            batch=0,
            rungs=course.rungs,
            target=published.hyperparameters["activation"][number],
        )
        for number, course in enumerate(courses)
    ]


def order_of(published: Published, rule: Rule, courses: Sequence[Course]) -> list[int]:
    """Return the numbers of the trials that did not diverge, in the order of retraining."""
    if rule.order == "loss":
        return [trial.number for trial in ranked(trials_of(published, courses))]
    groups = published.groups(rule.groups)
    place = np.empty(len(courses))
    for level in range(len(rule.rungs)):
        at = [i for i, course in enumerate(courses) if len(course.rungs) > level]
        place[at] = places([courses[i].rungs[level][1] for i in at], [groups[i] for i in at])
    finite = [i for i, course in enumerate(courses) if math.isfinite(course.value)]
    return sorted(finite, key=lambda i: (-len(courses[i].rungs), place[i], courses[i].value, i))


def kept_of(final_rank: Sequence[int]) -> dict[str, Any]:
    """Return the final five and the best final rank among these final ranks; 0 means unknown."""
    known = sorted(int(rank) for rank in final_rank if rank)
    return {
        "of the final five": [rank for rank in known if rank <= TOP],
        "best final rank": known[0] if known else None,
    }


def replay(published: Published, rule: Rule, kept: Sequence[int] = KEPT) -> dict[str, Any]:
    """Return all results of one rule."""
    courses = courses_of(published, rule)
    order = order_of(published, rule, courses)
    rank = published.final_rank
    position = {number: i for i, number in enumerate(order, start=1)}
    retrained = np.flatnonzero(rank)
    finalists = {number for number, course in enumerate(courses) if course.pruned_at is None}
    behind = len(order) + 1  # the place of a trial that diverged
    spent = sum(course.rungs[-1][0] for course in courses)
    return {
        "name": rule.name,
        "rule": asdict(rule),
        "share of the epochs": spent / published.loss.size,
        "positions of the final five": {
            str(rank[i]): position.get(int(i), behind)
            for i in sorted(retrained, key=lambda i: rank[i])[:TOP]
        },
        "stopped of the final five": sorted(
            int(rank[i]) for i in retrained if rank[i] <= TOP and int(i) not in finalists
        ),
        "retrained that were not stopped": sum(int(i) in finalists for i in retrained),
        "kept": {k: kept_of([rank[i] for i in order[:k]]) for k in kept},
        "spearman": float(
            spearmanr([position.get(int(i), behind) for i in retrained], rank[retrained]).statistic
        ),
    }


def lines(results: Sequence[dict[str, Any]]) -> list[str]:
    """Return the table of all rules as lines of Markdown."""
    found = [
        f"| rule | share of the epochs | the final 1st to {TOP}th stand at | "
        + " | ".join(f"K = {k}" for k in results[0]["kept"])
        + " | Spearman |",
        "|" + "---|" * (4 + len(results[0]["kept"])),
    ]
    for one in results:
        stands = [
            "x" if int(rank) in one["stopped of the final five"] else str(position)
            for rank, position in one["positions of the final five"].items()
        ]
        cells = [cell(kept) for kept in one["kept"].values()]
        found.append(
            f"| {one['name']} | {100 * one['share of the epochs']:.1f} % | "
            f"{', '.join(stands)} | {' | '.join(cells)} | {one['spearman']:.2f} |"
        )
    return found


def cell(kept: dict[str, Any]) -> str:
    """Return how many of the final five were kept and the best final rank, such as ``4, 1st``."""
    best = kept["best final rank"]
    if best is None:
        return "0"
    ending = {1: "st", 2: "nd", 3: "rd"}.get(best % 10 if best // 10 % 10 != 1 else 0, "th")
    return f"{len(kept['of the final five'])}, {best}{ending}"


def draw(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Plot the places of the final five in the order after step 1, by rule."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 0.5 * len(results) + 1.4), layout="constrained")
    axes = figure.subplots()
    for k in KEPT:
        axes.axvline(k, color="0.85", lw=1, zorder=0)
    for row, one in enumerate(results):
        for rank, position in one["positions of the final five"].items():
            stopped = int(rank) in one["stopped of the final five"]
            colour = "0.6" if stopped else f"C{int(rank) - 1}"
            axes.plot(position, row, "o", color=colour, mfc="none" if stopped else colour, ms=13)
            axes.text(position, row, rank, color=colour if stopped else "white",
                      ha="center", va="center", fontsize=8)  # fmt: skip
    labels = [f"{one['name']} ({100 * one['share of the epochs']:.0f} %)" for one in results]
    axes.set_yticks(range(len(results)), labels)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="place in the order after step 1")
    kept = ", ".join(map(str, KEPT))
    figure.suptitle(f"The final 1st to {TOP}th (grey: stopped by halving); lines at K = {kept}")
    figure.savefig(path, dpi=150)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/replay"))
    parser.add_argument("--table", type=Path, default=TABLE)
    options = parser.parse_args(words)
    options.out.mkdir(parents=True, exist_ok=True)
    published = Published.read(options.table)
    results = [replay(published, rule) for rule in RULES]
    print("\n".join(lines(results)), flush=True)
    afterwards = [replay(published, rule) for rule in AFTERWARDS]
    print("\nRules added afterwards:\n\n" + "\n".join(lines(afterwards)), flush=True)
    content = {
        "trials": len(published),
        "retrained": int(np.count_nonzero(published.final_rank)),
        "rules": results,
        "rules looked at afterwards": afterwards,
    }
    write_json(options.out / "replay.json", content)
    draw(results, options.out / "replay.png")


if __name__ == "__main__":
    main()
