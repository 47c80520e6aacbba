"""The head that turns the maximum supersaturation into activated fractions of every mode."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emufort.contract import Contract
from emufort.processes.aerosol_activation.constants import PhysicalConstants
from emufort.processes.aerosol_activation.fortran import (
    CONTRACT_MODULE,
    WIDTHS,
    contract_source,
    misfit,
    scheme_sources,
)
from emufort.processes.aerosol_activation.kohler import (
    critical_supersaturation,
    mass_activated_fraction,
    number_activated_fraction,
)
from emufort.skill import variables_of

Array = NDArray[np.float64]

#: The module of the call that includes the head, and the emulator that its source names.
_CALL, _EMULATOR = "bench_fractions", "activation_emulator"
#: Variables that `activated_fractions` reads.
REQUIRED = (
    "air_temperature",
    "dry_median_radius",
    "hygroscopicity",
    WIDTHS,
)


def activated_fractions(
    columns: Mapping[str, ArrayLike], max_supersaturation: ArrayLike
) -> dict[str, NDArray[np.float64]]:
    """Return the number and mass fraction of every mode that activates.

    Parameters
    ----------
    columns : mapping of str to array_like
        Arrays by their names in the contract: `air_temperature` (n,) [K], `dry_median_radius` (n,
        mode) [m], `hygroscopicity` (n, mode) [1], `geometric_standard_deviation` (mode,) [1], and
        constants of the host (`PhysicalConstants`); those that are missing are pyrcel's. Others are
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
    critical = critical_supersaturation(temperature, radius, kappa, PhysicalConstants.of(columns))
    return {
        "number_activated_fraction": number_activated_fraction(critical, smax, sigma),
        "mass_activated_fraction": mass_activated_fraction(critical, smax, sigma),
    }


def activated_fractions_of_smax(
    inputs: Mapping[str, Array], outputs: Mapping[str, Array]
) -> dict[str, Array]:
    """Apply `activated_fractions` to the variables of a contract; see `Head.function`."""
    return activated_fractions(inputs, outputs["max_supersaturation"])


def fortran_of_head(contract: Contract) -> list[Path]:
    """Return the Fortran sources of this head; the same for every contract."""
    return scheme_sources("emufort_aerosol_head")


def call_of_head(contract: Contract) -> list[Path]:
    """Return the sources of a call that includes this head, in the order of compilation.

    The result is empty for a contract for which the Fortran is not written. The last source is a
    module with the name of its file and uses the generated module of the emulator.
    """
    if misfit(contract):
        return []
    head = fortran_of_head(contract)
    return [path for path in scheme_sources(_CALL) if path not in head]


def generated_for_call(contract: Contract) -> dict[str, str]:
    """Return the sources of that call that depend on the contract, by file name."""
    if misfit(contract):
        return {}
    (path,) = (path for path in scheme_sources(_CALL) if path.stem == _CALL)
    text = path.read_text(encoding="utf-8").replace(_EMULATOR, f"{contract.name}_emulator")
    return {path.name: text, f"{CONTRACT_MODULE}.F90": contract_source(contract)}


def reference_of_call(contract: Contract, inputs: Array, outputs: Array) -> Array:
    """Return the expected result of the call that includes this head.

    Parameters
    ----------
    contract : Contract
        A contract of aerosol activation.
    inputs : ndarray, shape (n, n_inputs)
        Inputs in the order and units of the contract.
    outputs : ndarray, shape (n, 1)
        Maximum supersaturation [1].

    Returns
    -------
    ndarray, shape (n, 1 + 2 * n_modes)
        Maximum supersaturation, number fractions, mass fractions [1].
    """
    fractions = activated_fractions(variables_of(contract, inputs), outputs[:, 0])
    return np.hstack([outputs, *fractions.values()])
