"""Ranges of the inputs, their modes, and the order of the columns of a sample.

Ranges and modes come from the contract `activation`. Only the distributions of the samples are
defined here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emufort.processes.aerosol_activation.fortran import scheme_contract, widths

_CONTRACT = scheme_contract()
#: Aerosol modes and their geometric standard deviations [1].
MODES = _CONTRACT.dimensions["mode"]
GEOMETRIC_STANDARD_DEVIATION = widths(_CONTRACT)


@dataclass(frozen=True)
class Range:
    """Range of one input, in the units of the data set.

    Attributes
    ----------
    variable : str
        Name in the data set.
    mode : str or None
        Aerosol mode, None for a variable of the air parcel.
    lower, upper : float
        Bounds in `units`.
    units : str
        SI units of the bounds.
    logarithmic : bool
        Whether samples are uniform in the logarithm.
    """

    variable: str
    mode: str | None
    lower: float
    upper: float
    units: str
    logarithmic: bool


#: Inputs with a uniform distribution. The logarithms of all others are uniform.
_UNIFORM = (
    *(("air_temperature", None), ("air_pressure", None)),
    *(("hygroscopicity", mode) for mode in ("accumulation", "aitken", "coarse")),
)

#: Columns of a sample, those of the contract in its order.
RANGES: tuple[Range, ...] = tuple(
    Range(
        column.variable,
        column.label,
        column.lower,
        column.upper,
        column.units,
        (column.variable, column.label) not in _UNIFORM,
    )
    for column in _CONTRACT.input_columns
)

#: Names of the input variables in contract order.
VARIABLES = tuple(dict.fromkeys(entry.variable for entry in RANGES))


def scale_unit_cube(unit: NDArray[np.float64]) -> NDArray[np.float32]:
    """Map points of the unit cube to samples.

    Parameters
    ----------
    unit : ndarray, shape (n, 15), float64
        Points in [0, 1).

    Returns
    -------
    ndarray, shape (n, 15), float32
        Samples in the units of `RANGES`, rounded to single precision. Exactly these values are
        labelled and stored.

    Raises
    ------
    ValueError
        `unit` has another shape.
    """
    if unit.ndim != 2 or unit.shape[1] != len(RANGES):
        raise ValueError(f"unit has shape {unit.shape}, expected (n, {len(RANGES)})")
    columns = np.empty_like(unit)
    for k, entry in enumerate(RANGES):
        if entry.logarithmic:
            columns[:, k] = entry.lower * (entry.upper / entry.lower) ** unit[:, k]
        else:
            columns[:, k] = entry.lower + (entry.upper - entry.lower) * unit[:, k]
        # rounding must not leave the range; rounding to float32 is monotonic
        np.clip(columns[:, k], entry.lower, entry.upper, out=columns[:, k])
    return columns.astype(np.float32)


def split_columns(samples: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """Return the samples as a mapping from the name of a variable to its values.

    Parameters
    ----------
    samples : ndarray, shape (n, 15)
        Rows in the order of `RANGES`.

    Returns
    -------
    dict of str to ndarray, float64
        Shape (n,) for variables of the parcel, (n, 4) for those of the modes.
    """
    columns = {}
    for name in VARIABLES:
        index = [k for k, entry in enumerate(RANGES) if entry.variable == name]
        block = np.asarray(samples[:, index], dtype=np.float64)
        columns[name] = block if RANGES[index[0]].mode is not None else block[:, 0]
    return columns


def range_table() -> str:
    """Return the ranges as text, one line each, for the metadata of the data set."""
    lines = []
    for entry in RANGES:
        name = entry.variable if entry.mode is None else f"{entry.variable}[{entry.mode}]"
        law = "log-uniform" if entry.logarithmic else "uniform"
        lines.append(f"{name}: {entry.lower:.6g} to {entry.upper:.6g} {entry.units}, {law}")
    return "\n".join(lines)
