"""The table of an operation: which features make each feature of its output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emufort.errors import EmufortError

Integers = NDArray[np.int64]

#: Most places of a table; a text that stands for more is refused before it takes memory.
MOST_PLACES = 2**24


@dataclass(frozen=True, eq=False)
class Table:
    """Places of features, in rows of any length; a row belongs to one feature of the output.

    Attributes
    ----------
    rows
        Row i holds the places ``rows[i]`` to ``rows[i + 1] - 1``; begins with 0 and ends with the
        number of places. Empty for an operation with one place for each feature of the output.
    places
        Features of all input buffers, one buffer after the other, from 0; -1 is the constant 0
        where the operation allows it.
    """

    rows: Integers
    places: Integers

    def __init__(self, rows: Sequence[int] | Integers, places: Sequence[int] | Integers) -> None:
        for name, values in (("rows", rows), ("places", places)):
            array = np.array(values, dtype=np.int64).reshape(-1)
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table):
            return NotImplemented
        return np.array_equal(self.rows, other.rows) and np.array_equal(self.places, other.places)

    def __hash__(self) -> int:
        return hash((self.rows.tobytes(), self.places.tobytes()))

    def __repr__(self) -> str:
        return f"Table(rows='{_text_of(self.rows)}', places='{_text_of(self.places)}')"

    @property
    def counts(self) -> Integers:
        """Number of places in each row."""
        return np.diff(self.rows)

    def is_valid(self, n_rows: int, n_features: int) -> bool:
        """Return whether the table has `n_rows` rows of features from 0 to `n_features` - 1."""
        rows, places = self.rows, self.places
        if len(rows) != n_rows + 1 or len(places) > MOST_PLACES:
            return False
        if rows[0] != 0 or rows[-1] != len(places) or np.any(self.counts < 0):
            return False
        return _lie_within(places, 0, n_features)

    def is_selection(self, n_rows: int, n_features: int) -> bool:
        """Return whether the table has no rows, and `n_rows` places; -1 is allowed."""
        if len(self.rows) or len(self.places) != n_rows or n_rows > MOST_PLACES:
            return False
        return _lie_within(self.places, -1, n_features)

    def padded(self) -> Integers:
        """Return positions in `places`, (n_rows, longest row); a row repeats its last position.

        An empty row consists of the number of places, which is past the end.
        """
        counts = self.counts[:, None]
        steps = np.arange(int(self.counts.max(initial=1)))
        found: Integers = self.rows[:-1, None] + np.minimum(steps, counts - 1)
        return np.where(counts > 0, found, len(self.places))

    # -------------------------------------------------------------------- JSON

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON: runs of equal steps, ``first:count:step``."""
        found = {"rows": _text_of(self.rows), "places": _text_of(self.places)}
        return {name: text for name, text in found.items() if text}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises
        ------
        EmufortError
            The content is not a table.
        """
        return cls(*(_of_text(str(content.get(name, ""))) for name in ("rows", "places")))


def _lie_within(places: Integers, lower: int, n_features: int) -> bool:
    if not len(places):
        return True
    return lower <= int(places.min()) and int(places.max()) < n_features


def _runs(values: Integers) -> Iterator[tuple[int, int, int]]:
    """Yield first value, number of values and step of runs of equal steps."""
    n, first = len(values), 0
    # Where a step differs from the step before it, a run may end.
    steps = np.diff(values)
    changes = [*(np.flatnonzero(np.diff(steps)) + 1).tolist(), n - 1]
    for last in changes:
        if last > first:
            yield int(values[first]), last - first + 1, int(steps[first])
            first = last + 1
    if first < n:
        yield int(values[first]), 1, 0


def _text_of(values: Integers) -> str:
    parts = []
    for first, count, step in _runs(values):
        if count == 1:
            parts.append(f"{first}")
        elif count == 2:
            parts.append(f"{first},{first + step}")
        else:
            parts.append(f"{first}:{count}:{step}" if step != 1 else f"{first}:{count}")
    return ",".join(parts)


def _of_text(text: str) -> Integers:
    found, total = [np.empty(0, dtype=np.int64)], 0
    try:
        for run in filter(None, text.split(",")):
            first, *rest = map(int, run.split(":"))
            count, step = (*rest, 1, 1)[:2] if len(rest) < 2 else rest
            total += count
            if count < 1 or total > MOST_PLACES or max(abs(first), abs(step)) > MOST_PLACES:
                raise ValueError("it is too long")
            found.append(first + step * np.arange(count, dtype=np.int64))
    except ValueError as error:
        raise EmufortError(
            f"the network has a table with a run that is not valid: {error}"
        ) from None
    return np.concatenate(found)
