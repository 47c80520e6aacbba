"""What a contender of the benchmark is, and what all contenders of a run share."""

from __future__ import annotations

import os
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from emufort.benchmark.model import Array, Model
from emufort.benchmark.programs import Programs
from emufort.benchmark.workers import ModelWorker, Process, Worker


class Bench:
    """Shared by all contenders: programs, running processes and the work folder.

    Parameters
    ----------
    programs
        The Fortran programs.
    second
        The same programs built with the second compiler.
    work
        Folder for files of the workers.
    models
        All models of the run; workers in Python load only the models that they are asked to run.
    """

    def __init__(
        self, programs: Programs, second: Programs, work: Path, models: list[Model]
    ) -> None:
        self.programs = programs
        self.second = second
        self.work = work
        self.models = models
        self._processes: list[Process] = []
        self._python: dict[tuple[str, int], Process] = {}
        self._lock = threading.Lock()

    def spawn(
        self,
        command: list[object],
        model: Model,
        *,
        n_outputs: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Worker:
        """Start a Fortran program as the worker of one model.

        `n_outputs` is the number of outputs of the program; default: that of the model.
        """
        n_outputs = n_outputs or model.reference.shape[1]
        process = Process(command, {**os.environ, **(environment or {})})
        with self._lock:
            self._processes.append(process)
        return ModelWorker(process, model.name, n_outputs, self.work)

    def python(self, kind: str, model: Model, threads: int) -> Worker:
        """Return a worker in Python; workers of one kind and number of threads share a process.

        Parameters
        ----------
        kind
            Kind of the worker, see `python_worker.load`.
        model
            The model to run.
        threads
            Number of threads of the library.
        """
        with self._lock:
            process = self._python.get((kind, threads))
            if process is None:
                process = Process(
                    [sys.executable, "-P", "-m", "emufort.benchmark.python_worker", kind, threads]
                    + [m.folder for m in self.models if m.call is None],
                    _python_environment(threads),
                )
                self._python[kind, threads] = process
                self._processes.append(process)
        return ModelWorker(process, model.name, model.reference.shape[1], self.work)

    def close(self) -> None:
        """Stop all workers."""
        for process in self._processes:
            process.close()


class Contender(ABC):
    """One way to run a network.

    Attributes
    ----------
    name
        Name in tables and options.
    title
        Title for readers.
    is_native
        Whether it is a form of emufort.
    is_part
        Whether it is only a part of a call from array to array. Parts are not compared with other
        contenders.
    second_of
        Name of the same contender built with the first compiler, if this one is built with the
        second. It is compared with that contender only.
    """

    name: str
    title: str
    is_native = False
    is_part = False
    second_of: str | None = None

    def runs(self, model: Model) -> bool:
        """Return whether the contender can run this kind of model."""
        return model.call is None

    def reference(self, model: Model) -> Array:
        """Return the correct outputs for the model's inputs (n, n_outputs)."""
        return model.reference

    def splits(self) -> bool:
        """Whether the contender can use more than one thread."""
        return True

    @abstractmethod
    def start(self, bench: Bench, model: Model, threads: int) -> Worker:
        """Return a worker.

        Parameters
        ----------
        bench
            Programs and processes of the benchmark.
        model
            The model to run.
        threads
            Number of threads.

        Raises
        ------
        Missing
            The machine lacks something that the contender needs.
        EmufortError
            The contender is available but fails.
        """

    def describe(self, bench: Bench) -> str:
        """Return a description of versions and settings for bench.json."""
        return ""


def _python_environment(threads: int) -> dict[str, str]:
    """Return an environment in which a worker imports this emufort and uses `threads` threads."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    count = str(threads)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
    }
