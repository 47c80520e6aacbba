"""Step 2 whose last trainings begin with the weights of its rounds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from emufort.config import Config
from emufort.errors import EmufortError, UsageError
from emufort.files import read_csv, read_json, write_json
from emufort.network.emulator import Emulator
from emufort.provenance import file_sha256
from emufort.retrain import jobs
from emufort.retrain.driver import retrain
from emufort.search.driver import search
from emufort.training import TrainerState, native_trainer
from tests.search.pond import config, data

#: Twice as many steps as in the rounds follow; there is a seed that the rounds do not train.
COLD = {"retrain__longer": 3, "retrain__seeds": 2}
WARM = {**COLD, "retrain__warm_start": True}
STEPS = 300


@pytest.fixture(scope="module", params=["native", "torch"])
def backend(request):
    if request.param == "native" and not native_trainer.available():
        pytest.skip("the trainer is not built")
    return request.param


@pytest.fixture(scope="module")
def finished(tmp_path_factory, backend):
    """Folder with a search, and step 2 from new weights (cold) and from those of the rounds."""
    folder = tmp_path_factory.mktemp("finished")
    search(data(), config(backend=backend), folder / "search")
    for name, options in (("cold", COLD), ("warm", WARM)):
        retrain(folder / "search", data(), used(backend, **options), folder / name)
    return folder


def used(backend: str, **options) -> Config:
    return config(backend=backend, retrain__backend=backend, **options)


def weights(path: Path) -> list[np.ndarray]:
    emulator = Emulator.load(path / "weights.safetensors")
    return [*emulator.weights, *emulator.biases]


def same(a: Path, b: Path) -> bool:
    return all(map(np.array_equal, weights(a), weights(b)))


def names(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/weights.safetensors"))


def last(folder: Path, seed: int) -> list[str]:
    """Return the names of the last trainings with this seed."""
    found = [name for name in names(folder) if name.endswith(f"-s{seed}-x3")]
    assert found
    return found


def test_the_last_trainings_go_on_from_those_of_the_rounds(finished, backend):
    cold, warm = finished / "cold", finished / "warm"
    assert names(warm) == names(cold)
    # The rounds are what they were.
    for name in names(warm):
        if not name.endswith("-x3"):
            assert same(warm / name, cold / name)
    assert (warm / "agreement.json").read_bytes() == (cold / "agreement.json").read_bytes()
    table = {row["id"]: row for row in read_csv(warm / "candidates.csv")}
    for name in last(warm, seed=1):
        before = warm / name.removesuffix("-x3")
        found = read_json(warm / name / "metrics.json")
        assert found["training"]["warm_start"] == {
            "id": before.name,
            "weights_sha256": file_sha256(before / "weights.safetensors"),
        }
        first = read_json(before / "metrics.json")
        assert "warm_start" not in first["training"]
        assert found["candidate"]["validation_loss"] < first["candidate"]["validation_loss"]
        assert not same(warm / name, cold / name)
        assert int(table[name]["steps"]) == 2 * STEPS
    # A seed that the rounds do not train has nothing to begin with.
    for name in last(warm, seed=2):
        assert int(table[name]["steps"]) == 3 * STEPS
        # With torch it is trained alone here, and next to the other seed in the cold folder.
        assert backend == "torch" or same(warm / name, cold / name)
        assert "warm_start" not in read_json(warm / name / "metrics.json")["training"]


def test_two_workers_train_what_one_trains(finished, backend, tmp_path):
    retrain(finished / "search", data(), used(backend, workers=2, **WARM), tmp_path)
    assert names(tmp_path) == names(finished / "warm")
    assert all(same(tmp_path / name, finished / "warm" / name) for name in names(tmp_path))


class KilledError(BaseException):
    pass


@pytest.mark.parametrize("looks", [1, 60])
def test_killed_within_a_last_training_it_ends_the_same(
    looks, finished, backend, tmp_path, monkeypatch
):
    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", 0.0)
    save = TrainerState.save
    victim = last(finished / "warm", seed=1)[0]
    saved = 0

    def deadly(state, path):
        nonlocal saved
        save(state, path)
        saved += path.parent.name == victim
        if saved == looks:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(TrainerState, "save", deadly)
        with pytest.raises(KilledError):
            retrain(finished / "search", data(), used(backend, **WARM), tmp_path)
    assert (tmp_path / victim / "checkpoint.safetensors").is_file()
    retrain(finished / "search", data(), used(backend, **WARM), tmp_path)
    assert names(tmp_path) == names(finished / "warm")
    assert all(same(tmp_path / name, finished / "warm" / name) for name in names(tmp_path))


def test_damaged_weights_of_the_rounds_are_trained_again_first(finished, backend, tmp_path):
    shutil.copytree(finished / "warm", tmp_path / "warm")
    name = last(tmp_path / "warm", seed=1)[0]
    (tmp_path / "warm" / name.removesuffix("-x3") / "weights.safetensors").write_bytes(b"torn")
    shutil.rmtree(tmp_path / "warm" / name)
    retrain(finished / "search", data(), used(backend, **WARM), tmp_path / "warm")
    assert same(tmp_path / "warm" / name, finished / "warm" / name)


def test_a_folder_keeps_to_its_start_and_older_folders_are_cold(finished, backend, tmp_path):
    with pytest.raises(EmufortError, match=r"retrain\.warm_start = True instead of False"):
        retrain(finished / "search", data(), used(backend, **COLD), finished / "warm")
    shutil.copytree(finished / "cold", tmp_path / "old")
    content = read_json(tmp_path / "old" / "retrain.json")
    del content["identity"]["retrain.warm_start"]
    write_json(tmp_path / "old" / "retrain.json", content)
    with pytest.raises(EmufortError, match=r"retrain\.warm_start = False instead of True"):
        retrain(finished / "search", data(), used(backend, **WARM), tmp_path / "old")
    rows = retrain(finished / "search", data(), used(backend, **COLD), tmp_path / "old")
    table = read_csv(finished / "cold" / "candidates.csv")
    assert [row.id for row in rows] == [row["id"] for row in table]


def test_a_warm_start_without_longer_trainings_is_refused():
    with pytest.raises(UsageError, match="warm_start is for longer trainings"):
        Config.from_dict({"retrain": {"longer": 1, "warm_start": True}})
