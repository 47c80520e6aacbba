"""The rows on which forms are compared, and the measure of differences.

All rows are exact in single precision, so that every form receives the same numbers.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.export.golden import limits, single_within

Array = NDArray[np.float64]

_SEED = 7_041_776
#: Number of additional rows out of range, and of additional rows with NaN or infinity.
_ODD_ROWS = 8
#: Smallest and largest normal number of single precision.
_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


def differences(reference: Array, y: Array, spread: Array) -> Array:
    """Return scaled differences of outputs (n, n_outputs), comparable between outputs.

    Parameters
    ----------
    reference, y
        Outputs (n, n_outputs) in physical units.
    spread
        Typical size of each output, (n_outputs,), as `Golden.spread` gives it.

    Returns
    -------
    ndarray
        For an output whose logarithm the network predicts (spread 0): ``|ln y - ln reference|``.
        For a fraction (spread 1): the absolute difference. For all others: the difference relative
        to the spread of the output or to its value, whichever is larger, because single precision
        resolves no more. Two NaN agree; the difference of a NaN and a number is infinite. A number
        too large for single precision counts as the largest one. Where logarithms are compared, a
        non-negative number too small for single precision counts as the smallest one.
    """
    reference = np.clip(reference, -_LARGEST, _LARGEST, dtype=np.float64)
    y = np.clip(y, -_LARGEST, _LARGEST, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithmic = np.abs(np.log(_held(y)) - np.log(_held(reference)))
        relative = np.abs(y - reference) / np.maximum(np.abs(reference), spread)
    found = np.where(spread == 0.0, logarithmic, relative)
    found = np.where(np.isnan(found), math.inf, found)
    same = (y == reference) | (np.isnan(y) & np.isnan(reference))
    return np.where(same, 0.0, found)


def _held(values: Array) -> Array:
    """Raise values from 0 to the smallest normal number of single precision to that number."""
    return np.where((values >= 0) & (values < _SMALLEST), _SMALLEST, values)


def draw_rows(contract: Contract, known: Array, n: int) -> Array:
    """Draw `n` rows of inputs over the whole range; the same arguments give the same rows.

    The rows are scrambled Sobol' points, uniform in the transformed inputs (the logarithm for an
    input with the transform ln). One row in eight has some of its inputs at a limit of their range.

    Parameters
    ----------
    contract
        Contract with the ranges.
    known
        Rows (k, n_inputs), whose limits are used for inputs without a range.
    n
        Number of rows.

    Returns
    -------
    ndarray
        Shape (n, n_inputs), exact in single precision.
    """
    from scipy.stats import qmc

    lower, upper = limits(contract, known)
    sobol = qmc.Sobol(len(lower), seed=_SEED)
    u = sobol.random_base2(max(1, math.ceil(math.log2(max(n, 1)))))[:n]
    rng = np.random.default_rng(_SEED)
    edge = rng.random(u.shape) < 0.25
    edge[np.arange(len(u)) % 8 != 0] = False
    # A separate generator, because every eighth Sobol' point lies in the same part of the range.
    u = np.where(edge, rng.random(u.shape) < 0.5, u)
    x = lower + u * (upper - lower)
    for j, column in enumerate(contract.input_columns):
        if lower[j] > 0 and (column.transform in ("ln", "log10") or not column.feature):
            x[:, j] = lower[j] * (upper[j] / lower[j]) ** u[:, j]
    return single_within(x, contract)


def odd_rows(contract: Contract, rows: Array) -> Array:
    """Return copies of the first rows with one input far out of range, then invalid rows."""
    columns = contract.input_columns
    bounded = [
        (j, value)
        for j, c in enumerate(columns)
        for value in (c.lower - 0.5 * abs(c.lower) - 1.0, c.upper + 0.5 * abs(c.upper) + 1.0)
        # A logit is infinite at the limits of its domain, so nothing can be compared there.
        if math.isfinite(value) and not (c.transform == "logit" and {c.lower, c.upper} & {0.0, 1.0})
    ]
    n = min(_ODD_ROWS, len(rows))
    outside, invalid = rows[:n].copy(), rows[:n].copy()
    for i in range(n):
        if bounded:
            place, value = bounded[(i * 7) % len(bounded)]
            outside[i, place] = np.float32(value)
        invalid[i, i % invalid.shape[1]] = (np.nan, np.inf)[i % 2]
    return np.concatenate([outside, invalid])
