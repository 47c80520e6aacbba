"""Choose an emulator by its error and its measured time, from tables only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from emufort.brief import brief
from emufort.errors import EmufortError
from emufort.results.table import Table
from emufort.selection.entry import BaselineEntry, Entry
from emufort.selection.front import pareto_front
from emufort.selection.rules import parse_rule
from emufort.selection.tables import entry_of, times_at
from emufort.selection.words import (
    ONNX_RUNTIME_TIMES,
    baseline_sentences,
    front_words,
    neighbour_sentences,
)

if TYPE_CHECKING:
    import pandas
    import xarray

    from emufort.network.emulator import Emulator
    from emufort.retrain.models import Models


@dataclass(frozen=True)
class Selection:
    """The choice, its reason, and all entries that it was chosen from.

    Attributes
    ----------
    rule, ncol
        The rule, and the columns per call of the compared times.
    choice
        The chosen emulator; a member of `front`.
    reason
        The explanation in sentences.
    front
        The Pareto front in time and error; ascending time, descending error.
    all
        Every candidate, ascending error.
    baselines
        The classical schemes.
    backend
        Backend of the times: ``"fortran"`` or ``"onnxruntime"``.
    models
        The candidates; None if only their tables are known.
    """

    rule: str
    ncol: int
    choice: Entry
    reason: str
    front: tuple[Entry, ...]
    all: tuple[Entry, ...]
    baselines: tuple[BaselineEntry, ...] = ()
    backend: str = "fortran"
    models: Models | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        counts = f"{len(self.front)} of {len(self.all)} candidates on the front"
        return brief(self, f"by {self.rule} at ncol {self.ncol}", counts, f"choice {self.choice!r}")

    @property
    def caveat(self) -> str:
        """A warning about the times; empty if they are those of compiled Fortran."""
        return "" if self.backend == "fortran" else ONNX_RUNTIME_TIMES

    def emulator(self) -> Emulator:
        """Read the chosen network.

        Raises
        ------
        EmufortError
            The location of the candidates is not known, or the file is missing or damaged.
        """
        if self.models is None:
            raise EmufortError(
                f"it is not known where {self.choice.id} is kept; use emufort.api.select to choose"
            )
        return self.models.emulator(self.choice.id)

    def table(self) -> Table:
        """Return all networks and classical schemes as a table; `chosen` marks the choice."""
        units = "" if self.models is None else self.models.data.contract.error_units
        return selection_table(self.to_dict(), units)

    def to_pandas(self) -> pandas.DataFrame:
        """Return the table as a DataFrame, see `Table.to_pandas`."""
        return self.table().to_pandas()

    def to_xarray(self) -> xarray.Dataset:
        """Return the table as a Dataset with the coordinate id."""
        return self.table().to_xarray()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for selection.json."""
        return {
            "rule": self.rule,
            "ncol": self.ncol,
            "choice": self.choice.id,
            "reason": self.reason,
            "front": [asdict(entry) for entry in self.front],
            "all": [asdict(entry) for entry in self.all],
            "baselines": [asdict(baseline) for baseline in self.baselines],
            "backend": self.backend,
            "caveat": self.caveat,
        }


def select(
    candidates: Iterable[Mapping[str, Any]],
    times: Iterable[Mapping[str, Any]],
    rule: str = "knee",
    ncol: int = 16,
    baselines: Mapping[str, float] | None = None,
) -> Selection:
    """Choose an emulator from the tables of skill and of measured time.

    Parameters
    ----------
    candidates
        Rows of candidates.csv: at least ``id``, ``label`` and ``rmse``.
    times
        Rows of timing.csv: at least ``id``, ``kind``, ``ncol`` and ``ns_per_sample``.
    rule
        ``knee``
            The member of the front beyond which more time stops to pay: furthest below the straight
            line between the ends of the front in ln(time), ln(error), both normalised to 0..1; see
            `knee`. A knee that is slower than a timed baseline could not replace it. The lowest
            error among the emulators that are faster than all baselines is then taken, if any are.
        ``fastest-within=P%``
            The fastest whose error exceeds the lowest error by at most P per cent.
        ``best``
            The lowest error.
        ``max-ns=T``
            The lowest error among those that take at most T ns per sample.
        ``faster-than=NAME``
            The lowest error among those that take less time than the classical scheme NAME; of
            those within 2 % of this error the fastest. The knee, if the scheme was not timed.
    ncol
        Columns per call of the times to compare.
    baselines
        Name of a classical scheme -> its RMSE over the same rows as that of the candidates.

    Raises
    ------
    UsageError
        There is no such rule, or nothing was timed at `ncol`.
    EmufortError
        A table lacks a row or has an unusable number, or no candidate satisfies the rule.
    """
    choose = parse_rule(rule)
    rows = list(times)
    timed = times_at(rows, "candidate", ncol)
    entries = [entry_of(row, timed, ncol) for row in candidates]
    if not entries:
        raise EmufortError("there is no candidate to choose from: the table of candidates is empty")
    front = pareto_front(entries)
    baseline_times = times_at(rows, "baseline", ncol, required=False)
    choice, why = choose(front, ncol, baseline_times)
    limit = min(baseline_times.values(), default=math.inf)
    faster = [entry for entry in front if entry.ns_per_sample < limit]
    if rule == "knee" and faster and choice not in faster:
        knee_at, choice = choice, faster[-1]
        names = " and ".join(sorted(baseline_times))
        why = (
            f"{choice} has the lowest error of the members faster than {names}; the knee of "
            f"{front_words(front, ncol)}, {knee_at}, is slower."
        )
    compared = tuple(
        BaselineEntry(name, rmse, baseline_times.get(name))
        for name, rmse in (baselines or {}).items()
    )
    ranked = tuple(sorted(set(entries), key=lambda e: (e.rmse, e.ns_per_sample, e.id)))
    backends = {str(r.get("backend", "fortran")) for r in rows if r["kind"] == "candidate"}
    backend = "fortran" if backends == {"fortran"} else "onnxruntime"
    caveat = [] if backend == "fortran" else [ONNX_RUNTIME_TIMES]
    explained = [*neighbour_sentences(choice, front), *baseline_sentences(choice, compared)]
    reason = " ".join([why, *explained, *caveat])
    return Selection(rule, ncol, choice, reason, front, ranked, compared, backend)


def selection_table(content: Mapping[str, Any], units: str) -> Table:
    """Return the entries of a selection as a table.

    Parameters
    ----------
    content
        Content of selection.json.
    units
        Unit of errors; empty if it is not known.

    Raises
    ------
    EmufortError
        An entry is missing.
    """
    try:
        on_front = {entry["id"] for entry in content["front"]}
        rows = [
            {
                **{key: entry[key] for key in ("id", "label", "rmse", "ns_per_sample")},
                "kind": "emulator",
                "on_front": entry["id"] in on_front,
                "chosen": entry["id"] == content["choice"],
            }
            for entry in content["all"]
        ] + [
            {
                "id": scheme["name"],
                "label": scheme["name"],
                "rmse": scheme["rmse"],
                "ns_per_sample": scheme["ns_per_sample"],
                "kind": "scheme",
                "on_front": False,
                "chosen": False,
            }
            for scheme in content["baselines"]
        ]
        attrs = {key: content[key] for key in ("rule", "ncol", "reason", "backend")}
    except (KeyError, TypeError) as error:
        raise EmufortError("selection.json is damaged; select again: 'emufort select'") from error
    return Table.of("id", rows, units, attrs)
