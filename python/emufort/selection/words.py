"""Sentences that explain a selection, and the formatting of numbers in them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from emufort.selection.entry import BaselineEntry, Entry

#: Warning that is shown with all times that were measured in ONNX Runtime.
ONNX_RUNTIME_TIMES = (
    "Times are those of ONNX Runtime, not of the compiled Fortran that a host model runs. With "
    "times of compiled Fortran, the choice may differ."
)


def front_words(front: Sequence[Entry], ncol: int) -> str:
    """Return "the front (6 members, 16 columns per call)"."""
    members = "1 member" if len(front) == 1 else f"{len(front)} members"
    return f"the front ({members}, {columns(ncol)} per call)"


def columns(ncol: int) -> str:
    """Return "1 column" or "16 columns"."""
    return "1 column" if ncol == 1 else f"{ncol} columns"


def neighbour_sentences(choice: Entry, front: Sequence[Entry]) -> list[str]:
    """Return sentences about the error and time of the next faster and next slower member."""
    sentences = [
        f"Its RMSE over the validation rows is {choice.rmse:.3g} at "
        f"{nanoseconds(choice.ns_per_sample)} ns per sample."
    ]
    place = front.index(choice)
    if place + 1 < len(front):
        slower = front[place + 1]
        sentences.append(
            f"The next slower, {slower}, lowers the error by "
            f"{per_cent(1 - slower.rmse / choice.rmse)} at "
            f"{ratio(slower.ns_per_sample / choice.ns_per_sample)} the time."
        )
    if place > 0:
        faster = front[place - 1]
        more = faster.rmse / choice.rmse if choice.rmse > 0 else math.inf
        if math.isinf(more):
            price = f"has an error of {faster.rmse:.3g}"
        elif more < 2:
            price = f"raises the error by {per_cent(more - 1)}"
        else:
            price = f"has {ratio(more)} the error"
        sentences.append(
            f"The next faster, {faster}, saves "
            f"{per_cent(1 - faster.ns_per_sample / choice.ns_per_sample)} of the time and {price}."
        )
    return sentences


def baseline_sentences(choice: Entry, baselines: Sequence[BaselineEntry]) -> list[str]:
    """Return a sentence for each baseline that compares it with the choice."""
    sentences = []
    for baseline in baselines:
        words = f"{baseline.name} has {_compared_error(baseline, choice)}"
        if baseline.ns_per_sample is None:
            words += " (its time was not measured)"
        else:
            words += (
                f" and takes {ratio(baseline.ns_per_sample / choice.ns_per_sample)} the time "
                f"({nanoseconds(baseline.ns_per_sample)} ns per sample)"
            )
        sentences.append(words + ".")
    return sentences


def _compared_error(baseline: BaselineEntry, choice: Entry) -> str:
    """Return the error of a baseline as a multiple of the choice's, unless one of them is 0."""
    if baseline.rmse == 0:
        return "no error"
    if choice.rmse == 0:
        return f"an RMSE of {baseline.rmse:.3g}"
    return f"{ratio(baseline.rmse / choice.rmse)} the error"


def nanoseconds(value: float) -> str:
    """Return a time with three digits, without an exponent: "0.512", "51.4", "21,400"."""
    return f"{value:.3g}" if value < 999.5 else f"{float(f'{value:.3g}'):,.0f}"


def ratio(value: float) -> str:
    """Return a ratio with two digits: "1.0 times", "2.4 times", "31 times"."""
    text = f"{value:.0f}" if value >= 10 else f"{value:.2g}"
    return f"{'1.0' if text == '1' else text} times"


def per_cent(share: float) -> str:
    """Return a share with two digits in per cent: "4.6 %", "120 %"."""
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"


def rounded_up(value: float) -> str:
    """Return a positive number rounded up to three digits."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return f"{math.ceil(value / unit) * unit:.6g}"
