"""A signal at any moment gives one line and its exit code soon; the resumed run is the same."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from emufort import signals
from emufort.signals import GRACE
from tests.pipeline.runs import command, emufort, results

SIGNALS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hung up",
}
#: A command that has not ended after this time ignores the signal: its work takes longer [s].
PATIENCE = 120.0
#: A signal comes at a random moment of the first seconds of a command.
LATEST = 5.0


def default_signals() -> None:
    """Let a child receive interrupts even if this test runs in the background of a shell."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


class Started:
    """A command in a separate session, whose descendants are identified by their environment."""

    def __init__(self, arguments: list[str], **environment: str) -> None:
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            arguments,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=default_signals,
            env={**os.environ, "EMUFORT_TEST_MARK": self.mark, **environment},
        )

    def wait_until_it_watches(self) -> None:
        """Wait for the handlers: before them, Python itself has not started."""
        path = Path(f"/proc/{self.process.pid}/status")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            caught = next(x for x in path.read_text().splitlines() if x.startswith("SigCgt"))
            if int(caught.split()[1], 16) >> (signal.SIGHUP - 1) & 1:
                return
            time.sleep(0.002)

    def end(self, number: int, to_group: bool) -> tuple[int, str, float]:
        """Send a signal; return exit code, what was said on stderr, and the seconds it took."""
        begun = time.monotonic()
        (os.killpg if to_group else os.kill)(self.process.pid, number)
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors, time.monotonic() - begun

    def left(self, patience: float = 5.0) -> list[str]:
        """Return the command lines of its processes that are still there after some seconds."""
        deadline = time.monotonic() + patience
        while found := self._processes():
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        return found

    def _processes(self) -> list[str]:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (entry / "environ").read_bytes():
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found.append(line)
            except OSError:
                continue
        return found


def disturb(folder: Path, out: Path, rng: random.Random) -> tuple[str, float] | None:
    """Start or continue a run and send it a signal; return what was sent and how long it took.

    None if the run was finished before the signal.
    """
    started = Started(command("run", folder / "run.toml", "--out", out))
    started.wait_until_it_watches()
    number = rng.choice(list(SIGNALS))
    to_group = rng.random() < 0.5
    delay = rng.uniform(0.0, LATEST)
    try:
        started.process.wait(delay)
    except subprocess.TimeoutExpired:
        pass
    else:
        assert started.process.returncode == 0, started.process.stderr
        return None
    code, errors, seconds = started.end(number, to_group)
    what = f"{number.name} to the {'group' if to_group else 'process'} after {delay:.3f} s"
    if code == 0:
        return None  # all work was done when it came
    line = f"error: {SIGNALS[number]}; finished work is kept, the same command continues it\n"
    assert (code, errors) == (128 + number, line), what
    assert started.left() == [], what
    return what, seconds


def campaign(whole: Path, scratch: Path, n: int, seed: int, per_run: int) -> list[float]:
    """Send `n` signals, at most `per_run` to one run; every run ends as if there had been none."""
    rng = random.Random(seed)
    expected = results(whole / "out")
    took: list[float] = []
    runs = 0
    while len(took) < n:
        runs += 1
        assert runs < 20 * n, "runs end as if there were no signals"
        out = scratch / f"out{runs}"
        for _ in range(per_run):
            if len(took) == n or (found := disturb(whole, out, rng)) is None:
                break
            took.append(found[1])
        done = emufort("run", whole / "run.toml", "--out", out)
        assert done.returncode == 0, done.stderr
        assert results(out) == expected
        hidden = {p.name for p in out.rglob(".*")}
        assert {name for name in hidden if not name.endswith(".build.json")} == {".lock"}
        assert not list(out.rglob("arrays-*"))
    return took


def test_signals_at_random_moments(uninterrupted: Path, tmp_path: Path) -> None:
    campaign(uninterrupted, tmp_path, 6, seed=1, per_run=6)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(10))
def test_many_signals_at_random_moments(uninterrupted: Path, tmp_path: Path, seed: int) -> None:
    took = campaign(uninterrupted, tmp_path, 20, seed=100 + seed, per_run=20)
    print(f"seconds until the end: {[round(t, 2) for t in sorted(took)]}")


def run_script(text: str) -> Started:
    started = Started([sys.executable, "-c", "from emufort import signals\n" + text])
    started.wait_until_it_watches()
    return started


@pytest.mark.parametrize("number", list(SIGNALS))
@pytest.mark.parametrize(
    "stuck",
    [
        "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)",
        """
import time
while True:
    try:
        signals.check()
        time.sleep(0.01)
    except BaseException:
        pass
""",
        """
import subprocess
subprocess.run(["sh", "-c", "sleep 600 & wait"])
if signals.received():
    signals.leave()
""",
    ],
    ids=["in compiled code", "swallowing exceptions", "waiting for a child"],
)
def test_a_command_that_does_not_leave_is_ended(number: int, stuck: str) -> None:
    started = run_script("signals.watch()\n" + stuck)
    time.sleep(0.3)
    code, errors, seconds = started.end(number, to_group=False)
    assert code == 128 + number
    assert errors.startswith(f"error: {SIGNALS[signal.Signals(number)]}; ")
    assert errors.count("\n") == 1
    assert seconds >= GRACE - 0.1
    assert started.left() == []


def test_the_time_in_the_document_is_the_sum_of_all_waits() -> None:
    """After the grace period: output, one last action, and clean-up of Python."""
    document = (Path(__file__).parents[2] / "docs/run_folder.md").read_text()
    (promised,) = re.findall(r"SIGHUP end any command.*? within (\d+) s", document, re.DOTALL)
    assert float(promised) > GRACE + 2 * signals._LAST_SECONDS


def test_a_second_interrupt_ends_at_once() -> None:
    started = run_script(
        f"signals.GRACE = {2 * PATIENCE}\nsignals.watch()\nimport time\ntime.sleep(600)\n"
    )
    started.process.send_signal(signal.SIGINT)
    time.sleep(1.0)
    assert started.process.poll() is None
    code, errors, _ = started.end(signal.SIGINT, to_group=False)
    assert (code, errors.count("\n")) == (130, 1)


def test_last_acts_are_done_by_a_command_that_is_ended(tmp_path: Path) -> None:
    started = run_script(
        f"""
import hashlib, pathlib
signals.watch()
with signals.last_act(pathlib.Path({str(tmp_path / "cancelled")!r}).touch):
    hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)
"""
    )
    time.sleep(0.3)
    assert started.end(signal.SIGTERM, to_group=True)[0] == 143
    assert (tmp_path / "cancelled").exists()


def test_a_hang_up_that_is_ignored_stays_ignored() -> None:
    script = (
        "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from emufort import signals\nsignals.watch()\n"
        "assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_children_of_a_killed_command_end_with_it() -> None:
    started = run_script(
        'signals.watch()\nsignals.run_child(["sleep", "600"])\n',
    )
    deadline = time.monotonic() + 30
    while len(started._processes()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(started.process.pid, signal.SIGKILL)
    started.process.communicate()
    assert started.left() == []


def test_workers_of_a_killed_run_end_with_it(synthetic: Path) -> None:
    started = Started(command("run", synthetic / "run.toml", "--out", synthetic / "out"))
    table = synthetic / "out" / "search" / "trials.csv"
    while not table.exists():
        assert started.process.poll() is None
        time.sleep(0.002)
    os.kill(started.process.pid, signal.SIGKILL)
    started.process.communicate()
    assert started.left(patience=30) == []


def test_a_library_leaves_handlers_alone(synthetic: Path) -> None:
    """The steps as functions, with worker processes, as in a notebook."""
    script = """
import signal, sys
names = ("SIGINT", "SIGTERM", "SIGHUP")
before = [signal.getsignal(getattr(signal, name)) for name in names]
import emufort.api as ef
data = ef.Dataset.open("evaporation.nc", ef.Contract.load("evaporation.toml"))
ef.search(data, out="s", workers=2, trials=4, subset=64, rungs=[1])
assert before == [signal.getsignal(getattr(signal, name)) for name in names]
assert signal.set_wakeup_fd(-1) == -1
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300, cwd=synthetic)


def waiting_for_jobs(folder: Path, scancel: str) -> tuple[Started, Path]:
    """Start a search on a cluster that never starts a job: the driver waits within Dask.

    Returns
    -------
    started
        The command.
    said
        File with the calls of SLURM's commands.
    """
    tools, said = folder / "bin", folder / "said"
    tools.mkdir()
    for name, answer in (("sbatch", "echo 7"), ("scancel", scancel), ("squeue", "echo 7 PD x")):
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{said}"\n{answer}\n')
        (tools / name).chmod(0o755)
    arguments = command(
        "search", folder / "run.toml", "--out", folder / "out", "--cluster", "slurm"
    )
    started = Started(arguments, PATH=f"{tools}{os.pathsep}{os.environ['PATH']}")
    deadline = time.monotonic() + 120
    while not said.exists() and time.monotonic() < deadline:
        assert started.process.poll() is None
        time.sleep(0.05)
    time.sleep(1.0)
    return started, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_batch_jobs_are_cancelled(synthetic: Path, number: int) -> None:
    pytest.importorskip("dask_jobqueue")
    started, said = waiting_for_jobs(synthetic, scancel="echo")
    code, errors, _ = started.end(number, to_group=False)
    assert (code, errors.count("\n")) == (128 + number, 1), errors
    assert said.read_text().splitlines()[-1] == "scancel 7"
    assert started.left() == []


def test_batch_jobs_that_cannot_be_cancelled_in_time_are_named(synthetic: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    started, said = waiting_for_jobs(synthetic, scancel="exec sleep 300")
    code, errors, seconds = started.end(signal.SIGTERM, to_group=False)
    lines = errors.splitlines()
    assert (code, len(lines)) == (128 + signal.SIGTERM, 2), errors
    assert lines[0].startswith("error: terminated")
    assert lines[1].endswith("cancel them: scancel 7")
    assert said.read_text().splitlines()[-1] == "scancel 7"
    assert seconds < 60, "the command does not wait for SLURM"
    assert started.left() == []
    record = synthetic / "out" / "search" / "cluster" / "jobs.json"
    assert json.loads(record.read_text())["jobs"] == ["7"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_of_dask_end_with_the_driver(synthetic: Path, number: int) -> None:
    pytest.importorskip("distributed")
    arguments = command(
        "search", synthetic / "run.toml", "--out", synthetic / "out", "--engine", "dask"
    )
    started = Started(arguments)
    deadline = time.monotonic() + 120
    while not any("dask" in line for line in started._processes()):
        assert started.process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(1.0)
    code, errors, _ = started.end(number, to_group=False)
    assert code == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert errors.count("\n") == (number == signal.SIGINT), errors
    assert started.left(patience=30) == []
