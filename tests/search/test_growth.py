"""Searches that get more trials after they were finished, and their retraining."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import emufort.api as ef
from emufort.errors import EmufortError, UsageError
from emufort.files import read_csv, read_json
from emufort.network.emulator import Emulator
from emufort.provenance import file_sha256
from emufort.retrain import jobs, networks
from emufort.retrain.driver import retrain
from emufort.run.record import essences, hashes
from emufort.search.driver import search
from emufort.search.growth import check_not_fewer, difference_by_growth
from emufort.search.identity import study_sha256
from emufort.steps import STEPS
from tests.search.pond import OPTIONS, config, data


def content(folder: Path) -> list:
    rows = read_csv(folder / "trials.csv")
    return [
        [{k: v for k, v in row.items() if k != "seconds"} for row in rows],
        study_sha256(folder),
    ]


def essence(folder: Path) -> dict[str, object]:
    """Everything of search and retraining that later steps read.

    The order of entries in a file of weights differs between files, and with it the hash by which
    a warm start names its file.
    """
    results = STEPS["search"].results + STEPS["retrain"].results
    of_files = [p for p in results if not p.endswith(("weights.safetensors", "metrics.json"))]
    found: dict[str, object] = dict(essences(folder, hashes(folder, tuple(of_files))))
    for path in folder.glob("retrain/*/metrics.json"):
        metrics = read_json(path)
        network = Emulator.load(path.parent / "weights.safetensors")
        start = metrics["training"].get("warm_start")
        if start is not None:
            weights = folder / "retrain" / start["id"] / "weights.safetensors"
            assert start.pop("weights_sha256") == file_sha256(weights)
        assert network.metadata["training"].get("warm_start", {}).keys() <= {"id", "weights_sha256"}
        found[path.parent.name] = [
            {k: v for k, v in metrics["candidate"].items() if k != "seconds"},
            [metrics["validation"], metrics["training"], metrics["provenance"]],
            {k: v for k, v in network.metadata.items() if k != "training"},
            [array.tobytes() for array in network.parameters.values()],
        ]
    return found


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A search of 12 trials and its retraining."""
    folder = tmp_path_factory.mktemp("small")
    options = config(trials=12, workers=2, retrain__longer=2, retrain__warm_start=True)
    search(data(), options, folder / "search")
    retrain(folder / "search", data(), options, folder / "retrain")
    return folder


@pytest.mark.parametrize("halving", ["batch", "asha"])
@pytest.mark.parametrize(
    ("sampler", "options"),
    [
        ("parzen", {"startup": 6}),
        ("random", {}),
        ("qmc", {}),
        ("tpe", {"n_startup_trials": 6}),
        ("nsga2", {"population_size": 6}),
        ("cmaes", {}),
    ],
)
def test_a_grown_search_is_one_that_was_large_from_the_start(sampler, options, halving, tmp_path):
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    how = {"sampler": sampler, "sampler_options": options, "halving": halving}
    search(data(), config(**how, trials=6), tmp_path / "grown")
    search(data(), config(**how, trials=12), tmp_path / "grown")
    search(data(), config(**how, trials=18, workers=2), tmp_path / "grown")
    search(data(), config(**how), tmp_path / "whole")
    assert content(tmp_path / "grown") == content(tmp_path / "whole")
    assert difference_by_growth(tmp_path / "grown", config(**how, trials=24).search) == ""


def test_the_first_trials_stay_where_the_last_batch_was_short(tmp_path):
    search(data(), config(trials=8), tmp_path)
    before = read_csv(tmp_path / "trials.csv")
    words = difference_by_growth(tmp_path, config().search)
    assert "from 8 to 18 trials, but batch 1 has only 2 of 6 candidates" in words
    with pytest.warns(UserWarning, match="batch 1 has only 2 of 6 candidates") as warned:
        after = ef.search(data(), out=tmp_path, **OPTIONS["search"], workers=1).trials
    assert warned[0].filename == __file__
    assert [t.batch for t in after] == [0] * 6 + [1] * 2 + [2] * 6 + [3] * 4
    rows = read_csv(tmp_path / "trials.csv")[:8]
    assert [row["value"] for row in rows] == [row["value"] for row in before]
    # the same growth gives the same trials again
    search(data(), config(trials=8), tmp_path / "again")
    again = search(data(), config(workers=2), tmp_path / "again").trials
    assert [replace(t, seconds=0.0) for t in again] == [replace(t, seconds=0.0) for t in after]


def test_a_search_does_not_shrink(small, tmp_path):
    folder = tmp_path / "search"
    shutil.copytree(small / "search", folder)
    before = content(folder)
    with pytest.raises(UsageError, match=r"holds 12 finished trials, more than search\.trials = 6"):
        search(data(), config(trials=6), folder)
    assert content(folder) == before
    check_not_fewer(folder, 12)
    check_not_fewer(tmp_path / "absent", 1)
    # the table alone shows how many trials there are
    (folder / "search.json").write_text("{}")
    check_not_fewer(folder, 1)
    with pytest.raises(UsageError, match=r"holds 12 finished trials, more than search\.trials = 6"):
        search(data(), config(trials=6), folder)
    assert content(folder) == before


def test_a_grown_search_is_retrained_only_as_far_as_needed(small, tmp_path, monkeypatch):
    options = config(workers=1, retrain__longer=2, retrain__warm_start=True)
    search(data(), options, tmp_path / "whole" / "search")
    retrain(tmp_path / "whole" / "search", data(), options, tmp_path / "whole" / "retrain")
    grown = tmp_path / "grown"
    shutil.copytree(small, grown)
    search(data(), options, grown / "search")
    trained = []
    run_durably = jobs.run_durably
    monkeypatch.setattr(
        jobs,
        "run_durably",
        lambda *a, **k: (trained.append(a[1].checkpoint), run_durably(*a, **k))[1],
    )
    rows = retrain(grown / "search", data(), options, grown / "retrain")
    reused = {p.parent.name for p in small.glob("retrain/*/metrics.json")} & {r.id for r in rows}
    assert reused
    assert not reused & {path.parent.name for path in trained}
    assert essence(grown) == essence(tmp_path / "whole")
    network = Emulator.load(grown / "retrain" / sorted(reused)[0] / "weights.safetensors")
    assert network.metadata["study_sha256"] == study_sha256(grown / "search")


@pytest.mark.parametrize("after", [0, 1, 5])
def test_killed_while_it_is_retrained_again_it_ends_the_same(after, small, tmp_path, monkeypatch):
    options = config(workers=1, retrain__longer=2, retrain__warm_start=True)
    for name in ("killed", "whole"):
        shutil.copytree(small, tmp_path / name)
        search(data(), options, tmp_path / name / "search")
    retrain(tmp_path / "whole" / "search", data(), options, tmp_path / "whole" / "retrain")
    calls = 0
    run_durably = jobs.run_durably

    def deadly(*arguments, **keywords):
        nonlocal calls
        calls += 1
        if calls > after:
            raise KeyboardInterrupt
        return run_durably(*arguments, **keywords)

    folder = tmp_path / "killed"
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "run_durably", deadly)
        with pytest.raises(KeyboardInterrupt):
            retrain(folder / "search", data(), options, folder / "retrain")
    retrain(folder / "search", data(), options, folder / "retrain")
    assert essence(folder) == essence(tmp_path / "whole")


def test_killed_while_a_training_is_taken_over_it_ends_the_same(small, tmp_path, monkeypatch):
    """The weights already name the larger study, but metrics.json does not."""
    options = config(workers=1, retrain__longer=2, retrain__warm_start=True)
    for name in ("killed", "whole"):
        shutil.copytree(small, tmp_path / name)
        search(data(), options, tmp_path / name / "search")
    retrain(tmp_path / "whole" / "search", data(), options, tmp_path / "whole" / "retrain")
    folder = tmp_path / "killed"

    def deadly(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(networks, "write_record", deadly)
        with pytest.raises(KeyboardInterrupt):
            retrain(folder / "search", data(), options, folder / "retrain")
    retrain(folder / "search", data(), options, folder / "retrain")
    assert essence(folder) == essence(tmp_path / "whole")


def test_a_retraining_of_a_larger_search_is_kept(small, tmp_path):
    """The search was removed and repeated with fewer trials."""
    shutil.copytree(small / "retrain", tmp_path / "retrain")
    search(data(), config(trials=6), tmp_path / "search")
    options = config(retrain__longer=2, retrain__warm_start=True)
    with pytest.raises(EmufortError, match=r"search\.trials = 12 instead of 6"):
        retrain(tmp_path / "search", data(), options, tmp_path / "retrain")


def test_another_training_of_the_same_name_is_repeated(small, tmp_path):
    """A folder of the same name that belongs to another candidate is never adopted."""
    shutil.copytree(small, tmp_path / "grown")
    options = config(retrain__longer=2, retrain__warm_start=True)
    search(data(), options, tmp_path / "grown" / "search")
    path = sorted(tmp_path.glob("grown/retrain/*/metrics.json"))[0]
    found = read_json(path)
    found["training"]["seed"] += 1
    del found["sha256"]
    path.write_text(json.dumps(found))
    retrain(tmp_path / "grown" / "search", data(), options, tmp_path / "grown" / "retrain")
    assert not path.exists() or read_json(path)["training"]["seed"] == found["training"]["seed"] - 1
