"""Presets of host models: the door through which a run uses those of any process."""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import xarray as xr

import emufort.api as ef
from emufort.cli import execute
from emufort.errors import UsageError
from emufort.files import read_json
from emufort.processes import registry as processes
from emufort.processes.presets import load_preset
from emufort.run.configuration import configuration
from tests.conftest import install_process
from tests.processes.tiny import TINY

FOLDER = Path(__file__).parent / "pond" / "pond_package"
SMALL = 'preset = "pond.garden"\n' + TINY.replace(
    "repeats = 1", 'repeats = 1\nncol = [16]\nbackend = "onnxruntime"'
)


@pytest.fixture(autouse=True)
def _pond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = install_process(tmp_path / "site", "pond", "pond_package.process:PROCESS")
    shutil.copytree(FOLDER, site / "pond_package", ignore=shutil.ignore_patterns("__pycache__"))
    for name in [name for name in sys.modules if name.split(".")[0] == "pond_package"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    processes.process.cache_clear()


def labels(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache/emufort/labels").glob("pond-*.nc"))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert execute(list(arguments)) == 2
    found = capsys.readouterr().err
    assert found.count("\n") == 1
    return found


def test_presets_of_every_process_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["presets", "--json"]) == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed["pond.garden"] == {
        "name": "pond.garden",
        "title": "",
        "serves": ["ponds in gardens"],
        "contract": "pond_garden",
        "glue": ["plain"],
        "bottom": 0.5,
    }
    assert listed["e3sm_mam5"]["constants"]["latent_heat"] == 2.501e6
    assert execute(["presets"]) == 0
    shown = capsys.readouterr().out
    assert "pond.garden\n  serves: ponds in gardens\n  bottom: 0.5\n  glue: plain\n" in shown
    assert execute(["presets", "pond.garden"]) == 0
    assert capsys.readouterr().out == (FOLDER / "presets/garden.toml").read_text()


@pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")
def test_a_run_makes_labels_once_and_ends_with_the_glue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.toml").write_text(SMALL)
    assert execute(["run", "run.toml", "--out", "one"]) == 0
    shown = capsys.readouterr().out
    assert "[1/1] labels: done" in shown
    assert f"glue for the host: {tmp_path / 'one/host/plain'}" in shown
    assert (tmp_path / "one/host/plain/src/pond_bulk.F90").is_file()
    provenance = read_json(tmp_path / "one/provenance.json")
    assert provenance["preset"] == {
        "name": "garden",
        "source": "pond.garden",
        "labels": {"samples": 64, "seed": 1},
        "bottom": 0.5,
    }
    (made,) = labels(tmp_path)
    assert provenance["data"]["path"] == str(made)
    assert xr.open_dataset(made).sizes["sample"] == 128
    config = (tmp_path / "one/config.toml").read_text()
    assert 'preset = "pond.garden"' in config
    assert "contract =" not in config

    # Options of the preset, unless the user gives others.
    options = tomllib.loads(config)
    assert options["search"]["space"]["activation"] == ["tanh"]
    assert options["search"]["space"]["width"] == [4]
    assert read_json(tmp_path / "one/selection.json")["rule"] == "best"

    # The same command, or a single step, continues the run without new labels.
    for command in (["run", "--preset", "pond.garden"], ["report"], ["export", "--host", "plain"]):
        assert execute([*command, "--out", "one"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("already finished") == 7 + 1 + 1
    assert "] labels" not in shown
    # Another run with the same labels does not make them again.
    options = tomllib.loads(SMALL)
    del options["preset"], options["labels"]
    file = tmp_path / "site/pond_package/presets/garden.toml"
    bundle = ef.run(options, out="two", preset=file.relative_to(tmp_path), samples=64)
    assert labels(tmp_path) == [made]
    assert read_json(tmp_path / "two/provenance.json")["preset"]["source"] == str(file)
    assert (bundle.path.parent / "host/plain/Makefile").is_file()

    # Another preset or other labels in the same folder are refused before labels are made.
    (tmp_path / "deep.toml").write_text(
        (FOLDER / "presets/garden.toml").read_text().replace("0.5", "2.0")
    )
    found = refused(capsys, "run", "--preset", "deep.toml", "--out", "one")
    assert "holds a run of another contract" in found
    assert labels(tmp_path) == [made]
    found = refused(capsys, "run", "--samples", "65", "--out", "one")
    assert "holds a run of other data" in found


def test_a_moved_preset_is_found_by_its_new_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text((FOLDER / "presets/garden.toml").read_text())
    (tmp_path / "run.toml").write_text(SMALL.replace("pond.garden", "mine.toml"))
    assert execute(["search", "run.toml", "--out", "out"]) == 0
    (tmp_path / "mine.toml").rename(tmp_path / "moved.toml")
    found = refused(capsys, "run", "--out", "out")
    assert f"the preset of the run in out, {tmp_path / 'mine.toml'}, no longer exists" in found
    assert execute(["search", "--preset", "moved.toml", "--out", "out"]) == 0
    assert "already finished" in capsys.readouterr().out


def test_labels_of_a_preset_are_written_to_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["labels", "--preset", "pond.garden", "--samples", "20", "--out", "pond.nc"]
    assert execute(command) == 0
    assert "pond.nc: labels of garden for 20 training samples" in capsys.readouterr().out
    (made,) = labels(tmp_path)
    assert (tmp_path / "pond.nc").read_bytes() == made.read_bytes()


def test_options_of_a_preset_give_way_to_those_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('[select]\nrule = "knee"\n')
    given = {"search": {"space": {"activation": ["relu"]}}}
    for config, preset, rule, activation in (
        (None, "pond.garden", "best", ("tanh",)),
        (tmp_path / "run.toml", "pond.garden", "knee", ("tanh",)),
        (given, "pond.garden", "best", ("relu",)),
        (given | {"preset": "pond.garden"}, None, "best", ("relu",)),
    ):
        found = configuration(tmp_path / "new", config, {"preset": preset})
        assert found.select.rule == rule
        assert found.search.space.activation == activation
        assert found.preset == "pond.garden"
    overrides = {"preset": "pond.garden", "select.rule": "max-ns=9"}
    assert configuration(tmp_path / "new", None, overrides).select.rule == "max-ns=9"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--preset", "pond.gardn"], "no preset 'pond.gardn' (did you mean 'pond.garden'?)"),
        (["run", "--preset", "none.toml"], "cannot read the preset"),
        (["run", "--preset", "e3sm_mam4", "--contract", "activation"], "leave out --contract"),
        (["run", "--preset", "e3sm_mam4", "--data", "a.nc"], "leave out --data"),
        (["run", "--preset", "e3sm_mam4", "with_data.toml"], "leave out contract and data"),
        (["run", "--preset", "no_process.toml"], "the key 'process' is missing"),
        (["run", "--preset", "unknown.toml"], "no installed package registers the process 'pnd'"),
        (["run", "--preset", "bad.toml"], "bottom must be a depth"),
        (["run", "--preset", "broken.toml"], "is not valid TOML"),
        (["run", "bad.toml"], "is a preset, not a configuration; give it by --preset"),
        (["run", "--samples", "3"], "give --preset"),
        (["labels", "--out", "a.nc"], "give either a contract of a process or --preset"),
        (["labels", "pond.shallow", "--preset", "mam3", "--out", "a.nc"], "give either"),
        (["labels", "--preset", "mam3", "--out", "no/a.nc"], "a folder that exists"),
        (["presets", "mam"], "did you mean 'mam7'?"),
        (["presets", "mam3", "--json"], "leave out the name"),
    ],
)
def test_wrong_use_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "with_data.toml").write_text('data = "a.nc"\n')
    (tmp_path / "no_process.toml").write_text('name = "x"\n')
    (tmp_path / "unknown.toml").write_text('process = "pnd"\n')
    (tmp_path / "bad.toml").write_text('process = "pond"\nname = "x"\nbottom = "deep"\n')
    (tmp_path / "broken.toml").write_text("process = \n")
    out = [] if arguments[0] in ("labels", "presets") else ["--out", "out"]
    assert message in refused(capsys, *arguments, *out)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "cache").exists()


def test_a_process_without_presets_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = processes.Process(name="pond")
    monkeypatch.setattr(processes, "process", lambda name: bare)
    with pytest.raises(UsageError, match="the process 'pond' takes no presets"):
        load_preset(FOLDER / "presets/garden.toml")
