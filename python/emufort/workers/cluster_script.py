"""The script of a batch job that holds workers, for SLURM, PBS, LSF and SGE.

dask-jobqueue knows the directives and the commands of the batch systems, and its classes of jobs
write the script. It quotes nothing, so every text is checked or quoted here before it is passed on.

Its clusters are not used, because they do not keep what this package promises: they do not notice
that a submission was refused, ignore a cancellation that failed, do not submit jobs again that
their time limit ended, and do not cancel jobs when the process is ended by a signal.
"""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from emufort.config import ClusterConfig
from emufort.errors import UsageError
from emufort.escape import batch_value, sbatch_value, shell

#: Name of all jobs.
JOB_NAME = "emufort"
#: Time that a worker waits for a lost scheduler [s].
DEATH_SECONDS = 30
#: A value that dask-jobqueue needs, in a line that it leaves out.
_LEFT_OUT = "left-out"


def job_class(kind: str) -> Any:
    """Return the class of jobs of dask-jobqueue for a batch system.

    Raises
    ------
    UsageError
        The package is not installed.
    """
    try:
        with _import_without_side_effects():
            module = importlib.import_module(f"dask_jobqueue.{kind}")
    except ImportError as error:
        raise UsageError(
            "batch jobs need the package dask-jobqueue: pip install 'emufort[dask]'"
        ) from error
    return getattr(module, f"{kind.upper()}Job")


@contextmanager
def _import_without_side_effects() -> Iterator[None]:
    """Keep the first import of dask-jobqueue from changing anything outside the package.

    It would write a file with comments into the home directory, and replace the handler of SIGINT,
    which also fails outside the main thread.
    """
    from dask import config

    with ExitStack() as stack:
        # No file is written if the place for such files is itself a file.
        stack.callback(setattr, config, "PATH", config.PATH)
        config.PATH = str(Path(config.__file__))
        stack.callback(setattr, signal, "signal", signal.signal)
        vars(signal)["signal"] = lambda *_: None
        yield


def worker_arguments(workers: int) -> list[str]:
    """Return the options of ``dask worker`` that are the same for all kinds of workers."""
    return ["--nworkers", str(workers), "--no-dashboard"]


def log_pattern(kind: str, out: Path) -> str:
    """Return the file, or for PBS the folder, of the log of a job, as the batch system reads it.

    Raises
    ------
    UsageError
        The path has a character that the batch system would interpret.
    """
    log = str(out.resolve() / "cluster")
    refused = {"slurm": "\\", "lsf": "%"}.get(kind, ",:")
    for character in refused:
        if character in log:
            raise UsageError(
                f"a batch job cannot write its log to {log!r}: {kind} interprets the character "
                f"{character!r}; choose another --out"
            )
    if kind == "slurm":
        return sbatch_value("--out", log.replace("%", "%%") + "/%j.log")
    return batch_value("--out", log) + {"pbs": "/", "lsf": "/%J.log", "sge": "/$JOB_ID.log"}[kind]


def job_script(where: ClusterConfig, address: str, out: Path, name: str = f"{JOB_NAME}-1") -> str:
    """Return the script of one job.

    Parameters
    ----------
    where
        Batch options and number of workers.
    address
        Address of the scheduler.
    out
        Folder of the step; logs go to its subfolder ``cluster``.
    name
        Name of the worker, or beginning of the names of the workers.

    Raises
    ------
    UsageError
        An option or the path of the log has a line break, control character or another character
        that the batch system would interpret, or dask-jobqueue is not installed.
    """
    kind = where.kind
    assert kind is not None
    made = job_class(kind)
    from dask import config

    # Nothing comes from the section jobqueue.slurm of a user's Dask, whose texts are not checked.
    defaults = dict.fromkeys(config.get(f"jobqueue.{kind}"))
    with config.set({"jobqueue.emufort": defaults}):
        job = made(
            shell([address]),
            config_name="emufort",
            job_name=JOB_NAME,
            name=name,
            cores=where.workers_per_job,
            processes=where.workers_per_job,
            memory=0,
            shebang="#!/bin/bash",
            # The shell is replaced, so that the worker receives the signals of the batch system.
            # The option -P prevents modules in the working directory from replacing installed ones.
            python=f"exec {shell([where.python or sys.executable, '-P'])}",
            worker_command="dask worker",
            worker_extra_args=worker_arguments(where.workers_per_job),
            death_timeout=DEATH_SECONDS,
            job_script_prologue=["export OMP_NUM_THREADS=1", *where.setup],
            **_directives(where, kind, log_pattern(kind, out)),
        )
    return str(job.job_script())


def _directives(where: ClusterConfig, kind: str, log: str) -> dict[str, Any]:
    """Return the options of the class of jobs that differ between batch systems."""

    def text(option: str, value: str | None) -> str | None:
        if value is None:
            return None
        return sbatch_value(option, value) if kind == "slurm" else batch_value(option, value)

    queue, account = text("partition", where.partition), text("account", where.account)
    if kind == "slurm":
        return {
            "queue": queue,
            "account": account,
            "walltime": text("time", where.time),
            "job_mem": text("memory", where.memory) or _LEFT_OUT,
            "job_directives_skip": [f"--mem={_LEFT_OUT}"],
            "job_extra_directives": [f"--output={log}", *where.options],
        }
    if kind == "lsf":
        hours, minutes, seconds = map(int, where.time.split(":"))
        minutes += seconds > 0
        return {
            "queue": queue,
            "project": account,
            "walltime": f"{hours + minutes // 60:02d}:{minutes % 60:02d}",
            "mem": 1024 * (where.kibibytes or 0),
            "job_directives_skip": [] if where.kibibytes else ["#BSUB -M "],
            "job_extra_directives": [f"-o {log}", *where.options],
        }
    # PBS and SGE would run the script in the login shell of the user.
    extra = [f"-o {log}", "-S /bin/bash"]
    resources = text("resources", where.resources)
    if kind == "sge":
        return {
            "queue": queue,
            "project": account,
            "walltime": where.time,
            "resource_spec": resources,
            "job_directives_skip": [],
            "job_extra_directives": [*extra, *where.options],
        }
    if resources is None:
        memory = f":mem={where.kibibytes}kb" if where.kibibytes else ""
        resources = f"select=1:ncpus={where.workers_per_job}{memory}"
    return {
        "queue": queue,
        "account": account,
        "walltime": where.time,
        "resource_spec": resources,
        "job_directives_skip": [],
        "job_extra_directives": [*extra, "-j oe", *where.options],
    }
