"""Submit batch jobs that hold workers, again when they end, and cancel them on every way out.

The numbers of all jobs that may exist are in ``cluster/jobs.json``. A driver that is killed cannot
cancel its jobs. Their workers end when they have lost the scheduler, and jobs that still wait are
cancelled when the next driver starts in the same folder.
"""

from __future__ import annotations

import re
import shlex
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from emufort.config import ClusterConfig
from emufort.errors import EmufortError
from emufort.files import make_directory, read_json, write_json, write_text
from emufort.signals import last_act
from emufort.workers.cluster_queue import ListedJob, Queue
from emufort.workers.cluster_script import JOB_NAME, job_script
from emufort.workers.dask_cluster import RESTARTS, Scheduler, belongs, last_lines

#: Time for which the batch system may fail to answer while no worker is left [s].
_SILENCE_SECONDS = 300.0
#: Time without a worker after which a line says what the jobs wait for, and until the next one [s].
_WAIT_SECONDS, _WAIT_AGAIN_SECONDS = 600.0, 3600.0
#: Time within which the batch system must cancel jobs [s].
_CANCEL_SECONDS = 20.0
#: Times to wait before each attempt to cancel the jobs [s].
_PAUSES = (0.0, 1.0, 2.0, 4.0)
#: Time for a command of the batch system while the process is ended by force [s].
_LAST_SECONDS = 0.8


@dataclass
class _Place:
    """One of the jobs that shall run at the same time.

    Attributes
    ----------
    job
        Number of its job; None if the submission was refused.
    name
        Beginning of the names of its workers.
    starts
        Submissions in a row without a worker.
    refusal
        Reason of the batch system for refusing the most recent submission.
    """

    job: str | None = None
    name: str = ""
    starts: int = 0
    refusal: str = ""


class BatchJobs:
    """Batch jobs that hold workers; they are submitted again when the time limit ends them.

    Parameters
    ----------
    where
        The batch system, and the options and number of the jobs.
    scheduler
        The scheduler that the workers connect to.
    out
        Folder of the step; scripts, logs and the numbers of the jobs go to its subfolder
        ``cluster``.
    clock
        Returns the time [s].
    """

    def __init__(
        self,
        where: ClusterConfig,
        scheduler: Scheduler,
        out: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        assert where.kind is not None
        self._where, self._scheduler, self._out = where, scheduler, out
        self._queue = Queue(where.kind)
        self._folder = out / "cluster"
        self._record = self._folder / "jobs.json"
        self._places = [_Place() for _ in range(where.jobs)]
        #: Worker name -> number of its job, for all jobs of this driver.
        self._jobs_by_name: dict[str, str] = {}
        #: Numbers of the jobs that may exist.
        self._ids: list[str] = []
        self._submissions = 0
        self._clock = clock
        self.restart_clock()
        self._lock = threading.Lock()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._cancel_leftovers()
        self._stack.enter_context(last_act(self._cancel_at_once))
        self._stack.callback(self._cancel)
        try:
            for place in self._places:
                self._submit(place)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *ignored: object) -> None:
        self._stack.close()

    # ----------------------------------------------------------------------- submission

    def _submit(self, place: _Place) -> None:
        with self._lock:  # a job is never cancelled between its submission and its record
            self._submissions += 1
            place.job, place.starts = None, place.starts + 1
            place.name = f"{JOB_NAME}-{self._submissions}"
            script = make_directory(self._folder) / "worker.sh"
            text = job_script(self._where, self._scheduler.address, self._out, place.name)
            write_text(script, text)
            place.job, place.refusal = self._queue.submit(script), ""
            self._jobs_by_name[place.name] = place.job
            self._note([*self._ids, place.job])

    def _note(self, ids: list[str]) -> None:
        self._ids = ids
        write_json(self._record, {"kind": self._where.kind, "jobs": ids})

    def restart_clock(self) -> None:
        """Count the time without a worker, and without an answer of the queue, from now on."""
        self._answered = self._had_worker = self._clock()
        self._next_warning = self._had_worker + _WAIT_SECONDS

    def tend(self, workers: Collection[str]) -> None:
        """Submit jobs again that have ended; print a warning if all wait for a long time.

        Parameters
        ----------
        workers
            Names of the workers that are connected now.

        Raises
        ------
        EmufortError
            All jobs ended several times in a row without a worker, or there are no workers and
            the batch system does not answer.
        """
        if workers:
            self.restart_clock()
        idle = [p for p in self._places if not any(belongs(w, p.name) for w in workers)]
        if not idle:
            return
        try:
            listed = self._queue.jobs()
        except EmufortError as error:
            silent = self._clock() - self._answered
            if not workers and silent > _SILENCE_SECONDS:
                raise EmufortError(
                    f"there are no workers, and the batch system has not answered for "
                    f"{silent:.0f} s: {error}; run the same command again when it does: finished "
                    "work is kept"
                ) from error
            return
        self._answered = self._clock()
        self._warn_of_waiting(listed)
        for place in idle:
            if not (place.job in listed and listed[place.job].alive):
                self._ended(place, listed)
        if not workers and all(p.job is None and p.starts > RESTARTS for p in self._places):
            raise EmufortError(self._why_none_started())

    def _warn_of_waiting(self, listed: Mapping[str, ListedJob]) -> None:
        """Say in which state the jobs are, if there has been no worker for a long time."""
        waiting = {
            p.job: listed[p.job].state
            for p in self._places
            if p.job is not None and p.job in listed and listed[p.job].alive
        }
        now = self._clock()
        if not waiting or now < self._next_warning:
            return
        self._next_warning = now + _WAIT_AGAIN_SECONDS
        states = sorted(Counter(waiting.values()).items())
        counts = ", ".join(f"{n} in state {state}" for state, n in states)
        details = self._queue.details_command(next(iter(waiting)))
        print(
            f"warning: no worker has been connected for {(now - self._had_worker) / 60:.0f} min; "
            f"{len(waiting)} of {len(self._places)} batch jobs are in the queue ({counts}): "
            f"'{details}' shows why a job waits, and logs of jobs that run are in {self._folder}",
            file=sys.stderr,
        )

    def _ended(self, place: _Place, listed: Collection[str]) -> None:
        """Submit the job of a place again, unless it failed to start too often."""
        if any(belongs(name, place.name) for name in self._scheduler.arrived):
            place.starts = 0
        if place.job is not None and place.job not in listed:
            self._note([job for job in self._ids if job != place.job])
        place.job = None
        if place.starts > RESTARTS:
            return
        try:
            self._submit(place)
        except EmufortError as error:
            place.refusal = str(error)

    # ----------------------------------------------------------------------------- logs

    def log_of(self, worker: str) -> str:
        """Return where the log of a worker's job is and what it says at the end, in one line."""
        for name, job in self._jobs_by_name.items():
            if belongs(worker, name):
                return self._log(job)
        return ""

    def _log(self, job: str) -> str:
        # The name holds the number of the job in all batch systems.
        logs = [
            path
            for path in self._folder.glob(f"*{job}*")
            if re.search(rf"(?<!\d){job}(?!\d)", path.name)
        ]
        if not logs:
            return f"job {job} left no log in {self._folder}"
        return f"the log of job {job} ends with: {last_lines(max(logs))}"

    def _why_none_started(self) -> str:
        place = self._places[0]
        if place.refusal:
            return (
                f"batch jobs were refused or ended {place.starts} times without a worker: "
                f"{place.refusal}; run the same command again: finished work is kept"
            )
        log = self._log(list(self._jobs_by_name.values())[-1])
        return (
            f"batch jobs ended {place.starts} times without a worker: the workers die while they "
            f"start; {log}; see {self._folder}"
        )

    # --------------------------------------------------------------------- cancellation

    def _cancel_leftovers(self) -> None:
        """Cancel the jobs of a driver that was killed."""
        if not self._record.exists():
            return
        try:
            content = read_json(self._record)
            kind, ids = content["kind"], content["jobs"]
            if not all(isinstance(job, str) and re.fullmatch(r"\d{1,12}", job) for job in ids):
                raise TypeError
        except (EmufortError, KeyError, TypeError):
            kind, ids = None, []
        if kind == self._where.kind and ids:
            # A batch system may use a number again, so the name is compared too.
            left = self._queue.jobs()
            self._ids = [job for job in ids if job in left and left[job].alive and left[job].ours]
            self._cancel()

    def _cancel(self) -> None:
        """Cancel all jobs; if the batch system does not answer, name them in a warning."""
        reason = ""
        with self._lock:
            for pause in _PAUSES:
                if not self._ids:
                    break
                time.sleep(pause)
                try:
                    self._queue.cancel(self._ids, _CANCEL_SECONDS)
                    self._ids = []
                except EmufortError as error:
                    reason = str(error)
                    self._forget_ended()
            if self._ids:
                print(f"warning: {self._advice()} ({reason})", file=sys.stderr)
                self._note(self._ids)
            else:
                self._record.unlink(missing_ok=True)

    def _forget_ended(self) -> None:
        # The command also fails if one of the jobs has ended; then it has cancelled the others.
        try:
            listed = self._queue.jobs()
        except EmufortError:
            return
        self._ids = [job for job in self._ids if job in listed and listed[job].alive]

    def _cancel_at_once(self) -> str | None:
        """Cancel all jobs while the process is ended by force; return what is left to do."""
        if not self._ids:
            return None
        begun = time.monotonic()
        # The lock is held during a submission, whose number is known in a moment.
        if self._lock.acquire(timeout=_LAST_SECONDS / 2):
            try:
                self._queue.cancel(self._ids, begun + _LAST_SECONDS - time.monotonic())
                self._record.unlink(missing_ok=True)
                return None
            except EmufortError:
                pass
            finally:
                self._lock.release()
        return f"warning: {self._advice()}"

    def _advice(self) -> str:
        command = shlex.join(self._queue.cancel_command(self._ids))
        return (
            f"the batch system did not confirm that the jobs {', '.join(self._ids)} are cancelled; "
            f"cancel them: {command}"
        )
