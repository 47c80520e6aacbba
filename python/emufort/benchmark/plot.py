"""Latency and roofline of a benchmark as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emufort.benchmark import machine
from emufort.benchmark.result import Result, Row
from emufort.files import replacing

_NATIVE = ("#67001f", "#b2182b", "#d6604d", "#f4a582")
_OTHERS = ("#2166ac", "#4393c3", "#1b7837", "#7fbf7b", "#762a83", "#af8dc3", "#525252")


def write_plot(result: Result, path: Path) -> None:
    """Draw ns per column against columns for each network, and the roofline; one thread."""
    from matplotlib.figure import Figure

    models = result.about["models"]
    n_panels = len(models) + 1
    n_wide = 2 if n_panels in (1, 2, 4) else 3
    n_high = -(-n_panels // n_wide)
    figure = Figure(figsize=(5.2 * n_wide, 4.2 * n_high + 1.0), dpi=110)
    axes = figure.subplots(n_high, n_wide, squeeze=False).ravel()
    styles = _styles(result)
    for axis, model in zip(axes, models, strict=False):
        _latency(axis, result, model, styles)
    _roofline(axes[len(models)], result, models, styles)
    for axis in axes[n_panels:]:
        axis.set_visible(False)
    handles = [axes[0].plot([], [], **style)[0] for style in styles.values()]
    titles = {c["name"]: c["title"] for c in result.about["contenders"]}
    figure.legend(
        handles,
        [titles[name] for name in styles],
        loc="lower center",
        ncols=min(4, len(styles)),
        fontsize=8,
        frameon=False,
    )
    figure.suptitle(machine.title(result.about["machine"]) + ", one thread", fontsize=10)
    legend_height = 0.25 * (-(-len(styles) // 4) + 1) / (4.2 * n_high + 1.0)
    figure.tight_layout(rect=(0, legend_height, 1, 0.99))
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _styles(result: Result) -> dict[str, dict[str, Any]]:
    """Return colour and marker of every contender, ours in reds."""
    styles = {}
    counts = [0, 0]
    for contender in result.about["contenders"]:
        if contender.get("second_of"):
            continue
        native = contender["is_native"]
        colours = _NATIVE if native else _OTHERS
        k = counts[native] % len(colours)
        counts[native] += 1
        styles[contender["name"]] = {
            "color": colours[k],
            "marker": "o" if native else "s",
            "markersize": 4,
            "linewidth": 1.8 if native else 1.0,
        }
    return styles


def _good(result: Result, model: str) -> dict[str, list[Row]]:
    """Return the rows with times of a model on one thread, by contender."""
    found: dict[str, list[Row]] = {}
    for row in result.rows:
        is_drawn = row.ns_per_column and row.contender not in result.seconds()
        if (row.model, row.threads, row.status) == (model, 1, "ok") and is_drawn:
            found.setdefault(row.contender, []).append(row)
    return found


def _latency(
    axis: Any, result: Result, model: dict[str, Any], styles: dict[str, dict[str, Any]]
) -> None:
    for name, rows in _good(result, model["name"]).items():
        x, y = [r.ncol for r in rows], [r.ns_per_column for r in rows]
        low = [(r.ns_per_column or 0) - (r.ns_q25 or 0) for r in rows]
        high = [(r.ns_q75 or 0) - (r.ns_per_column or 0) for r in rows]
        axis.errorbar(x, y, yerr=[np.maximum(low, 0), np.maximum(high, 0)], **styles[name])
    peak = result.about["peak"]
    if peak:
        ideal = 2.0 * model["multiply_adds"] / peak["gflops"]
        axis.axhline(ideal, color="black", linestyle="--", linewidth=1)
        axis.text(1, ideal * 1.05, "peak", fontsize=8)
    axis.set_xscale("log")
    axis.set_yscale("log")
    ticks = result.unique("ncol")
    axis.set_xticks(ticks, [f"{n:,}" for n in ticks], fontsize=8)
    axis.minorticks_off()
    axis.set_xlabel("columns per call")
    axis.set_ylabel("ns per column")
    axis.set_title(f"{model['name']}: {model['title']}", fontsize=9)
    axis.grid(True, which="major", alpha=0.3)


def _roofline(
    axis: Any,
    result: Result,
    models: list[dict[str, Any]],
    styles: dict[str, dict[str, Any]],
) -> None:
    """Draw rates against intensity: weights, inputs and outputs of a call are moved once."""
    peak = result.about["peak"]
    intensity = np.geomspace(0.25, 4096, 200)
    if peak:
        axis.axhline(peak["gflops"], color="black", linewidth=1.2)
        for name, bandwidth in peak["read_gigabytes_per_second"].items():
            roof = np.minimum(peak["gflops"], bandwidth * intensity)
            axis.plot(intensity, roof, color="black", linewidth=0.8, linestyle=":")
            axis.text(0.27, bandwidth * 0.3, name, fontsize=7, rotation=35)
    for model in models:
        moved = model["n_inputs"] + model["n_outputs"]
        for name, rows in _good(result, model["name"]).items():
            points = [r for r in rows if r.gflops]
            x = [
                2.0
                * model["multiply_adds"]
                * r.ncol
                / (4.0 * (model["parameters"] + moved * r.ncol))
                for r in points
            ]
            style = {**styles[name], "linewidth": 0.5, "markersize": 3}
            axis.plot(x, [r.gflops for r in points], alpha=0.8, **style)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_ylim(0.1, None)
    axis.set_xlabel("operations per byte")
    axis.set_ylabel("GFLOP/s")
    axis.set_title("roofline of one core", fontsize=9)
    axis.grid(True, which="major", alpha=0.3)
