"""Rows of a grid as boxes of its dimensions."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emufort.dataset.grid import boxes


@st.composite
def parts_of_grids(draw: st.DrawFn) -> tuple[slice, tuple[int, ...]]:
    lengths = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    stop = draw(st.integers(0, math.prod(lengths)))
    return slice(draw(st.integers(0, stop)), stop), lengths


@given(parts_of_grids())
def test_boxes_hold_exactly_the_rows_in_their_order(
    part: tuple[slice, tuple[int, ...]],
) -> None:
    rows, lengths = part
    numbers = np.arange(math.prod(lengths)).reshape(lengths)
    found = list(boxes(rows, lengths))
    assert len(found) <= 2 * len(lengths) - 1
    joined = [int(number) for box in found for number in numbers[box].ravel()]
    assert joined == list(range(rows.start, rows.stop))
