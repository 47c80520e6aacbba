"""Figures of the report about step 1: the front that it found, and the importances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from emufort.report.style import BLUE, MARKER, ORANGE, new_figure, styled
from emufort.search.front import front_of
from emufort.search.importance_words import ImportanceRow
from emufort.search.trials import Trial
from emufort.ticks import plain_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def importances(rows: Sequence[ImportanceRow], width: float = 5.6) -> Figure:
    """Draw the importance of every hyperparameter for the skill and for the time.

    Parameters
    ----------
    rows
        Hyperparameters (n,), from top to bottom.
    width
        Width of the figure [inches].
    """
    with styled():
        figure, axes = new_figure(width, 0.9 + 0.42 * len(rows))
        axes.grid(True, which="major", axis="x")
        at = list(range(len(rows)))
        for shift, label, color, values in (
            (-0.19, "skill", BLUE, [100 * row.skill for row in rows]),
            (0.19, "time", ORANGE, [100 * row.time for row in rows]),
        ):
            axes.barh([i + shift for i in at], values, height=0.36, color=color, label=label)
        axes.set_yticks(at, [row.name for row in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_xlabel("importance [%]")
        axes.legend(loc="lower right")
    return figure


def search_front(
    trials: Sequence[Trial], measure: str = "loss", width: float = 5.2, height: float = 3.8
) -> Figure:
    """Draw the loss (or error, the `measure`) of every trial against its predicted time.

    Parameters
    ----------
    trials
        Trials of a search with time as an objective.
    measure
        ``"loss"`` or ``"error"``.
    width, height
        Size of the figure [inches].
    """
    finite = [t for t in trials if t.finite]
    front = front_of(trials)
    kinds = (
        ("stopped early", [t for t in finite if t.pruned_at is not None], 9, "#c9d3de"),
        ("trained to the last rung", [t for t in finite if t.pruned_at is None], 26, "#7f93a8"),
        ("front", front, 38, BLUE),
    )
    with styled():
        figure, axes = new_figure(width, height)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.grid(True, which="major")
        axes.step(*_points(front), where="post", color=BLUE, linewidth=1.2, alpha=0.55, zorder=3)
        for label, shown, size, color in kinds:
            if shown:
                axes.scatter(*_points(shown), s=size, color=color, label=label, **MARKER)
        plain_ticks(axes.xaxis)
        plain_ticks(axes.yaxis)
        axes.set_xlabel("predicted time per sample [ns]")
        axes.set_ylabel(f"validation {measure} of step 1")
        axes.legend(loc="best")
    return figure


def _points(trials: Sequence[Trial]) -> tuple[list[float], list[float]]:
    return [t.predicted_ns or 0.0 for t in trials], [t.value for t in trials]
