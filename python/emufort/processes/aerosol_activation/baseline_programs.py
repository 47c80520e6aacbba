"""Fortran programs that time the classical activation schemes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emufort.processes.aerosol_activation.head import (
    FORTRAN_FOLDERS,
    SIGMA,
    activated_fractions_call_reference,
)
from emufort.toolchain.sources import fortran_sources


def arg2000_sources() -> list[Path]:
    """Return the sources of the program that times ARG2000, in the order of compilation."""
    return fortran_sources("time_arg2000", also=FORTRAN_FOLDERS)


def arg2000_reference(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what that program must give for `samples` (n, 15), in the order it reads them."""
    from emufort.processes.aerosol_activation import arg2000

    return arg2000.max_supersaturation(
        samples[:, 0],
        samples[:, 1],
        samples[:, 2],
        samples[:, 3:7],
        samples[:, 7:11],
        samples[:, 11:15],
        SIGMA,
    )


def arg2000_call_reference(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what that program must give with ``call``: the fractions of the modes, too, (n, 9)."""
    return activated_fractions_call_reference(samples, arg2000_reference(samples)[:, None])
