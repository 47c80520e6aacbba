"""The commands of a batch system: submit a job, list the jobs of this user, cancel jobs."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from emufort.errors import EmufortError, UsageError
from emufort.escape import one_line, terminal
from emufort.workers.cluster_script import JOB_NAME, job_class

#: Time within which a command must answer [s].
ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class ListedJob:
    """A job that the batch system lists.

    Attributes
    ----------
    state
        Its state, in the words of the batch system.
    alive
        Whether it waits or runs.
    ours
        Whether it has the name of the jobs of this package.
    """

    state: str
    alive: bool
    ours: bool


def _slurm_state(fields: Sequence[str]) -> str:
    return fields[1]


def _pbs_state(fields: Sequence[str]) -> str:
    # Between the name of the job and the state are numbers of a varying number of columns.
    return next((field for field in fields[4:] if re.fullmatch("[A-Z]", field)), "")


def _lsf_state(fields: Sequence[str]) -> str:
    return fields[2]


def _sge_state(fields: Sequence[str]) -> str:
    return fields[4]


@dataclass(frozen=True)
class _System:
    """What dask-jobqueue does not know: how jobs are listed.

    Attributes
    ----------
    submit
        Further options of the command that submits a job.
    listing
        Command that lists the jobs of the user, whose name is appended where `by_user`.
    state
        Returns the state in a line of the list.
    details
        Command that shows why a job waits; its number is appended.
    ended
        Pattern of states in which a job neither waits nor runs; Eqw of SGE never starts.
    empty
        Pattern of the error message of a command that lists no job.
    """

    listing: tuple[str, ...]
    state: Callable[[Sequence[str]], str]
    details: str
    ended: str
    submit: tuple[str, ...] = ()
    by_user: bool = True
    script_as_input: bool = False
    empty: str | None = None


_SYSTEMS = {
    "slurm": _System(
        ("squeue", "--noheader", "--format=%A %t %j", "--user"),
        _slurm_state,
        "squeue --jobs",
        "BF|CA|CD|DL|F|NF|OOM|PR|TO",
        submit=("--parsable",),
    ),
    "pbs": _System(("qstat", "-u"), _pbs_state, "qstat -f", "[CFX]"),
    "lsf": _System(
        ("bjobs", "-w"),
        _lsf_state,
        "bjobs -p",
        "DONE|EXIT",
        by_user=False,
        script_as_input=True,
        empty="(?i)no (unfinished )?jobs? found",
    ),
    "sge": _System(("qstat", "-u"), _sge_state, "qstat -j", "E.*|d.*"),
}


class Queue:
    """The batch system that the jobs are submitted to.

    Parameters
    ----------
    kind
        Name of the batch system.
    """

    def __init__(self, kind: str) -> None:
        self._system = _SYSTEMS[kind]
        self._kind = kind
        self._job = job_class(kind)

    def submit(self, script: Path) -> str:
        """Submit a job; return its number.

        Raises
        ------
        EmufortError
            The batch system refuses the job.
        UsageError
            This machine does not have the commands of the batch system.
        """
        command = [*shlex.split(self._job.submit_command), *self._system.submit]
        if self._system.script_as_input:
            with open(script) as stream:
                answer = self._run(command, stream=stream)
        else:
            answer = self._run([*command, str(script)])
        found = re.search(self._job.job_id_regexp, answer)
        if found is None:
            raise EmufortError(f"{command[0]} gave no number of a job: {_shown(answer)}")
        return str(found["job_id"])

    def jobs(self) -> dict[str, ListedJob]:
        """Return the jobs of this user by their numbers.

        Raises
        ------
        EmufortError
            The batch system does not answer.
        """
        command = [*self._system.listing, *([_user()] if self._system.by_user else [])]
        found = {}
        for line in self._run(command, empty=self._system.empty).splitlines():
            fields = line.split()
            number = re.match(r"\d+", fields[0]) if fields else None
            if number is None:
                continue
            try:
                state = self._system.state(fields)
            except IndexError:
                continue
            alive = re.fullmatch(self._system.ended, state) is None
            found[number[0]] = ListedJob(state, alive, JOB_NAME in fields)
        return found

    def details_command(self, job: str) -> str:
        """Return the command that shows why a job waits."""
        return f"{self._system.details} {job}"

    def cancel_command(self, ids: Iterable[str]) -> list[str]:
        """Return the command that cancels jobs."""
        return [*shlex.split(self._job.cancel_command), *ids]

    def cancel(self, ids: Iterable[str], seconds: float = ANSWER_SECONDS) -> None:
        """Cancel jobs.

        Parameters
        ----------
        ids
            Numbers of the jobs.
        seconds
            Time within which the batch system must answer [s].

        Raises
        ------
        EmufortError
            The batch system does not answer, or does not know one of the jobs.
        """
        self._run(self.cancel_command(ids), seconds)

    def _run(
        self,
        command: Sequence[str],
        seconds: float | None = None,
        stream: IO[str] | None = None,
        empty: str | None = None,
    ) -> str:
        seconds = ANSWER_SECONDS if seconds is None else seconds
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL if stream is None else stream,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
                timeout=seconds,
                # Ctrl-C in the terminal must not end a submission whose number is not known yet.
                start_new_session=True,
            )
        except OSError as error:
            raise UsageError(
                f"cannot run {command[0]}: {error.strerror}; use --cluster {self._kind} on a "
                "machine with its commands, or --dry-run to show the script"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise EmufortError(f"{command[0]} did not answer within {seconds:.0f} s") from error
        if done.returncode != 0 and not (empty and re.search(empty, done.stderr + done.stdout)):
            reason = _shown(done.stderr) or f"exit code {done.returncode}"
            raise EmufortError(f"{command[0]} failed: {reason}")
        return done.stdout


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _shown(text: str) -> str:
    return terminal(one_line(text.encode(errors="replace").decode()))[:500]
