"""Start a scheduler of Dask, and start or find its workers on this machine or elsewhere."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from emufort.config import ClusterConfig
from emufort.errors import EmufortError, UsageError
from emufort.escape import one_line, terminal
from emufort.files import make_directory
from emufort.signals import end_with_parent
from emufort.workers.cluster_script import DEATH_SECONDS, worker_arguments

#: Number of restarts in a row, without a worker that connects, after which workers are given up.
RESTARTS = 3
#: Lines at the end of a log, and characters of each, that an error shows.
_LOG_LINES, _LOG_WIDTH = 5, 200


@dataclass(frozen=True)
class Scheduler:
    """A scheduler in a thread of this process.

    Attributes
    ----------
    address
        Address by which workers reach it.
    arrived
        Names of all workers that have ever connected.
    """

    address: str
    arrived: set[str] = field(default_factory=set)


def belongs(worker: str, name: str) -> bool:
    """Return whether a worker was started under `name`, alone or as one of several."""
    return worker == name or worker.startswith(f"{name}-")


def last_lines(log: Path) -> str:
    """Return the last lines of a log in one line."""
    try:
        with open(log, "rb") as stream:
            stream.seek(max(0, log.stat().st_size - 20_000))
            text = stream.read().decode(errors="replace")
    except OSError as error:
        return f"(cannot read {log}: {error.strerror})"
    lines = [terminal(one_line(line))[:_LOG_WIDTH] for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-_LOG_LINES:]) or "(nothing)"


@contextmanager
def started_scheduler(where: ClusterConfig) -> Iterator[Scheduler]:
    """Run a scheduler in a thread of this process.

    Raises
    ------
    UsageError
        This machine has no address that workers can reach.
    """
    from distributed import LocalCluster
    from distributed.diagnostics.plugin import SchedulerPlugin

    class Arrivals(SchedulerPlugin):  # type: ignore[misc]
        """Records the names of workers, because one may come and die between two checks."""

        def add_worker(self, scheduler, worker):  # type: ignore[no-untyped-def]
            arrived.add(str(scheduler.workers[worker].name))

    arrived: set[str] = set()
    if where.kind is None:
        host = "127.0.0.1"
    else:
        name = where.host or socket.gethostname()
        try:
            host = socket.gethostbyname(name)
        except OSError as error:
            raise UsageError(
                f"the machine '{name}' has no address ({error.strerror}); set cluster.host to a "
                "name or address by which the nodes reach this machine"
            ) from error
    with LocalCluster(
        n_workers=0, host=host, scheduler_port=0, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as cluster:
        cluster.scheduler.add_plugin(Arrivals(), name="emufort-arrivals")
        yield Scheduler(str(cluster.scheduler_address), arrived)


class ExternalWorkers:
    """The workers of an existing cluster, which starts and stops them itself."""

    def __init__(
        self, address: str, patience: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._address, self._patience, self._clock = address, patience, clock
        self.restart_clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ignored: object) -> None:
        pass

    def log_of(self, worker: str) -> str:
        """Return an empty text: the logs belong to the cluster."""
        return ""

    def restart_clock(self) -> None:
        """Count the time without a worker from now on."""
        self._seen = self._clock()

    def tend(self, workers: Collection[str]) -> None:
        """Raise `EmufortError` if there have been no workers for the time limit."""
        if workers:
            self.restart_clock()
        elif self._clock() - self._seen > self._patience:
            raise EmufortError(
                f"the Dask scheduler {self._address} has had no worker for {self._patience:.0f} s; "
                "start workers and run the same command again: finished work is kept"
            )


class LocalWorkers:
    """Worker processes of this machine; Dask's nanny replaces processes that die.

    Parameters
    ----------
    scheduler
        The scheduler that the workers connect to.
    workers
        Number of worker processes, with one thread each.
    out
        Folder of the step; the log goes to its subfolder ``cluster``.
    """

    def __init__(self, scheduler: Scheduler, workers: int, out: Path) -> None:
        self._scheduler = scheduler
        # The option -P prevents modules in the working directory from replacing installed ones.
        self._command = [
            sys.executable, "-P", "-m", "dask", "worker", scheduler.address, "--nthreads", "1",
            "--memory-limit", "0", "--death-timeout", str(DEATH_SECONDS),
            *worker_arguments(workers),
        ]  # fmt: skip
        self._log = out / "cluster" / "workers.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._name = ""
        self._submissions = 0
        self._starts = 0

    def __enter__(self) -> Self:
        make_directory(self._log.parent)
        self._log.unlink(missing_ok=True)
        self._start()
        return self

    def _start(self) -> None:
        self._starts += 1
        self._submissions += 1
        self._name = f"local-{self._submissions}"
        with open(self._log, "ab") as log:
            # A separate session: Ctrl-C in the terminal must reach the driver only.
            self._process = subprocess.Popen(
                [*self._command, "--name", self._name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
            )

    def __exit__(self, *ignored: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def log_of(self, worker: str) -> str:
        """Return where the log of the workers is and what it says at the end, in one line."""
        return f"the log {self._log} ends with: {last_lines(self._log)}"

    def restart_clock(self) -> None:
        """Do nothing: no time limit applies to these workers."""

    def tend(self, workers: Collection[str]) -> None:
        """Start the workers again if all have ended.

        Parameters
        ----------
        workers
            Names of the workers that are connected now.

        Raises
        ------
        EmufortError
            The workers ended several times in a row before any of them connected.
        """
        assert self._process is not None
        if self._process.poll() is None:
            return
        if any(belongs(name, self._name) for name in self._scheduler.arrived):
            self._starts = 0
        if self._starts > RESTARTS:
            raise EmufortError(
                f"Dask workers ended {self._starts} times while they started; {self.log_of('')}"
            )
        self._start()
