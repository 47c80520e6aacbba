"""Check all contenders, then time them in rounds.

A round times every contender in every cell (a model, a number of columns and of threads) once. The
contenders of a cell follow each other, right after a measurement of the core's peak. A short
disturbance of the machine therefore affects neighbours alike, and the rate of a contender is
compared with the peak of the same moment. The order changes with the round.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emufort.benchmark.agreement import largest_error
from emufort.benchmark.model import Model
from emufort.benchmark.peak import Peak
from emufort.benchmark.result import CLASSICAL, Row, Status
from emufort.benchmark.workers import Missing, Worker
from emufort.errors import EmufortError
from emufort.progress import Reporter


@dataclass
class Entry:
    """A contender on a model with a number of threads, and its results.

    Attributes
    ----------
    contender
        Name of the contender.
    model, threads
        The model and the number of threads.
    worker
        The worker; None if the contender cannot run.
    reference
        Correct outputs (n, n_outputs).
    status, note
        As in `Row`.
    errors
        Largest error for each number of columns.
    ns, percent
        Times and percentages of peak for each number of columns, one per round.
    """

    contender: str
    model: Model
    threads: int
    worker: Worker | None
    reference: NDArray[np.float64]
    status: Status = "ok"
    note: str = ""
    errors: dict[int, float] = field(default_factory=dict)
    ns: dict[int, list[float]] = field(default_factory=dict)
    percent: dict[int, list[float]] = field(default_factory=dict)

    def check(self, ncol: Sequence[int]) -> None:
        """Compare the outputs of calls of every size with the reference."""
        for n in ncol:
            try:
                if self.worker is None:
                    return
                error = largest_error(self.worker.check(n), self.reference, n)
            except Missing as missing:
                self._give_up("missing", str(missing))
            except EmufortError as failure:
                self._give_up("failed", str(failure))
            else:
                self.errors[n] = error
                allowed = self.model.tolerance
                if not error <= allowed and self.status == "ok":
                    self.status = "wrong"
                    self.note = f"outputs differ by {error:.1e}, allowed is {allowed:.0e}"

    def measure(self, ncol: int, milliseconds: float, peak: float | None) -> None:
        """Time one cell once.

        Parameters
        ----------
        ncol
            Columns per call.
        milliseconds
            Shortest duration of the measurement [ms].
        peak
            Current peak of one core [GFLOP/s]; None if it is not known.
        """
        if self.worker is None:
            return
        try:
            cpu, wall = self.worker.time(ncol, milliseconds)
        except Missing as missing:
            self._give_up("missing", str(missing))
            return
        except EmufortError as failure:
            self._give_up("failed", str(failure))
            return
        ns = cpu if self.threads == 1 else wall
        self.ns.setdefault(ncol, []).append(ns)
        if peak is not None and self.model.multiply_adds and self.contender not in CLASSICAL:
            rate = 2.0 * self.model.multiply_adds / ns
            share = 100.0 * rate / (peak * self.threads)
            self.percent.setdefault(ncol, []).append(share)

    def _give_up(self, status: Status, note: str) -> None:
        self.status, self.note, self.worker = status, note, None

    def row(self, ncol: int) -> Row:
        """Return the row of one cell."""
        work = "physical" if self.model.is_physical else "network"
        head = (self.model.name, work, self.contender, ncol, self.threads)
        ns = self.ns.get(ncol, [])
        error = self.errors.get(ncol)
        if self.worker is None or not ns:
            return Row(*head, self.status, self.note)
        median = statistics.median(ns)
        low, high = np.quantile(ns, [0.25, 0.75])
        percent = self.percent.get(ncol)
        operations = 2.0 * self.model.multiply_adds
        return Row(
            *head,
            self.status,
            self.note,
            ns_per_column=round(median, 3),
            ns_min=round(min(ns), 3),
            ns_q25=round(float(low), 3),
            ns_q75=round(float(high), 3),
            ns_max=round(max(ns), 3),
            repeats=len(ns),
            clock="cpu" if self.threads == 1 else "wall",
            gflops=round(operations / median, 3) if percent else None,
            percent_of_peak=round(statistics.median(percent), 2) if percent else None,
            max_error=None if error is None or not np.isfinite(error) else float(f"{error:.3g}"),
        )


def measure(
    entries: Sequence[Entry],
    ncol: Sequence[int],
    repeats: int,
    milliseconds: float,
    peak: Peak | None,
    report: Reporter,
) -> None:
    """Check every entry, then measure all of them in rounds.

    Parameters
    ----------
    entries
        Contenders with their workers; results are added to them.
    ncol
        Columns per call.
    repeats
        Number of rounds.
    milliseconds
        Shortest duration of one measurement [ms].
    peak
        Measures the peak of the core; None if that is not possible.
    report
        Receives the progress.
    """
    for done, entry in enumerate(entries):
        report("check", done, len(entries), f"{entry.contender} {entry.model.name}")
        entry.check(ncol)
    report("check", len(entries), len(entries))
    cells = list(dict.fromkeys((e.model.name, e.threads, n) for e in entries for n in ncol))
    for number in range(repeats):
        if peak is not None:
            peak.measure_all(milliseconds)
        for model, threads, n in cells:
            note = f"{model}, {n} columns, {threads} thread{'s' if threads > 1 else ''}"
            report("measure", number, repeats, note)
            there = [e for e in entries if (e.model.name, e.threads) == (model, threads)]
            start = number % len(there)
            now = None if peak is None else peak.measure(min(milliseconds, 10.0))
            for entry in (*there[start:], *there[:start]):
                entry.measure(n, milliseconds, now)
    report("measure", repeats, repeats)
