"""Run a whole benchmark: models, contenders, checks, rounds, files."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from emufort import provenance
from emufort.benchmark import machine
from emufort.benchmark.agreement import TOLERANCE
from emufort.benchmark.contender import Bench, Contender
from emufort.benchmark.contenders import ALL
from emufort.benchmark.markdown import write_markdown
from emufort.benchmark.measure import Entry, measure
from emufort.benchmark.model import Model
from emufort.benchmark.models import models_of
from emufort.benchmark.options import Options
from emufort.benchmark.peak import Peak
from emufort.benchmark.plot import write_plot
from emufort.benchmark.programs import Programs
from emufort.benchmark.result import Result
from emufort.benchmark.workers import Missing
from emufort.errors import EmufortError
from emufort.files import make_directory
from emufort.progress import Reporter, silent

#: Steps that the reporter receives -> their titles.
TITLES = {
    "prepare": "prepare: programs and workers",
    "check": "check: outputs of all contenders",
    "measure": "measure: rounds",
}


def run(
    options: Options,
    out: Path,
    report: Reporter = silent,
    contenders: Sequence[Contender] = ALL,
) -> Result:
    """Run a benchmark, and write bench.csv, bench.json, bench.md and bench.png.

    Parameters
    ----------
    options
        What to measure.
    out
        Folder for the files; its subfolder ``work`` keeps programs, which are not built again.
    report
        Receives the progress of every step.
    contenders
        The contenders that `options` selects from by name.

    Raises
    ------
    UsageError
        The options are invalid.
    EmufortError
        The bundle cannot be read or a file cannot be written. A contender that is missing or fails
        is not an error but is marked in the results.
    """
    options = options.checked()
    started, begun = time.monotonic(), machine.describe()
    work = make_directory(make_directory(out) / "work")
    models = models_of(options, work)
    chosen = [c for c in contenders if c.name in options.contenders]
    programs = Programs(options, work)
    second = dataclasses.replace(options, compiler=options.second_compiler, flags=None)
    bench = Bench(programs, Programs(second, make_directory(work / "second")), work, models)
    peak: Peak | None = None
    try:
        entries = _start(chosen, bench, options, report)
        # Not in parallel with compilations, which would disturb the comparison of vector widths.
        peak = _peak(programs)
        measure(entries, options.ncol, options.repeats, options.milliseconds, peak, report)
        about = {
            **_about(options, programs, models, chosen, bench),
            "machine": begun,
            "load_average_after": machine.load_average(),
            "seconds": round(time.monotonic() - started, 1),
            "peak": peak.summary() if peak else None,
        }
    finally:
        bench.close()
        if peak is not None:
            peak.close()
    rows = tuple(entry.row(n) for entry in entries for n in options.ncol)
    result = Result(about, rows)
    result.write(out)
    write_markdown(result, out / "bench.md")
    write_plot(result, out / "bench.png")
    return result


def _start(
    chosen: Sequence[Contender], bench: Bench, options: Options, report: Reporter
) -> list[Entry]:
    """Build all programs in parallel, and start all workers."""
    counts = dict.fromkeys(machine.cores() if n == 0 else n for n in options.threads)
    wanted = [
        (contender, model, threads)
        for model in bench.models
        for threads in counts
        for contender in chosen
        if contender.runs(model) and (threads == 1 or contender.splits())
    ]
    done = 0

    def start(job: tuple[Contender, Model, int]) -> Entry:
        nonlocal done
        contender, model, threads = job
        entry = Entry(contender.name, model, threads, None, contender.reference(model))
        try:
            entry.worker = contender.start(bench, model, threads)
        except Missing as missing:
            entry.status, entry.note = "missing", str(missing)
        except EmufortError as error:
            entry.status, entry.note = "failed", str(error)
        done += 1
        report("prepare", done, len(wanted), f"{contender.name} {model.name}")
        return entry

    with ThreadPoolExecutor(machine.cores()) as pool:
        return list(pool.map(start, wanted))


def _peak(programs: Programs) -> Peak | None:
    """Return the measurement of the core's peak, or None without a compiler."""
    try:
        return Peak(programs)
    except (Missing, EmufortError):
        return None


def _about(
    options: Options,
    programs: Programs,
    models: Sequence[Model],
    chosen: Sequence[Contender],
    bench: Bench,
) -> dict[str, Any]:
    described = provenance.describe(options.compiler)
    asked = dataclasses.asdict(options)
    asked["bundle"] = options.bundle.name if options.bundle else None
    asked["originals"] = [path.name for path in options.originals]
    asked["blas"] = str(options.blas) if options.blas else None
    return {
        "time": described["time"],
        "versions": described["versions"],
        "system": described["system"],
        "revision": described["revision"],
        **programs.describe(),
        "options": asked,
        "tolerance": TOLERANCE,
        "models": [model.summary() for model in models],
        "contenders": [
            {
                "name": c.name,
                "title": c.title,
                "is_native": c.is_native,
                "is_part": c.is_part,
                "second_of": c.second_of,
                "about": c.describe(bench),
            }
            for c in chosen
        ],
    }
