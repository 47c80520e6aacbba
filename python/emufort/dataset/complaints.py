"""Find problems with the values of a data set block by block; report them in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Column, Contract
from emufort.errors import DataError

Array = NDArray[np.float64]

#: Stored values may be single precision, so a value this close to a limit (relative) is inside.
RANGE_SLACK = 1e-6
#: Outputs, weights and ONNX are single precision.
_LARGEST, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)


#: Kinds of complaints, in the order in which they are reported.
_FINITE, _RANGE, _DOMAIN, _QUOTIENT, _BASELINE = range(5)


@dataclass(frozen=True)
class _Seen:
    """Values (n,) of a column in a block, and their minimum and maximum (NaN if any value is)."""

    values: Array
    rows: NDArray[np.int64]
    lowest: float = np.nan
    highest: float = np.nan


@dataclass
class _Complaint:
    """Number of invalid values of one kind, and the first of them."""

    text: _Text
    count: int = 0
    row: int = 0
    value: float = 0.0

    def note(self, bad: NDArray[np.bool_], seen: _Seen) -> None:
        """Record the invalid values, at least one, among the values seen."""
        if not self.count:
            first = int(np.flatnonzero(bad)[0])
            self.row, self.value = int(seen.rows[first]), float(seen.values[first])
        self.count += int(bad.sum())


_Text = Callable[[_Complaint, int], str]


class Complaints:
    """Problems with the usable rows: found block by block, reported when all blocks are read."""

    def __init__(self, source: Path, contract: Contract) -> None:
        self.source, self.contract = source, contract
        #: Meaning of the filter's flag -> number of rows that were left out for it.
        self.dropped: dict[str, int] = {}
        #: Number of rows that pass the filter; number of these that have a split.
        self.passed = self.kept = 0
        #: Variable -> why its values are missing, where the file marks them by other means than
        #: NaN.
        self.missing: dict[str, str] = {}
        self._found: dict[tuple[int, str], _Complaint] = {}

    def drop(self, reason: str, rows: NDArray[np.bool_]) -> None:
        """Count rows that are left out for `reason`."""
        self.dropped[reason] = self.dropped.get(reason, 0) + int(rows.sum())

    def look(self, x: Array, y: Array, rows: NDArray[np.int64], baselines: Sequence[Array]) -> None:
        """Check the usable rows of a block.

        Parameters
        ----------
        x, y
            Inputs (n, n_inputs) and outputs (n, n_outputs) of the rows, physical units.
        rows
            Positions of the rows in the file, (n,).
        baselines
            Values (n, k) of each baseline of the contract.
        """
        if len(rows) == 0:
            return
        contract = self.contract
        divisors = {j for j in contract.reference_indices if j is not None}
        for values, columns in ((x, contract.input_columns), (y, contract.output_columns)):
            # Columns whose minimum and maximum are valid, nearly all, need no further checks.
            lowest, highest = values.min(axis=0), values.max(axis=0)
            for j, column in enumerate(columns):
                seen = _Seen(values[:, j], rows, float(lowest[j]), float(highest[j]))
                self._finite(column, seen)
                self._range(column, seen)
                self._domain(column, seen, not column.is_output and j in divisors)
        for j, reference in enumerate(contract.reference_indices):
            if reference is not None:
                self._quotient(j, reference, y[:, j], x[:, reference], rows)
        for baseline, values in zip(contract.baseline, baselines, strict=True):
            bad = np.asarray(~np.isfinite(values).all(axis=1))
            if bad.any():
                name = f"{' or '.join(baseline.variables)}, of the baseline {baseline.name},"
                known = (v for v in baseline.variables if v in self.missing)
                text = self._missing(name, next(known, baseline.variables[0]), "")
                self._note(_BASELINE, name, bad, _Seen(values[:, 0], rows), text)

    def raise_first(self) -> None:
        """Raise the first complaint.

        Raises
        ------
        DataError
            There is a complaint, or no row is usable.
        """
        if self.passed == 0:
            assert self.contract.filter is not None
            counts = ", ".join(f"{m} {c}" for m, c in self.dropped.items() if c)
            raise DataError(
                f"{self.source}: no row is usable, '{self.contract.filter.variable}' is never "
                f"{' or '.join(self.contract.filter.keep)} ({counts})"
            )
        if self.kept == 0:
            assert self.contract.split is not None
            raise DataError(
                f"{self.source}: no row is usable, '{self.contract.split.variable}' is never "
                "train, validation, test"
            )
        if self._found:
            place, name = min(self._found, key=lambda key: (key[0], self._order(key[1])))
            complaint = self._found[place, name]
            raise DataError(f"{self.source}: {complaint.text(complaint, self.kept)}")

    def _order(self, name: str) -> int:
        columns = (*self.contract.input_columns, *self.contract.output_columns)
        return next((i for i, column in enumerate(columns) if column.name == name), 0)

    def _note(self, kind: int, name: str, bad: NDArray[np.bool_], seen: _Seen, text: _Text) -> None:
        if bad.any():
            self._found.setdefault((kind, name), _Complaint(text)).note(bad, seen)

    def _missing(self, name: str, variable: str, advice: str) -> _Text:
        """Return the text that values are missing, and why, where the file says so."""

        def text(found: _Complaint, n: int) -> str:
            why = self.missing.get(variable)
            what = f"{why}, or is NaN or infinite," if why else "is NaN or infinite"
            return (
                f"{name} {what} in {found.count} of {n} usable rows, first in row {found.row}"
                f"{advice}"
            )

        return text

    def _finite(self, column: Column, seen: _Seen) -> None:
        if np.isfinite(seen.lowest) and np.isfinite(seen.highest):
            return
        advice = "; correct the data or mark such rows in the filter variable"
        text = self._missing(column.name, column.variable, advice)
        self._note(_FINITE, column.name, ~np.isfinite(seen.values), seen, text)

    def _range(self, column: Column, seen: _Seen) -> None:
        lower, upper = column.lower, column.upper
        lower -= abs(lower) * RANGE_SLACK if np.isfinite(lower) else 0.0
        upper += abs(upper) * RANGE_SLACK if np.isfinite(upper) else 0.0
        if lower <= seen.lowest and seen.highest <= upper:
            return

        def text(found: _Complaint, n: int) -> str:
            return (
                f"{column.name} is {found.value:.6g} {column.units} in row {found.row} and outside "
                f"the contract's range {column.lower:.6g} to {column.upper:.6g} in {found.count} "
                "rows; correct the data or widen the contract"
            )

        bad = (seen.values < lower) | (seen.values > upper)
        self._note(_RANGE, column.name, bad, seen, text)

    def _domain(self, column: Column, seen: _Seen, is_divisor: bool) -> None:
        """Find values that the column's transform or single precision cannot represent.

        A divisor is a column by which an output is divided before the logarithm is taken.
        """

        def note(bad: NDArray[np.bool_], why: str, advice: str) -> None:
            self._note(
                _DOMAIN,
                column.name,
                bad,
                seen,
                lambda found, n: (
                    f"{column.name} is {found.value:.6g} {column.units} in row {found.row}, which "
                    f"{why}, and so in {found.count} of {n} usable rows; {advice}"
                ),
            )

        v, low, high = seen.values, seen.lowest, seen.highest
        huge = max(-low, high) > _LARGEST
        # A fraction of 1e-39 may become 0 without harm.
        tiny = column.transform != "sigmoid" and not (low >= _SMALLEST or high <= -_SMALLEST)
        if huge or tiny:
            size = np.abs(v)
            bad = size > _LARGEST
            if tiny:
                bad |= (size > 0) & (size < _SMALLEST)
            note(bad, "single precision cannot hold", "choose other units")
        advice = "correct the data or choose another transform"
        if column.transform in ("ln", "log10") or is_divisor:
            if not low > 0:
                note(v <= 0, "has no logarithm", advice)
        elif column.transform == "logit":
            if not (low > 0 and high < 1):
                note((v <= 0) | (v >= 1), "has no logit", advice)
        elif column.transform == "sigmoid" and not (low >= 0 and high <= 1):
            bad = (v < -RANGE_SLACK) | (v > 1 + RANGE_SLACK)
            note(bad, "a sigmoid cannot give, because it is not between 0 and 1", advice)

    def _quotient(
        self, output: int, reference: int, y: Array, x: Array, rows: NDArray[np.int64]
    ) -> None:
        """Find quotients of an output and its reference that single precision cannot hold."""
        column = self.contract.output_columns[output]
        divisor = self.contract.input_columns[reference]
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            quotient = y / x
        size = np.abs(quotient)
        bad = (size > _LARGEST) | ((size > 0) & (size < _SMALLEST))
        self._note(
            _QUOTIENT,
            column.name,
            bad,
            _Seen(quotient, rows),
            lambda found, n: (
                f"{column.name} is {found.value:.6g} times {divisor.name} in row {found.row}, "
                f"which single precision cannot hold, and so in {found.count} of {n} usable rows; "
                "choose other units"
            ),
        )
