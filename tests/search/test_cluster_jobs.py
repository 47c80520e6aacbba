"""Batch jobs on stand-ins for four batch systems: submitted again, cancelled on every way out."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time

import pytest

from emufort import signals
from emufort.config import Config
from emufort.errors import EmufortError
from emufort.workers import cluster_jobs
from emufort.workers.cluster_jobs import BatchJobs
from emufort.workers.dask_cluster import RESTARTS, Scheduler
from emufort.workers.dask_pool import DaskPool
from emufort.workers.shared_arrays import SharedArrays
from tests.search.stand_ins import COMMANDS, BatchStandIn
from tests.search.test_dask import die_once
from tests.training.problems import smooth

pytest.importorskip("distributed")

KINDS = tuple(COMMANDS)


@pytest.fixture(params=KINDS)
def system(request, tmp_path, monkeypatch):
    found = BatchStandIn(request.param, tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{found.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setattr(cluster_jobs, "_PAUSES", (0.0, 0.01, 0.01))
    yield found
    found.close()


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    found = BatchStandIn("slurm", tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{found.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(cluster_jobs, "_PAUSES", (0.0, 0.01, 0.01))
    yield found
    found.close()


def jobs(system, out, lines, n=3, clock=time.monotonic):
    """Return jobs in which these lines of a shell stand for the worker."""
    out.mkdir(exist_ok=True)
    worker = out / "worker"
    if not worker.exists():  # a job of an earlier call may be about to execute it
        worker.write_text(f"#!/bin/bash\n{lines}\n")
        worker.chmod(stat.S_IRWXU)
    content = {"kind": system.kind, "jobs": n, "python": str(worker)}
    where = Config.from_dict({"cluster": content}).cluster
    return BatchJobs(where, Scheduler("tcp://127.0.0.1:1"), out, clock)


def record(out):
    return json.loads((out / "cluster" / "jobs.json").read_text())


def test_workers_do_their_work_and_are_cancelled(system, tmp_path):
    where = Config.from_dict({"cluster": {"kind": system.kind, "host": "127.0.0.1"}}).cluster
    stored = SharedArrays.write(smooth(), tmp_path)
    with DaskPool(where, 1, stored, tmp_path) as executor:
        units = [None, tmp_path / "dead", None]
        assert sorted(dict(executor.run(die_once, units))) == [0, 1, 2]
        assert system.running() == ["11"]
    assert system.calls(system.commands.cancel) == ["11"]
    system.wait_for([])
    assert not (tmp_path / "cluster" / "jobs.json").exists()


def test_a_refused_submission_leaves_no_job(system, tmp_path):
    system.accept(2)
    with pytest.raises(EmufortError, match="over the limit of jobs"):
        jobs(system, tmp_path / "out", "sleep 60").__enter__()
    assert len(system.calls(system.commands.submit)) == 3
    system.wait_for([])
    assert not (tmp_path / "out" / "cluster" / "jobs.json").exists()


def test_only_the_job_that_ended_is_submitted_again(system, tmp_path):
    with jobs(system, tmp_path / "out", "sleep 60") as held:
        assert record(tmp_path / "out") == {"kind": system.kind, "jobs": ["11", "12", "13"]}
        held.tend([])
        assert len(system.calls(system.commands.submit)) == 3
        system.end("12")
        held.tend(["emufort-1", "emufort-3-0"])
        system.wait_for(["11", "13", "14"])
        assert record(tmp_path / "out")["jobs"] == ["11", "13", "14"]
    system.wait_for([])


def test_a_job_that_had_a_worker_is_submitted_again_without_limit(slurm, tmp_path):
    with jobs(slurm, tmp_path / "out", "sleep 60", 1) as held:
        for start in range(1, RESTARTS + 4):
            held._scheduler.arrived.add(f"emufort-{start}-0")
            slurm.end(str(10 + start))
            held.tend([])
        assert slurm.running() == [str(11 + RESTARTS + 3)]


def test_jobs_without_a_worker_are_given_up_with_their_log(system, tmp_path):
    lines = 'for i in 1 2 3 4 5 6 7; do echo "line $i"; done; echo "no module named dask" >&2'
    with (
        jobs(system, tmp_path / "out", lines, 2) as held,
        pytest.raises(EmufortError) as caught,
    ):
        for _ in range(RESTARTS + 1):
            system.wait_for([])
            held.tend([])
    last = 10 + 2 * (RESTARTS + 1)
    assert len(system.calls(system.commands.submit)) == 2 * (RESTARTS + 1)
    text = str(caught.value)
    assert f"batch jobs ended {RESTARTS + 1} times without a worker" in text
    assert f"the log of job {last} ends with: line 4 | line 5" in text
    assert "line 7 | no module named dask;" in text and "\n" not in text
    assert str(tmp_path / "out" / "cluster") in text


def test_one_place_that_cannot_start_does_not_end_the_run(slurm, tmp_path):
    with jobs(slurm, tmp_path / "out", "sleep 60", 2) as held:
        for start in range(RESTARTS + 3):
            if slurm.running() != ["11"]:
                slurm.end(slurm.running()[-1])
            held.tend(["emufort-1"])
            assert len(slurm.calls("sbatch")) == 2 + min(start + 1, RESTARTS)


def test_a_resubmission_that_is_refused_is_tried_again(slurm, tmp_path):
    with jobs(slurm, tmp_path / "out", "sleep 60", 2) as held:
        slurm.accept(0)
        slurm.end("12")
        held.tend(["emufort-1"])
        assert slurm.running() == ["11"]
        slurm.accept(1)
        held.tend(["emufort-1"])
        slurm.wait_for(["11", "13"])
        slurm.accept(0)
        slurm.end("11")
        slurm.end("13")
        with pytest.raises(EmufortError, match="sbatch failed: sbatch: over the limit of jobs"):
            for _ in range(RESTARTS + 1):
                held.tend([])


def test_a_silent_queue_submits_nothing_and_ends_the_run_in_time(system, tmp_path, monkeypatch):
    with jobs(system, tmp_path / "out", "sleep 60") as held:
        system.fail(system.commands.listing)
        for _ in range(3):
            held.tend([])
        assert len(system.calls(system.commands.submit)) == 3
        monkeypatch.setattr(cluster_jobs, "_SILENCE_SECONDS", 0.0)
        held.tend(["emufort-1"])  # a worker is left: the run continues
        with pytest.raises(EmufortError, match=r"has not answered for \d+ s.*contact the server"):
            held.tend([])
    system.wait_for([])


@pytest.mark.parametrize(
    ("kind", "waits", "runs", "details"),
    [
        ("slurm", "PD", "R", "squeue --jobs 11"),
        ("pbs", "H", "R", "qstat -f 11"),
        ("lsf", "PEND", "RUN", "bjobs -p 11"),
        ("sge", "hqw", "r", "qstat -j 11"),
    ],
)
def test_jobs_that_wait_for_long_are_reported_seldom(
    kind, waits, runs, details, tmp_path, monkeypatch, capsys
):
    system = BatchStandIn(kind, tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{system.folder}{os.pathsep}{os.environ['PATH']}")
    # The first two of three jobs wait.
    listing = (system.folder / system.commands.listing).read_text()
    head, separator, tail = listing.rpartition(f" {runs} ")
    assert separator
    listing = f"{head} $([ $job -lt 13 ] && echo {waits} || echo {runs}) {tail}"
    (system.folder / system.commands.listing).write_text(listing)
    seconds = 0.0
    with jobs(system, tmp_path / "out", "sleep 60", clock=lambda: seconds) as held:

        def said(now, workers=()):
            nonlocal seconds
            seconds = now
            held.tend(workers)
            return capsys.readouterr().err

        assert said(599) == ""
        states = sorted([(waits, 2), (runs, 1)])
        counts = ", ".join(f"{n} in state {state}" for state, n in states)
        line = (
            "warning: no worker has been connected for 10 min; 3 of 3 batch jobs are in the queue "
            f"({counts}): '{details}' shows why a job waits, and logs of jobs that run are in "
        )
        assert said(600) == f"{line}{tmp_path / 'out' / 'cluster'}\n"
        assert said(4199) == ""
        assert "for 70 min; 3 of 3" in said(4200)
        # Jobs that wait while others work are usual.
        assert said(9000, ["emufort-3"]) == said(20000, ["emufort-3"]) == said(20599) == ""
        assert "for 10 min; " in said(20600)
    system.wait_for([])
    system.close()


def test_jobs_that_cannot_be_cancelled_are_named(system, tmp_path, capsys):
    out, cancel = tmp_path / "out", system.commands.cancel
    with jobs(system, out, "sleep 60"):
        system.fail(cancel)
        system.fail(system.commands.listing)
    assert len(system.calls(cancel)) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"jobs 11, 12, 13 are cancelled; cancel them: {cancel} 11 12 13 (" in said
    assert "cannot contact the server" in said
    assert system.running() == ["11", "12", "13"]
    # The next driver in this folder cancels those that are left.
    assert record(out)["jobs"] == ["11", "12", "13"]
    system.end("12")
    system.repair(cancel)
    system.repair(system.commands.listing)
    with jobs(system, out, "sleep 60", 1):
        system.wait_for(["14"])
        assert record(out)["jobs"] == ["14"]
    system.wait_for([])
    assert capsys.readouterr().err == ""


def test_an_ended_job_does_not_keep_others_from_being_cancelled(system, tmp_path, capsys):
    with jobs(system, tmp_path / "out", "sleep 60"):
        system.end("12")
    system.wait_for([])
    assert capsys.readouterr().err == ""


def test_jobs_of_a_killed_driver_that_still_cannot_be_cancelled_stay_on_record(
    slurm, tmp_path, capsys
):
    with jobs(slurm, tmp_path / "out", "sleep 60", 1) as held:
        held._ids = []
    (tmp_path / "out" / "cluster" / "jobs.json").write_text('{"kind": "slurm", "jobs": ["11"]}')
    slurm.fail("scancel")
    with jobs(slurm, tmp_path / "out", "sleep 60", 1):
        assert "cancel them: scancel 11 (" in capsys.readouterr().err
        assert record(tmp_path / "out")["jobs"] == ["11", "12"]
        slurm.repair("scancel")
    slurm.wait_for([])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"kind": "slurm", "jobs": ["11; touch x"]}',
        '{"kind": "slurm", "jobs": [11]}',
        '{"kind": "pbs", "jobs": ["11"]}',
    ],
)
def test_a_damaged_record_cancels_nothing(slurm, tmp_path, text):
    with jobs(slurm, tmp_path / "out", "sleep 60", 1) as held:
        held._ids = []
    assert slurm.running() == ["11"]
    (tmp_path / "out" / "cluster" / "jobs.json").write_text(text)
    with jobs(slurm, tmp_path / "out", "sleep 60", 1):
        assert slurm.running() == ["11", "12"]


def test_a_number_that_another_job_has_now_is_not_cancelled(slurm, tmp_path):
    with jobs(slurm, tmp_path / "out", "sleep 60", 1) as held:
        held._ids = []
    (tmp_path / "out" / "cluster" / "jobs.json").write_text('{"kind": "slurm", "jobs": ["11"]}')
    listing = (slurm.folder / "squeue").read_text().replace("emufort", "other")
    (slurm.folder / "squeue").write_text(listing)
    with jobs(slurm, tmp_path / "out", "sleep 60", 1):
        assert slurm.running() == ["11", "12"]
    assert slurm.calls("scancel") == ["12"]


def test_states_of_jobs_that_ended_or_never_start(tmp_path, monkeypatch):
    """As real commands list them; see the manual pages of qstat and bjobs."""
    for kind, line, alive in [
        ("pbs", "15.server user workq emufort -- 1 1 -- 01:00 Q --", True),
        ("pbs", "15.server user workq emufort 471 1 1 2gb 01:00 C --", False),
        ("lsf", "15 user PEND normal login - emufort Nov 28 18:00", True),
        ("lsf", "15 user EXIT normal login node emufort Nov 28 18:00", False),
        ("sge", "15 0.55 emufort user qw 11/28/2026 18:00:00 1", True),
        ("sge", "15 0.55 emufort user Eqw 11/28/2026 18:00:00 1", False),
        ("slurm", "15 CG emufort", True),
    ]:
        folder = tmp_path / f"{kind}{alive}"
        system = BatchStandIn(kind, folder)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        system.write(system.commands.listing, f"echo 'Job id user'\necho '{line}'\n")
        listed = cluster_jobs.Queue(kind).jobs()
        assert (listed["15"].alive, listed["15"].ours) == (alive, True), line


def test_lsf_without_a_job_is_an_empty_list(tmp_path, monkeypatch):
    system = BatchStandIn("lsf", tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{system.folder}{os.pathsep}{os.environ['PATH']}")
    system.fail("bjobs", "No unfinished job found")
    assert cluster_jobs.Queue("lsf").jobs() == {}


def test_a_command_that_hangs_is_given_up(slurm, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_jobs, "_CANCEL_SECONDS", 0.1)
    slurm.hang("scancel")
    with jobs(slurm, tmp_path / "out", "sleep 60", 1) as held:
        assert "cancel them: scancel 11" in held._cancel_at_once()
    slurm.repair("scancel")
    with jobs(slurm, tmp_path / "out", "sleep 60", 1) as held:
        assert held._cancel_at_once() is None
        slurm.wait_for([])
    assert signals._state.last_acts == []


def test_dask_jobqueue_writes_nothing_into_the_home_directory(tmp_path):
    home = tmp_path / "home"
    settings = home / ".config" / "dask"
    settings.mkdir(parents=True)
    (settings / "mine.yaml").write_text(
        "jobqueue: {slurm: {queue: 'x; touch sentinel', job-extra-directives: [--uid=0]}}\n"
    )
    before = sorted(home.rglob("*"))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "emufort",
            "search",
            "--out",
            "o",
            "--cluster",
            "slurm",
            "--dry-run",
        ],
        env={**os.environ, "HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "#SBATCH -J emufort" in done.stdout
    assert "touch" not in done.stdout and "uid" not in done.stdout
    assert sorted(home.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_dask_jobqueue_leaves_the_handler_of_interrupts_alone():
    script = """
import signal, threading
from emufort.workers.cluster_script import job_class
before = signal.getsignal(signal.SIGINT), signal.signal
thread = threading.Thread(target=job_class, args=("pbs",))
thread.start()
thread.join()
assert job_class("slurm").submit_command == "sbatch"
assert (signal.getsignal(signal.SIGINT), signal.signal) == before
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
