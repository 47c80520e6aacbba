"""Figures of the report; each function draws one figure and does not access files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emufort.escape import mathtext
from emufort.report.gather import Column, Curve, Prediction
from emufort.report.style import BLUE, MARKER, ORANGE, new_figure, styled
from emufort.ticks import plain_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours and markers of baselines, in the order of the contract; the first 20 pairs are unique.
BASELINES = ("#2b8a3e", "#7048a8", "#0b7285", "#a61e4d")
BASELINE_MARKERS = ("D", "s", "^", "v", "P")

#: Kinds of retrained candidates: their names in the legend, and their style.
LABELS = {
    "control": "control group, drawn at random",
    "front": "along the predicted front",
    "choice": "choice",
}
_KINDS: dict[str, dict[str, Any]] = {
    "control": {"s": 44, "marker": "D", "color": "#2b8a3e"},
    "front": {"s": 38, "marker": "o", "color": BLUE},
    "choice": {"s": 190, "marker": "*", "color": ORANGE},
}


# ------------------------------------------------------------------------------------- the front


def pareto(
    selection: Mapping[str, Any],
    normalised: bool = False,
    width: float = 6.4,
    height: float = 4.2,
) -> Figure:
    """Draw error against measured time with the front, the choice and the baselines.

    Parameters
    ----------
    selection
        Content of selection.json.
    normalised
        Whether errors are in standard deviations.
    width, height
        Size of the figure [inches].
    """
    positive = [e["rmse"] for kind in ("all", "baselines") for e in selection[kind] if e["rmse"]]
    # An error of 0 has no logarithm; it is drawn far below all others.
    lowest = 0.01 * min(positive, default=1.0)
    candidates, front, baselines = (
        [{**e, "rmse": e["rmse"] or lowest} for e in selection[kind]]
        for kind in ("all", "front", "baselines")
    )
    choice = next(e for e in candidates if e["id"] == selection["choice"])
    with styled():
        figure, axes = new_figure(width, height)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.grid(True, which="major")
        _scatter(axes, candidates, s=26, color="#a9b8c9", label="retrained candidates")
        axes.step(*_points(front), where="post", color=BLUE, linewidth=1.2, alpha=0.55, zorder=3)
        _scatter(axes, front, s=38, color=BLUE, label="Pareto front", zorder=4)
        _scatter(
            axes,
            [choice],
            **{"s": 190, "marker": "*", "color": ORANGE, "zorder": 6, "linewidths": 0},
            label=f"choice: {mathtext(choice['label'])}",
        )
        _baselines(axes, baselines)
        _limits(axes, [*candidates, *baselines])
        ncol = selection["ncol"]
        foreign = selection.get("backend", "fortran") != "fortran"
        what = "time per sample in ONNX Runtime" if foreign else "measured time per sample"
        axes.set_xlabel(f"{what} [ns], {ncol} column{'s' * (ncol != 1)} per call")
        unit = " [standard deviations]" if normalised else ""
        axes.set_ylabel(f"RMSE on the validation split{unit}")
        plain_ticks(axes.xaxis)
        plain_ticks(axes.yaxis)
        # The legend is above the axes, where it cannot cover points.
        figure.legend(loc="outside upper left", ncols=3, columnspacing=1.2)
    return figure


def _points(entries: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    return [e["ns_per_sample"] for e in entries], [e["rmse"] for e in entries]


def _scatter(axes: Axes, entries: Sequence[Mapping[str, Any]], **style: Any) -> None:
    axes.scatter(*_points(entries), **{"zorder": 2, "edgecolors": "white", **style})


def _baselines(axes: Axes, baselines: Sequence[Mapping[str, Any]]) -> None:
    """Draw a marker for each timed baseline, and a line for each one that was not timed."""
    for number, baseline in enumerate(baselines):
        color = BASELINES[number % len(BASELINES)]
        marker = BASELINE_MARKERS[number % len(BASELINE_MARKERS)]
        name = mathtext(baseline["name"])
        if baseline["ns_per_sample"] is None:
            dashes = (0, (4 + number, 3))
            label = f"{name} (not timed)"
            axes.axhline(
                baseline["rmse"], color=color, linestyle=dashes, linewidth=1.1, label=label
            )
        else:
            _scatter(axes, [baseline], s=64, marker=marker, color=color, zorder=5, label=name)


def _limits(axes: Axes, entries: Sequence[Mapping[str, Any]]) -> None:
    """Set limits that leave a margin around all entries."""
    x = [e["ns_per_sample"] for e in entries if e["ns_per_sample"] is not None]
    y = [e["rmse"] for e in entries]
    room = 0.09 * max(np.log(max(x) / min(x)), 1.0)
    axes.set_xlim(min(x) * np.exp(-room), max(x) * np.exp(room))
    room = 0.10 * max(np.log(max(y) / min(y)), 0.6)
    axes.set_ylim(min(y) * np.exp(-room), max(y) * np.exp(room))


# ------------------------------------------------------------------------------- the predictions


def density(column: Column, width: float = 3.0, height: float = 3.0) -> Figure:
    """Draw predicted against true values as a density, with the diagonal."""
    from matplotlib.colors import LinearSegmentedColormap, LogNorm
    from matplotlib.ticker import MaxNLocator

    colors = LinearSegmentedColormap.from_list(
        "density", ["#d6e4f3", "#7fb0dd", BLUE, "#123a66", "#081d36"]
    )
    true, predicted = column.true, column.predicted
    finite = np.isfinite(true) & np.isfinite(predicted)
    true, predicted = true[finite], predicted[finite]
    with styled():
        figure, axes = new_figure(width, height)
        edges = _edges(np.concatenate([true, predicted]), column.is_logarithmic)
        counts, _, _ = np.histogram2d(true, predicted, bins=(edges, edges))
        mesh = np.ma.masked_equal(counts.T, 0)
        axes.pcolormesh(
            edges,
            edges,
            mesh,
            cmap=colors,
            norm=LogNorm(1, max(2.0, counts.max())),
            rasterized=True,
        )
        if column.is_logarithmic:
            axes.set_xscale("log")
            axes.set_yscale("log")
        ends = [edges[0], edges[-1]]
        axes.plot(ends, ends, color=ORANGE, linewidth=0.8, alpha=0.9)
        axes.set_xlim(*ends)
        axes.set_ylim(*ends)
        axes.set_aspect("equal")
        if not column.is_logarithmic:
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        units = f" [{mathtext(column.units)}]" if column.units not in ("", "1") else ""
        axes.set_xlabel(f"true{units}")
        axes.set_ylabel(f"predicted{units}")
    return figure


def _edges(values: NDArray[np.float64], logarithmic: bool, bins: int = 90) -> NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    if high == low:
        high = low + (abs(low) or 1.0)
    return (np.geomspace if logarithmic else np.linspace)(low, high, bins + 1)


# ------------------------------------------------------------------------------------ the training


def learning_curves(
    curves: Sequence[Curve], choice: str, width: float = 6.4, height: float = 3.5
) -> Figure:
    """Draw the validation loss of every retrained candidate, and both losses of the choice.

    Parameters
    ----------
    curves
        Curves to draw.
    choice
        Identity of the chosen candidate.
    width, height
        Size of the figure [inches].
    """
    with styled():
        figure, axes = new_figure(width, height)
        axes.set_yscale("log")
        axes.grid(True, which="major")
        others = [c for c in curves if c.id != choice]
        for number, curve in enumerate(others):
            axes.plot(
                curve.step,
                curve.validation,
                color="#a9b8c9",
                linewidth=0.9,
                label="other candidates, validation" if number == 0 else None,
            )
        for curve in curves:
            if curve.id == choice:
                axes.plot(
                    curve.step,
                    curve.train,
                    color=ORANGE,
                    linewidth=1.0,
                    linestyle=(0, (2, 2)),
                    label="choice, training",
                )
                axes.plot(
                    curve.step,
                    curve.validation,
                    color=ORANGE,
                    linewidth=1.8,
                    label="choice, validation",
                )
        axes.set_xlabel("training step")
        axes.set_ylabel("loss")
        axes.legend(loc="upper right")
    return figure


def agreement(
    pairs: Sequence[Mapping[str, Any]],
    choice: int | None,
    measure: str = "loss",
    width: float = 5.2,
    height: float = 3.8,
) -> Figure:
    """Draw the loss (or error, the `measure`) after retraining against that of the search.

    The control group, the candidates chosen along the front and the choice have different markers.
    Runs of earlier versions have no control group.

    Parameters
    ----------
    pairs
        Retrained candidates, the entry ``pairs`` of agreement.json.
    choice
        Trial number of the chosen candidate, None if it is not known.
    measure
        ``"loss"`` or ``"error"``.
    width, height
        Size of the figure [inches].
    """
    with styled():
        figure, axes = new_figure(width, height)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.grid(True, which="major")
        grouped = any("control" in p for p in pairs)
        labels = {**LABELS, **({} if grouped else {"front": "retrained"})}
        kinds = [
            "choice" if p["trial"] == choice else "control" if p.get("control") else "front"
            for p in pairs
        ]
        for kind, style in _KINDS.items():
            shown = [p for p, of in zip(pairs, kinds, strict=True) if of == kind]
            if shown:
                axes.scatter(
                    [p["search_loss"] for p in shown],
                    [p["validation_loss"] for p in shown],
                    **MARKER,
                    **style,
                    label=labels[kind],
                )
        plain_ticks(axes.xaxis)
        plain_ticks(axes.yaxis)
        axes.set_xlabel(f"validation {measure} in the search (subset of the data)")
        axes.set_ylabel(f"validation {measure}, retrained")
        if len(set(kinds)) > 1:
            axes.legend(loc="best")
    return figure


def predictions(
    shown: Sequence[Prediction],
    choice: int | None,
    measure: str = "loss",
    width: float = 5.2,
    height: float = 3.8,
) -> Figure:
    """Draw the loss (or error, the `measure`) of every candidate against its multiply-adds.

    Trained candidates show their final loss, the others the predicted loss with its interval.

    Parameters
    ----------
    shown
        Candidates to draw.
    choice
        Trial number of the chosen candidate, None if it is not known.
    measure
        ``"loss"`` or ``"error"``.
    width, height
        Size of the figure [inches].
    """
    open_ = [p for p in shown if p.trained is None]
    trained = [p for p in shown if p.trained is not None and np.isfinite(p.trained)]
    with styled():
        figure, axes = new_figure(width, height)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.grid(True, which="major")
        if open_:
            axes.errorbar(
                [p.multiply_adds for p in open_],
                [p.loss for p in open_],
                yerr=np.maximum([[p.loss - p.low, p.high - p.loss] for p in open_], 0.0).T,
                fmt="o",
                markersize=3,
                color="#a9b8c9",
                elinewidth=0.8,
                zorder=2,
                label="predicted, 90 % interval",
            )
        for kind, mine in (("trained", False), ("choice", True)):
            points = [p for p in trained if (p.trial == choice) is mine]
            if points:
                axes.scatter(
                    [p.multiply_adds for p in points],
                    [p.trained or np.nan for p in points],
                    **MARKER,
                    **_KINDS["choice" if mine else "front"],
                    label=kind,
                )
        plain_ticks(axes.xaxis)
        plain_ticks(axes.yaxis)
        axes.set_xlabel("multiply-adds per sample")
        axes.set_ylabel(f"validation {measure} after step 2")
        axes.legend(loc="best")
    return figure
