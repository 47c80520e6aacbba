"""Which backend trains, and that nothing changes over to another."""

from __future__ import annotations

import shutil

import pytest

from emufort.errors import EmufortError
from emufort.files import read_json
from emufort.retrain.driver import retrain
from emufort.search.driver import search
from emufort.training import backends as backend
from emufort.training import native_trainer
from tests.search import pond

needs_native = pytest.mark.skipif(not native_trainer.available(), reason="no native trainer built")


@needs_native
def test_the_native_trainer_is_used_and_written_down(tmp_path):
    data, config = pond.data(), pond.config()
    search(data, config, tmp_path / "search")
    summary = read_json(tmp_path / "search" / "search.json")
    assert summary["backend"] == summary["config"]["search"]["backend"] == "native"
    assert summary["backend_detail"] == backend.backend_detail("native")
    best = retrain(tmp_path / "search", data, config, tmp_path / "retrain")[0]
    metrics = read_json(tmp_path / "retrain" / best.id / "metrics.json")
    assert metrics["training"]["backend"] == backend.backend_detail("native")


@needs_native
def test_a_search_goes_on_with_the_backend_that_began_it(tmp_path):
    data = pond.data()
    search(data, pond.config(backend="torch", trials=6), tmp_path / "a")
    longer = search(data, pond.config(trials=12), tmp_path / "a")
    assert read_json(tmp_path / "a" / "search.json")["backend"] == "torch"
    whole = search(data, pond.config(backend="torch", trials=12), tmp_path / "b")
    assert [t.value for t in longer.trials] == [t.value for t in whole.trials]
    with pytest.raises(EmufortError, match=r"search.backend = torch instead of native"):
        search(data, pond.config(backend="native", trials=12), tmp_path / "a")


@needs_native
def test_backends_find_about_the_same(tmp_path):
    data = pond.data()
    losses = [
        search(data, pond.config(backend=name, rungs=[2], trials=6), tmp_path / name).trials
        for name in ("native", "torch")
    ]
    for ours, theirs in zip(*losses, strict=True):
        assert ours.value == pytest.approx(theirs.value, rel=1e-5)


def test_without_the_native_trainer_torch_trains(tmp_path, monkeypatch):
    data, config = pond.data(), pond.config(trials=6)
    if native_trainer.available():
        search(data, config, tmp_path / "native")
    monkeypatch.setattr(native_trainer, "_levels", tuple)
    search(data, config, tmp_path / "a")
    assert read_json(tmp_path / "a" / "search.json")["backend"] == "torch"
    with pytest.raises(EmufortError, match="native trainer is not built"):
        search(data, pond.config(backend="native"), tmp_path / "b")
    if (tmp_path / "native").exists():
        # What is finished needs no trainer; what is not cannot go on with another.
        search(data, config, tmp_path / "native")
        shutil.copytree(tmp_path / "native", tmp_path / "longer")
        with pytest.raises(EmufortError, match="native trainer is not built"):
            search(data, pond.config(trials=12), tmp_path / "longer")
