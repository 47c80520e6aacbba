"""Callbacks of searches and retrainings: what they receive, in which order, and their failures."""

from __future__ import annotations

import itertools
import math
import os
import shutil
import sys
import types
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import emufort.api as ef
from emufort.callbacks import Callback, MLflow, TensorBoard
from emufort.callbacks.protocol import Callbacks
from emufort.cli.running import logging_to
from emufort.errors import UsageError
from emufort.files import read_json, write_json
from emufort.retrain import jobs
from emufort.retrain.table import Retrained
from tests.search.candidates import made
from tests.search.pond import OPTIONS, data

RETRAIN = {"top": 4, "control": 2, "seeds": 2, "steps": 60, "batch_size": 32, "longer": 2}


class Recorder(Callback):
    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_step(self, step, event):
        self.events.append((step, event))

    def on_trials(self, trials):
        self.events.append([replace(t, seconds=0.0) for t in trials])

    def on_trained(self, network):
        self.events.append(replace(network, seconds=0.0))


def searched(out, callbacks=(), workers=1, **changes):
    options = {**OPTIONS["search"], **changes}
    return ef.search(
        data(), out=out, workers=workers, retrain={"steps": 60}, callbacks=callbacks, **options
    )


def retrained(out, callbacks=(), workers=1):
    study = ef.load_search(out / "search")
    return ef.retrain(
        study, data(), out=out / "retrain", workers=workers, callbacks=callbacks, **RETRAIN
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search and a retraining, and everything that they reported."""
    out, seen = tmp_path_factory.mktemp("whole"), Recorder()
    searched(out / "search", [seen])
    retrained(out, [seen])
    return out, seen.events


def test_what_is_reported(whole):
    out, events = whole
    study = ef.load_search(out / "search")
    trials = [replace(t, seconds=0.0) for t in study.trials]
    assert events[0] == ("search", "begin")
    assert events[1:4] == [trials[:6], trials[6:12], trials[12:]]
    assert events[4:6] == [("search", "end"), ("retrain", "begin")]
    assert events[-1] == ("retrain", "end")
    networks = events[6:-1]
    assert all(isinstance(one, Retrained) for one in networks)
    assert len({one.id for one in networks}) == len(networks)
    finished = {path.parent.name for path in out.glob("retrain/*/metrics.json")}
    assert {one.id for one in networks} == finished
    # the control group comes first, and a round in the order of its plan
    assert [one.why for one in networks[:2]] == ["control", "control"]
    assert [one.trial for one in networks[:2]] == sorted(one.trial for one in networks[:2])


def test_the_order_does_not_depend_on_the_number_of_workers(whole, tmp_path):
    seen = Recorder()
    searched(tmp_path / "search", [seen], workers=2)
    retrained(tmp_path, [seen], workers=2)
    assert seen.events == whole[1]


def test_a_finished_search_reports_nothing_again(whole):
    seen = Recorder()
    out, _ = whole
    searched(out / "search", [seen])
    retrained(out, [seen])
    assert seen.events == [
        ("search", "begin"), ("search", "end"), ("retrain", "begin"), ("retrain", "end"),
    ]  # fmt: skip


def test_a_continued_search_reports_what_follows(whole, tmp_path):
    _, events = whole
    first, second = Recorder(), Recorder()

    class Stop(Callback):
        def on_trials(self, trials):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "search", [first, Stop()])
    assert first.events == [("search", "begin"), events[1], ("search", "stopped")]
    searched(tmp_path / "search", [second])
    assert second.events == [("search", "begin"), *events[2:4], ("search", "end")]


@contextmanager
def interrupted(monkeypatch, after):
    """Interrupt step 2 when `after` trainings have been done."""
    original, numbers = jobs.run_durably, itertools.count()

    def run_durably(*arguments, **keywords):
        if next(numbers) >= after:
            raise KeyboardInterrupt
        return original(*arguments, **keywords)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(jobs, "run_durably", run_durably)
        yield


@pytest.mark.parametrize("after", [1, 4])
def test_a_round_that_was_interrupted_is_reported_as_a_whole(after, whole, tmp_path, monkeypatch):
    out, events = whole
    shutil.copytree(out / "search", tmp_path / "search")
    seen = Recorder()
    with interrupted(monkeypatch, after):
        retrained(tmp_path, [seen])
    retrained(tmp_path, [seen])
    assert [one for one in seen.events if isinstance(one, Retrained)] == events[6:-1]


@pytest.mark.parametrize("after", [None, 1, 4])
@pytest.mark.parametrize("recorded", [True, False])
def test_networks_that_a_larger_search_keeps_are_not_reported_again(
    after, recorded, whole, tmp_path, monkeypatch
):
    _, events = whole
    first, second = Recorder(), Recorder()
    searched(tmp_path / "search", trials=12)
    retrained(tmp_path, [first])
    if not recorded:  # as by an earlier version
        path = tmp_path / "retrain" / "retrain.json"
        write_json(path, {k: v for k, v in read_json(path).items() if k != "reported"})
    searched(tmp_path / "search")
    if after is not None:
        with interrupted(monkeypatch, after):
            retrained(tmp_path, [second])
    retrained(tmp_path, [second])
    before = {one.id for one in first.events if isinstance(one, Retrained)}
    networks = [one for one in events if isinstance(one, Retrained)]
    new = [one for one in networks if one.id not in before]
    assert [one for one in second.events if isinstance(one, Retrained)] == new
    assert 0 < len(new) < len(networks)
    reported = read_json(tmp_path / "retrain" / "retrain.json")["reported"]
    assert reported == sorted(one.id for one in networks)


class Failing(Callback):
    def __init__(self, method: str) -> None:
        def fail(*arguments):
            self.calls += 1
            raise OSError("no space\nleft")

        self.calls = 0
        setattr(self, method, fail)


@pytest.mark.parametrize("method", ["on_step", "on_trials", "on_trained"])
def test_a_callback_that_fails_is_switched_off_and_loses_nothing(method, whole, tmp_path):
    _, events = whole
    failing, seen = Failing(method), Recorder()
    words = f"the callback Failing is switched off, because {method} failed: OSError: no space left"
    with pytest.warns(UserWarning, match=words) as warned:
        searched(tmp_path / "search", [failing, seen])
        shutil.rmtree(tmp_path / "retrain", ignore_errors=True)
        retrained(tmp_path, [failing, seen])
    # once per call of the api, because each call starts with all callbacks
    assert failing.calls == len(warned) == (2 if method == "on_step" else 1)
    assert seen.events == events


def test_any_object_with_some_of_the_methods_is_a_callback():
    class Some:
        seen = 0

        def on_trials(self, trials):
            self.seen += len(trials)

    some = Some()
    called = Callbacks([some])
    with called.step("search"):
        called.trials([made(0, 1.0), made(1, 2.0)])
    called.trained([])
    assert some.seen == 2


def network(number: int, seed: int = 1, rmse: float = 0.5) -> Retrained:
    return Retrained(
        f"t{number:05d}-s{seed}", number, seed, "front", "3-4-2 relu", "relu", 10, 8,
        0.2, 0.1, rmse, 0.1, 0.0, 0.9, 1.0,
    )  # fmt: skip


# ------------------------------------------------------------------- TensorBoard


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what TensorBoard reads from the event files of a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.iterdir()):
        events = EventAccumulator(str(path)).Reload()
        for name in events.Tags()["scalars"]:
            found.setdefault(name, []).extend((e.step, e.value) for e in events.Scalars(name))
    return found


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    log = Callbacks([TensorBoard(tmp_path / "logs")])
    with log.step("search"):
        log.trials([made(0, 2.0), made(1, math.inf), made(2, 3.0)])
        log.trials([made(3, 0.5)])
    with log.step("retrain"):
        log.trained([network(3), network(3, seed=2, rmse=0.25), network(5, rmse=math.nan)])
    found = scalars(tmp_path / "logs")
    assert found["search/value"] == [(0, 2.0), (2, 3.0), (3, 0.5)]
    assert found["search/best"] == [(0, 2.0), (1, 2.0), (2, 2.0), (3, 0.5)]
    assert found["retrain/rmse/seed 1"] == [(3, 0.5)]
    assert found["retrain/rmse/seed 2"] == [(3, 0.25)]
    assert found["retrain/r2/seed 1"] == [(3, pytest.approx(0.9)), (5, pytest.approx(0.9))]


def test_tensorboard_is_asked_for_before_any_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"pip install 'emufort\[tensorboard\]'"):
        TensorBoard("logs")


# ------------------------------------------------------------------- MLflow


class Client:
    """Records what MLflow's client is told; its calls have the signatures of `MlflowClient`."""

    def __init__(self, tracking_uri: str | None = None) -> None:
        self.uri = tracking_uri
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.requests: list[int] = []

    def get_experiment_by_name(self, name: str) -> Any:
        known = self.experiments.get(name)
        return known and types.SimpleNamespace(experiment_id=known)

    def create_experiment(self, name: str) -> str:
        assert name not in self.experiments
        self.experiments[name] = f"e{len(self.experiments)}"
        return self.experiments[name]

    def create_run(self, experiment_id: str, run_name: str | None = None) -> Any:
        assert experiment_id in self.experiments.values()
        identity = f"r{len(self.runs)}"
        self.runs[identity] = {"name": run_name, "metrics": {}, "params": {}, "status": "RUNNING"}
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=identity))

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        assert len(metrics) <= 1000
        self.requests.append(len(metrics))
        for one in metrics:
            assert math.isfinite(one.value)
            self.runs[run_id]["metrics"].setdefault(one.key, []).append((one.step, one.value))
        self.runs[run_id]["params"] |= {one.key: one.value for one in params}

    def set_terminated(self, run_id: str, status: str | None = None) -> None:
        self.runs[run_id]["status"] = status


class Metric:
    def __init__(self, key: str, value: float, timestamp: int, step: int) -> None:
        assert timestamp > 1_600_000_000_000
        self.key, self.value, self.step = key, value, step


class Param:
    def __init__(self, key: str, value: str) -> None:
        self.key, self.value = key, value


@pytest.fixture
def client(monkeypatch):
    """Stand in for the package, which is large; return the client that the callback uses."""
    tracking, entities = types.ModuleType("mlflow.tracking"), types.ModuleType("mlflow.entities")
    only = Client()

    def one_client(tracking_uri: str | None = None) -> Client:
        only.uri = tracking_uri
        return only

    tracking.MlflowClient = one_client  # type: ignore[attr-defined]
    entities.Metric, entities.Param = Metric, Param  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", types.ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.tracking", tracking)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    return only


def test_mlflow(client):
    log = Callbacks([MLflow("ponds", "file:elsewhere")])
    with log.step("search"):
        log.trials([made(0, 2.0), made(1, math.inf)])
        log.trials([made(2, 0.5)])
    with log.step("retrain"):
        log.trained([network(2), network(2, seed=2, rmse=math.nan)])
    assert client.uri == "file:elsewhere"
    assert list(client.experiments) == ["ponds"]
    search, first, second = client.runs.values()
    assert search["name"] == "search"
    assert search["status"] == first["status"] == second["status"] == "FINISHED"
    assert search["metrics"]["value"] == [(0, 2.0), (2, 0.5)]
    assert search["metrics"]["best"] == [(0, 2.0), (1, 2.0), (2, 0.5)]
    assert (first["name"], second["name"]) == ("t00002-s1", "t00002-s2")
    assert first["params"]["label"] == "3-4-2 relu"
    assert first["metrics"]["rmse"] == [(0, 0.5)]
    assert "rmse" not in second["metrics"]


def test_mlflow_ends_the_run_of_a_stopped_search_and_splits_large_batches(client):
    log = Callbacks([MLflow()])
    with pytest.raises(KeyboardInterrupt), log.step("search"):
        log.trials([made(i, 1.0) for i in range(400)])
        raise KeyboardInterrupt
    assert client.requests == [1000, 200]
    assert [run["status"] for run in client.runs.values()] == ["KILLED"]


def test_mlflow_uses_an_experiment_that_exists(client):
    client.create_experiment("emufort")
    log = Callbacks([MLflow()])
    log.trials([made(0, 1.0)])
    assert list(client.experiments) == ["emufort"]
    assert len(client.runs) == 1


def test_mlflow_is_asked_for_before_any_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UsageError, match=r"pip install 'emufort\[mlflow\]'"):
        MLflow()


def test_a_configuration_that_mlflow_refuses_is_one_line(client, monkeypatch):
    def refuse(tracking_uri):
        raise RuntimeError("no such\nstore")

    monkeypatch.setattr(sys.modules["mlflow.tracking"], "MlflowClient", refuse)
    with pytest.raises(UsageError, match="MLflow cannot be used as it is configured: no such stor"):
        MLflow()


def test_mlflow_itself(tmp_path, monkeypatch):
    """The same calls on the real package, where it is installed."""
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "store").as_uri()
    log = Callbacks([MLflow("ponds", uri)])
    with log.step("search"):
        log.trials([made(0, 2.0), made(1, math.inf), made(2, 0.5)])
    with log.step("retrain"):
        log.trained([network(2)])
    client = tracking.MlflowClient(uri)
    experiment = client.get_experiment_by_name("ponds").experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert runs.keys() == {"search", "t00002-s1"}
    assert runs["search"].info.status == "FINISHED"
    values = client.get_metric_history(runs["search"].info.run_id, "value")
    assert sorted((m.step, m.value) for m in values) == [(0, 2.0), (2, 0.5)]
    assert runs["t00002-s1"].data.params["activation"] == "relu"
    assert runs["t00002-s1"].data.metrics["rmse"] == 0.5


# ------------------------------------------------------------------- command line


def test_names_on_the_command_line(tmp_path, client):
    pytest.importorskip("tensorboard")
    made_of = logging_to(["mlflow", "tensorboard", "mlflow"], tmp_path).callbacks
    assert [type(one).__name__ for one in made_of._active] == ["MLflow", "TensorBoard"]
    with pytest.raises(UsageError, match=r"not 'tensorbord' \(did you mean 'tensorboard'\?\)"):
        logging_to(["tensorbord"], tmp_path)


def test_emufort_search_logs_for_tensorboard(synthetic):
    pytest.importorskip("tensorboard")
    from tests.pipeline.runs import emufort

    out = synthetic / "out"
    done = emufort(
        "search", synthetic / "run.toml", "--out", out, "--log", "tensorboard",
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert [step for step, _ in scalars(out / "logs")["search/best"]] == list(range(8))
