"""From the maximum supersaturation to the activated fractions of every mode."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emufort.contract import Contract
from emufort.errors import ContractError
from emufort.processes.aerosol_activation.kohler import (
    critical_supersaturation,
    mass_activated_fraction,
    number_activated_fraction,
)
from emufort.toolchain.sources import fortran_sources

#: Folders of a checkout with the Fortran of aerosol activation, from its top.
FORTRAN_FOLDERS = ("coupling/aerosol_activation/scheme", "coupling/aerosol_activation/timing")

#: Variables that `activated_fractions` reads.
REQUIRED = (
    "air_temperature",
    "dry_median_radius",
    "hygroscopicity",
    "geometric_standard_deviation",
)

#: Geometric standard deviations of the modes [1], constants of the Fortran modules.
SIGMA = (1.8, 1.6, 1.8, 1.6)
#: Columns of the inputs of an emulator whose call has this head in it.
_N_INPUTS = 15


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


def activated_fractions_call_sources(contract: Contract) -> list[Path]:
    """Return the sources of a call with this head in it, in the order of compilation.

    The last source is a module of its name and uses the generated module of the emulator.

    Raises
    ------
    ContractError
        There is no such call for emulators of this contract.
    """
    if contract.name != "activation" or len(contract.input_columns) != _N_INPUTS:
        raise ContractError(f"no call with activated fractions for the contract '{contract.name}'")
    return fortran_sources("bench_fractions", also=("fortran/bench", *FORTRAN_FOLDERS))


def activated_fractions_call_reference(
    inputs: NDArray[np.float64], outputs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what that call must give.

    Parameters
    ----------
    inputs : ndarray, shape (n, 15)
        In the order of the contract `activation`.
    outputs : ndarray, shape (n, 1)
        Maximum supersaturation [1].

    Returns
    -------
    ndarray, shape (n, 9)
        Maximum supersaturation, number fractions, mass fractions [1].
    """
    columns: dict[str, ArrayLike] = {
        "air_temperature": inputs[:, 0],
        "dry_median_radius": inputs[:, 7:11],
        "hygroscopicity": inputs[:, 11:15],
        "geometric_standard_deviation": SIGMA,
    }
    fractions = activated_fractions(columns, outputs[:, 0])
    return np.hstack([outputs, *fractions.values()])
