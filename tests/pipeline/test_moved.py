"""A run continues after its files have moved; files of killed commands are removed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from emufort.cli import execute
from emufort.config import Config
from emufort.files import scratch_folder, sweep
from tests.conftest import SYNTHETIC_CONFIG, SYNTHETIC_CONTRACT, synthetic_data

#: The pond again, where the network predicts the rate per m s-1 of wind.
TARGET = SYNTHETIC_CONTRACT.replace(
    'title = "Evaporation', 'title = "Another contract of evaporation'
)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a finished search among two targets, one of them a file."""
    folder = tmp_path_factory.mktemp("moved")
    (folder / "evaporation.toml").write_text(SYNTHETIC_CONTRACT)
    (folder / "target.toml").write_text(
        TARGET.replace('name = "evaporation"', 'name = "evaporation_linear"').replace(
            'units = "kg m-2 s-1"\ntransform = "ln"',
            'units = "kg m-2 s-1"\ntransform = "standardise"',
        )
    )
    config = SYNTHETIC_CONFIG.replace("workers = 2", "workers = 1").replace(
        "trials = 8", "trials = 4"
    )
    config = config.replace("[retrain]", 'target = ["target.toml", "cooling=none"]\n[retrain]')
    (folder / "run.toml").write_text(config)
    synthetic_data().to_netcdf(folder / "evaporation.nc")
    assert execute(["search", str(folder / "run.toml"), "--out", str(folder / "out")]) == 0
    return folder


@pytest.fixture
def moved(searched: Path, tmp_path: Path) -> Path:
    """Return the copy of that folder; the files that it names are gone until the test has ended."""
    shutil.copytree(searched, tmp_path / "elsewhere")
    away = searched.with_name(f"{searched.name}-away")
    searched.rename(away)
    yield tmp_path / "elsewhere"
    away.rename(searched)


def test_what_is_missing_is_asked_for_in_one_line(
    moved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for given, asked in (
        ((), "--contract FILE"),
        (("--contract", str(moved / "evaporation.toml")), "--data FILE"),
    ):
        assert execute(["run", "--out", str(moved / "out"), *given]) == 2
        said = capsys.readouterr().err
        assert "no longer exists" in said
        assert asked in said
        assert said.count("\n") == 1


def test_a_run_goes_on_where_its_files_are_now(
    moved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (moved / "out" / "search" / "trials.csv").read_bytes()
    assert execute(["search", str(moved / "run.toml"), "--out", str(moved / "out")]) == 0
    assert "already finished" in capsys.readouterr().out
    kept = Config.load(moved / "out" / "config.toml")
    assert (kept.data, kept.contract) == (
        str(moved / "evaporation.nc"),
        str(moved / "evaporation.toml"),
    )
    # Without a configuration the new places are known, those of targets too.
    assert execute(["retrain", "--out", str(moved / "out")]) == 0
    assert (moved / "out" / "retrain" / "candidates.csv").exists()
    assert (moved / "out" / "search" / "trials.csv").read_bytes() == before


def test_other_data_are_refused(moved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (moved / "evaporation.nc").unlink()
    synthetic_data(seed=1).to_netcdf(moved / "evaporation.nc")
    before = (moved / "out" / "config.toml").read_bytes()
    assert execute(["search", str(moved / "run.toml"), "--out", str(moved / "out")]) == 2
    assert "holds a run of other data" in capsys.readouterr().err
    assert (moved / "out" / "config.toml").read_bytes() == before


def test_what_kills_leave_is_swept(searched: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(searched / "out", out)
    (tmp_path / "bundles" / "mine").mkdir(parents=True)
    (out / "bundle").symlink_to(tmp_path / "bundles" / "mine")
    left = [
        out / ".config.toml.abc.part",
        out / "work" / ".scratch-abd" / "a.mod",
        out / "work" / ".scratch-abc" / "inputs.bin",
        out / "search" / ".trials.csv.abc.part",
        out / "retrain" / "t00001-s1" / ".curve.csv.abc.part",
        tmp_path / "bundles" / ".mine.abc.part" / "model.onnx",
        tmp_path / "bundles" / ".mine.abc.old" / "model.onnx",
    ]
    others = [tmp_path / "bundles" / ".other.abc.part", out / "work" / "kept", out / "notes.part"]
    for path in (*left, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (out / "search" / "search.json").unlink()
    assert execute(["search", "--out", str(out)]) == 0
    assert execute(["retrain", "--out", str(out)]) == 0
    assert [path for path in left if path.exists()] == []
    assert [path for path in others if not path.exists()] == []


def test_sweeping_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / ".a.part").symlink_to(tmp_path / "precious")
    sweep(tmp_path / "folder")
    assert (tmp_path / "precious" / "file").exists()
    assert list((tmp_path / "folder").iterdir()) == []


def test_scratch_of_the_dead_is_removed_and_that_of_the_living_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = tmp_path / "emufort-scratch-dead"
    dead.mkdir()
    (dead / "file").write_text("")
    os.utime(dead, (0, 0))
    with scratch_folder() as living:
        os.utime(living, (0, 0))
        assert not dead.exists()
        with scratch_folder() as other:
            assert living.exists()
            assert other != living
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_and_a_bundle_may_be_links(uninterrupted: Path, tmp_path: Path) -> None:
    shutil.copytree(uninterrupted / "out", tmp_path / "real")
    (tmp_path / "bundles").mkdir()
    (tmp_path / "real" / "bundle").rename(tmp_path / "bundles" / "mine")
    (tmp_path / "real" / "bundle").symlink_to(tmp_path / "bundles" / "mine")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "bundles" / "mine" / "weights.bin").unlink()
    assert execute(["run", "--out", str(tmp_path / "link")]) == 0
    assert (tmp_path / "bundles" / "mine" / "weights.bin").exists()
    assert (tmp_path / "real" / "bundle").is_symlink()
    assert (tmp_path / "link").is_symlink()
    assert [p.name for p in (tmp_path / "bundles").iterdir()] == ["mine"]
