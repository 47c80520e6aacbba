"""The range of columns of numbers, and whether the columns vary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: A column is constant if its values differ by at most this, relative to the largest absolute
#: value; such differences are rounding errors of the data.
_ROUNDING = 1e-12
#: The same for a column whose values are all exact in single precision: the values were stored in
#: it, and two units in the last place are rounding errors.
_ROUNDING_SINGLE = 2 * float(np.finfo(np.float32).eps)


class Extent:
    """Lowest and highest value of each of `n_columns` columns, from rows that come in blocks.

    Attributes
    ----------
    lowest, highest
        Shape (n_columns,), in the units of the columns.
    """

    def __init__(self, n_columns: int) -> None:
        self.lowest = np.full(n_columns, np.inf)
        self.highest = np.full(n_columns, -np.inf)
        self._single = np.ones(n_columns, dtype=bool)

    def add(self, values: Array) -> None:
        """Include rows (n, n_columns), n > 0."""
        self.lowest = np.minimum(self.lowest, values.min(axis=0))
        self.highest = np.maximum(self.highest, values.max(axis=0))
        for j in np.flatnonzero(self._single):
            with np.errstate(over="ignore"):
                self._single[j] = np.array_equal(values[:, j].astype(np.float32), values[:, j])

    @property
    def size(self) -> Array:
        """Largest absolute value of each column."""
        found: Array = np.maximum(np.abs(self.lowest), np.abs(self.highest))
        return found

    @property
    def middle(self) -> Array:
        """Middle between the lowest and the highest value of each column; -0 counts as 0."""
        found: Array = self.lowest + 0.5 * (self.highest - self.lowest) + 0.0
        return found

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Whether each column varies only within rounding, (n_columns,).

        The lowest and highest values are compared, because a sum over many rows has rounding errors
        and a few differing rows would hardly affect a spread.
        """
        rounding = np.where(self._single, _ROUNDING_SINGLE, _ROUNDING)
        differ: NDArray[np.bool_] = self.highest - self.lowest > rounding * self.size
        return ~differ
