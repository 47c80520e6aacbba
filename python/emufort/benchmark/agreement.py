"""How far the outputs of a contender may differ from the correct ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Allowed error of an output against double precision, relative to its value or its spread.
TOLERANCE = 1e-5


def largest_error(y: NDArray[np.float64], reference: NDArray[np.float64], ncol: int) -> float:
    """Return the largest error of `y` against the first `ncol` rows of `reference`.

    The error is relative to the value or to the standard deviation of the output, whichever is
    larger. It is infinite where only one of both is NaN.

    Parameters
    ----------
    y
        Outputs (ncol, n_outputs).
    reference
        Correct outputs (n, n_outputs); they repeat after n columns.
    ncol
        Number of columns of the call.
    """
    wanted = reference[np.arange(ncol) % len(reference)]
    spread = reference.std(axis=0)
    scale = np.maximum(np.abs(wanted), np.where(spread > 0, spread, np.abs(wanted)))
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(y == wanted, 0.0, np.abs(y - wanted) / scale)
    return float(np.nan_to_num(error, nan=np.inf).max())
