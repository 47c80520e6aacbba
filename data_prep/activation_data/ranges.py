"""Ranges of the inputs, their modes, and the order of the columns of a sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Aerosol modes and their geometric standard deviations, as in E3SM's MAM4 (Liu et al. 2016,
#: doi:10.5194/gmd-9-505-2016).
MODES = ("accumulation", "aitken", "coarse", "primary_carbon")
GEOMETRIC_STANDARD_DEVIATION = (1.8, 1.6, 1.8, 1.6)


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


_CM3 = 1e6  # m-3 per cm-3
_RADIUS = 0.5e-6  # radius in m per diameter in micrometres

#: Columns of a sample in contract order. The size ranges are MAM4's limits of the dry number-median
#: diameter (dgnumlo, dgnumhi), 0.0535-0.44, 0.0087-0.052, 1-4 and 0.01-0.1 micrometres, stored as
#: radii.
RANGES: tuple[Range, ...] = (
    Range("air_temperature", None, 248.0, 310.0, "K", False),
    Range("air_pressure", None, 50000.0, 105000.0, "Pa", False),
    Range("updraft_speed", None, 0.01, 10.0, "m s-1", True),
    Range("number_concentration", "accumulation", 1.0 * _CM3, 1e4 * _CM3, "m-3", True),
    Range("number_concentration", "aitken", 1.0 * _CM3, 1e4 * _CM3, "m-3", True),
    Range("number_concentration", "coarse", 1e-3 * _CM3, 5.0 * _CM3, "m-3", True),
    Range("number_concentration", "primary_carbon", 1e-2 * _CM3, 1e4 * _CM3, "m-3", True),
    Range("dry_median_radius", "accumulation", 0.0535 * _RADIUS, 0.44 * _RADIUS, "m", True),
    Range("dry_median_radius", "aitken", 0.0087 * _RADIUS, 0.052 * _RADIUS, "m", True),
    Range("dry_median_radius", "coarse", 1.0 * _RADIUS, 4.0 * _RADIUS, "m", True),
    Range("dry_median_radius", "primary_carbon", 0.01 * _RADIUS, 0.1 * _RADIUS, "m", True),
    Range("hygroscopicity", "accumulation", 0.05, 1.2, "1", False),
    Range("hygroscopicity", "aitken", 0.05, 1.2, "1", False),
    Range("hygroscopicity", "coarse", 0.05, 1.2, "1", False),
    Range("hygroscopicity", "primary_carbon", 1e-3, 0.2, "1", True),
)

#: Names of the input variables in contract order.
VARIABLES = tuple(dict.fromkeys(entry.variable for entry in RANGES))


def scale_unit_cube(unit: NDArray[np.float64]) -> NDArray[np.float32]:
    """Points of the unit cube as samples.

    Parameters
    ----------
    unit : ndarray, shape (n, 15), float64
        Points in [0, 1).

    Returns
    -------
    ndarray, shape (n, 15), float32
        Samples in the units of `RANGES`, rounded to single precision: these exact values are both
        labelled and stored.
    """
    if unit.ndim != 2 or unit.shape[1] != len(RANGES):
        raise ValueError(f"unit has shape {unit.shape}, expected (n, {len(RANGES)})")
    columns = np.empty_like(unit)
    for k, entry in enumerate(RANGES):
        if entry.logarithmic:
            columns[:, k] = entry.lower * (entry.upper / entry.lower) ** unit[:, k]
        else:
            columns[:, k] = entry.lower + (entry.upper - entry.lower) * unit[:, k]
        # rounding must not leave the range; float32 rounding itself is monotone
        np.clip(columns[:, k], entry.lower, entry.upper, out=columns[:, k])
    return columns.astype(np.float32)


def split_columns(samples: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """Samples as a mapping from variable name to its values.

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
    """The ranges as text, one line each: what the data set records."""
    lines = []
    for entry in RANGES:
        name = entry.variable if entry.mode is None else f"{entry.variable}[{entry.mode}]"
        law = "log-uniform" if entry.logarithmic else "uniform"
        lines.append(f"{name}: {entry.lower:.6g} to {entry.upper:.6g} {entry.units}, {law}")
    return "\n".join(lines)
