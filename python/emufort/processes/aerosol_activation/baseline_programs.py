"""The Fortran program that times ARG2000, and its expected results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.processes.aerosol_activation import arg2000
from emufort.processes.aerosol_activation.constants import PhysicalConstants
from emufort.processes.aerosol_activation.fortran import (
    CONTRACT_MODULE,
    WIDTHS,
    contract_source,
    scheme_sources,
)
from emufort.processes.aerosol_activation.head import activated_fractions
from emufort.skill import variables_of

Array = NDArray[np.float64]


def arg2000_sources(contract: Contract) -> list[Path]:
    """Return the sources of the program that times ARG2000, in the order of compilation.

    They are the same for every contract, except the module of `generated_for`.
    """
    return scheme_sources("time_arg2000")


def generated_for(contract: Contract) -> dict[str, str]:
    """Return the module with the modes and constants of a contract, by file name."""
    return {f"{CONTRACT_MODULE}.F90": contract_source(contract)}


def arg2000_reference(contract: Contract, features: Array) -> Array:
    """Return the expected results (n,) of the program for features (n, n_features)."""
    return _max_supersaturation(_variables(contract, features))


def arg2000_call_reference(contract: Contract, features: Array) -> Array:
    """Return the expected results with ``call``, which include the fractions of the modes.

    Shape (n, 1 + 2 * n_modes).
    """
    columns = _variables(contract, features)
    smax = _max_supersaturation(columns)
    return np.hstack([smax[:, None], *activated_fractions(columns, smax).values()])


def _variables(contract: Contract, features: Array) -> dict[str, Array]:
    """Split features into variables; inputs that the network does not see are NaN."""
    x = np.full((len(features), len(contract.input_columns)), np.nan)
    x[:, list(contract.feature_indices)] = features
    return variables_of(contract, x)


def _max_supersaturation(columns: dict[str, Array]) -> Array:
    return arg2000.max_supersaturation(
        columns["air_temperature"],
        columns["air_pressure"],
        columns["updraft_speed"],
        columns["number_concentration"],
        columns["dry_median_radius"],
        columns["hygroscopicity"],
        columns[WIDTHS],
        PhysicalConstants.of(columns),
    )
