"""Does step 1 foretell step 2? Every candidate is trained by every way of step 1, and to the end.

    python benchmarks/foretell.py [--out FOLDER] [--candidates 128] [--samples 1,2] [--ways ...]

Random candidates of a search space are trained by each way of step 1 (little data, few epochs) and
all of them by step 2 (all rows, several seeds), so that the order that step 1 gives can be compared
with the final one over **all** candidates, not over those that were kept. The script prints, for
every way: Spearman's rank correlation over all candidates and at equal cost; the regret of
retraining the first 1, 5 and K; the regret along the front of loss against cost with K candidates
kept as `emufort retrain` keeps them; by how many ranks an activation function or a batch size is
placed too low or too high; and processor time. For comparison it does the same for K candidates
drawn at random, for the cost of a network without any training, and for a second seed of step 2,
which is what can be reached. _foretell_scores.py defines every number.

A way is SCHEDULE:EPOCHS:ROWS[:BATCH]; 0 rows stands for all. Several samples of candidates give the
median and the range of each number. Stopped, the same command continues; FOLDER/foretell.json and
foretell.png hold the results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
from _foretell_scores import (
    bias,
    rank_correlation,
    rank_correlation_at_equal_cost,
    regret,
    regret_along_the_front,
)
from _foretell_trainings import FINAL, Trainings, Way, units

from emufort.config import Config, read_toml
from emufort.search.promotion import promote
from emufort.search.trials import Trial

WAYS = (
    "constant:5:2000,constant:20:2000,constant:100:2000,cosine:100:2000,cosine:25:8000,"
    "cosine:50:16000,cosine:16:0:32"
)
#: Draws of K candidates at random.
_DRAWS = 200


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/foretell"))
    parser.add_argument("--data", default=None, help="netCDF file; the embedded data otherwise")
    parser.add_argument("--contract", default="activation")
    parser.add_argument("--config", type=Path, help="TOML file with [search.space] and [retrain]")
    parser.add_argument("--candidates", type=int, default=128, help="in each sample")
    parser.add_argument("--samples", default="1", help="seeds of the candidates: 1,2,3")
    parser.add_argument("--ways", default=WAYS, help="of step 1: SCHEDULE:EPOCHS:ROWS[:BATCH],...")
    parser.add_argument("--steps", type=int, default=20_000, help="of step 2")
    parser.add_argument("--seeds", type=int, default=2, help="of step 2")
    parser.add_argument("--keep", type=int, default=28, help="candidates K that step 2 would take")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args(words)


def kept_by(score: np.ndarray, trainings: Trainings, sample: int, k: int) -> list[int]:
    """Return the candidates that `emufort retrain` would take by this score."""
    trials = [
        Trial(
            number=number, architecture=architecture, learning_rate=candidate.learning_rate,
            batch_size=candidate.batch_size, value=float(score[number]), epochs=1, pruned_at=None,
            seconds=0.0, batch=0, rungs=(),
        )
        for number, (candidate, architecture) in enumerate(
            zip(trainings.candidates(sample), trainings.architectures(sample), strict=True)
        )
    ]  # fmt: skip
    return [trial.number for trial, _ in promote(trials, k)]


def compare(trainings: Trainings, sample: int, ways: list[str], seeds: int, k: int) -> Any:
    """Return all numbers of one sample of candidates, by the name of what predicts."""
    finals = [trainings.table(sample, FINAL, again)[0] for again in range(seeds)]
    # A training that diverged is as bad as the worst that did not.
    finals = [np.where(np.isfinite(f), f, f[np.isfinite(f)].max()) for f in finals]
    final = np.exp(np.mean(np.log(finals), axis=0))
    seconds = trainings.table(sample, FINAL, 0)[1]
    cost = np.array([a.relative_cost for a in trainings.architectures(sample)])
    candidates = trainings.candidates(sample)
    groups = {
        "activation": [c.activation for c in candidates],
        "batch size": [str(c.batch_size) for c in candidates],
    }

    def scored(score: np.ndarray, judge: np.ndarray, spent: float) -> dict[str, Any]:
        finite = score[np.isfinite(score)]
        score = np.where(np.isfinite(score), score, 10 * finite.max())
        shifts = {name: bias(score, judge, of) for name, of in groups.items()}
        return {
            "all": rank_correlation(score, judge),
            "equal cost": rank_correlation_at_equal_cost(score, judge, cost),
            "regret 1": regret(score, judge, 1),
            "regret 5": regret(score, judge, 5),
            "regret K": regret(score, judge, k),
            "front": regret_along_the_front(kept_by(score, trainings, sample, k), judge, cost),
            "worst bias": max(abs(v) for group in shifts.values() for v in group.values()),
            "bias": shifts,
            "seconds": spent,
            "share": spent / seconds,
        }

    found = {way: scored(*_first(trainings.table(sample, way, 0), final)) for way in ways}
    found["cost alone"] = scored(1.0 / cost, final, 0.0)
    if seeds > 1:
        found["another seed of step 2"] = scored(finals[1], finals[0], seconds)
    rng = np.random.default_rng(sample)
    draws = [rng.permutation(trainings.n)[:k] for _ in range(_DRAWS)]
    drawn = [regret_along_the_front(draw.tolist(), final, cost) for draw in draws]
    found[f"{k} at random"] = {"front": float(np.median(drawn))}
    return found


def _first(table: tuple[np.ndarray, float], final: np.ndarray) -> tuple[Any, Any, float]:
    return table[0], final, table[1]


SHOWN = ("all", "equal cost", "regret 1", "regret 5", "regret K", "front", "worst bias", "share")
_PERCENT = ("regret 1", "regret 5", "regret K", "front", "share")


def lines(results: dict[int, Any]) -> list[str]:
    """Return the table: medians over the samples, and the range where there are several."""
    names = list(next(iter(results.values())))
    width = max(map(len, names))
    found = [f"{'':{width}}  " + "  ".join(f"{name:>15}" for name in SHOWN)]
    for name in names:
        cells = []
        for key in SHOWN:
            values = [one[name][key] for one in results.values() if key in one[name]]
            if not values:
                cells.append("-")
                continue
            factor, unit = (100, " %") if key in _PERCENT else (1, "")
            digits = 2 if key in ("all", "equal cost") else 0
            text = f"{factor * float(np.median(values)):.{digits}f}{unit}"
            if len(values) > 1:
                low, high = (f"{factor * f(values):.{digits}f}" for f in (min, max))
                text += f" ({low}..{high})"
            cells.append(text)
        found.append(f"{name:{width}}  " + "  ".join(f"{cell:>15}" for cell in cells))
    return found


def draw(results: dict[int, Any], path: Path) -> None:
    """Draw rank correlation at equal cost and regret along the front against processor time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, key, label in zip(
        panels,
        ("equal cost", "front"),
        ("rank correlation at equal cost", "regret along the front"),
        strict=True,
    ):
        for name in next(iter(results.values())):
            points = [one[name] for one in results.values() if one[name].get("seconds")]
            if points:
                shares = [one["share"] for one in points]
                axes.plot(shares, [one[key] for one in points], "o", label=name)
        axes.set_xscale("log")
        axes.set_xlabel("processor time, as a share of training all candidates to the end")
        axes.set_ylabel(label)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=150)


def main(words: list[str] | None = None) -> None:
    options = arguments(words)
    content = read_toml(options.config) if options.config else {}
    content["retrain"] = {**content.get("retrain", {}), "steps": options.steps}
    config = Config.from_dict(content, str(options.config or "arguments"))
    ways = [Way.parse(text) for text in options.ways.split(",") if text]
    samples = [int(word) for word in options.samples.split(",")]
    trainings = Trainings(options.data, options.contract, config, options.candidates, options.out)
    trainings.do(units(samples, options.candidates, ways, options.seeds), options.workers)
    results = {
        sample: compare(trainings, sample, [str(w) for w in ways], options.seeds, options.keep)
        for sample in samples
    }
    about = {
        "data": options.data or "embedded",
        "candidates": options.candidates,
        "rows": len(trainings.arrays.x_train),
        "steps": options.steps,
        "seeds": options.seeds,
        "keep": options.keep,
        "machine": platform.processor() or platform.machine(),
    }
    (options.out / "foretell.json").write_text(
        json.dumps({"about": about, "samples": results}, indent=2) + "\n"
    )
    draw(results, options.out / "foretell.png")
    print("\n".join(lines(results)))


if __name__ == "__main__":
    main()
