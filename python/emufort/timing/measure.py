"""Measured inference time of candidates and baselines, in rounds so that times can be compared.

One round times every candidate and every baseline once, one after the other. A table consists of
whole rounds only. If the machine is slower for a minute, or changes between two sessions, all
entries of a round are affected alike, and the median over the rounds compares them fairly.
Finished rounds are kept, so an interrupted timing continues with the next round, and an incomplete
round is repeated. If anything differs (compiler, flags, sources, CPU, inputs, weights, or the set
of candidates), all rounds are measured again.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emufort.brief import brief
from emufort.config import TimingConfig
from emufort.contract import Contract
from emufort.errors import EmufortError
from emufort.export.weights_file import WeightsFile
from emufort.files import make_directory, write_csv, write_json
from emufort.network.emulator import Emulator
from emufort.processes import registry as processes
from emufort.progress import Reporter, silent
from emufort.selection.words import nanoseconds
from emufort.timing.timers import (
    BaselineProgram,
    EmulatorProgram,
    OnnxTimer,
    Timer,
    write_inputs,
    write_samples,
)
from emufort.toolchain.compiler import Compiler
from emufort.toolchain.sources import fortran_sources

#: Number of rows that a caller should pass to `time_candidates`: several calls of any usual size.
TIMING_ROWS = 4608

COLUMNS = (
    "id",
    "kind",
    "backend",
    "compiler",
    "flags",
    "ncol",
    "ns_per_sample",
    "ns_min",
    "ns_max",
    "repeats",
)


@dataclass(frozen=True)
class Time:
    """One row of timing.csv: median and spread over `repeats` rounds, in ns per sample."""

    id: str
    kind: str
    backend: str
    compiler: str
    flags: str
    ncol: int
    ns_per_sample: float
    ns_min: float
    ns_max: float
    repeats: int

    def __repr__(self) -> str:
        return brief(self, self.id, f"{nanoseconds(self.ns_per_sample)} ns at ncol {self.ncol}")


def time_candidates(
    candidates: Mapping[str, Path],
    contract: Contract,
    config: TimingConfig,
    out_csv: Path,
    work: Path,
    x: NDArray[np.float64],
    report: Reporter = silent,
    own_x: Mapping[str, NDArray[np.float64]] | None = None,
) -> list[Time]:
    """Time candidates and the contract's baselines, and write the table.

    Parameters
    ----------
    candidates
        Identity -> weights.safetensors.
    contract
        Names the baselines that can be timed.
    config
        Columns per call, rounds, backend, compiler and flags. The backend ``onnxruntime`` leaves
        baselines without a time.
    out_csv
        The table to write.
    work
        Folder for programs, their inputs and the finished rounds.
    x
        Inputs to run on (n, n_inputs), physical units; they are repeated if there are fewer rows
        than the largest number of columns.
    report
        Receives the progress after every round.
    own_x
        Identity -> the same samples as inputs of another contract, for networks that use one.

    Returns
    -------
    list of Time
        Candidates in the given order, then baselines, each with all numbers of columns.

    Raises
    ------
    CompilerMissing
        The backend is ``fortran`` and its compiler is missing.
    CompilationError
        The compiler refuses the sources or a flag of the user.
    EmufortError
        A candidate cannot be read or a timing program fails.
    """
    if not candidates:
        raise EmufortError("there is no candidate to time")
    make_directory(work)
    x = _enough(np.asarray(x, dtype=np.float64), max(config.ncol))
    most = max(config.ncol)
    inputs = {key: _enough(np.asarray(v, dtype=float), most) for key, v in (own_x or {}).items()}
    timers = _timers(candidates, contract, config, work, x, inputs)
    rounds = _measure(timers, config, work / "rounds.json", report)
    table = [_row(timer, ncol, rounds) for timer in timers for ncol in config.ncol]
    write_csv(out_csv, [asdict(row) for row in table], COLUMNS)
    return table


#: Identity -> columns per call (as text, for JSON) -> ns per sample.
_Round = dict[str, dict[str, float]]


def _row(timer: Timer, ncol: int, rounds: Sequence[_Round]) -> Time:
    ns = [one[timer.id][str(ncol)] for one in rounds]
    return Time(
        timer.id,
        timer.kind,
        timer.backend,
        timer.compiler,
        timer.flags,
        ncol,
        ns_per_sample=round(statistics.median(ns), 3),
        ns_min=round(min(ns), 3),
        ns_max=round(max(ns), 3),
        repeats=len(ns),
    )


def _measure(
    timers: Sequence[Timer], config: TimingConfig, kept: Path, report: Reporter
) -> list[_Round]:
    """Return the requested number of rounds, continuing with those in the file `kept`."""
    parts = [list(config.ncol), *(timer.fingerprint for timer in timers)]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    rounds = _kept_rounds(kept, key)[: config.repeats]
    while len(rounds) < config.repeats:
        number = len(rounds)
        note = f"{len(timers)} times, {timers[0].backend}"
        report("time", number, config.repeats, note)
        # Each round starts with another timer, so that none is always the first after a pause.
        start = number % len(timers)
        measured = {t.id: t.measure(config.ncol) for t in [*timers[start:], *timers[:start]]}
        rounds.append({i: {str(n): ns for n, ns in m.items()} for i, m in measured.items()})
        write_json(kept, {"key": key, "rounds": rounds})
    report("time", config.repeats, config.repeats)
    return rounds


def _kept_rounds(path: Path, key: str) -> list[_Round]:
    """Read finished rounds; there are none if the file is missing, damaged or has another key."""
    try:
        content = json.loads(path.read_text())
        rounds: list[_Round] = content["rounds"] if content["key"] == key else []
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return rounds


# ------------------------------------------------------------------------------------ what is timed


def _timers(
    candidates: Mapping[str, Path],
    contract: Contract,
    config: TimingConfig,
    work: Path,
    x: NDArray[np.float64],
    own_x: Mapping[str, NDArray[np.float64]],
) -> list[Timer]:
    if config.backend == "onnxruntime":
        return [
            OnnxTimer(identity, Emulator.load(path), own_x.get(identity, x))
            for identity, path in candidates.items()
        ]
    compiler = Compiler.find(config.compiler)
    return [
        *_in_fortran(candidates, compiler, config, work, x, own_x),
        *_baselines(contract, compiler, config, work, x),
    ]


def _in_fortran(
    candidates: Mapping[str, Path],
    compiler: Compiler,
    config: TimingConfig,
    work: Path,
    x: NDArray[np.float64],
    own_x: Mapping[str, NDArray[np.float64]],
) -> list[Timer]:
    flags = flags_of(compiler, config, "flags")
    sources = fortran_sources("time_emulator")
    program = compiler.build(sources, flags, work / "time_emulator")
    built_from = compiler.key(sources, flags)
    inputs = write_inputs(work / "inputs.bin", x)
    timers: list[Timer] = []
    others: dict[int, Path] = {}
    for identity, path in candidates.items():
        mine = inputs
        if identity in own_x:
            own = own_x[identity]
            if id(own) not in others:
                others[id(own)] = write_inputs(work / f"inputs-{len(others) + 1}.bin", own)
            mine = others[id(own)]
        weights = work / "weights" / f"{identity}.bin"
        WeightsFile.from_emulator(Emulator.load(path)).write(weights)
        timers.append(
            EmulatorProgram(identity, compiler.version, flags, program, built_from, weights, mine)
        )
    return timers


def _baselines(
    contract: Contract,
    compiler: Compiler,
    config: TimingConfig,
    work: Path,
    x: NDArray[np.float64],
) -> list[Timer]:
    """Build the timing programs of the baselines, which get the features of the contract."""
    flags = flags_of(compiler, config, "baseline_flags")
    timers: list[Timer] = []
    for baseline in contract.baseline:
        if baseline.timing_source is None:
            continue
        timed = processes.timing_source(str(contract.process), baseline.timing_source)
        sources = timed.write_sources(contract, work / f"{baseline.name}_sources")
        program = compiler.build(sources, flags, work / f"time_{baseline.name}")
        inputs = write_samples(work / "samples.bin", x[:, list(contract.feature_indices)])
        built_from = compiler.key(sources, flags)
        timers.append(
            BaselineProgram(
                baseline.name,
                compiler.version,
                flags,
                program,
                built_from,
                inputs,
                timed.takes_ncol,
            )
        )
    return timers


def flags_of(compiler: Compiler, config: TimingConfig, name: str) -> str:
    """Return the flags to use: the user's, or our defaults that this compiler and CPU support."""
    flags: str = getattr(config, name)
    if flags == TimingConfig.model_fields[name].default:
        return compiler.accepted(flags)
    return flags


def _enough(x: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Repeat the rows of `x` until there are at least `n`."""
    if len(x) == 0:
        raise EmufortError("there is no row of data to time with")
    return np.tile(x, (-(-n // len(x)), 1)) if len(x) < n else x
