"""A SLURM of one node in a temporary folder: munged, slurmctld and slurmd, started by a test."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from emufort.signals import end_with_parent

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "sinfo", "squeue")

_CONFIGURATION = """
ClusterName=emufort
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=100000
MessageTimeout=10
KillWait=2
InactiveLimit=0
ReturnToService=2
SlurmdTimeout=300
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=1000 State=UNKNOWN
PartitionName=short Nodes={host} Default=YES MaxTime=02:00:00 State=UP
"""


def missing() -> str:
    """Return why a SLURM cannot be started here, or an empty text."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if absent:
        return f"no {', '.join(absent)}; on Debian: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "slurmd needs root"


def _path() -> str:
    return f"{os.environ['PATH']}{os.pathsep}/usr/sbin"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class OneNodeSlurm:
    """SLURM's daemons; `environment` lets the usual commands find them.

    Parameters
    ----------
    folder
        Folder for configuration, state and logs; all parents belong to root.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = socket.gethostname().split(".")[0]
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
        self._stack = ExitStack()
        self._controller: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for name in ("munge", "state", "spool"):
                (self.folder / name).mkdir(mode=0o700)
            self.folder.chmod(0o755)
            (self.folder / "munge").chmod(0o711)
            key = self.folder / "munge" / "key"
            key.write_bytes(secrets.token_bytes(128))
            key.chmod(0o600)
            (self.folder / "slurm.conf").write_text(
                _CONFIGURATION.format(
                    host=self.host,
                    folder=self.folder,
                    controller_port=_free_port(),
                    node_port=_free_port(),
                )
            )
            munge = [
                f"--{name}={self.folder}/munge/{file}"
                for name, file in (
                    ("socket", "socket"),
                    ("key-file", "key"),
                    ("pid-file", "pid"),
                    ("log-file", "log"),
                    ("seed-file", "seed"),
                )
            ]
            self._daemon(stack, "munged", "--foreground", "--force", *munge)
            stack.callback(self._end_steps)
            self._daemon(stack, "slurmd", "-D", "-N", self.host)
            self._stack = stack.pop_all()
            self.start_controller()
            self.wait_for_state("idle")
        return self

    def __exit__(self, *ignored: object) -> None:
        self.stop_controller()
        self._stack.close()

    def _daemon(self, stack: ExitStack, *command: str) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{command[0]}.out", "ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    def _end_steps(self) -> None:
        """Kill what slurmd started and its death does not end."""
        for entry in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"SLURM_CONF={self.folder}".encode() in entry.read_bytes():
                    os.kill(int(entry.parent.name), 9)
            except OSError:
                continue

    def start_controller(self) -> None:
        """Start slurmctld, which continues with the state on disk."""
        with ExitStack() as stack:
            self._controller = self._daemon(stack, "slurmctld", "-D")
            stack.pop_all()

    def stop_controller(self) -> None:
        """End slurmctld, so that no command is answered."""
        if self._controller is not None:
            self._controller.terminate()
            self._controller.wait()
            self._controller = None

    def do(self, *command: str) -> str:
        """Run a command of SLURM; return its output."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}; see {self.folder}"
        return done.stdout.strip()

    def set_node(self, state: str) -> None:
        """Set the state of the node: DRAIN, DOWN or RESUME."""
        command = ("scontrol", "update", f"NodeName={self.host}", f"State={state}", "Reason=test")
        deadline = time.monotonic() + 60
        while True:
            try:
                self.do(*command)
                return
            except AssertionError:
                # A controller that has just started resumes a node, but reports an error.
                found = self.do("sinfo", "--noheader", "--format=%T")
                if state == "RESUME" and "drain" not in found and "down" not in found:
                    return
                assert time.monotonic() < deadline, found
                time.sleep(0.5)

    def wait_for_state(self, state: str, seconds: float = 60.0) -> None:
        """Wait until the node is in a state."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = self.do("sinfo", "--noheader", "--format=%T")
            except AssertionError as error:  # the controller is starting
                found = str(error)
            if found == state:
                return
            assert time.monotonic() < deadline, f"{found}; see {self.folder}"
            time.sleep(0.2)

    def jobs(self) -> dict[str, str]:
        """Return the states of the jobs that wait or run, by their numbers."""
        lines = self.do("squeue", "--noheader", "--format=%A %T").splitlines()
        return dict(line.split() for line in lines)

    def wait_for_jobs(self, states: list[str], seconds: float = 90.0) -> dict[str, str]:
        """Wait until the jobs have these states, in the order of their numbers."""
        deadline = time.monotonic() + seconds
        while list((found := self.jobs()).values()) != states:
            assert time.monotonic() < deadline, (found, states)
            time.sleep(0.1)
        return found
