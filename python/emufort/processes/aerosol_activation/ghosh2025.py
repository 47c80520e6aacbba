"""Activation scheme of Ghosh et al. (2025): Abdul-Razzak and Ghan (2000) with other constants.

Ghosh et al. fitted f, g and the exponent p of ARG2000 to a parcel model for widths of the
accumulation mode between 1.4 and 2.1. The same f, g and p hold for every mode. p differs from 3/2
only where activation is kinetically limited (zeta / eta > 1).

References
----------
Ghosh et al. (2025), doi:10.5194/gmd-18-4899-2025. The paper itself was not read. The constants are
those of two independent programs, which agree in every digit: UKCA (ukca_abdulrazzak_ghan.F90, in a
version that cites the preprint, doi:10.5194/egusphere-2024-2423) and the Bulk Aerosol Module of the
University of Manchester (which cites the paper).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emufort.processes.aerosol_activation.arg2000 import ActivationBalance
from emufort.processes.aerosol_activation.constants import PYRCEL, PhysicalConstants

#: Widths of the accumulation mode for which the constants were fitted [1].
FITTED_WIDTHS: Final = (1.4, 2.1)


def max_supersaturation(
    air_temperature: ArrayLike,
    air_pressure: ArrayLike,
    updraft_speed: ArrayLike,
    number_concentration: ArrayLike,
    dry_median_radius: ArrayLike,
    hygroscopicity: ArrayLike,
    accumulation_width: float,
    constants: PhysicalConstants = PYRCEL,
) -> NDArray[np.float64]:
    """Return the maximum supersaturation by Ghosh et al. (2025).

    Parameters
    ----------
    air_temperature, air_pressure, updraft_speed : array_like, shape (n,)
        [K], [Pa], [m s-1].
    number_concentration, dry_median_radius, hygroscopicity : array_like, shape (n, mode)
        [m-3], number-median dry radius [m], kappa [1].
    accumulation_width : float
        Geometric standard deviation of the accumulation mode [1].
    constants : PhysicalConstants
        Constants of the host.

    Returns
    -------
    ndarray, shape (n,)
        [1].

    Raises
    ------
    ValueError
        `accumulation_width` is outside `FITTED_WIDTHS`.
    """
    width = accumulation_width
    if not FITTED_WIDTHS[0] <= width <= FITTED_WIDTHS[1]:
        raise ValueError(f"the constants are fitted for widths of 1.4 to 2.1, not {width:g}")
    balance = ActivationBalance.of(
        air_temperature,
        air_pressure,
        updraft_speed,
        number_concentration,
        dry_median_radius,
        hygroscopicity,
        constants,
    )
    breadth = 0.0135 * np.exp(2.367 * width)  # f
    spread = 1.1058 - 0.315 * width  # g
    limited = -0.5073 + 1.5088 * width - 0.3699 * width**2
    exponent = np.where(balance.kinetic_limitation > 1.0, limited, 1.5)  # p
    return balance.max_supersaturation(breadth, spread, exponent)
