"""Measured time of networks in compiled Fortran, for experiment (d)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.paper.problem import SEED, Problem
from emufort.config import TimingConfig
from emufort.files import make_directory, read_json, write_json
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator
from emufort.timing.measure import TIMING_ROWS, time_candidates
from emufort.training import Layout
from emufort.training.scaling import fit_scalers

#: Columns per call, and rounds that the median is taken over.
NCOL, ROUNDS = 16, 7
#: Networks that are timed.
MOST = 32


def measure(problem: Problem, networks: Iterable[Sequence[int]], out: Path) -> dict[str, Any]:
    """Return the time of networks and of the baseline, measured in turn.

    The networks are those that a host would call: with the inputs of the contract, without the
    input that is noise. The time does not depend on the weights, so the initial ones are used.

    Parameters
    ----------
    problem
        The data.
    networks
        Hidden layers of the networks.
    out
        Folder; ``times.json`` there holds the result.

    Returns
    -------
    dict
        ``networks``: label of the network with all inputs -> its time; ``baseline``: name and time.
    """
    contract = problem.data.contract
    scalers = fit_scalers(problem.set)
    sizes = len(contract.feature_indices), len(contract.output_columns)
    folder = make_directory(out / "timing")
    files, labels = {}, {}
    for hidden in networks:
        architecture = Architecture(sizes[0], tuple(hidden), sizes[1], "relu")
        weights = Layout(architecture).parameters(Layout(architecture).initial(SEED))
        identity = architecture.label.replace(" ", "_")
        files[identity] = folder / f"{identity}.safetensors"
        labels[identity] = problem.architecture(hidden).label
        Emulator(contract, architecture, *scalers, weights).save(files[identity])
    inputs = problem.set.x[:TIMING_ROWS]
    config = TimingConfig(ncol=(NCOL,), repeats=ROUNDS)
    found = time_candidates(files, contract, config, folder / "timing.csv", folder / "work", inputs)
    times = {
        "networks": {
            labels[t.id]: {"ns": t.ns_per_sample, "ns_min": t.ns_min, "ns_max": t.ns_max}
            for t in found
            if t.id in labels
        },
        "baseline": {t.id: t.ns_per_sample for t in found if t.id not in labels},
        "compiler": found[0].compiler,
        "flags": found[0].flags,
    }
    write_json(out / "times.json", times)
    return times


def measured(out: Path) -> dict[str, Any]:
    """Return the times of an earlier call of `measure`; empty if there are none."""
    path = out / "times.json"
    return dict(read_json(path)) if path.exists() else {}
