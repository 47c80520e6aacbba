"""Rows that are the points of several sample dimensions, such as time, latitude and longitude."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence


def boxes(rows: slice, lengths: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Yield boxes of a grid that hold exactly the given rows, in their order.

    Parameters
    ----------
    rows
        A range of rows; row numbers count the points of the grid, the last dimension fastest.
    lengths
        Lengths of the dimensions of the grid, at least one.

    Yields
    ------
    tuple of slice
        A part of each dimension; at most 2 d - 1 boxes for d dimensions.
    """
    if len(lengths) == 1:
        if rows.start < rows.stop:
            yield (rows,)
        return
    inner = math.prod(lengths[1:])
    first, last = -(-rows.start // inner), rows.stop // inner
    if first > last:  # a part of one entry of the first dimension
        yield from _within(last, rows.start, rows.stop, lengths)
        return
    if rows.start < first * inner:
        yield from _within(first - 1, rows.start, first * inner, lengths)
    if first < last:
        yield (slice(first, last), *(slice(0, length) for length in lengths[1:]))
    if last * inner < rows.stop:
        yield from _within(last, last * inner, rows.stop, lengths)


def _within(
    entry: int, start: int, stop: int, lengths: Sequence[int]
) -> Iterator[tuple[slice, ...]]:
    """Yield boxes of the rows `start` to `stop` in one entry of the first dimension."""
    before = entry * math.prod(lengths[1:])
    for box in boxes(slice(start - before, stop - before), lengths[1:]):
        yield (slice(entry, entry + 1), *box)
