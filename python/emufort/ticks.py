"""Readable tick labels of logarithmic axes."""

from __future__ import annotations

from typing import Any


def plain_ticks(axis: Any) -> None:
    """Label a logarithmic axis with numbers such as 20, 50, 100 instead of powers of ten.

    Parameters
    ----------
    axis
        An `XAxis` or `YAxis` of matplotlib.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
