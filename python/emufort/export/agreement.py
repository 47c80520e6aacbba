"""The measure of differences between forms of an emulator, and how large they may be."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emufort.network.emulator import Emulator
from emufort.network.precision import TOLERANCES, Precision

Array = NDArray[np.float64]

#: Smallest and largest normal number of single precision.
_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
#: Rounding error of double precision in units of that of single precision.
_DOUBLE = float(np.finfo(np.float64).eps) / float(np.finfo(np.float32).eps)
#: Largest difference that is ever accepted, in units of `TOLERANCES`.
_MOST = 100.0
#: Factor between the differences of two forms and the rounding error of one, which depends on the
#: order of sums.
_MARGIN = 2.0


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


def rounding_bound(noise: Array, precision: Precision) -> Array:
    """Return the difference that rounding explains.

    Parameters
    ----------
    noise
        Largest difference of each output between single and double precision, (n_outputs,).
    precision
        Precision of the compared form. The rounding error of double precision is smaller by the
        ratio of the precisions.
    """
    return _MARGIN * noise * (_DOUBLE if precision == "double" else 1.0)


def allowed_differences(
    emulator: Emulator, x: Array, spread: Array, tolerance: float | None = None
) -> Array:
    """Return the largest difference that counts as agreement, for each output, (n_outputs,).

    It is the tolerance of the precision (`TOLERANCES`), or twice the rounding error of the emulator
    where that is larger, as in deep and recurrent networks (`rounding_bound`). Beyond 100 times the
    tolerance nothing agrees.

    Parameters
    ----------
    emulator
        The emulator.
    x
        Inputs (n, n_inputs) on which its rounding error is measured.
    spread
        Typical size of each output, as `differences` takes it.
    tolerance
        Another tolerance than that of the precision.
    """
    least = TOLERANCES[emulator.precision] if tolerance is None else tolerance
    noise = differences(emulator.predict(x), emulator.predict(x, "single"), spread).max(axis=0)
    bound = rounding_bound(noise, emulator.precision)
    allowed: Array = np.maximum(least, np.minimum(bound, _MOST * least))
    return allowed
