"""The tables of skill and of measured time as entries of the choice."""

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
    """Return id -> time in ns per sample of the rows of this kind at `ncol`.

    Raises
    ------
    UsageError
        Nothing was timed at `ncol`, where that is `required`.
    EmufortError
        A time is not a positive number.
    """
    known = sorted({int(row["ncol"]) for row in rows if row["kind"] == kind})
    if required and ncol not in known:
        measured = ", ".join(map(str, known)) or "nothing"
        raise UsageError(
            f"no candidate was timed at ncol {ncol} but at {measured}: choose one of these, or add "
            f"{ncol} to [timing] ncol and time again"
        )
    return {
        row["id"]: _number(row["ns_per_sample"], f"the time of {row['id']} at ncol {ncol}", True)
        for row in rows
        if row["kind"] == kind and int(row["ncol"]) == ncol
    }


def entry_of(row: Mapping[str, Any], timed: Mapping[str, float], ncol: int) -> Entry:
    """Return a row of candidates.csv with its time at `ncol`, in ns per sample.

    Raises
    ------
    EmufortError
        The candidate was not timed, or its error is not a number from 0 on.
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
    """Return the schemes of `contract` whose value networks of another contract are relative to."""
    schemes = {v: b.name for b in contract.baseline for v in b.variables}
    return {schemes[o.relative_to] for o in network.output if o.relative_to in schemes}


def with_needed_schemes(
    times: Sequence[Mapping[str, Any]], contracts: Mapping[str, Contract], contract: Contract
) -> list[dict[str, Any]]:
    """Add to the time of a network that of the schemes whose value it is relative to.

    Only so can networks that need a scheme be compared with networks that need none.

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
