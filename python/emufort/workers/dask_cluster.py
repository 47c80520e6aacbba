"""Start or find the workers of Dask: on this machine, in batch jobs or on an existing cluster."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

from emufort.config import ClusterConfig
from emufort.errors import EmufortError, UsageError
from emufort.escape import sbatch_option, shell
from emufort.files import make_directory, write_text
from emufort.signals import end_with_parent, last_act

#: Number of restarts of all workers in a row after which the pool gives up.
_RESTARTS = 3
#: Time that a worker waits for a lost scheduler [s].
_DEATH_SECONDS = 30


@contextmanager
def started_scheduler(where: ClusterConfig) -> Iterator[str]:
    """Run a scheduler in a thread of this process; yield its address.

    Raises
    ------
    UsageError
        This machine has no address that workers can reach.
    """
    from distributed import LocalCluster

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
        yield str(cluster.scheduler_address)


def worker_command(python: str, address: str, workers: int) -> list[str]:
    """Return the unquoted command that starts `workers` processes with one thread each.

    The option -P prevents modules in the working directory from replacing installed ones.

    Parameters
    ----------
    python
        Path of the interpreter on the nodes.
    address
        Address of the scheduler.
    workers
        Number of worker processes.
    """
    return [
        python, "-P", "-m", "dask", "worker", address,
        "--nworkers", str(workers), "--nthreads", "1", "--memory-limit", "0", "--no-dashboard",
        "--death-timeout", str(_DEATH_SECONDS),
    ]  # fmt: skip


class ExternalWorkers:
    """The workers of an existing cluster, which starts and stops them itself."""

    def __init__(self, address: str, patience: float) -> None:
        self._address, self._patience = address, patience
        self._seen = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ignored: object) -> None:
        pass

    def tend(self, n_workers: int) -> None:
        """Raise `EmufortError` if there have been no workers for the time limit."""
        if n_workers:
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > self._patience:
            raise EmufortError(
                f"the Dask scheduler {self._address} has had no worker for {self._patience:.0f} s; "
                "start workers and run the same command again: finished work is kept"
            )


class LocalWorkers:
    """Worker processes of this machine; Dask's nanny replaces processes that die."""

    def __init__(self, address: str, workers: int) -> None:
        self._command = worker_command(sys.executable, address, workers)
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0

    def __enter__(self) -> Self:
        self._start()
        return self

    def _start(self) -> None:
        self._starts += 1
        # A separate session: Ctrl-C in the terminal must reach the driver only.
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
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

    def tend(self, n_workers: int) -> None:
        """Start the workers again if all have ended.

        Raises
        ------
        EmufortError
            The workers ended at once several times in a row.
        """
        assert self._process is not None
        if n_workers:
            self._starts = 1
        elif self._process.poll() is not None:
            if self._starts > _RESTARTS:
                raise EmufortError(
                    f"Dask workers ended {self._starts} times at once; check whether "
                    f"'{' '.join(self._command[:5])} --help' works"
                )
            self._start()


# ------------------------------------------------------------------------ SLURM


def sbatch_script(where: ClusterConfig, address: str, out: Path) -> str:
    """Return the batch script of one job.

    Parameters
    ----------
    where
        Batch options and number of workers.
    address
        Address of the scheduler.
    out
        Folder of the step; logs go to its subfolder ``cluster``.

    Raises
    ------
    UsageError
        An option or the path of the log has a line break, control character or backslash.
    """
    log = str(out.resolve() / "cluster")
    if "\\" in log:
        raise UsageError(
            f"a batch job cannot write its log to {log!r}: SLURM interprets the backslash; choose "
            "another --out"
        )
    given = {
        "job-name": "emufort",
        "nodes": 1,
        "ntasks": 1,
        "cpus-per-task": where.workers_per_job,
        "time": where.time,
        "partition": where.partition,
        "account": where.account,
        "mem": where.memory,
        "output": log.replace("%", "%%") + "/%j.log",
    }
    head = [sbatch_option(name, value) for name, value in given.items() if value is not None]
    head += [f"#SBATCH {option}" for option in where.options]
    command = worker_command(where.python or sys.executable, address, where.workers_per_job)
    return "\n".join(
        [
            "#!/bin/bash",
            *head,
            "export OMP_NUM_THREADS=1",
            *where.setup,
            f"exec {shell(command)}",
            "",
        ]
    )


class BatchJobs:
    """Batch jobs that hold workers; they are submitted again when the time limit ends them."""

    def __init__(self, where: ClusterConfig, address: str, out: Path) -> None:
        self._where, self._address, self._out = where, address, out
        self._ids: list[str] = []
        self._rounds = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(last_act(self._cancel))
        self._stack.callback(self._cancel)
        try:
            self._submit()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _submit(self) -> None:
        self._rounds += 1
        script = make_directory(self._out / "cluster") / "worker.sbatch"
        write_text(script, sbatch_script(self._where, self._address, self._out))
        self._ids = []
        for _ in range(self._where.jobs):
            answer = _slurm("sbatch", "--parsable", str(script))
            self._ids.append(answer.split(";")[0].strip())

    def __exit__(self, *ignored: object) -> None:
        self._stack.close()

    def _cancel(self) -> None:
        if self._ids:
            # This may fail; workers without a scheduler end by themselves.
            with suppress(EmufortError):
                _slurm("scancel", *self._ids)

    def tend(self, n_workers: int) -> None:
        """Submit the jobs again if all have ended.

        Raises
        ------
        EmufortError
            The jobs ended several times in a row without a worker.
        """
        if n_workers:
            self._rounds = 1
        elif not _slurm("squeue", "--noheader", "--jobs", ",".join(self._ids), missing="").strip():
            if self._rounds > _RESTARTS:
                raise EmufortError(
                    f"batch jobs ended {self._rounds} times without a worker; see "
                    f"{self._out / 'cluster'}"
                )
            self._submit()


def _slurm(*command: str, missing: str | None = None) -> str:
    """Run a command of SLURM; return its output, or `missing` if SLURM does not know the job."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UsageError(
            f"cannot run {command[0]}: {error.strerror}; use --cluster slurm on a machine with "
            "SLURM's commands, or --dry-run to show the script"
        ) from error
    if done.returncode != 0:
        if missing is not None:
            return missing
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise EmufortError(f"{command[0]} failed: {reason}")
    return done.stdout
