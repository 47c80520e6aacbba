"""What can be timed: an emulator in the Fortran runtime or ONNX Runtime, a baseline's program."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from emufort.errors import EmufortError
from emufort.files import write_bytes
from emufort.network.emulator import Emulator
from emufort.provenance import cpu_model, file_sha256
from emufort.signals import run_child

Array = NDArray[np.float64]
Kind = Literal["candidate", "baseline"]
Backend = Literal["fortran", "onnxruntime"]

#: One measurement through ONNX Runtime lasts at least so long.
_SHORTEST = 10e-3


class Timer(Protocol):
    """One thing to time.

    Attributes
    ----------
    id, kind, backend, compiler, flags
        As in the columns of timing.csv.
    fingerprint
        Hash of all that its time depends on, but for the load of the machine.
    """

    @property
    def id(self) -> str:
        """Name of what is timed."""

    @property
    def kind(self) -> Kind:
        """Candidate or baseline."""

    @property
    def backend(self) -> Backend:
        """What runs it."""

    @property
    def compiler(self) -> str:
        """Name and version of the compiler."""

    @property
    def flags(self) -> str:
        """Compiler flags."""

    @property
    def fingerprint(self) -> str:
        """Hash of all that the time depends on, except the load of the machine."""

    def measure(self, ncol: Sequence[int]) -> dict[int, float]:
        """Return ns per sample for each number of columns per call."""


@dataclass(frozen=True)
class EmulatorProgram:
    """An emulator in the Fortran runtime: ``program weights inputs ncol[,ncol...] repeats``.

    The program prints lines ``ncol,repeat,ns_per_sample``; other lines are passed over.

    Attributes
    ----------
    program
        The executable.
    built_from
        `Compiler.key` of its sources and flags.
    weights, inputs
        Its files; the latter as `write_inputs` leaves it.
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
        found: dict[int, float] = {}
        for line in output.splitlines():
            parts = line.split(",")
            try:
                found[int(parts[0])] = float(parts[2])
            except (ValueError, IndexError):
                continue
        missing = [n for n in ncol if not found.get(n, 0.0) > 0.0]
        if missing:
            raise EmufortError(
                f"timing {self.id} with {self.program} gave no time for {missing[0]} columns"
            )
        return {n: found[n] for n in ncol}


@dataclass(frozen=True)
class BaselineProgram:
    """A classical scheme, called sample by sample: ``program inputs repeats``.

    The program prints lines ``ns_per_sample VALUE``; other lines are passed over. Its time is that
    of a sample whatever the number of columns.

    Attributes
    ----------
    program, built_from
        As for `EmulatorProgram`.
    inputs
        As `write_samples` leaves it.
    """

    id: str
    compiler: str
    flags: str
    program: Path
    built_from: str
    inputs: Path
    kind: Kind = "baseline"
    backend: Backend = "fortran"

    @property
    def fingerprint(self) -> str:
        """Hash of program and inputs."""
        return _digest(self.id, self.built_from, file_sha256(self.inputs))

    def measure(self, ncol: Sequence[int]) -> dict[int, float]:
        """Run the program once; see `Timer.measure`."""
        output = _run(self.id, [self.program, self.inputs, 1])
        for line in output.splitlines():
            name, _, value = line.strip().partition(" ")
            try:
                if name == "ns_per_sample" and float(value) > 0.0:
                    return dict.fromkeys(ncol, float(value))
            except ValueError:
                continue
        raise EmufortError(f"timing {self.id} with {self.program} gave no time")


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

        from emufort.export.onnx import build_onnx

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
    """Write inputs (n, n_inputs) for a timing program: int32 n and n_inputs, then float64 `x`.

    Little endian, the sample index fastest.
    """
    n, n_inputs = x.shape
    header = np.array([n, n_inputs], dtype="<i4").tobytes()
    write_bytes(path, header + np.asarray(x, dtype="<f8").tobytes(order="F"))
    return path


def write_samples(path: Path, x: Array) -> Path:
    """Write inputs (n, k) for a baseline's program: float64 n, then float64 `x`, row by row."""
    write_bytes(path, np.array([len(x)], dtype="<f8").tobytes() + x.astype("<f8").tobytes())
    return path


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
