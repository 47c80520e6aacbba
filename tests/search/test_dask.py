"""Dask as engine: the same results, dead workers, lost schedulers, batch jobs."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from emufort.cli import execute
from emufort.config import ClusterConfig
from emufort.errors import EmufortError, UsageError
from emufort.search.driver import search
from emufort.workers import dask_cluster as dask_workers
from emufort.workers import dask_pool as dask_executor
from emufort.workers.cluster_script import job_script
from emufort.workers.dask_pool import DaskPool
from emufort.workers.shared_arrays import SharedArrays
from emufort.workers.unit_marks import LOADING, WORKING, Death, UnitMarks
from tests.search.pond import config, data
from tests.training.problems import smooth

KilledWorker = pytest.importorskip("distributed").KilledWorker


def die_once(trainers, path):
    """Die unless another worker already has."""
    if path is not None and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def fail(trainers, unit):
    raise EmufortError("the disk is full")


def wait_for_disk(trainers, unit):
    raise TimeoutError("the network disk does not answer")  # as the system raises it


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dask")
    stored = SharedArrays.write(smooth(), folder)
    with DaskPool(ClusterConfig(engine="dask"), 2, stored, folder) as executor:
        yield executor


def test_every_unit_is_done_once_though_a_worker_dies(pool, tmp_path):
    found = list(pool.run(die_once, [None, tmp_path / "dead", *[None] * 6]))
    assert sorted(position for position, _ in found) == list(range(8))
    assert (tmp_path / "dead").exists()


def test_errors_of_workers_come_through(pool):
    with pytest.raises(EmufortError, match="the disk is full"):
        list(pool.run(fail, [None]))
    assert dict(pool.run(die_once, [None]))


def test_a_unit_that_runs_out_of_time_is_no_wait_for_results(pool, monkeypatch):
    def tend(workers):
        raise AssertionError("a result was there")

    monkeypatch.setattr(pool._keeper, "tend", tend)
    with pytest.raises(TimeoutError, match="does not answer"):
        list(pool.run(wait_for_disk, [None]))


def test_an_existing_scheduler_finds_what_one_process_finds(pool, tmp_path):
    """Through the scheduler of the pool above, as `--scheduler` does."""
    alone = search(data(), config(), tmp_path / "alone")
    address = pool._client.scheduler.address
    options = config().model_copy(update={"cluster": ClusterConfig(scheduler=address)})
    found = search(data(), options, tmp_path / "dask")
    assert [replace(t, seconds=0) for t in found.trials] == [
        replace(t, seconds=0) for t in alone.trials
    ]
    assert found.top(1)[0].number == alone.top(1)[0].number


def test_no_scheduler(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_executor, "_CONNECT_SECONDS", 0.5)
    options = config().model_copy(update={"cluster": ClusterConfig(scheduler="tcp://127.0.0.1:9")})
    with pytest.raises(EmufortError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:9"):
        search(data(), options, tmp_path)


def test_a_scheduler_without_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_executor, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(dask_executor, "_WORKER_SECONDS", 0.3)
    stored = SharedArrays.write(smooth(), tmp_path)
    with (
        dask_workers.started_scheduler(ClusterConfig()) as started,
        DaskPool(ClusterConfig(scheduler=started.address), 1, stored, tmp_path) as executor,
        pytest.raises(EmufortError, match="has had no worker for 0 s"),
    ):
        list(executor.run(fail, [None]))


# ------------------------------------------------------------------------ SLURM


def test_the_time_without_a_worker_counts_from_the_last_result():
    seconds = 0.0
    workers = dask_workers.ExternalWorkers("tcp://node:1", 120.0, lambda: seconds)
    seconds = 500.0  # results came so fast that workers were never checked
    workers.restart_clock()
    workers.tend([])
    seconds = 620.0
    workers.tend([])
    seconds = 621.0
    with pytest.raises(EmufortError, match="has had no worker for 120 s"):
        workers.tend([])


def test_a_result_and_a_new_call_restart_that_time(pool, monkeypatch):
    calls = []
    monkeypatch.setattr(pool._keeper, "restart_clock", lambda: calls.append(None))
    found = pool.run(die_once, [None] * 3)
    next(found)
    assert len(calls) == 2
    list(found)
    assert len(calls) == 4


def test_the_batch_script():
    where = ClusterConfig(
        kind="slurm", workers_per_job=16, partition="short", memory="8G", python="python3",
        options=("--exclusive",), setup=("module load python",),
    )  # fmt: skip
    lines = job_script(where, "tcp://node:8786", Path("out")).splitlines()
    assert lines[0] == "#!/bin/bash"
    assert {"#SBATCH --cpus-per-task=16", "#SBATCH -p short", "#SBATCH --mem=8G",
            "#SBATCH --exclusive", "module load python"} < set(lines)  # fmt: skip
    worker = lines[-1].split(" --", 1)
    assert worker[0] == "exec python3 -P -m dask worker tcp://node:8786"
    assert {"nthreads 1", "nworkers 16", "death-timeout 30"} < set(worker[1].split(" --"))


@pytest.mark.parametrize("header", ["", "[cluster]\n"])
def test_profile_of_the_command_line(tmp_path, capsys, header):
    profile = tmp_path / "slurm.toml"
    profile.write_text(f'{header}partition = "short"\nworkers_per_job = 3\npython = "python3"\n')
    options = ["--cluster", "slurm", "--profile", str(profile), "--dry-run"]
    command = ["search", "--out", str(tmp_path / "run"), *options]
    assert execute(command) == 0
    text = capsys.readouterr().out
    assert "#SBATCH -p short" in text and "--nworkers 3" in text
    assert not (tmp_path / "run").exists()
    profile.write_text(f'{header}queue = "short"\n')
    assert execute(command) == 2
    error = capsys.readouterr().err
    assert "slurm.toml" in error and "queue" in error


def test_without_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    where = ClusterConfig(kind="slurm", host="127.0.0.1")
    stored = SharedArrays.write(smooth(), tmp_path)
    with pytest.raises(UsageError, match="cannot run sbatch"):
        DaskPool(where, 1, stored, tmp_path).__enter__()


def test_workers_of_this_machine_end_with_the_pool(tmp_path):
    stored = SharedArrays.write(smooth(), tmp_path)
    with DaskPool(ClusterConfig(engine="dask"), 1, stored, tmp_path) as executor:
        pids = set(dict(executor.run(die_once, [None] * 2)).values())
    deadline = time.monotonic() + 120
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_workers_that_do_not_start_are_given_up(tmp_path):
    started = dask_workers.Scheduler("tcp://127.0.0.1:1")
    workers = dask_workers.LocalWorkers(started, 1, tmp_path)
    workers._command = [sys.executable, "-c", "raise SystemExit('no module named x')"]
    expected = r"ended 4 times while they started.*workers\.log ends with: .*no module named x"
    with workers, pytest.raises(EmufortError, match=expected):
        for _ in range(4):
            assert workers._process is not None
            workers._process.wait()
            workers.tend([])


def test_workers_that_connected_are_started_again_without_limit(tmp_path):
    started = dask_workers.Scheduler("tcp://127.0.0.1:1")
    workers = dask_workers.LocalWorkers(started, 1, tmp_path)
    workers._command = [sys.executable, "-c", "raise SystemExit(1)"]
    with workers:
        for start in range(1, 7):
            started.arrived.add(f"local-{start}-0")
            assert workers._process is not None
            workers._process.wait()
            workers.tend([])
        assert workers._name == "local-7"


# ----------------------------------------------------------------- whom a dead worker blames


def always_die(trainers, unit):
    os.kill(os.getpid(), signal.SIGKILL)


def leave_marks(marks, deaths):
    """Leave the marks of workers that died; they are files in the folder that all share."""
    for address, what, position in deaths:
        with suppress(InterruptedError), marks.during(position, what, Death(address, "w")):
            for path in marks.folder.glob("*"):
                path.rename(marks.folder / f"{path.name}-kept")
            raise InterruptedError


def blamed(pool, marks, position):
    try:
        pool._blame(marks, position, KilledWorker("key", None, 4))
    except EmufortError as error:
        return str(error)
    return None


def test_a_unit_is_blamed_only_for_workers_that_worked_on_it(pool, tmp_path):
    marks = UnitMarks.in_folder(tmp_path)
    leave_marks(marks, [("", WORKING, 3)] * 4 + [("", WORKING, 33)] * 4)
    assert [len(marks.left(WORKING, position)) for position in (3, 33, 0)] == [4, 4, 0]
    assert blamed(pool, marks, 3) is None
    leave_marks(marks, [("", WORKING, 3)])
    assert "a unit of work killed 5 workers one after the other" in blamed(pool, marks, 3)
    assert blamed(pool, marks, 33) is None
    assert blamed(pool, marks, 0) is None


def test_workers_that_die_while_they_load_the_data_are_told_apart(pool, tmp_path):
    marks = UnitMarks.in_folder(tmp_path)
    leave_marks(marks, [("", LOADING, position) for position in range(5)])
    text = blamed(pool, marks, 7)
    assert "5 workers died while they loaded the training data" in text
    assert "workers.log ends with: " in text and "\n" not in text


def test_a_worker_that_is_loading_the_data_did_not_die(pool, tmp_path):
    assert dict(pool.run(die_once, [None]))  # so that a worker is connected
    address = next(iter(pool._client.scheduler_info(n_workers=-1)["workers"]))
    marks = UnitMarks.in_folder(tmp_path)
    leave_marks(marks, [(address, LOADING, position) for position in range(5)])
    assert blamed(pool, marks, 7) is None


def test_a_worker_that_was_asked_to_end_blames_no_unit(pool, tmp_path):
    """As by the time limit of a job: SLURM sends SIGTERM before SIGKILL."""
    assert dict(pool.run(die_once, [None]))  # so that a worker is connected
    address = next(iter(pool._client.scheduler_info(n_workers=-1)["workers"]))
    marks = UnitMarks.in_folder(tmp_path)
    leave_marks(marks, [(address, WORKING, 0)] * 5)
    assert "killed 5 workers" in blamed(pool, marks, 0)
    pool._client.restart_workers([address], timeout=60)
    assert blamed(pool, marks, 0) is None


def test_a_worker_marks_what_it_does(tmp_path, monkeypatch):
    marks = UnitMarks.in_folder(tmp_path)

    def seen(*ignored):
        return {what: marks.left(what, 4) for what in (LOADING, WORKING)}

    def work(trainers, unit):
        if unit == "fail":
            raise EmufortError("the disk is full")
        return trainers, seen()

    itself = SimpleNamespace(address="tcp://node:1", name="w")
    monkeypatch.setattr("distributed.get_worker", lambda: itself)
    monkeypatch.setattr(SharedArrays, "trainers", seen)
    monkeypatch.setattr(dask_executor, "_caches", {})
    worker = [Death("tcp://node:1", "w")]
    unit = (str(tmp_path), ("torch", "cpu"), marks, 4, work)
    assert dask_executor.run_unit(*unit, None) == (
        {LOADING: worker, WORKING: []},
        {LOADING: [], WORKING: worker},
    )
    with pytest.raises(EmufortError, match="the disk is full"):
        dask_executor.run_unit(*unit, "fail")
    assert seen() == {LOADING: [], WORKING: []}


def die_three_times(trainers, path):
    """Die unless three attempts at this unit have ended so already."""
    if path is not None and (not path.exists() or path.stat().st_size < 3):
        with open(path, "a") as stream:
            stream.write("x")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_units_that_only_waited_at_dead_workers_are_done(tmp_path):
    """Two units kill six workers, which is too many for one unit."""
    stored = SharedArrays.write(smooth(), tmp_path)
    units = [tmp_path / "a", tmp_path / "b", *[None] * 5]
    with DaskPool(ClusterConfig(engine="dask"), 1, stored, tmp_path) as executor:
        assert sorted(dict(executor.run(die_three_times, units))) == list(range(7))


@pytest.mark.slow
def test_a_unit_that_kills_every_worker_is_given_up(pool):
    with pytest.raises(EmufortError, match="killed 5 workers one after the other"):
        list(pool.run(always_die, [None]))
    assert dict(pool.run(die_once, [None]))
