"""The results of a benchmark: rows, and the files that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

from emufort.errors import EmufortError
from emufort.files import read_json, write_csv, write_json

#: ``ok``; ``wrong``: outputs are wrong; ``missing``: it cannot run here; ``failed``: an error.
Status = Literal["ok", "wrong", "missing", "failed"]

#: Contenders that are not networks: a classical scheme up to the outputs of the contract, and a
#: whole call of the scheme.
CLASSICAL = ("baseline", "baseline-call")

_FORMAT = "emufort-bench-2"


@dataclass(frozen=True)
class Row:
    """One cell of the benchmark for one contender.

    Attributes
    ----------
    model, work
        Name of the model, and the work: ``network`` (alone) or ``physical`` (inputs to outputs).
    contender, ncol, threads
        Name of the contender, columns per call, and number of threads.
    status, note
        See `Status`; the reason if the status is not ``ok``.
    ns_per_column
        Median over the rounds [ns].
    ns_min, ns_q25, ns_q75, ns_max
        Spread over the rounds [ns].
    repeats
        Number of rounds.
    clock
        ``cpu``: time of the calling thread; ``wall``: wall time, with more than one thread.
    gflops
        Rate at the median time, with two operations per multiply-add of the network [GFLOP/s].
    percent_of_peak
        Median over the rounds of the rate, relative to the peak of all threads measured just
        before.
    max_error
        Largest error of an output against double precision, relative to the value or, where that is
        larger, to the spread of that output.
    """

    model: str
    work: str
    contender: str
    ncol: int
    threads: int
    status: Status
    note: str = ""
    ns_per_column: float | None = None
    ns_min: float | None = None
    ns_q25: float | None = None
    ns_q75: float | None = None
    ns_max: float | None = None
    repeats: int = 0
    clock: str = ""
    gflops: float | None = None
    percent_of_peak: float | None = None
    max_error: float | None = None


COLUMNS = tuple(field.name for field in fields(Row))


@dataclass(frozen=True)
class Result:
    """A whole benchmark.

    Attributes
    ----------
    about
        Description of machine, compiler, versions, options, models, contenders and peak.
    rows
        All cells.
    """

    about: Mapping[str, Any]
    rows: tuple[Row, ...]

    def write(self, folder: Path) -> None:
        """Write bench.csv and bench.json."""
        write_csv(folder / "bench.csv", [asdict(row) for row in self.rows], COLUMNS)
        content = {
            "format": _FORMAT,
            **self.about,
            "comparison": self.comparison(),
            "calls": self.calls(),
            "compilers": self.compilers(),
            "rows": [asdict(row) for row in self.rows],
        }
        write_json(folder / "bench.json", content)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a bench.json.

        Raises
        ------
        EmufortError
            The file is missing, damaged or not a bench.json.
        """
        content = read_json(path)
        try:
            if content.pop("format") != _FORMAT:
                raise KeyError
            for derived in ("comparison", "calls", "compilers"):
                content.pop(derived)
            rows = tuple(Row(**row) for row in content.pop("rows"))
        except (KeyError, TypeError, AttributeError) as error:
            raise EmufortError(f"{path} is no bench.json of this version of emufort") from error
        return cls(content, rows)

    def get(self, model: str, contender: str, ncol: int, threads: int) -> Row | None:
        """Return the row of a cell, or None if it does not exist."""
        for row in self.rows:
            if (row.model, row.contender, row.ncol, row.threads) == (
                model,
                contender,
                ncol,
                threads,
            ):
                return row
        return None

    def unique(self, field: str, **where: object) -> list[Any]:
        """Return the different values of a field in matching rows, in order of appearance."""
        values = [getattr(row, field) for row in self._matching(where)]
        return list(dict.fromkeys(values))

    def _matching(self, where: Mapping[str, object]) -> Iterator[Row]:
        for row in self.rows:
            if all(getattr(row, name) == value for name, value in where.items()):
                yield row

    def flagged(self) -> list[Row]:
        """Return one row for each contender and problem, where the status is not ``ok``."""
        found: dict[tuple[str, str, str], Row] = {}
        for row in self.rows:
            if row.status != "ok":
                found.setdefault((row.contender, row.status, row.note), row)
        return list(found.values())

    def partial_contenders(self) -> set[str]:
        """Return the contenders that are only a part of a call and are not compared."""
        return {c["name"] for c in self.about["contenders"] if c.get("is_part")}

    def seconds(self) -> dict[str, str]:
        """Return the contenders of the second compiler, with their counterparts of the first."""
        contenders = self.about["contenders"]
        return {c["name"]: c["second_of"] for c in contenders if c.get("second_of")}

    def comparison(self) -> list[dict[str, Any]]:
        """Compare, for every cell, our fastest form with the fastest other contender.

        Contenders with wrong outputs are excluded. So are classical schemes, which do other work,
        parts of a call, and the contenders of the second compiler. The share of the peak that a
        part reaches is given in addition (``layers_percent_of_peak``).
        """
        native = {c["name"] for c in self.about["contenders"] if c["is_native"]}
        parts = self.partial_contenders() - self.seconds().keys()
        cells = dict.fromkeys((r.model, r.threads, r.ncol) for r in self.rows)
        table = []
        for model, threads, ncol in cells:
            good = [
                row
                for row in self._matching({"model": model, "threads": threads, "ncol": ncol})
                if row.status == "ok"
                and row.contender not in CLASSICAL
                and row.ns_per_column
                and row.contender not in self.seconds()
            ]
            part = next((r for r in good if r.contender in parts), None)
            good = [row for row in good if row.contender not in parts]
            ours = min((r for r in good if r.contender in native), key=_time, default=None)
            other = min((r for r in good if r.contender not in native), key=_time, default=None)
            if ours is None:
                continue
            table.append(
                {
                    "model": model,
                    "threads": threads,
                    "ncol": ncol,
                    "native": ours.contender,
                    "ns_native": ours.ns_per_column,
                    "percent_of_peak": ours.percent_of_peak,
                    "layers_percent_of_peak": part.percent_of_peak if part else None,
                    "best_other": other.contender if other else None,
                    "ns_best_other": other.ns_per_column if other else None,
                    "speedup": round(_time(other) / _time(ours), 3) if other else None,
                }
            )
        return table

    def calls(self) -> list[dict[str, Any]]:
        """Compare calls from physical inputs with their layers and with the classical scheme.

        The comparison uses one thread and our fastest form of the call.
        """
        table = []
        for cell in self.comparison():
            where = (cell["ncol"], cell["threads"])
            layers = self._good(cell["model"], "native-layers", *where)
            if cell["threads"] != 1 or layers is None or layers.work != "physical":
                continue
            ns = cell["ns_native"]
            row = {
                "model": cell["model"],
                "ncol": cell["ncol"],
                "native": cell["native"],
                "ns_native": ns,
                "ns_layers": layers.ns_per_column,
                "over_layers": round(ns / _time(layers), 3),
            }
            for name in CLASSICAL:
                scheme = self._good(cell["model"], name, *where)
                key = name.replace("-", "_")
                row[f"ns_{key}"] = scheme.ns_per_column if scheme else None
                row[f"over_{key}"] = round(ns / _time(scheme), 3) if scheme else None
            table.append(row)
        return table

    def compilers(self) -> list[dict[str, Any]]:
        """Return the speed with the second compiler in per cent of that with the first."""
        table = []
        for row in self.rows:
            first = self.seconds().get(row.contender)
            if first is None or row.status != "ok":
                continue
            own = self._good(row.model, first, row.ncol, row.threads)
            if own is not None:
                table.append(
                    {
                        "model": row.model,
                        "form": first,
                        "ncol": row.ncol,
                        "ns": own.ns_per_column,
                        "ns_second": row.ns_per_column,
                        "percent_of_speed": round(100.0 * _time(own) / _time(row), 1),
                    }
                )
        return table

    def _good(self, model: str, contender: str, ncol: int, threads: int) -> Row | None:
        row = self.get(model, contender, ncol, threads)
        return row if row is not None and row.status == "ok" and row.ns_per_column else None


def _time(row: Row) -> float:
    return row.ns_per_column or float("inf")
