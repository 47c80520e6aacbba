"""Tables of operations: their short text, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emufort.errors import EmufortError
from emufort.network.table import MOST_PLACES, Table

NUMBERS = st.lists(st.integers(-1, 40), max_size=60)
RUNS = st.lists(
    st.tuples(st.integers(-1, 1000), st.integers(1, 40), st.integers(-3, 90)), max_size=6
).map(lambda runs: [first + i * step for first, count, step in runs for i in range(count)])


@given(NUMBERS | RUNS, NUMBERS | RUNS)
def test_the_text_of_a_table_is_read_back(rows: list[int], places: list[int]) -> None:
    table = Table(rows, places)
    again = Table.from_dict(json.loads(json.dumps(table.to_dict())))
    assert again == table
    assert hash(again) == hash(table)
    assert again.places.tolist() == places
    assert again.rows.tolist() == rows
    assert table != Table(rows, [*places, 0])


def test_regular_tables_are_short() -> None:
    transposed = np.arange(60 * 128).reshape(60, 128).T.ravel()
    assert len(json.dumps(Table((), transposed).to_dict())) < 1500
    assert Table((), range(100_000)).to_dict() == {"places": "0:100000"}
    assert Table([0, 3, 6, 9], [5] * 9).to_dict() == {"rows": "0:4:3", "places": "5:9:0"}


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_padded_rows_repeat_their_last_place(counts: list[int]) -> None:
    rows = np.cumsum([0, *counts])
    table = Table(rows, np.zeros(rows[-1]))
    padded = table.padded()
    assert padded.shape == (len(counts), max(1, *counts))
    for row, first, count in zip(padded, rows, counts, strict=False):
        wanted = [*range(first, first + count)] or [rows[-1]]
        assert row.tolist() == (wanted + [wanted[-1]] * max(counts))[: len(row)]


@pytest.mark.parametrize(
    "text", ["x", "1:", "1:2:3:4", "1:-2", "0:99999999999", "0:0:1", f"{2**40}", "1:3:1e3", ",-"]
)
def test_texts_that_are_no_table_are_refused(text: str) -> None:
    with pytest.raises(EmufortError, match="a table with a run that is not valid") as caught:
        Table.from_dict({"places": text})
    assert "\n" not in str(caught.value)


def test_a_short_text_cannot_take_much_memory() -> None:
    many = ",".join([f"0:{MOST_PLACES // 2}:0"] * 3)
    with pytest.raises(EmufortError, match="too long"):
        Table.from_dict({"places": many})


@pytest.mark.parametrize(
    ("rows", "places"),
    [
        ([0, 2], [0, 1]),  # too few rows
        ([0, 2, 3], [0, 1]),  # more than there are
        ([0, 1, 2, 2], [0, 1]),
        ([1, 1, 2], [0, 1]),
        ([0, 3, 2], [0, 1]),
        ([0, 1, 2], [0, 5]),
        ([0, 1, 2], [0, -1]),
        ([], [0, 1]),
    ],
)
def test_what_does_not_fit_is_no_table_of_two_rows(rows: list[int], places: list[int]) -> None:
    assert Table([0, 1, 2], [4, 0]).is_valid(2, 5)
    assert not Table(rows, places).is_valid(2, 5)
