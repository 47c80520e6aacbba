"""Read the tables of skill and of measured time as entries of a selection."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emufort.errors import EmufortError, UsageError
from emufort.selection.entry import Entry

if TYPE_CHECKING:
    from emufort.contract import Contract


def times_at(
    rows: Sequence[Mapping[str, Any]], kind: str, ncol: int, required: bool = True
) -> dict[str, float]:
    """Return the times [ns per sample] of all rows of `kind` at `ncol`, by their id.

    Parameters
    ----------
    rows
        Rows of timing.csv.
    kind
        ``"candidate"`` or ``"baseline"``.
    ncol
        Columns per call.
    required
        Whether it is an error if there are no times.

    Raises
    ------
    UsageError
        Nothing was timed at `ncol`, and a time is `required`.
    EmufortError
        A time is not a positive number.
    """
    known = sorted({int(row["ncol"]) for row in rows if row["kind"] == kind})
    if required and ncol not in known:
        measured = ", ".join(map(str, known)) or "nothing"
        raise UsageError(
            f"no candidate was timed at ncol {ncol} but at {measured}: choose one of these, or add "
            f"{ncol} to [timing] ncol and run the timing again"
        )
    return {
        row["id"]: _number(row["ns_per_sample"], f"the time of {row['id']} at ncol {ncol}", True)
        for row in rows
        if row["kind"] == kind and int(row["ncol"]) == ncol
    }


def entry_of(row: Mapping[str, Any], timed: Mapping[str, float], ncol: int) -> Entry:
    """Return the entry of a row of candidates.csv, with its time at `ncol` [ns per sample].

    Parameters
    ----------
    row
        A row of candidates.csv.
    timed
        Identity -> time at `ncol` [ns per sample].
    ncol
        Columns per call of the times.

    Raises
    ------
    EmufortError
        The candidate was not timed, or its error is negative or not a number.
    """
    identity = str(row["id"])
    if identity not in timed:
        raise EmufortError(f"{identity} has no time at ncol {ncol}: time the candidates again")
    rmse = _number(row["rmse"], f"the RMSE of {identity}")
    return Entry(identity, str(row["label"]), rmse, timed[identity])


def _number(value: Any, what: str, positive: bool = False) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        kind = "positive number" if positive else "number from 0 on"
        raise EmufortError(f"{what} is {value!r}, not a {kind}")
    return number


def needed_schemes(network: Contract, contract: Contract) -> set[str]:
    """Return the schemes of `contract` that networks of another contract need as a reference."""
    schemes = {v: b.name for b in contract.baseline for v in b.variables}
    return {schemes[o.relative_to] for o in network.output if o.relative_to in schemes}


def with_needed_schemes(
    times: Sequence[Mapping[str, Any]], contracts: Mapping[str, Contract], contract: Contract
) -> list[dict[str, Any]]:
    """Add the time of a scheme to the times of the networks that need the value of the scheme.

    Only then can these networks be compared with networks that need no scheme.

    Parameters
    ----------
    times
        Rows of timing.csv.
    contracts
        The contract of each candidate, by its identity.
    contract
        The contract of the run, which names the schemes.

    Raises
    ------
    EmufortError
        A scheme that a network needs was not timed.
    """
    ns = {(row["id"], int(row["ncol"])): float(row["ns_per_sample"]) for row in times}
    found = []
    for row in times:
        identity, ncol = row["id"], int(row["ncol"])
        needed = needed_schemes(contracts[identity], contract) if identity in contracts else set()
        unknown = sorted(name for name in needed if (name, ncol) not in ns)
        if unknown:
            raise EmufortError(
                f"{identity} needs the value of the scheme '{unknown[0]}', whose time was not "
                "measured, so that it cannot be compared with networks that need none: time in "
                "compiled Fortran, with a timing_source of the scheme, or leave this target out"
            )
        total = float(row["ns_per_sample"]) + sum(ns[name, ncol] for name in sorted(needed))
        found.append({**row, "ns_per_sample": repr(total)})
    return found
