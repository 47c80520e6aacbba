"""The results over all samples of candidates as text, in a document, and as a figure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.foretell.scores import INTERVAL
from benchmarks.markdown_tables import replaced, table
from emufort.errors import UsageError
from emufort.files import write_text

#: Sample -> name of a prediction -> its numbers, see `predictions.measured`.
Results = Mapping[int, Mapping[str, Mapping[str, Any]]]

#: Number -> its heading in a terminal.
COLUMNS = {
    "all": "all",
    "equal cost": "equal cost",
    "regret 1": "regret 1",
    "regret 5": "regret 5",
    "regret K": "regret K",
    "front": "front",
    "share": "time",
    "seconds": "time [s]",
    "bias": "largest bias",
}
#: Number -> its heading in a document, which shows only these.
HEADINGS = {
    "all": "rank correlation",
    "equal cost": "at equal cost",
    "front": "regret along the front, {keep} kept",
    "bias": "largest bias, ranks of {candidates}",
    "share": "processor time, of training all once",
}
#: Number of decimals; 0 for the others.
_DIGITS = {"all": 2, "equal cost": 2, "share": 1, "seconds": 1}
#: Name of the markers in the document.
_MARKER = "foretell"
_PERCENT = ("regret 1", "regret 5", "regret K", "front", "share")


@dataclass(frozen=True)
class Number:
    """One number over all samples of candidates.

    Attributes
    ----------
    median, low, high
        Median, lowest and highest over the samples.
    n
        Number of samples.
    interval
        95 % interval of the median by a bootstrap over the candidates of each sample; None for
        numbers that are not resampled.
        what is not resampled.
    group
        The group with the largest bias, such as ``"depth 1"``.
    """

    median: float
    low: float
    high: float
    n: int
    interval: tuple[float, float] | None = None
    group: str = ""

    @classmethod
    def of(cls, values: Sequence[float], **more: Any) -> Number:
        return cls(float(np.median(values)), min(values), max(values), len(values), **more)

    def texts(self, key: str) -> tuple[str, str, str]:
        """Return median, range over the samples and interval; empty where there is none."""
        factor, digits = (100 if key in _PERCENT else 1), _DIGITS.get(key, 0)
        form = f"{'+' if key == 'bias' else ''}.{digits}f"

        def pair(low: float, high: float) -> str:
            return f"{factor * low:{form}}..{factor * high:{form}}"

        median = f"{factor * self.median:{form}}{' %' if key in _PERCENT else ''} {self.group}"
        return (
            median.rstrip(),
            pair(self.low, self.high) if self.n > 1 else "",
            pair(*self.interval) if self.interval else "",
        )


def summary(results: Results) -> dict[str, dict[str, Number]]:
    """Return every number of every prediction over the samples."""
    found: dict[str, dict[str, Number]] = {}
    for name in next(iter(results.values())):
        of_samples = [one[name] for one in results.values()]
        numbers = found.setdefault(name, {})
        for key in COLUMNS:
            if key == "bias" and "bias" in of_samples[0]:
                numbers[key] = _largest_bias([one["bias"] for one in of_samples])
            elif key in of_samples[0]:
                values = [float(one[key]) for one in of_samples]
                numbers[key] = Number.of(values, interval=_interval(of_samples, key))
    return found


def _largest_bias(of_samples: Sequence[Mapping[str, Mapping[str, float]]]) -> Number:
    """Return the bias of the group whose median over the samples is the largest in size."""
    shifts: dict[str, list[float]] = {}
    for kinds in of_samples:
        for kind, groups in kinds.items():
            for group, shift in groups.items():
                shifts.setdefault(f"{kind} {group}", []).append(shift)
    numbers = [Number.of(values, group=group) for group, values in shifts.items()]
    return max(numbers, key=lambda number: abs(number.median))


def _interval(of_samples: Sequence[Mapping[str, Any]], key: str) -> tuple[float, float] | None:
    if key not in of_samples[0].get("resampled", {}):
        return None
    medians = np.median([one["resampled"][key] for one in of_samples], axis=0)
    low, high = np.percentile(medians, INTERVAL)
    return float(low), float(high)


def lines(about: Mapping[str, Any], results: Results) -> list[str]:
    """Return the table for a terminal: medians, and below them ranges and intervals."""
    blocks = [("", [("", list(COLUMNS.values()))])]
    for name, numbers in summary(results).items():
        texts = [numbers[key].texts(key) if key in numbers else ("",) * 3 for key in COLUMNS]
        kinds = zip(("median", "range", "interval"), zip(*texts, strict=True), strict=True)
        shown = [(kind, list(row)) for kind, row in kinds if any(row)]
        blocks.append((name + _remark(name, about), shown))
    rows = [row for _, block in blocks for _, row in block]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    found = [about["title"]]
    for name, block in blocks:
        found += [name] if name else []
        for kind, row in block:
            cells = (f"{cell:>{width}}" for cell, width in zip(row[:-1], widths, strict=False))
            found.append("  ".join([f"  {kind:8}", *cells, row[-1]]).rstrip())
    return found


def _remark(name: str, about: Mapping[str, Any]) -> str:
    return " (default)" if name.partition(", ")[0] == about["default"] else ""


def markdown(about: Mapping[str, Any], results: Results) -> list[str]:
    """Return the table for a document, with a description of the measurement."""
    rows = []
    for name, numbers in summary(results).items():
        cells = []
        for key in HEADINGS:
            median, spread, interval = numbers[key].texts(key) if key in numbers else ("", "", "")
            more = spread or interval
            cells.append(f"{median} ({more.replace('..', ' to ')})" if more else median)
        way, comma, rest = name.partition(", ")
        label = f"`{way}`{comma}{rest}" if way in about["ways"] else name
        rows.append([label + _remark(name, about), *cells])
    head = [heading.format(**about) for heading in HEADINGS.values()]
    many = len(results) > 1
    return [
        f"{about['title']}: {about['inputs']} inputs, {about['outputs']} output"
        f"{'s' if about['outputs'] > 1 else ''}, {about['rows']:,} training rows."
        f" {about['candidates']} candidates {'in each sample, seeds' if many else 'of seed'}"
        f" {', '.join(map(str, results))}; step 2: {about['steps']:,} steps,"
        f" {about['seeds']} seeds.",
        "",
        *table(["way of step 1", *head], rows),
        "",
        ("Medians over the samples, in brackets the lowest and highest."
         if many else "In brackets 95 % intervals from a bootstrap over the candidates.")
        + f" Measured with {about['trainer']} on {about['cpu']}, {about['date']}.",
    ]  # fmt: skip


def check(path: Path) -> None:
    """Raise `UsageError` unless `update` can put its tables into the document."""
    try:
        replaced(path.read_text(), _MARKER, "")
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}; give an existing document by --update"
        ) from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}; the tables are inserted between these lines") from error


def update(path: Path, cases: Sequence[tuple[Mapping[str, Any], Results]]) -> None:
    """Insert the tables of all cases between the markers of a document, see `check`."""
    body = "\n\n".join("\n".join(markdown(about, results)) for about, results in cases)
    write_text(path, replaced(path.read_text(), _MARKER, body))


def draw(results: Results, path: Path) -> None:
    """Plot rank correlation at equal cost and regret along the front against processor time.

    Points are medians over the samples, and bars are their range. Lines show predictions without
    step 1, and the upper limit.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    numbers = summary(results)
    panels = {"equal cost": "rank correlation at equal cost", "front": "regret along the front [%]"}
    figure = Figure(figsize=(10, 4 + 0.11 * len(numbers)), layout="constrained")
    handles: dict[str, Any] = {}
    for axes, (key, label) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        factor = 100 if key in _PERCENT else 1
        colours = itertools.cycle(colormaps["tab20"](range(20)))
        lines = itertools.cycle((":", "-.", "--"))
        for name, of_name in numbers.items():
            share = 100 * of_name["share"].median
            is_line = share in (0, 100)
            style = next(lines) if is_line else next(colours)
            if key not in of_name:
                continue
            number = of_name[key]
            if is_line:
                handle = axes.axhline(factor * number.median, color="black", linestyle=style)
            else:
                spread = [number.median - number.low], [number.high - number.median]
                handle = axes.errorbar(
                    share, factor * number.median, factor * np.array(spread), color=style,
                    marker="o", capsize=3, linestyle="none",
                )  # fmt: skip
            handles.setdefault(name, handle)
        axes.set(xscale="log", xlabel="processor time, of training all once [%]", ylabel=label)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    names = [name for name in numbers if name in handles]
    figure.legend(
        [handles[name] for name in names], names, loc="outside lower center", ncols=2, fontsize=8
    )
    figure.savefig(path, dpi=150)
