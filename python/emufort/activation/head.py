"""From the maximum supersaturation to the activated fractions of every mode."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emufort.activation.kohler import (
    critical_supersaturation,
    mass_activated_fraction,
    number_activated_fraction,
)

#: Variables that `activated_fractions` reads.
REQUIRED = (
    "air_temperature",
    "dry_median_radius",
    "hygroscopicity",
    "geometric_standard_deviation",
)


def activated_fractions(
    columns: Mapping[str, ArrayLike], max_supersaturation: ArrayLike
) -> dict[str, NDArray[np.float64]]:
    """Number and mass fraction of every mode that activates at a maximum supersaturation.

    Parameters
    ----------
    columns : mapping of str to array_like
        By contract names: `air_temperature` (n,) [K], `dry_median_radius` (n, mode) [m],
        `hygroscopicity` (n, mode) [1], `geometric_standard_deviation` (mode,) [1]. Others are
        ignored.
    max_supersaturation : array_like, shape (n,)
        [1].

    Returns
    -------
    dict of str to ndarray, shape (n, mode), float64
        `number_activated_fraction` and `mass_activated_fraction` [1].

    Raises
    ------
    KeyError
        A required variable is missing.
    ValueError
        Shapes do not agree.
    """
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise KeyError(f"activated_fractions needs the variable(s) {', '.join(missing)}")
    temperature, radius, kappa, sigma = (
        np.asarray(columns[name], dtype=np.float64) for name in REQUIRED
    )
    smax = np.asarray(max_supersaturation, dtype=np.float64)
    n, modes = smax.size, sigma.size
    for name, array, shape in (
        ("max_supersaturation", smax, (n,)),
        ("air_temperature", temperature, (n,)),
        ("dry_median_radius", radius, (n, modes)),
        ("hygroscopicity", kappa, (n, modes)),
        ("geometric_standard_deviation", sigma, (modes,)),
    ):
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    critical = critical_supersaturation(temperature, radius, kappa)
    return {
        "number_activated_fraction": number_activated_fraction(critical, smax, sigma),
        "mass_activated_fraction": mass_activated_fraction(critical, smax, sigma),
    }
