"""Workers in jobs of a real SLURM, with what happens to jobs, nodes, the controller and drivers."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from emufort.config import Config
from emufort.errors import EmufortError
from emufort.search.driver import search
from emufort.workers import cluster_jobs, dask_pool
from emufort.workers.dask_pool import DaskPool
from emufort.workers.shared_arrays import SharedArrays
from tests.pipeline.runs import command, emufort
from tests.pipeline.test_signals import default_signals
from tests.search.one_node_slurm import OneNodeSlurm, missing
from tests.search.pond import config, data
from tests.training.problems import smooth

pytest.importorskip("dask_jobqueue")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.exhaustive,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]


@pytest.fixture(scope="module")
def daemons(tmp_path_factory):
    with OneNodeSlurm(tmp_path_factory.mktemp("slurm")) as started:
        yield started


@pytest.fixture
def slurm(daemons, monkeypatch):
    for name, value in daemons.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setattr(dask_pool, "_LOOK_SECONDS", 1.0)
    yield daemons
    daemons.do("scancel", f"--user={os.getuid()}")
    daemons.wait_for_jobs([])


def where(**options):
    return Config.from_dict({"cluster": {"kind": "slurm", "host": "127.0.0.1", **options}}).cluster


def block_once(trainers, begun):
    """Work for a long time unless another worker was interrupted at this unit."""
    if begun is not None and not begun.exists():
        begun.touch()
        time.sleep(600)
    return True


def results_after(slurm, out, action, **options):
    """Run units, one of which blocks; return the results after an action has ended its job."""
    begun = out / "begun"

    def act():
        deadline = time.monotonic() + 120
        while not begun.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        action(next(iter(slurm.jobs())))

    thread = threading.Thread(target=act)
    thread.start()
    stored = SharedArrays.write(smooth(), out)
    with DaskPool(where(**options), 1, stored, out) as executor:
        found = dict(executor.run(block_once, [begun, None, None]))
    thread.join()
    slurm.wait_for_jobs([])
    return found


def test_trials_are_those_of_one_process(slurm, tmp_path):
    alone = search(data(), config(), tmp_path / "alone")
    options = config().model_copy(
        update={"cluster": where(jobs=2, workers_per_job=2, partition="short", time="00:05:00")}
    )
    found = search(data(), options, tmp_path / "slurm")
    assert [replace(t, seconds=0) for t in found.trials] == [
        replace(t, seconds=0) for t in alone.trials
    ]
    slurm.wait_for_jobs([])
    assert not (tmp_path / "slurm" / "cluster" / "jobs.json").exists()


def test_a_cancelled_job_is_submitted_again(slurm, tmp_path):
    found = results_after(slurm, tmp_path, lambda job: slurm.do("scancel", job))
    assert found == {0: True, 1: True, 2: True}
    logs = sorted((tmp_path / "cluster").glob("*.log"))
    assert len(logs) == 2 and "CANCELLED" in logs[0].read_text()


def test_a_job_that_reaches_its_time_limit_is_submitted_again(slurm, tmp_path):
    found = results_after(slurm, tmp_path, lambda job: None, time="00:01:00")
    assert found == {0: True, 1: True, 2: True}
    logs = sorted((tmp_path / "cluster").glob("*.log"))
    assert len(logs) == 2 and "DUE TO TIME LIMIT" in logs[0].read_text()


def test_a_drained_node_delays_the_work(slurm, tmp_path):
    def drain(job):
        slurm.set_node("DRAIN")
        slurm.wait_for_state("draining")
        slurm.do("scancel", job)
        slurm.wait_for_jobs(["PENDING"])
        slurm.set_node("RESUME")

    try:
        assert results_after(slurm, tmp_path, drain) == {0: True, 1: True, 2: True}
    finally:
        slurm.wait_for_state("idle")


def test_a_job_that_is_too_large_is_refused(slurm, tmp_path):
    stored = SharedArrays.write(smooth(), tmp_path)
    pool = DaskPool(where(jobs=3, memory="2000G"), 1, stored, tmp_path)
    with pytest.raises(EmufortError, match=r"sbatch failed: .*[Mm]emory.*not be satisfied"):
        pool.__enter__()
    assert slurm.jobs() == {}


def test_a_refused_third_job_cancels_the_others(slurm, tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sbatch").write_text(f"""#!/bin/bash
PATH={slurm.environment["PATH"]}
echo >> "{tools}/calls"
[ "$(wc -l < "{tools}/calls")" = 3 ] && scontrol update PartitionName=short State=INACTIVE
exec sbatch "$@"
""")
    (tools / "sbatch").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    stored = SharedArrays.write(smooth(), tmp_path)
    try:
        with pytest.raises(EmufortError, match=r"sbatch failed: .*partition"):
            DaskPool(where(jobs=3), 1, stored, tmp_path).__enter__()
        assert len((tools / "calls").read_text()) == 3
        slurm.wait_for_jobs([])
    finally:
        slurm.do("scontrol", "update", "PartitionName=short", "State=UP")


def test_a_worker_that_cannot_start_is_shown_with_its_log(slurm, tmp_path):
    stored = SharedArrays.write(smooth(), tmp_path)
    options = where(setup=("echo 'no such module: python' >&2", "exit 3"))
    with (
        DaskPool(options, 1, stored, tmp_path) as executor,
        pytest.raises(EmufortError, match=r"ended 4 times .*while they start.*no such module: pyt"),
    ):
        list(executor.run(block_once, [None]))
    assert slurm.jobs() == {}


def test_a_controller_that_does_not_answer(slurm, tmp_path, monkeypatch, capsys):
    """The jobs are named with the command that cancels them, and the next driver cancels them."""
    monkeypatch.setattr(cluster_jobs, "_PAUSES", (0.0, 0.5))
    monkeypatch.setattr(cluster_jobs, "_CANCEL_SECONDS", 5.0)
    stored = SharedArrays.write(smooth(), tmp_path)
    slurm.set_node("DRAIN")
    try:
        with DaskPool(where(jobs=2), 1, stored, tmp_path):
            ids = list(slurm.wait_for_jobs(["PENDING", "PENDING"]))
            slurm.stop_controller()
        said = capsys.readouterr().err
        assert f"cancel them: scancel {' '.join(ids)}" in said and said.count("\n") == 1
        assert json.loads((tmp_path / "cluster" / "jobs.json").read_text())["jobs"] == ids
    finally:
        slurm.start_controller()
        slurm.wait_for_state("drained")
        slurm.set_node("RESUME")
    with DaskPool(where(), 1, stored, tmp_path) as executor:
        assert dict(executor.run(block_once, [None])) == {0: True}
        assert not set(ids) & set(slurm.jobs())


def started_search(folder, *options):
    """Start a search in jobs as a command."""
    profile = folder / "slurm.toml"
    profile.write_text('host = "127.0.0.1"\ntime = "00:05:00"\n')
    return subprocess.Popen(
        command(
            "search", folder / "run.toml", "--out", folder / "out", "--cluster", "slurm",
            "--profile", profile, *options,
        ),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=default_signals,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_jobs(slurm, synthetic, number):
    driver = started_search(synthetic, "--trials", "4000")
    slurm.wait_for_jobs(["RUNNING"])
    driver.send_signal(number)
    _, errors = driver.communicate(timeout=60)
    assert (driver.returncode, errors.count("\n")) == (128 + number, 1), errors
    slurm.wait_for_jobs([], 10)


def test_jobs_of_a_killed_driver_end_and_the_next_one_continues(slurm, synthetic):
    driver = started_search(synthetic, "--trials", "400")
    slurm.wait_for_jobs(["RUNNING"])
    table = synthetic / "out" / "search" / "trials.csv"
    while not table.exists():
        assert driver.poll() is None
        time.sleep(0.02)
    driver.kill()
    driver.communicate()
    # Without any driver, the worker ends itself when it has lost the scheduler.
    slurm.wait_for_jobs([], 90)
    done = started_search(synthetic, "--trials", "400")
    _, errors = done.communicate(timeout=300)
    assert done.returncode == 0, errors
    slurm.wait_for_jobs([])
    alone = synthetic / "alone"
    emufort("search", synthetic / "run.toml", "--out", alone, "--trials", 400).check_returncode()

    def values(out: Path) -> list[list[str]]:
        lines = (out / "search" / "trials.csv").read_text().splitlines()
        kept = [i for i, name in enumerate(lines[0].split(",")) if "seconds" not in name]
        return [[line.split(",")[i] for i in kept] for line in lines]

    assert values(synthetic / "out") == values(alone)


def test_waiting_jobs_of_a_killed_driver_are_cancelled_by_the_next(slurm, synthetic):
    slurm.set_node("DRAIN")
    try:
        driver = started_search(synthetic)
        (first,) = slurm.wait_for_jobs(["PENDING"])
        driver.kill()
        driver.communicate()
        assert slurm.jobs() == {first: "PENDING"}
    finally:
        slurm.wait_for_state("drained")
        slurm.set_node("DOWN")
    driver = started_search(synthetic)
    deadline = time.monotonic() + 60
    while first in slurm.jobs() or not slurm.jobs():
        assert time.monotonic() < deadline and driver.poll() is None
        time.sleep(0.1)
    slurm.set_node("RESUME")
    _, errors = driver.communicate(timeout=300)
    assert driver.returncode == 0, errors
