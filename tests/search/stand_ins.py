"""Commands of batch systems that run jobs as processes of this machine."""

from __future__ import annotations

import os
import signal
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: Starts of all commands: notes the call, and fails or hangs if the test asks for it.
_HEAD = """#!/bin/bash
here="$(dirname "$0")"
name="$(basename "$0")"
echo "$name $*" >> "$here/calls"
[ -e "$here/$name.hangs" ] && exec sleep 60
[ -e "$here/$name.fails" ] && { cat "$here/$name.fails" >&2; exit 1; }
runs() {
    [ -e "/proc/$1/status" ] && ! grep -q "^State:.[ZX]" "/proc/$1/status"
}
"""

_SUBMIT = """
accepted="$(cat "$here/accepted" 2> /dev/null || echo 999)"
[ "$accepted" -gt 0 ] || { echo "$name: over the limit of jobs" >&2; exit 1; }
echo $((accepted - 1)) > "$here/accepted"
job=$(( $(cat "$here/last" 2> /dev/null || echo 10) + 1 ))
echo $job > "$here/last"
cp SCRIPT "$here/$job.sh"
log="$(sed -n 's/^DIRECTIVE//p' "$here/$job.sh" | head -1 | tr -d '"')"
log="${log//%j/$job}"; log="${log//%J/$job}"; log="${log//\\$JOB_ID/$job}"
case "$log" in */) log="${log}emufort.o$job" ;; esac
setsid bash "$here/$job.sh" > "$log" 2>&1 < /dev/null &
echo $! > "$here/$job.pid"
echo "ANSWER"
"""

_LIST = """
for file in "$here"/*.pid; do
    [ -e "$file" ] || continue
    job="$(basename "$file" .pid)"
    runs "$(cat "$file")" || continue
    echo "LINE"
done
"""

_CANCEL = """
code=0
for job in "$@"; do
    pid="$(cat "$here/$job.pid" 2> /dev/null)"
    if runs "$pid"; then kill -TERM -- "-$pid"; else echo "no job $job" >&2; code=1; fi
done
exit $code
"""


@dataclass(frozen=True)
class Commands:
    """Names and formats of the commands of a batch system."""

    submit: str
    listing: str
    cancel: str
    script: str
    directive: str
    answer: str
    line: str


COMMANDS = {
    "slurm": Commands(
        "sbatch", "squeue", "scancel", '"${@: -1}"', "#SBATCH --output=", "$job", "$job R emufort"
    ),
    "pbs": Commands(
        "qsub",
        "qstat",
        "qdel",
        '"${@: -1}"',
        "#PBS -o ",
        "$job.server",
        "$job.server user workq emufort 4711 1 1 -- 01:00 R 00:00",
    ),
    "lsf": Commands(
        "bsub",
        "bjobs",
        "bkill",
        "/dev/stdin",
        "#BSUB -o ",
        "Job <$job> is submitted to queue <normal>.",
        "$job user RUN normal login node emufort Nov 28 18:00",
    ),
    "sge": Commands(
        "qsub",
        "qstat",
        "qdel",
        '"${@: -1}"',
        "#$ -o ",
        'Your job $job (\\"emufort\\") has been submitted',
        "$job 0.55 emufort user r 11/28/2026 18:00:00 all.q@node 1",
    ),
}


class BatchStandIn:
    """A batch system in a folder on the PATH.

    Parameters
    ----------
    kind
        Name of the batch system.
    folder
        Folder for the commands, which is made.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder, self.commands = kind, folder, COMMANDS[kind]
        folder.mkdir()
        one = self.commands
        submit = _SUBMIT.replace("SCRIPT", one.script).replace("ANSWER", one.answer)
        submit = submit.replace("DIRECTIVE", one.directive.replace("$", r"\$"))
        self.write(one.submit, submit)
        self.write(one.listing, _LIST.replace("LINE", one.line))
        self.write(one.cancel, _CANCEL)

    def write(self, name: str, body: str) -> None:
        """Write one of the commands."""
        (self.folder / name).write_text(_HEAD + body)
        (self.folder / name).chmod(stat.S_IRWXU)

    def accept(self, jobs: int) -> None:
        """Refuse submissions after some further jobs."""
        (self.folder / "accepted").write_text(str(jobs))

    def fail(self, name: str, reason: str = "cannot contact the server") -> None:
        """Let a command fail from now on."""
        (self.folder / f"{name}.fails").write_text(f"{name}: {reason}\n")

    def hang(self, name: str) -> None:
        """Let a command hang from now on."""
        (self.folder / f"{name}.hangs").touch()

    def repair(self, name: str) -> None:
        """Let a command work again."""
        for path in self.folder.glob(f"{name}.*s"):
            path.unlink()

    def calls(self, name: str) -> list[str]:
        """Return the arguments of all calls of a command."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.partition(" ")[2] for line in lines if line.split(" ")[0] == name]

    def running(self) -> list[str]:
        """Return the numbers of the jobs whose processes exist."""
        found = []
        for path in sorted(self.folder.glob("*.pid")):
            status = Path(f"/proc/{path.read_text().strip()}/status")
            with suppress(OSError):
                if "\nState:\tZ" not in status.read_text():
                    found.append(path.stem)
        return found

    def wait_for(self, running: list[str], seconds: float = 30.0) -> None:
        """Wait until exactly these jobs run."""
        deadline = time.monotonic() + seconds
        while self.running() != running:
            assert time.monotonic() < deadline, (self.running(), running)
            time.sleep(0.02)

    def end(self, job: str) -> None:
        """End a job as its time limit does."""
        pid = int((self.folder / f"{job}.pid").read_text())
        deadline = time.monotonic() + 30.0
        while os.getpgid(pid) != pid:  # the process has not called setsid yet
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(pid, signal.SIGKILL)
        self.wait_for([number for number in self.running() if number != job])

    def close(self) -> None:
        """End all jobs."""
        for path in self.folder.glob("*.pid"):
            with suppress(OSError):
                os.killpg(int(path.read_text()), signal.SIGKILL)
