"""Droplet number by classical schemes that the column model does not compute itself."""

from __future__ import annotations

import netCDF4
import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.processes.aerosol_activation.fortran import constants_of, widths
from emufort.processes.aerosol_activation.ghosh2025 import FITTED_WIDTHS, max_supersaturation
from emufort.processes.aerosol_activation.kohler import (
    critical_supersaturation,
    number_activated_fraction,
)

Array = NDArray[np.float64]


def ghosh2025(
    output: netCDF4.Dataset, columns: netCDF4.Dataset, contract: Contract
) -> Array | None:
    """Return the droplet number by Ghosh et al. (2025) for the aerosol of the column model.

    Parameters
    ----------
    output
        Output of the column model.
    columns
        Its input.
    contract
        Contract of its emulator.

    Returns
    -------
    ndarray or None
        [m-3], of the shape (time, level, column) of the output; None if the scheme has no
        constants for the width of the accumulation mode.
    """
    modes = contract.labels(contract.input[-1].dimensions[0])
    sigma = np.array(widths(contract))
    width = next((s for m, s in zip(modes, sigma, strict=True) if m.endswith("accumulation")), 0.0)
    if not FITTED_WIDTHS[0] <= width <= FITTED_WIDTHS[1]:
        return None
    constants = constants_of(contract)
    updraft = np.asarray(output["updraft_speed"][:])
    number, radius = (
        np.stack([output[f"{name}_{mode}"][:] for mode in modes], axis=-1).reshape(-1, len(modes))
        for name in ("number", "radius")
    )
    temperature, pressure = (
        np.broadcast_to(columns[name][:], updraft.shape).ravel()
        for name in ("air_temperature", "air_pressure")
    )
    kappa = np.broadcast_to(
        np.moveaxis(columns["hygroscopicity"][:], 0, -1), (*updraft.shape, len(modes))
    ).reshape(-1, len(modes))
    smax = max_supersaturation(
        *(temperature, pressure, updraft.ravel(), number, radius, kappa),
        accumulation_width=float(width),
        constants=constants,
    )
    critical = critical_supersaturation(temperature, radius, kappa, constants)
    fraction = number_activated_fraction(critical, smax, sigma)
    return np.asarray((fraction * number).sum(axis=1).reshape(updraft.shape))
