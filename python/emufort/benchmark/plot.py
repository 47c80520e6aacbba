"""Draw latency and roofline of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emufort.benchmark import machine
from emufort.benchmark.result import Result, Row
from emufort.benchmark.styles import styles
from emufort.files import replacing
from emufort.ticks import plain_ticks

_PANEL_WIDTH, _PANEL_HEIGHT = 6.2, 3.7
#: Height of the title and of one line of the legend [inches].
_TITLE, _LEGEND_LINE = 0.35, 0.22
_LEGEND_COLUMNS = 3
#: Labels of two intensities closer than this factor would overlap.
_LABEL_DISTANCE = 1.5
_GREY = "#555555"

Styles = dict[str, dict[str, Any]]


def write_plot(result: Result, path: Path) -> None:
    """Draw one row of panels per network: latency and roofline on one thread.

    Parameters
    ----------
    result
        The benchmark.
    path
        Path of the PNG file.
    """
    with replacing(path) as temporary:
        draw(result).savefig(temporary, format="png")


def draw(result: Result) -> Any:
    """Return the figure that `write_plot` writes, a `matplotlib.figure.Figure`."""
    from matplotlib.figure import Figure

    models = result.about["models"]
    titles = {c["name"]: c["title"] for c in result.about["contenders"]}
    looks = styles([name for name in titles if name not in result.seconds()])
    drawn = {name: style for name, style in looks.items() if _is_drawn(result, name)}
    legend = _LEGEND_LINE * -(-len(drawn) // _LEGEND_COLUMNS)
    height = _PANEL_HEIGHT * len(models) + _TITLE + legend
    figure = Figure(figsize=(2 * _PANEL_WIDTH, height), dpi=110, layout="constrained")
    axes = figure.subplots(len(models), 2, squeeze=False)
    for (left, right), model in zip(axes, models, strict=True):
        _latency(left, result, model, looks)
        _roofline(right, result, model, looks)
    figure.legend(
        [axes[0, 0].plot([], [], **style)[0] for style in drawn.values()],
        [titles[name] for name in drawn],
        title=machine.title(result.about["machine"]) + ", one thread",
        title_fontsize=11,
        loc="outside upper center",
        ncols=_LEGEND_COLUMNS,
        fontsize=9,
        frameon=False,
    )
    return figure


def _is_drawn(result: Result, name: str) -> bool:
    return any(name in _timed(result, model["name"]) for model in result.about["models"])


def _timed(result: Result, model: str) -> dict[str, list[Row]]:
    """Return the rows with times of a model on one thread, by contender."""
    found: dict[str, list[Row]] = {}
    for row in result.rows:
        is_drawn = row.ns_per_column and row.contender not in result.seconds()
        if (row.model, row.threads, row.status) == (model, 1, "ok") and is_drawn:
            found.setdefault(row.contender, []).append(row)
    return found


def _latency(axis: Any, result: Result, model: dict[str, Any], looks: Styles) -> None:
    for name, rows in _timed(result, model["name"]).items():
        x, y = [r.ncol for r in rows], [r.ns_per_column for r in rows]
        low = [(r.ns_per_column or 0) - (r.ns_q25 or 0) for r in rows]
        high = [(r.ns_q75 or 0) - (r.ns_per_column or 0) for r in rows]
        axis.errorbar(x, y, yerr=[np.maximum(low, 0), np.maximum(high, 0)], **looks[name])
    axis.set_xscale("log")
    axis.set_yscale("log")
    peak = result.about["peak"]
    if peak:
        ideal = 2.0 * model["multiply_adds"] / peak["gflops"]
        axis.axhline(ideal, color="black", linestyle="--", linewidth=1)
        axis.annotate(
            "network at the core's peak",
            (0.99, ideal),
            xycoords=("axes fraction", "data"),
            xytext=(0, -3),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=8,
        )
        axis.set_ylim(bottom=0.6 * min(ideal, axis.get_ylim()[0]))
    ticks = result.unique("ncol")
    axis.set_xticks(ticks, [f"{n:,}" for n in ticks])
    axis.xaxis.minorticks_off()
    plain_ticks(axis.yaxis)
    _finish(axis, f"{model['name']}: {model['title']}", "columns per call", "ns per column")


def _roofline(axis: Any, result: Result, model: dict[str, Any], looks: Styles) -> None:
    """Draw rates against intensity, assuming that a call moves all its data once."""
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    columns = result.unique("ncol")
    intensity = {ncol: _intensity(model, ncol) for ncol in columns}
    low, high = 0.25 * min(intensity.values()), 2.0 * max(intensity.values())
    axis.set_xlim(low, high)
    axis.xaxis.set_major_formatter("{x:g}")
    rates = []
    for name, rows in _timed(result, model["name"]).items():
        points = [r for r in rows if r.gflops]
        if points:
            gflops = [r.gflops or 0.0 for r in points]
            axis.plot([intensity[r.ncol] for r in points], gflops, **looks[name])
            rates += gflops
    peak = result.about["peak"]
    if peak:
        _roofs(axis, peak, low, high, min(rates, default=peak["gflops"]))
    plain_ticks(axis.yaxis)
    _finish(axis, f"{model['name']}: roofline of one core", "operations per byte", "GFLOP/s")
    labelled = 0.0
    for ncol, x in sorted(intensity.items()):
        axis.axvline(x, color=_GREY, linewidth=0.6, alpha=0.35, zorder=1)
        if x > _LABEL_DISTANCE * labelled:
            labelled = x
            axis.annotate(
                f"{ncol:,}" + (" column" if ncol == 1 else ""),
                (x, 0.02),
                xycoords=("data", "axes fraction"),
                xytext=(3, 0),
                textcoords="offset points",
                fontsize=8,
                color=_GREY,
            )


def _intensity(model: dict[str, Any], ncol: int) -> float:
    """Return the operations per byte of a call of `ncol` columns in single precision."""
    moved = model["parameters"] + (model["n_inputs"] + model["n_outputs"]) * ncol
    return float(2.0 * model["multiply_adds"] * ncol / (4.0 * moved))


def _roofs(axis: Any, peak: dict[str, Any], low: float, high: float, slowest: float) -> None:
    """Draw the peak and one slope per level of memory, labelled where it enters the panel."""
    slopes = peak["read_gigabytes_per_second"]
    axis.set_ylim(0.5 * min(slowest, low * min(slopes.values())), 1.8 * peak["gflops"])
    axis.axhline(peak["gflops"], color="black", linewidth=1.4)
    axis.annotate(
        f"peak, {peak['gflops']:.0f} GFLOP/s",
        (0.99, peak["gflops"]),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        fontsize=8,
    )
    x = np.geomspace(low, high, 100)
    for name, bandwidth in slopes.items():
        roof = np.minimum(peak["gflops"], bandwidth * x)
        axis.plot(x, roof, color="black", linewidth=0.9, linestyle=":", zorder=2)
        # The text follows the slope on the page, which depends on the logarithmic axes.
        axis.text(
            1.1 * low,
            1.15 * bandwidth * 1.1 * low,
            f"{name}, {bandwidth:.0f} GB/s",
            rotation=np.degrees(np.arctan(bandwidth)),
            rotation_mode="anchor",
            transform_rotates_text=True,
            clip_on=True,
            fontsize=7.5,
        )


def _finish(axis: Any, title: str, x: str, y: str) -> None:
    axis.set_title(title, fontsize=10, loc="left", fontweight="bold")
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(True, which="major", alpha=0.3)
    axis.set_axisbelow(True)
