"""Lines and tables for a terminal of any width, or for a log; numbers are never cut."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from emufort.escape import terminal

#: Width of text without a terminal; lines of a log are as long as necessary.
_LOG_WIDTH = 10_000
#: Positions at which a cell of text may be broken: after a space, and after a hyphen between the
#: widths of layers, but never within a number.
_BREAKS = re.compile(r"(?<=\s)(?=\S)|(?<=[^\s-][-/])(?<!\de-)(?=[^\s-])")

_quiet = False


def be_quiet(quiet: bool = True) -> None:
    """Suppress progress and tables from now on; errors and warnings still appear."""
    global _quiet
    _quiet = quiet


def console() -> Console:
    """Return the console that prints to the terminal, or to a log in its place."""
    made = Console(highlight=False, quiet=_quiet)
    return made if made.is_terminal else Console(highlight=False, quiet=_quiet, width=_LOG_WIDTH)


@dataclass
class Table:
    """A table that wraps its text and leaves out columns if the width requires it.

    Attributes
    ----------
    title
        Line above the table.
    columns
        Names of the columns, the most important first; the last ones are left out first.
    text
        Names of the columns with text, which may be wrapped; other cells are not broken.
    """

    title: str
    columns: Sequence[str]
    text: Sequence[str] = ()
    rows: list[tuple[tuple[str, ...], str | None, bool]] = field(default_factory=list)

    def add(self, *cells: str, style: str | None = None, end_section: bool = False) -> None:
        """Add a row of plain text (brackets are not markup), with or without a line below it."""
        self.rows.append((tuple(map(terminal, cells)), style, end_section))

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the table for the width of the console, and a line that names omitted columns."""
        for n in range(len(self.columns), 0, -1):
            for edges in (True, False):
                widths = self._fitting(n, edges, options.max_width)
                if widths is not None:
                    yield self._drawn(widths, edges)
                    if n < len(self.columns):
                        left_out = ", ".join(self.columns[n:])
                        yield Text(f"(left out to fit the width: {left_out})")
                    return
        # Not even the first column fits, so the terminal wraps the lines.
        for cells, *_ in self.rows:
            yield Text("; ".join(f"{c} {v}" for c, v in zip(self.columns, cells, strict=True)))

    def _fitting(self, n: int, edges: bool, width: int) -> list[int] | None:
        """Return the widths of the first `n` columns, or None if they do not fit into `width`."""
        parts = [[self.columns[j], *(cells[j] for cells, *_ in self.rows)] for j in range(n)]
        widths = [max(map(len, cells)) for cells in parts]
        least = [
            max(
                max(map(len, self.columns[j].split())),
                *(map(_longest, cells[1:]) if self._wraps(j) else map(len, cells[1:])),
                1,
            )
            for j, cells in enumerate(parts)
        ]
        room = width - (3 * n + 1 if edges else 2 * (n - 1))
        if sum(least) > room:
            return None
        while sum(widths) > room:
            # The column that can be narrowed most is narrowed first.
            j = max(range(n), key=lambda j: (widths[j] - least[j], widths[j]))
            widths[j] -= 1
        return widths

    def _wraps(self, j: int) -> bool:
        return j == 0 or self.columns[j] in self.text

    def _drawn(self, widths: Sequence[int], edges: bool) -> RichTable:
        drawn = RichTable(
            title=Text(terminal(self.title)) if self.title else None,
            title_justify="left",
            box=box.HEAVY_HEAD if edges else None,
            padding=(0, 1) if edges else (0, 2, 0, 0),
            pad_edge=edges,
        )
        for j, width in enumerate(widths):
            drawn.add_column(
                Text(wrapped(self.columns[j], width)),
                justify="left" if self._wraps(j) else "right",
                no_wrap=True,
                width=width,
                vertical="bottom",
            )
        for cells, style, end in self.rows:
            shown = map(Text, map(wrapped, cells, widths))
            drawn.add_row(*shown, style=style, end_section=end)
        return drawn


def wrapped(text: str, width: int) -> str:
    """Break a text into lines of at most `width` characters between its words and numbers."""
    lines = [""]
    for piece in _BREAKS.split(text):
        if lines[-1] and len((lines[-1] + piece).rstrip()) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return "\n".join(lines)


def _longest(text: str) -> int:
    return max((len(piece.strip()) for piece in _BREAKS.split(text)), default=0)
