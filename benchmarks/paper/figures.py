"""The figures of the experiments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.paper.sizes import TOLERANCE

Results = Mapping[str, Any]


def _ranks(found: Results, axes: Any) -> None:
    """Plot rank correlations by the number of rows."""
    of = found["ranks"]
    rows = [row["rows"] for row in of["subsets"]]
    for key, interval, label in (
        ("correlation", "interval", "all candidates"),
        ("at equal cost", "interval at equal cost", "at equal cost"),
    ):
        low, high = zip(*(row[interval] for row in of["subsets"]), strict=True)
        (line,) = axes.plot(rows, [row[key] for row in of["subsets"]], "o-", label=label)
        axes.fill_between(rows, low, high, alpha=0.2, color=line.get_color())
    if "all rows again" in of:
        value = of["all rows again"]["correlation"]
        axes.axhline(value, color="black", linestyle="--", label="another seed on all rows")
    value = of["multiply-adds alone"]["correlation"]
    axes.axhline(value, color="black", linestyle=":", label="multiply-adds alone")
    axes.set(xscale="log", xlabel="rows of step 1", ylabel="rank correlation with all rows")
    axes.legend(fontsize=8)


def _skills(found: Results, axes: Any) -> None:
    """Plot the RMSE after step 2 by the number of rows, a line for each K."""
    of = found["skills"]
    rows = [row["rows"] for row in of["subsets"]]
    for k in of["at random"]:
        values = [row["kept"][k] for row in of["subsets"]]
        (line,) = axes.plot(rows, [v["median"] for v in values], "o-", label=f"K = {k}")
        low, high = [v["low"] for v in values], [v["high"] for v in values]
        axes.fill_between(rows, low, high, alpha=0.15, color=line.get_color())
    axes.axhline(of["all"], color="black", linestyle="--", label="all on all rows")
    axes.set(xscale="log", yscale="log", xlabel="rows of step 1", ylabel="test RMSE after step 2")
    axes.legend(fontsize=8)


def _speed(found: Results, axes: Any) -> None:
    """Plot the RMSE after step 2 against the speed-up, a line for each K."""
    skill, speed = found["skills"]["subsets"], found["speed"]["subsets"]
    for k in found["skills"]["at random"]:
        axes.plot(
            [row["both steps"][k] for row in speed],
            [row["kept"][k]["median"] for row in skill],
            "o-", label=f"K = {k}",
        )  # fmt: skip
    axes.plot(1, found["skills"]["all"], "k*", label="all on all rows")
    axes.set(xscale="log", yscale="log", xlabel="times faster, both steps",
             ylabel="test RMSE after step 2")  # fmt: skip
    axes.legend(fontsize=8)


def _sizes(found: Results, axes: Any) -> None:
    """Plot the RMSE of all candidates against their parameters."""
    of = found["sizes"]
    rows = of["candidates"]
    depth = [len(row["hidden"]) for row in rows]
    points = axes.scatter([row["parameters"] for row in rows], [row["rmse"] for row in rows],
                          c=depth, s=14, cmap="viridis")  # fmt: skip
    axes.figure.colorbar(points, ax=axes, label="hidden layers")
    limit = (1 + TOLERANCE) * of["best"]["rmse"]
    axes.axhline(limit, color="black", linestyle=":", label=f"{100 * TOLERANCE:.0f} % above best")
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="test RMSE")
    axes.legend(fontsize=8)


#: Name of the file -> function that plots it.
FIGURES = {
    "paper_ranks": _ranks,
    "paper_skill": _skills,
    "paper_speed": _speed,
    "paper_size": _sizes,
}


def draw(found: Results, folder: Path) -> None:
    """Draw all figures as PNG files into a folder."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    for name, plot in FIGURES.items():
        figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
        plot(found, axes)
        figure.savefig(folder / f"{name}.png", dpi=110)
        pyplot.close(figure)
