"""The rows on which forms are compared.

All rows are exact in single precision, so that every form receives the same numbers.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.errors import ContractError
from emufort.export.golden import limits, single_within
from emufort.network.emulator import Emulator

Array = NDArray[np.float64]

_SEED = 7_041_776
#: Share of the rows that differ from the median of an output that varies.
_VARYING_SHARE = 0.01
#: Widths of the ranges that `live_rows` tries, relative to that of `draw_rows`.
_WIDTHS = (0.01, 0.1, 10.0, 100.0)
#: Number of additional rows out of range, and of additional rows with NaN or infinity.
_ODD_ROWS = 8


def draw_rows(contract: Contract, known: Array, n: int) -> Array:
    """Draw `n` rows of inputs over the whole range; the same arguments give the same rows.

    The rows are scrambled Sobol' points, uniform in the transformed inputs (the logarithm for an
    input with the transform ln). One row in eight has some of its inputs at a limit of their range.

    Parameters
    ----------
    contract
        Contract with the ranges.
    known
        Rows (k, n_inputs), whose limits are used for inputs without a range.
    n
        Number of rows.

    Returns
    -------
    ndarray
        Shape (n, n_inputs), exact in single precision.
    """
    from scipy.stats import qmc

    lower, upper = limits(contract, known)
    sobol = qmc.Sobol(len(lower), seed=_SEED)
    u = sobol.random_base2(max(1, math.ceil(math.log2(max(n, 1)))))[:n]
    rng = np.random.default_rng(_SEED)
    edge = rng.random(u.shape) < 0.25
    edge[np.arange(len(u)) % 8 != 0] = False
    # A separate generator, because every eighth Sobol' point lies in the same part of the range.
    u = np.where(edge, rng.random(u.shape) < 0.5, u)
    x = lower + u * (upper - lower)
    for j, column in enumerate(contract.input_columns):
        if lower[j] > 0 and (column.transform in ("ln", "log10") or not column.feature):
            x[:, j] = lower[j] * (upper[j] / lower[j]) ** u[:, j]
    return single_within(x, contract)


def live_rows(emulator: Emulator, known: Array, n: int) -> tuple[Array, list[str]]:
    """Draw `n` rows, as `draw_rows`, on which the outputs vary if they do so anywhere.

    An output that is the same in nearly all rows shows little about the network. While there is
    one, an eighth of the rows is replaced: by rows near the known ones, then by rows from a range
    that is wider where the contract has no limits.

    Parameters
    ----------
    emulator
        The emulator.
    known, n
        As for `draw_rows`.

    Returns
    -------
    ndarray, list of str
        Rows (n, n_inputs), exact in single precision, and the outputs that do not vary, without
        those that are constant by construction.
    """
    contract = emulator.contract
    rows = draw_rows(contract, known, n)
    constants = {constant.name for constant in emulator.constants}
    names = [c.name for c in contract.output_columns]

    def varying(x: Array) -> NDArray[np.bool_]:
        y = emulator.predict(x)
        share: Array = np.mean(y != np.median(y, axis=0), axis=0)
        return share >= _VARYING_SHARE

    is_live = varying(rows) | np.array([name in constants for name in names])
    part = len(rows) // 8
    for number, width in enumerate(_WIDTHS, start=1):
        if is_live.all() or not part:
            break
        centre = known[np.arange(part) % len(known)] if width < 1.0 else np.median(known, axis=0)
        drawn = draw_rows(contract, known, part)
        around = single_within(centre + width * (drawn - centre), contract)
        found = varying(around)
        if np.any(found & ~is_live):
            rows[number * part : (number + 1) * part] = around
            is_live |= found
    return rows, [name for name, live in zip(names, is_live, strict=True) if not live]


def of_single_host(emulator: Emulator) -> Emulator:
    """Return the emulator as a host with arrays in single precision calls it.

    The runtime then clips inputs to the range rounded to single precision, because the host cannot
    hold its limits.
    """
    content = emulator.contract.to_dict()
    for variable in content["input"]:
        if variable.get("range") is not None:
            limits = np.asarray(variable["range"], dtype=np.float64)
            variable["range"] = limits.astype(np.float32).astype(np.float64).tolist()
    try:
        contract = Contract.from_dict(content, f"the contract '{emulator.contract.name}'")
    except ContractError:
        # a limit so near to 0 or 1 that its logarithm or logit would not be finite
        return emulator
    return replace(emulator, contract=contract)


def odd_rows(contract: Contract, rows: Array) -> Array:
    """Return copies of the first rows with one input far out of range, then invalid rows."""
    columns = contract.input_columns
    bounded = [
        (j, value)
        for j, c in enumerate(columns)
        for value in (c.lower - 0.5 * abs(c.lower) - 1.0, c.upper + 0.5 * abs(c.upper) + 1.0)
        # A logit is infinite at the limits of its domain, so nothing can be compared there.
        if math.isfinite(value) and not (c.transform == "logit" and {c.lower, c.upper} & {0.0, 1.0})
    ]
    n = min(_ODD_ROWS, len(rows))
    outside, invalid = rows[:n].copy(), rows[:n].copy()
    for i in range(n):
        if bounded:
            place, value = bounded[(i * 7) % len(bounded)]
            outside[i, place] = np.float32(value)
        invalid[i, i % invalid.shape[1]] = (np.nan, np.inf)[i % 2]
    return np.concatenate([outside, invalid])
