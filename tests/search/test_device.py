"""Devices: what their names stand for, what is refused, and which worker takes which GPU."""

from __future__ import annotations

import multiprocessing
import warnings

import pytest
import torch
from typer.testing import CliRunner

from emufort import api
from emufort.checks import check_run
from emufort.cli import app
from emufort.cli.running import plain_warnings
from emufort.config import ClusterConfig, Config
from emufort.errors import EmufortError, UsageError
from emufort.files import read_json, write_json
from emufort.retrain.driver import retrain
from emufort.search.advice import advise
from emufort.search.driver import search
from emufort.search.settled import DeviceWarning, check_use, settle
from emufort.training import device as devices
from emufort.training import make_trainer
from emufort.training.device import (
    WORTH_A_GPU,
    check_device,
    device_of_named_worker,
    device_of_worker,
    kind_of,
    resolve_device,
)
from emufort.workers import pool
from emufort.workers.pool import executor_for
from emufort.workers.shared_arrays import SharedArrays
from tests.search import pond
from tests.training.problems import smooth

LARGE = float(WORTH_A_GPU)
needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")


@pytest.fixture
def gpus(monkeypatch):
    """Two GPUs that nothing can be computed on."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices, "_DRIVERS", ("/",))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"Gpu {number}")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "cuda:x", "CUDA", "", "cpu\n"])
def test_names_of_devices_are_checked(name):
    with pytest.raises(UsageError, match="there is no device"):
        Config.from_dict({"device": name})


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:0", "cuda:12", "mps"])
def test_known_names(name):
    assert Config.from_dict({"device": name}).device == name


def test_auto_is_a_gpu_only_where_it_may_gain(gpus, monkeypatch):
    assert resolve_device("auto", "auto", LARGE) == "cuda"
    assert resolve_device("auto", "torch", LARGE) == "cuda"
    assert resolve_device("auto", "native", LARGE) == "cpu"
    assert resolve_device("auto", "auto", LARGE - 1) == "cpu"
    assert resolve_device("auto", "auto", LARGE, is_here=False) == "cpu"
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert resolve_device("auto", "auto", LARGE) == "cpu"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto", "auto", LARGE) == "cpu"


def test_without_a_driver_torch_is_not_imported(monkeypatch):
    import sys

    monkeypatch.setattr(devices, "_DRIVERS", ("/no/such/driver",))
    monkeypatch.setitem(sys.modules, "torch", None)  # an import fails
    assert resolve_device("auto", "auto", LARGE) == "cpu"


def test_the_default_space_stays_on_the_cpu_and_the_papers_does_not():
    assert Config().search.space.typical_multiply_adds < WORTH_A_GPU
    space = {"depth": [1, 20], "width": {"lowest": 8, "highest": 2048}}
    paper = Config.from_dict({"search": {"space": space}})
    assert paper.search.space.typical_multiply_adds > WORTH_A_GPU


@needs_no_gpu
def test_devices_that_are_not_here_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"device 'mps'.* Apple"):
        check_device("mps")
    without = torch.version.cuda is None and torch.version.hip is None
    wrong = "without CUDA" if without else "sees no GPU"
    with pytest.raises(UsageError, match=wrong):
        check_device("cuda")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(UsageError, match=r"torch sees no GPU .*nvidia-smi.* device = \"cpu\""):
        check_device("cuda:1")
    # The same before any work, from the checks and from every step.
    large = {"backend": "torch", "device": "cuda"}
    with pytest.raises(UsageError, match="sees no GPU"):
        check_run(pond.config(**large), pond.data(), ("search",))
    with pytest.raises(UsageError, match="sees no GPU"):
        search(pond.data(), pond.config(**large), tmp_path / "a")
    assert not (tmp_path / "a").exists()
    with pytest.raises(UsageError, match="sees no GPU"):
        api.advise(pond.data(), out=tmp_path / "b", device="cuda", first=32, largest=128)
    assert not (tmp_path / "b").exists()
    study = search(pond.data(), pond.config(trials=6), tmp_path / "c")
    with pytest.raises(UsageError, match="native trainer runs on the CPU"):
        api.retrain(study, pond.data(), out=tmp_path / "d", device="cuda", backend="native")
    with pytest.raises(UsageError, match="sees no GPU"):
        api.retrain(study, pond.data(), out=tmp_path / "d", device="cuda:0", backend="torch")


def test_a_gpu_that_is_one_too_many_is_refused(gpus):
    check_device("cuda:1")
    with pytest.raises(UsageError, match=r"no device 'cuda:2'.* torch sees cuda:0 to cuda:1"):
        check_device("cuda:2")


def test_the_native_trainer_takes_no_gpu(gpus):
    with pytest.raises(UsageError, match=r"native trainer runs on the CPU.*'cuda'.*choose"):
        resolve_device("cuda", "native", LARGE)
    with pytest.raises(UsageError, match="native trainer runs on the CPU"):
        make_trainer(smooth(), "native", "cuda:1")
    with pytest.raises(UsageError, match="native trainer runs on the CPU"):
        check_run(pond.config(backend="native", device="cuda"), pond.data(), ("search",))


def test_workers_take_the_gpus_in_turn(gpus):
    assert [device_of_worker("cuda", i) for i in range(4)] == ["cuda:0", "cuda:1"] * 2
    assert [device_of_worker("cuda:1", i) for i in range(2)] == ["cuda:1"] * 2
    assert device_of_worker("cpu", 3) == "cpu"
    assert device_of_worker("mps", 3) == "mps"
    assert device_of_named_worker("cuda", "local-1-0") == "cuda:0"
    assert device_of_named_worker("cuda", "SLURMCluster-2-3") == "cuda:1"
    assert device_of_named_worker("cuda", "tcp://10.0.0.1:41235") == "cuda:0"
    assert [kind_of(name) for name in ("cuda:1", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]


def device_of_trainers(trainers, unit):
    """Work of a worker."""
    return trainers._backend


def test_worker_processes_take_the_next_numbers(gpus, tmp_path, monkeypatch):
    class Arrays:
        def trainers(self, *backend):
            return backend

    monkeypatch.setattr(pool.signals, "start_worker", lambda: None)
    monkeypatch.setattr(pool, "_die_with_parent", lambda: None)
    monkeypatch.setattr(pool, "_trainers", None)
    numbers = multiprocessing.Value("i", 0)
    found = []
    for device in ("cuda", "cuda", "cuda", "cuda:1"):
        pool._start(Arrays(), "torch", device, numbers if device == "cuda" else None)
        found.append(pool._trainers)
    assert found == [("torch", f"cuda:{i}") for i in (0, 1, 0, 1)]
    # In processes, which do not see the GPUs of this test, the numbers arrive too.
    stored = SharedArrays.write(smooth(), tmp_path)
    config = pond.config(device="cuda", workers=2)
    with executor_for(config, stored, tmp_path, "torch") as executor:
        found = dict(executor.run(device_of_trainers, range(4)))
    assert set(found.values()) == {("torch", "cuda:0")}


# --------------------------------------------------------------- what a step settles on


def space_of(config):
    return config.search.space.only_mlps, LARGE


def test_a_gpu_means_torch_side_by_side_and_one_worker_for_each(gpus, tmp_path):
    config = pond.config(workers=0, device="cuda")
    found = settle(config, "search", tmp_path / "subset.json", *space_of(config))
    assert (found.search.backend, found.device, found.workers) == ("torch", "cuda", 2)
    assert found.search.side_by_side is True
    one = settle(pond.config(workers=0, device="cuda:1"), "search", tmp_path / "no", True, LARGE)
    assert (one.device, one.workers) == ("cuda:1", 1)
    three = settle(pond.config(workers=3, device="cuda"), "search", tmp_path / "no", True, LARGE)
    assert three.workers == 3
    elsewhere = config.model_copy(update={"cluster": ClusterConfig(scheduler="tcp://node:1")})
    assert settle(elsewhere, "search", tmp_path / "no", True, LARGE).workers == 0


def test_results_in_the_folder_decide(gpus, tmp_path):
    path = tmp_path / "subset.json"
    begun = {"identity": {"search.backend": "torch", "search.side_by_side": True}, "device": "cuda"}
    write_json(path, begun)
    config = pond.config(device="auto")
    found = settle(config, "search", path, True, 1.0)
    assert (found.device, found.search.side_by_side) == ("cuda", True)
    # On another device only if it is asked for, and not silently.
    found = settle(pond.config(device="cpu"), "search", path, True, LARGE)
    with pytest.warns(DeviceWarning, match=r"begun on the device 'cuda' and continue on 'cpu'"):
        check_use(found, tmp_path, begun)
    assert (found.device, found.search.side_by_side, found.search.backend) == ("cpu", True, "torch")
    write_json(path, {"identity": {"search.backend": "native"}})
    found = settle(config, "search", path, True, LARGE)
    assert (found.device, found.search.side_by_side, found.search.backend) == (
        "cpu",
        False,
        "native",
    )
    expected = "native trainer runs on the CPU, not on 'cuda', and made the results in "
    with pytest.raises(UsageError, match=expected):
        settle(pond.config(device="cuda"), "search", path, True, LARGE)


@pytest.mark.parametrize(
    "content",
    [
        [1],
        {"identity": [1]},
        {"identity": {"search.backend": 5}},
        {"identity": {"search.side_by_side": "maybe"}},
        {"identity": {}, "device": "an\x1bother"},
    ],
)
def test_a_damaged_identity_is_one_line(content, tmp_path):
    path = tmp_path / "subset.json"
    write_json(path, content)
    with pytest.raises(EmufortError, match=r"subset\.json is damaged"):
        settle(pond.config(), "search", path, True, LARGE)
    with pytest.raises(EmufortError, match=r"subset\.json is damaged"):
        search(pond.data(), pond.config(), tmp_path)


def test_a_command_prints_the_change_of_device_as_one_line(capsys):
    with plain_warnings():
        warnings.warn("the device is another one", DeviceWarning, stacklevel=1)
    assert capsys.readouterr().err == "warning: the device is another one\n"
    with pytest.warns(UserWarning, match="of another package"), plain_warnings():
        warnings.warn("of another package", UserWarning, stacklevel=1)


@needs_no_gpu
@pytest.mark.parametrize("command", ["search", "run"])
def test_commands_take_the_device(command, tmp_path):
    done = CliRunner().invoke(app, [command, "--out", str(tmp_path / "a"), "--device", "cuda:7"])
    assert done.exit_code != 0
    assert "the device 'cuda:7'" in str(done.exception)
    done = CliRunner().invoke(app, [command, "--out", str(tmp_path / "a"), "--device", "gpu"])
    assert "there is no device 'gpu'" in str(done.exception)


def test_side_by_side_needs_torch(tmp_path):
    config = pond.config(side_by_side=True)
    assert settle(config, "search", tmp_path / "no", True, 1.0).search.backend == "torch"
    with pytest.raises(UsageError, match="trains one network at a time"):
        settle(
            pond.config(side_by_side=True, backend="native"), "search", tmp_path / "no", True, 1.0
        )


def test_records_name_the_device(tmp_path):
    config = pond.config(trials=6, device="cpu")
    search(pond.data(), config, tmp_path / "search")
    assert read_json(tmp_path / "search" / "search.json")["device"] == "cpu"
    assert "device" not in read_json(tmp_path / "search" / "subset.json")
    best = retrain(tmp_path / "search", pond.data(), config, tmp_path / "retrain")[0]
    assert read_json(tmp_path / "retrain" / best.id / "metrics.json")["training"]["device"] == "cpu"


def test_only_trainings_need_and_change_the_device(tmp_path):
    options = {"device": "cpu", "backend": "torch", "retrain__backend": "torch"}
    options |= {"retrain__steps": 60, "retrain__top": 2, "retrain__control": 1}
    config = pond.config(trials=6, **options)
    search(pond.data(), config, tmp_path / "search")
    retrain(tmp_path / "search", pond.data(), config, tmp_path / "retrain")
    for step in ("search/subset.json", "retrain/retrain.json"):
        write_json(tmp_path / step, {**read_json(tmp_path / step), "device": "mps"})
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeviceWarning)
        search(pond.data(), config, tmp_path / "search")
        retrained = retrain(tmp_path / "search", pond.data(), config, tmp_path / "retrain")
        assert read_json(tmp_path / "retrain" / "retrain.json")["device"] == "mps"
        elsewhere = config.model_copy(update={"device": "cuda:77"})
        search(pond.data(), elsewhere, tmp_path / "search")
        retrain(tmp_path / "search", pond.data(), elsewhere, tmp_path / "retrain")
    # A training that is repeated needs the device; until then its record stays.
    (tmp_path / "retrain" / retrained[0].id / "metrics.json").unlink()
    with pytest.raises(UsageError, match="cuda:77"):
        retrain(tmp_path / "search", pond.data(), elsewhere, tmp_path / "retrain")
    assert read_json(tmp_path / "retrain" / "retrain.json")["device"] == "mps"
    with pytest.warns(DeviceWarning, match=r"begun on the device 'mps' and continue on 'cpu'"):
        retrain(tmp_path / "search", pond.data(), config, tmp_path / "retrain")
    assert "device" not in read_json(tmp_path / "retrain" / "retrain.json")
    with pytest.warns(DeviceWarning, match="'mps' and continue on 'cpu'"):
        search(
            pond.data(), pond.config(trials=7, device="cpu", backend="torch"), tmp_path / "search"
        )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
def test_a_search_on_a_gpu(tmp_path):
    config = pond.config(device="cuda")
    found = search(pond.data(), config, tmp_path / "gpu")
    assert read_json(tmp_path / "gpu" / "search.json")["device"].startswith("cuda (")
    plain = search(pond.data(), pond.config(backend="torch", device="cpu"), tmp_path / "cpu")
    first = [t.rungs[0][1] for t in found.trials], [t.rungs[0][1] for t in plain.trials]
    assert first[0] == pytest.approx(first[1], rel=1e-3)
    advise(pond.data(), config, tmp_path / "advice")
    retrain(tmp_path / "gpu", pond.data(), config, tmp_path / "retrain")
