"""Write the tables of a benchmark as Markdown, for bench.md and for documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emufort.benchmark import machine
from emufort.benchmark.result import CLASSICAL, Result, Row
from emufort.errors import EmufortError
from emufort.escape import markdown, markdown_code
from emufort.files import write_text

BEGIN = "<!-- bench: begin; made by `emufort bench --update`, do not edit -->"
END = "<!-- bench: end -->"
SUMMARY_BEGIN = "<!-- bench summary: begin; made by `emufort bench --update`, do not edit -->"
SUMMARY_END = "<!-- bench summary: end -->"

#: Numbers of columns in the summary: a single one, a block of a climate model, and many.
_SUMMARY_NCOL = (1, 16, 1152)

#: Load average before the run above which wall times depend on other processes too much.
_QUIET = 0.5


def write_markdown(result: Result, path: Path) -> None:
    """Write all tables to `path`."""
    write_text(path, tables(result))


def update_document(result: Result, path: Path) -> None:
    """Replace the text between the markers in `path`: all tables, the summary, or both.

    Raises
    ------
    EmufortError
        The file is missing or has no markers.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise EmufortError(f"cannot read {path}: {error.strerror}") from error
    n_places = 0
    for begin, end, content in (
        (BEGIN, END, tables),
        (SUMMARY_BEGIN, SUMMARY_END, summary),
    ):
        head, found, rest = text.partition(begin)
        _, is_closed, tail = rest.partition(end)
        if found and is_closed:
            text = f"{head}{begin}\n\n{content(result)}\n{end}{tail}"
            n_places += 1
    if n_places == 0:
        raise EmufortError(
            f"{path} has no markers for tables: add the lines {BEGIN} and {END}, or, for a short "
            f"table, {SUMMARY_BEGIN} and {SUMMARY_END}"
        )
    write_text(path, text)


def summary(result: Result) -> str:
    """Return the time of emufort on one thread compared with the fastest other contender."""
    about = result.about
    lines = [
        "| network | columns per call | emufort, ns per column | % of peak "
        "| % of peak, layers alone | fastest other | ns |",
        "|---|---:|---:|---:|---:|---|---:|",
    ]
    titles = {m["name"]: m["title"] for m in about["models"]}
    calls = [c for c in result.calls() if c["ncol"] in _SUMMARY_NCOL]
    called = {c["model"] for c in calls}
    for cell in result.comparison():
        if cell["threads"] != 1 or cell["ncol"] not in _SUMMARY_NCOL:
            continue
        other = cell["ns_best_other"]
        if other is None and cell["model"] in called:
            continue  # no contender can do this work; the table of calls has the row
        lines.append(
            f"| {titles[cell['model']]} | {cell['ncol']:,} | {number(cell['ns_native'])} | "
            f"{_percent(cell['percent_of_peak'], 0)} | "
            f"{_percent(cell['layers_percent_of_peak'], 0)} | "
            f"{cell['best_other'] or ''} | "
            f"{'' if other is None else number(other)} |"
        )
    if calls:
        lines += ["", *_call_rows(result, calls)]
    peak = f", peak {about['peak']['gflops']:.0f} GFLOP/s" if about["peak"] else ""
    classical = next((c["about"] for c in about["contenders"] if c["name"] == "baseline"), "")
    note = (
        f"One core of an {machine.title(about['machine'])}{peak}; {about['compiler']}; CPU time, "
        f"median of {about['options']['repeats']} rounds, load average "
        f"{about['machine']['load_average']} before the run."
    )
    if calls and classical:
        # The last part, the extent of its outputs, is in the column headings.
        note += f" Classical scheme: {classical.rpartition(', ')[0]}."
    return "\n".join([*lines, "", note]) + "\n"


def tables(result: Result) -> str:
    """Return machine, times, shares of the peak and flags as Markdown."""
    parts = [_head(result)]
    busy = float(result.about["machine"]["load_average"])
    for threads in result.unique("threads"):
        if threads > 1 and busy > _QUIET:
            parts.append(
                f"Wall times with {threads} threads are left out, because the machine was busy "
                f"before the run (load average {busy})."
            )
            continue
        for model in result.unique("model", threads=threads):
            parts.append(_times(result, model, threads))
    parts += filter(None, [_shares(result), _calls(result), _compilers(result)])
    flags = [
        f"- {row.contender}: {row.status}" + (f" ({markdown(row.note)})" if row.note else "")
        for row in result.flagged()
    ]
    if flags:
        parts.append("Flagged:\n\n" + "\n".join(flags))
    return "\n\n".join(parts) + "\n"


def _head(result: Result) -> str:
    about = result.about
    lines = [f"- CPU: {machine.title(about['machine'])}"]
    peak = about["peak"]
    if peak:
        widths = ", ".join(f"{k} bit {v:.0f}" for k, v in peak["gflops_by_bits"].items())
        lines.append(
            f"- Peak of a core, fused multiply-adds in registers: {peak['gflops']:.0f} GFLOP/s "
            f"({widths})"
        )
    lines += [
        f"- Compiler: {markdown(about['compiler'])}",
        f"- Flags: {markdown_code(about['flags'])}",
    ]
    lines += [
        f"- {c['title']} (`{c['name']}`)" + (f": {c['about']}" if c["about"] else "")
        for c in about["contenders"]
    ]
    lines.append(
        f"- {about['time'][:10]}, emufort {about['versions']['emufort']}, "
        f"{about['options']['repeats']} rounds, load average {about['machine']['load_average']} "
        f"before and {about['load_average_after']} after"
    )
    return "\n".join(lines)


def _times(result: Result, model: str, threads: int) -> str:
    """Return ns per column, with a row per contender and a column per number of columns."""
    described = next(m for m in result.about["models"] if m["name"] == model)
    ncol = result.unique("ncol", model=model, threads=threads)
    clock = "thread CPU time" if threads == 1 else f"{threads} threads, wall time"
    lines = [
        f"**{model}** ({described['title']}; {described['work']}), ns per column, {clock}:",
        "",
        "| contender | " + " | ".join(f"{n:,}" for n in ncol) + " |",
        "|---|" + "---:|" * len(ncol),
    ]
    best = {n: _fastest(result, model, threads, n) for n in ncol}
    for contender in result.unique("contender", model=model, threads=threads):
        cells = [result.get(model, contender, n, threads) for n in ncol]
        words = [_cell(row, best[n]) for row, n in zip(cells, ncol, strict=True)]
        lines.append(f"| {contender} | " + " | ".join(words) + " |")
    return "\n".join(lines)


def _fastest(result: Result, model: str, threads: int, ncol: int) -> float:
    times = [
        row.ns_per_column
        for row in result.rows
        if (row.model, row.threads, row.ncol, row.status) == (model, threads, ncol, "ok")
        and row.ns_per_column is not None
        and row.contender not in CLASSICAL
        and row.contender not in result.partial_contenders()
        and row.contender not in result.seconds()
    ]
    return min(times, default=0.0)


def _cell(row: Row | None, best: float) -> str:
    if row is None:
        return ""
    if row.ns_per_column is None:
        return row.status
    text = number(row.ns_per_column)
    if row.status == "wrong":
        return f"{text} (wrong)"
    return f"**{text}**" if row.ns_per_column == best else text


def _shares(result: Result) -> str:
    """Return per cent of peak and speedup of the fastest form of emufort on one thread."""
    cells = [c for c in result.comparison() if c["threads"] == 1]
    if not cells:
        return ""
    lines = [
        "The fastest form of emufort on one thread: per cent of the measured peak (two operations "
        "per multiply-add), the same for its layers alone, and the speedup over the fastest other "
        "contender:",
        "",
        "| model | columns | form | % of peak | layers alone | best other | times faster |",
        "|---|---:|---|---:|---:|---|---:|",
    ]
    for c in cells:
        speedup = "" if c["speedup"] is None else f"{c['speedup']:.2f}"
        lines.append(
            f"| {c['model']} | {c['ncol']:,} | {c['native']} | {_percent(c['percent_of_peak'], 1)} "
            f"| {_percent(c['layers_percent_of_peak'], 1)} | {c['best_other'] or ''} | {speedup} |"
        )
    return "\n".join(lines)


def _calls(result: Result) -> str:
    """Return times of calls from physical inputs, relative to layers and classical scheme."""
    cells = result.calls()
    if not cells:
        return ""
    lines = [
        "Calls from physical inputs on one thread, by the fastest form of emufort, compared with "
        "their layers alone and with the classical scheme:",
        "",
        *_call_rows(result, cells),
    ]
    return "\n".join(lines)


def _call_rows(result: Result, cells: Sequence[dict[str, Any]]) -> list[str]:
    titles = {m["name"]: m["title"] for m in result.about["models"]}
    lines = [
        "| call | columns per call | emufort, ns per column | relative to its layers alone "
        "| relative to the classical scheme | relative to the scheme without skill variables |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for c in cells:
        words = [
            f"{c[over]:.2f} ({number(c[ns])} ns)" if c[over] else ""
            for over, ns in (
                ("over_baseline_call", "ns_baseline_call"),
                ("over_baseline", "ns_baseline"),
            )
        ]
        lines.append(
            f"| {titles[c['model']]} | {c['ncol']:,} | {number(c['ns_native'])} | "
            f"{c['over_layers']:.2f} | {' | '.join(words)} |"
        )
    return lines


def _compilers(result: Result) -> str:
    """Return the speed with the second compiler in per cent of the speed with the first."""
    cells = result.compilers()
    if not cells:
        return ""
    ncol = list(dict.fromkeys(c["ncol"] for c in cells))
    rows = list(dict.fromkeys((c["model"], c["form"]) for c in cells))
    found = {(c["model"], c["form"], c["ncol"]): c["percent_of_speed"] for c in cells}
    lines = [
        f"Speed with {result.about['options']['second_compiler']} in per cent of the speed with "
        f"{result.about['options']['compiler']}, one thread; columns per call:",
        "",
        "| model | form | " + " | ".join(f"{n:,}" for n in ncol) + " |",
        "|---|---|" + "---:|" * len(ncol),
    ]
    for model, form in rows:
        words = [_percent(found.get((model, form, n)), 0) for n in ncol]
        lines.append(f"| {model} | {form} | " + " | ".join(words) + " |")
    return "\n".join(lines)


def _percent(share: float | None, digits: int) -> str:
    return "" if share is None else f"{share:.{digits}f}"


def number(value: float) -> str:
    """Return a time with three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
