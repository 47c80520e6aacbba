"""Things that can be timed: emulators in the Fortran runtime or ONNX Runtime, and baselines."""

from __future__ import annotations

import hashlib
import itertools
import math
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from emufort.errors import EmufortError
from emufort.export.onnx import build_onnx
from emufort.files import write_bytes
from emufort.network.emulator import Emulator
from emufort.provenance import cpu_model, file_sha256
from emufort.signals import run_child

Array = NDArray[np.float64]
Kind = Literal["candidate", "baseline"]
Backend = Literal["fortran", "onnxruntime"]

#: Shortest duration of one measurement in ONNX Runtime [s of CPU time].
_SHORTEST = 10e-3


class Timer(Protocol):
    """An emulator or baseline that can be timed.

    Attributes
    ----------
    id, kind, backend, compiler, flags
        As in the columns of timing.csv.
    fingerprint
        Hash of everything that the time depends on, except the load of the machine.
    """

    @property
    def id(self) -> str:
        """Name of the candidate or baseline."""

    @property
    def kind(self) -> Kind:
        """Whether this is a candidate or a baseline."""

    @property
    def backend(self) -> Backend:
        """Backend that runs it."""

    @property
    def compiler(self) -> str:
        """Name and version of the compiler."""

    @property
    def flags(self) -> str:
        """Compiler flags."""

    @property
    def fingerprint(self) -> str:
        """Hash of everything that the time depends on, except the load of the machine."""

    def measure(self, ncol: Sequence[int]) -> dict[int, float]:
        """Return ns per sample for each number of columns per call."""


@dataclass(frozen=True)
class EmulatorProgram:
    """An emulator in the Fortran runtime: ``program weights inputs ncol[,ncol...] repeats``.

    The program prints lines ``ncol,repeat,ns_per_sample``; other lines are ignored.

    Attributes
    ----------
    program
        The executable.
    built_from
        `Compiler.key` of its sources and flags.
    weights, inputs
        Files that the program reads; `write_inputs` writes the latter.
    """

    id: str
    compiler: str
    flags: str
    program: Path
    built_from: str
    weights: Path
    inputs: Path
    kind: Kind = "candidate"
    backend: Backend = "fortran"

    @property
    def fingerprint(self) -> str:
        """Hash of program, weights and inputs."""
        return _digest(
            self.id, self.built_from, file_sha256(self.weights), file_sha256(self.inputs)
        )

    def measure(self, ncol: Sequence[int]) -> dict[int, float]:
        """Run the program once; see `Timer.measure`."""
        columns = ",".join(map(str, ncol))
        output = _run(self.id, [self.program, self.weights, self.inputs, columns, 1])
        return _times(self, output, ncol)


@dataclass(frozen=True)
class BaselineProgram:
    """A classical scheme, see `emufort.processes.TimingSource`.

    Attributes
    ----------
    program, built_from
        As in `EmulatorProgram`.
    inputs
        File that the program reads, written by `write_samples`.
    takes_ncol
        Whether the program takes the numbers of columns as an argument.
    """

    id: str
    compiler: str
    flags: str
    program: Path
    built_from: str
    inputs: Path
    takes_ncol: bool = False
    kind: Kind = "baseline"
    backend: Backend = "fortran"

    @property
    def fingerprint(self) -> str:
        """Hash of program and inputs."""
        return _digest(self.id, self.built_from, file_sha256(self.inputs))

    def measure(self, ncol: Sequence[int]) -> dict[int, float]:
        """Run the program once; see `Timer.measure`."""
        columns = [",".join(map(str, ncol))] if self.takes_ncol else []
        output = _run(self.id, [self.program, self.inputs, *columns, 1])
        return _times(self, output, ncol, takes_ncol=self.takes_ncol)


def printed_times(output: str, ncol: Sequence[int], takes_ncol: bool) -> dict[int, float]:
    """Return the times [ns per sample] in the output of a timing program, by number of columns.

    Parameters
    ----------
    output
        Lines ``ncol,repeat,ns_per_sample`` if the program `takes_ncol`, else lines ``ns_per_sample
        VALUE``; the first VALUE is then the time for every number of columns. Other lines and
        times that are not positive and finite are ignored.
    ncol
        Requested numbers of columns; those without a time are missing in the result.
    takes_ncol
        Whether the program took the numbers of columns as an argument.
    """
    found: dict[int, float] = {}
    for line in output.splitlines():
        parts = line.split(",") if takes_ncol else line.split()
        try:
            if takes_ncol:
                found[int(parts[0])] = float(parts[2])
            elif parts[0] == "ns_per_sample" and 0.0 < float(parts[1]) < math.inf:
                return dict.fromkeys(ncol, float(parts[1]))
        except (ValueError, IndexError):
            continue
    return {n: found[n] for n in ncol if 0.0 < found.get(n, 0.0) < math.inf}


def _times(
    timer: EmulatorProgram | BaselineProgram,
    output: str,
    ncol: Sequence[int],
    takes_ncol: bool = True,
) -> dict[int, float]:
    """Return `printed_times` of a timer's program; raise `EmufortError` if one is missing."""
    found = printed_times(output, ncol, takes_ncol)
    for n in ncol:
        if n not in found:
            of = f" for {n} columns" if takes_ncol else ""
            raise EmufortError(f"timing {timer.id} with {timer.program} gave no time{of}")
    return found


def _run(identity: str, command: Sequence[object]) -> str:
    try:
        done = run_child(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    except OSError as error:
        raise EmufortError(f"cannot run {command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        what = lines[0] if lines else f"exit code {done.returncode}"
        raise EmufortError(f"timing {identity} with {command[0]} failed: {what}")
    return str(done.stdout)


class OnnxTimer:
    """An emulator in ONNX Runtime on one thread, called from Python."""

    kind: Kind = "candidate"
    backend: Backend = "onnxruntime"
    flags = ""

    def __init__(self, identity: str, emulator: Emulator, x: Array) -> None:
        import onnxruntime

        self.id = identity
        self.compiler = f"onnxruntime {onnxruntime.__version__}"
        model = build_onnx(emulator).SerializeToString()
        self._x = np.ascontiguousarray(x, dtype=np.float32)
        self.fingerprint = _digest(
            identity,
            self.compiler,
            cpu_model(),
            hashlib.sha256(model).hexdigest(),
            hashlib.sha256(self._x.tobytes()).hexdigest(),
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def measure(self, ncol: Sequence[int]) -> dict[int, float]:
        """Call the session for at least 10 ms of CPU time; see `Timer.measure`."""
        name = self._session.get_inputs()[0].name
        found = {}
        for n in ncol:
            blocks = [self._x[i : i + n] for i in range(0, len(self._x) - n + 1, n)]
            self._session.run(None, {name: blocks[0]})
            calls = 0
            start = now = time.thread_time()
            for block in itertools.cycle(blocks):
                self._session.run(None, {name: block})
                calls += 1
                now = time.thread_time()
                if now - start >= _SHORTEST:
                    break
            found[n] = (now - start) * 1e9 / (calls * n)
        return found


def write_inputs(path: Path, x: Array) -> Path:
    """Write inputs (n, n_inputs) for a timing program.

    The file holds int32 n and n_inputs, then float64 `x`, little endian, sample index fastest.

    Returns
    -------
    Path
        The file written, `path`.
    """
    n, n_inputs = x.shape
    header = np.array([n, n_inputs], dtype="<i4").tobytes()
    write_bytes(path, header + np.asarray(x, dtype="<f8").tobytes(order="F"))
    return path


def write_samples(path: Path, x: Array) -> Path:
    """Write inputs (n, k) for a baseline's program: float64 n, then float64 `x` row by row."""
    write_bytes(path, np.array([len(x)], dtype="<f8").tobytes() + x.astype("<f8").tobytes())
    return path


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
