"""Measure what `emufort run --preset` gives for each preset, from nothing.

    python -m benchmarks.presets [NAME ...] --out DIR [--update docs/presets.md]

For each preset, the script makes the labels and carries out a run with default settings, each as a
command of its own with an empty cache folder, and takes their wall time and processor time. Then it
labels further Latin-hypercube samples, with other random seeds than the splits of the run and more
cells per mode, and scores the chosen network and the classical schemes on them. What is
measured is kept in DIR/NAME/*.json, and the same command continues.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.markdown_tables import replaced, table
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError
from emufort.export.bundle import Bundle
from emufort.files import read_csv, read_json, write_json, write_text
from emufort.processes.aerosol_activation.labelling import Recipe, write_labels
from emufort.processes.aerosol_activation.preset import Preset, names
from emufort.skill import skill_of_baseline, skill_of_emulator

#: Random seed of the samples for the scores; the splits of a run have the seeds 1, 2 and 3.
SEED = 1001
#: Cells per mode of their labels.
BINS = 200
#: Columns per call of the compared times.
NCOL = 16
#: Name of the markers in the document.
_MARKER = "presets"
#: Of prctl(2) on Linux.
_PR_SET_CHILD_SUBREAPER = 36
_SCHEMES = ("ARG2000", "Ghosh2025", "MBN2014")


@dataclass(frozen=True)
class Cost:
    """What a command cost.

    Attributes
    ----------
    seconds, cpu_seconds
        Wall time; processor time of the command and its child processes [s].
    load
        Mean number of running processes of the machine over a minute, at the end.
    """

    seconds: float
    cpu_seconds: float
    load: float


def children() -> set[int]:
    """Return the process numbers of the child processes of the main thread."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return {int(number) for number in text.split()}


def timed(*arguments: str | Path, cache: Path) -> Cost:
    """Carry out ``emufort`` with its output in a file beside the cache folder.

    Raises
    ------
    EmufortError
        The command failed.
    """
    log = cache.with_name(f"{arguments[0]}.log")
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    # Worker processes may outlive the command by a moment. As their subreaper this process gets
    # their processor time, too.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    present = children()
    start = time.perf_counter()
    with open(log, "w") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "emufort", *map(str, arguments)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        _, status, usage = os.wait4(child.pid, 0)
    seconds, cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
    child.returncode = os.waitstatus_to_exitcode(status)
    while children() - present:
        usage = os.wait4(-1, 0)[2]
        cpu += usage.ru_utime + usage.ru_stime
    if child.returncode != 0:
        raise EmufortError(f"'emufort {arguments[0]}' failed, see {log}")
    return Cost(seconds, cpu, os.getloadavg()[0])


def kept(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the content of a JSON file; measure and write it if there is no such file."""
    if not path.exists():
        write_json(path, measure())
    return read_json(path)


def fresh_samples(preset: Preset, rows: int, path: Path) -> Dataset:
    """Return labelled Latin-hypercube samples that no split of the run has."""
    recipe = Recipe(preset, 1, 1, rows, SEED, judging_bins=BINS)
    if not path.exists():
        write_labels(path, recipe)
    return Dataset.open(path, preset.contract()).part("test")


def scores(bundle: Bundle, data: Dataset) -> dict[str, float]:
    """Return the RMSE of the number fraction of the network and of the classical schemes."""
    found = {"emulator": skill_of_emulator(bundle.emulator(), data).overall.rmse}
    for baseline in data.contract.baseline:
        found[baseline.name] = skill_of_baseline(data, baseline.name).overall.rmse
    return found


def times(run: Path) -> dict[str, float]:
    """Return the times of the chosen network and of ARG2000 in a run [ns per sample]."""
    choice = read_json(run / "selection.json")["choice"]
    at = {r["id"]: r for r in read_csv(run / "timing.csv") if int(r["ncol"]) == NCOL}
    return {
        "emulator": float(at[choice]["ns_per_sample"]),
        "ARG2000": float(at["ARG2000"]["ns_per_sample"]),
    }


def measured(name: str, out: Path, config: list[Path], samples: int, rows: int) -> dict[str, Any]:
    """Return the results of one preset; finished parts are in the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    preset, cache, run = Preset.load(name), out / "cache", out / "run"
    same = ["--preset", name, "--samples", str(samples)]

    def cost_of_labels() -> dict[str, Any]:
        return asdict(timed("labels", *same, "--out", out / "labels.nc", cache=cache))

    def cost_of_run() -> dict[str, Any]:
        return asdict(timed("run", *config, *same, "--out", run, cache=cache))

    labels = kept(out / "labels.json", cost_of_labels)
    whole = kept(out / "run.json", cost_of_run)
    bundle = Bundle.open(run / "bundle")
    data = fresh_samples(preset, rows, out / "fresh.nc")
    provenance = read_json(run / "provenance.json")
    chosen = read_json(run / "selection.json")
    label = next(row["label"] for row in chosen["all"] if row["id"] == chosen["choice"])
    return {
        "preset": name,
        "modes": len(preset.modes),
        "training_samples": samples,
        "labels": labels,
        "run": whole,
        "steps": {k: v["seconds"] for k, v in read_json(run / "steps.json")["steps"].items()},
        "network": label,
        "ns_per_sample": times(run),
        "rmse": scores(bundle, data),
        "rows": len(data),
        "bundle": str(bundle.path),
        "cpu": provenance["cpu"],
        "cores": provenance["cores"],
        "compiler": provenance["compiler"],
    }


def lines(found: list[dict[str, Any]]) -> list[str]:
    """Return the results as a Markdown table."""
    head = [
        "preset", "modes", "labels, s", "run, s", "CPU, s", "network", f"ns, ncol {NCOL}",
        "ARG2000, ns", "RMSE", *_SCHEMES,
    ]  # fmt: skip
    rows = []
    for one in found:
        cpu = one["labels"]["cpu_seconds"] + one["run"]["cpu_seconds"]
        schemes = (one["rmse"].get(scheme) for scheme in _SCHEMES)
        rows.append(
            [
                one["preset"],
                str(one["modes"]),
                f"{one['labels']['seconds']:.0f}",
                f"{one['run']['seconds']:.0f}",
                f"{cpu:.0f}",
                one["network"],
                f"{one['ns_per_sample']['emulator']:.0f}",
                f"{one['ns_per_sample']['ARG2000']:.0f}",
                f"**{one['rmse']['emulator']:.4f}**",
                *("-" if value is None else f"{value:.4f}" for value in schemes),
            ]
        )
    return table(head, rows)


def words(found: list[dict[str, Any]]) -> str:
    """Return the sentences below the table."""
    one = found[0]
    loads = [part["load"] for each in found for part in (each["labels"], each["run"])]
    return (
        f"{one['training_samples']:,} training samples. RMSE of the number fraction of all modes "
        f"on at least {min(each['rows'] for each in found):,} Latin-hypercube samples that no run "
        f"has seen, labelled with {BINS} cells per mode. Times in ns per sample with {NCOL} "
        f"columns per call, one core of an {one['cpu']}, {one['compiler']}. Labels and run on "
        f"{one['cores']} cores; other work ran at the same time, with a mean load of "
        f"{min(loads):.1f} to {max(loads):.1f} processes. CPU is the processor time of both parts."
    )


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("preset", nargs="*", help="names of presets; default: all")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and results")
    parser.add_argument("--config", type=Path, help="configuration of the runs; default: none")
    parser.add_argument("--samples", type=int, default=32_768, help="training samples")
    parser.add_argument("--rows", type=int, default=8192, help="samples for the scores")
    parser.add_argument("--update", type=Path, metavar="FILE", help="insert the table into FILE")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    options = arguments(given)
    config = [] if options.config is None else [options.config]
    found = []
    for name in options.preset or names():
        out = options.out / name
        one = kept(
            out / "result.json",
            partial(measured, name, out, config, options.samples, options.rows),
        )
        found.append(one)
        print(lines([one])[-1], flush=True)
    write_json(options.out / "presets.json", {"presets": found})
    text = "\n".join([*lines(found), "", words(found)])
    print(text)
    if options.update is not None:
        write_text(options.update, replaced(options.update.read_text(), _MARKER, text))


if __name__ == "__main__":
    try:
        main()
    except EmufortError as error:
        raise SystemExit(f"error: {error}") from error
