"""The style of all figures of the report, and their files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1c2733", "#6b7785", "#dfe4ea"
BLUE, ORANGE = "#2563a8", "#d9480f"
MARKER: dict[str, Any] = {"edgecolors": "white", "zorder": 3}

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9,
    # Fixed, so that the same run gives the same bytes.
    "svg.hashsalt": "emufort",
    "svg.fonttype": "path",
}


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of this size [inches] and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def styled() -> Any:
    """Return the context in which a figure of the report is drawn."""
    import matplotlib as mpl

    return mpl.rc_context(_STYLE)


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG; equal figures give equal bytes."""
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, dpi=110)
    return buffer.getvalue()


def png(figure: Figure, dpi: int = 160) -> bytes:
    """Return a figure as PNG on a white background."""
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": ""})
    return buffer.getvalue()
