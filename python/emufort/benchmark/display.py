"""Print the tables of a benchmark in the terminal."""

from __future__ import annotations

from typing import Any

from emufort.benchmark import machine
from emufort.benchmark.markdown import number
from emufort.benchmark.result import Result, Row
from emufort.screen import Table
from emufort.screen import console as make_console


def show(result: Result) -> None:
    """Print times, shares of the peak, and contenders with problems."""
    console = make_console()
    about = result.about
    console.print(machine.title(about["machine"]), markup=False)
    if about["peak"]:
        peak = about["peak"]
        widths = ", ".join(f"{k} bit {v:.0f}" for k, v in peak["gflops_by_bits"].items())
        console.print(
            f"{about['compiler']}; peak of a core {peak['gflops']:.0f} GFLOP/s ({widths})",
            markup=False,
        )
    for threads in result.unique("threads"):
        console.print(_times(result, threads))
    console.print(_shares(result))
    calls = result.calls()
    if calls:
        console.print(_calls(calls))
    for row in result.flagged():
        where = "" if row.status == "missing" else f" on {row.model}"
        console.print(f"{row.contender}{where}: {row.status}, {row.note}", markup=False)
    busy = about["machine"]["load_average"]
    if busy > 0.5:
        console.print(
            f"The machine was busy before the run (load average {busy}): do not compare these "
            "times with those of other runs.",
            markup=False,
        )


def _times(result: Result, threads: int) -> Table:
    clock = "thread CPU time" if threads == 1 else f"{threads} threads, wall time"
    columns = result.unique("ncol", threads=threads)
    names = ["model", "contender", *map(str, columns)]
    title = f"ns per column, {clock}; columns per call:"
    table = Table(title, names, ("contender",))
    for model in result.unique("model", threads=threads):
        contenders = result.unique("contender", model=model, threads=threads)
        for k, contender in enumerate(contenders):
            cells = [_cell(result.get(model, contender, n, threads)) for n in columns]
            table.add(
                model if k == 0 else "",
                contender,
                *cells,
                style="bold" if contender.startswith("native") else None,
                end_section=k == len(contenders) - 1,
            )
    return table


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    if row.ns_per_column is None or row.status != "ok":
        return row.status
    return number(row.ns_per_column)


def _shares(result: Result) -> Table:
    columns = ("model", "ncol", "form", "% peak", "layers", "faster", "than best other")
    table = Table("Fastest form of emufort on one thread", columns, ("form", "than best other"))
    for cell in result.comparison():
        if cell["threads"] != 1:
            continue
        share, layers = cell["percent_of_peak"], cell["layers_percent_of_peak"]
        speedup = cell["speedup"]
        table.add(
            cell["model"],
            str(cell["ncol"]),
            cell["native"],
            "" if share is None else f"{share:.1f}",
            "" if layers is None else f"{layers:.1f}",
            "" if speedup is None else f"{speedup:.2f}",
            cell["best_other"] or "",
        )
    return table


def _calls(cells: list[dict[str, Any]]) -> Table:
    columns = ("model", "ncol", "ns", "x layers", "of classical call", "of its output alone")
    table = Table("Calls from physical inputs, one thread", columns)
    for cell in cells:
        shares = [cell["over_baseline_call"], cell["over_baseline"]]
        table.add(
            cell["model"],
            str(cell["ncol"]),
            number(cell["ns_native"]),
            f"{cell['over_layers']:.2f}",
            *("" if share is None else f"{share:.2f}" for share in shares),
        )
    return table
