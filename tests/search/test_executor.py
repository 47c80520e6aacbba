from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emufort.errors import EmufortError
from emufort.workers.pool import ProcessPool, make_executor
from tests.conftest import PACKAGE
from tests.training.problems import smooth

ROOT = Path(__file__).parents[2]


def die(trainer, path):
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(trainer, path):
    """Die unless another worker already has."""
    if path is not None and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def fail(trainer, unit):
    raise EmufortError("the disk is full")


@pytest.fixture(scope="module")
def pool():
    with make_executor(2, smooth()) as executor:
        assert isinstance(executor, ProcessPool)
        yield executor


def test_units_of_a_killed_worker_go_to_another(pool, tmp_path):
    found = dict(pool.run(die_once, [None, tmp_path / "dead", None, None]))
    assert sorted(found) == [0, 1, 2, 3]
    assert (tmp_path / "dead").exists()


def test_workers_that_always_die_are_given_up(pool):
    with pytest.raises(EmufortError, match="died 3 times in a row"):
        list(pool.run(die, [None]))
    assert dict(pool.run(die_once, [None]))


def test_errors_of_workers_come_through(pool):
    with pytest.raises(EmufortError, match="the disk is full"):
        list(pool.run(fail, [None]))


def test_closing_leaves_no_process():
    before = set(multiprocessing.active_children())
    with make_executor(2, smooth()) as executor:
        dict(executor.run(die_once, [None, None]))
    deadline = time.monotonic() + 120
    while set(multiprocessing.active_children()) - before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert set(multiprocessing.active_children()) <= before


SCRIPT = """
import os, time
from emufort.workers.pool import make_executor
from tests.conftest import PACKAGE
from tests.search.test_executor import die_once
from tests.training.problems import smooth
print("script", flush=True)
with make_executor(2, smooth()) as executor:
    for _, pid in executor.run(die_once, [None] * 4):
        print(pid, flush=True)
    time.sleep({seconds})
"""


def run_script(tmp_path: Path, seconds: float) -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(seconds=seconds))
    path = os.pathsep.join([str(ROOT), PACKAGE, os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_a_script_without_the_main_idiom_runs_once(tmp_path):
    process = run_script(tmp_path, 0)
    lines = process.communicate(timeout=300)[0].split()
    assert process.returncode == 0
    assert lines.count("script") == 1


def test_workers_die_with_their_driver(tmp_path):
    process = run_script(tmp_path, 600)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "script"
    pids = {int(process.stdout.readline()) for _ in range(4)}
    process.kill()
    process.wait()
    deadline = time.monotonic() + 120
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, pids))


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
