"""Processes that measure on request, so that the driver can alternate between contenders.

A worker reads requests from its standard input and answers each with one line; see
``fortran/bench/bench_worker.F90`` and `python_worker`. All workers of a run exist at the same time.
A waiting worker costs no CPU time.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emufort.errors import EmufortError
from emufort.signals import run_child
from emufort.timing.timers import printed_times

#: Time after which a worker that does not answer is stopped [s]; a first call may compile.
_PATIENCE = 900.0


class Missing(Exception):  # noqa: N818 - reads as what is the case
    """A contender cannot run on this machine; the message says what is missing."""


class Worker(Protocol):
    """Something that can be timed and checked on one model with one number of threads."""

    def time(self, ncol: int, milliseconds: float) -> tuple[float, float]:
        """Return CPU time of the calling thread and wall time [ns per column].

        Parameters
        ----------
        ncol
            Columns per call.
        milliseconds
            Shortest duration of the measurement [ms].
        """

    def check(self, ncol: int) -> NDArray[np.float64]:
        """Return the outputs (ncol, n_outputs) of a call with the first `ncol` inputs."""


class Process:
    """The process of a worker.

    Parameters
    ----------
    command
        The program with its arguments.
    environment
        All environment variables of the process.
    """

    def __init__(self, command: Sequence[object], environment: Mapping[str, str]) -> None:
        self._name = Path(str(command[0])).name
        try:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=dict(environment),
                text=True,
                bufsize=1,
            )
        except OSError as error:
            raise EmufortError(f"cannot run {command[0]}: {error.strerror}") from error
        try:
            self._answer("ready")
        except BaseException:
            self.close()
            raise

    def request(self, text: str, expected: str) -> list[str]:
        """Send a request; return the words of the answer after the expected first word.

        Parameters
        ----------
        text
            One line.
        expected
            First word of a successful answer.

        Raises
        ------
        Missing
            The contender lacks something.
        EmufortError
            The worker fails, gives another answer, or gives no answer.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise EmufortError(f"{self._name} has ended") from error
        return self._answer(expected).split()

    def _answer(self, expected: str) -> str:
        assert self._process.stdout is not None
        watchdog = threading.Timer(_PATIENCE, self._process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            line = self._process.stdout.readline().strip()
        finally:
            watchdog.cancel()
        word, _, rest = line.partition(" ")
        if word == expected:
            return rest
        if word == "missing":
            raise Missing(rest)
        if word == "failed":
            raise EmufortError(rest)
        raise EmufortError(f"{self._name} ended or said: {line[:200] or 'nothing'}")

    def close(self) -> None:
        """Stop the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class ModelWorker:
    """A worker for one model in a process that may serve several.

    Parameters
    ----------
    process
        Process of the worker; every request contains the name of the model.
    model, n_outputs
        Name and number of outputs of the model.
    scratch
        Folder for outputs.
    """

    def __init__(self, process: Process, model: str, n_outputs: int, scratch: Path) -> None:
        self._process = process
        self._model = model
        self._n_outputs = n_outputs
        self._outputs = scratch / f"outputs-{id(self)}.bin"

    def time(self, ncol: int, milliseconds: float) -> tuple[float, float]:
        """See `Worker.time`."""
        words = self._process.request(f"time {ncol} {milliseconds:.4f} {self._model}", "time")
        return float(words[0]), float(words[1])

    def check(self, ncol: int) -> NDArray[np.float64]:
        """See `Worker.check`."""
        try:
            self._process.request(f'check {ncol} "{self._outputs}" {self._model}', "done")
            values = np.fromfile(self._outputs)
        finally:
            self._outputs.unlink(missing_ok=True)
        if values.size != ncol * self._n_outputs:
            raise EmufortError(f"it returned {values.size} values for {ncol} columns")
        return values.reshape((ncol, self._n_outputs), order="F")


class BaselineWorker:
    """The program of a classical scheme, see `BaselineProgram`; every request starts a process.

    Parameters
    ----------
    program, samples
        The executable, and the file of its inputs, written by `write_samples`.
    how
        Further arguments after the file of outputs.
    takes_ncol
        See `emufort.processes.TimingSource`.
    """

    def __init__(self, program: Path, samples: Path, *how: str, takes_ncol: bool = False) -> None:
        self._program = program
        self._samples = samples
        self._how = how
        self._takes_ncol = takes_ncol

    def time(self, ncol: int, milliseconds: float) -> tuple[float, float]:
        """See `Worker.time`; schemes that work column by column ignore `ncol`."""
        found = printed_times(self._run(ncol), (ncol,), self._takes_ncol)
        if not found:
            raise EmufortError(f"{self._program.name} gives no time for {ncol} columns")
        return found[ncol], found[ncol]

    def check(self, ncol: int) -> NDArray[np.float64]:
        """See `Worker.check`."""
        self._run(ncol)
        try:
            y = np.fromfile(self._outputs)
        finally:
            self._outputs.unlink(missing_ok=True)
        n = int(np.fromfile(self._samples, count=1)[0])
        return y.reshape(n, -1)[:ncol]

    @property
    def _outputs(self) -> Path:
        return self._samples.with_suffix(".outputs")

    def _run(self, ncol: int) -> str:
        columns = [str(ncol)] if self._takes_ncol else []
        where = [str(self._outputs), *self._how]
        done = run_child(
            [str(self._program), str(self._samples), *columns, "1", *where],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise EmufortError(done.stderr.strip() or f"{self._program.name} fails")
        return str(done.stdout)
