"""The script that measures what each preset gives."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError
from emufort.processes.aerosol_activation.preset import Preset
from tests.processes.tiny import TINY

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(CHECKOUT))
    return importlib.import_module("benchmarks.presets")


def result(**changes: Any) -> dict[str, Any]:
    return {
        "preset": "e3sm_mam5",
        "modes": 5,
        "training_samples": 32768,
        "labels": {"seconds": 120.4, "cpu_seconds": 200.0, "load": 2.5},
        "run": {"seconds": 150.0, "cpu_seconds": 250.6, "load": 9.25},
        "network": "18-32-1 silu",
        "ns_per_sample": {"emulator": 81.2, "ARG2000": 149.7},
        "rmse": {"emulator": 0.00161, "ARG2000": 0.1, "Ghosh2025": 0.05, "MBN2014": 0.03},
        "rows": 8012,
        "cpu": "Example CPU",
        "cores": 2,
        "compiler": "GNU 12",
    } | changes


def test_the_table_has_the_results(script: Any) -> None:
    rmse = {"emulator": 0.002, "ARG2000": 0.1, "MBN2014": 0.03}
    found = [result(), result(preset="odd", rmse=rmse, rows=7000)]
    head, _, first, second = script.lines(found)
    assert head.count("|") == first.count("|")
    assert first == (
        "| e3sm_mam5 | 5 | 120 | 150 | 451 | 18-32-1 silu | 81 | 150 | **0.0016** | 0.1000 "
        "| 0.0500 | 0.0300 |"
    )
    assert second.endswith("| **0.0020** | 0.1000 | - | 0.0300 |")
    text = script.words(found)
    assert "at least 7,000 Latin-hypercube samples" in text
    assert "a mean load of 2.5 to 9.2 processes" in text


@pytest.mark.skipif(not (shutil.which("gfortran") and shutil.which("cmake")), reason="no compiler")
def test_samples_for_the_scores_are_in_no_split(script: Any, tmp_path: Path) -> None:
    preset = Preset.load("mam3")
    fresh = script.fresh_samples(preset, 12, tmp_path / "fresh.nc")
    assert len(fresh) >= 6
    from emufort.processes.aerosol_activation.labelling import Recipe

    drawn = Recipe.of(preset, 64).samples()
    seen = np.concatenate(list(drawn.values()))
    assert not set(map(bytes, fresh.x.astype("<f4"))) & set(map(bytes, seen.astype("<f4")))
    whole = Dataset.open(tmp_path / "fresh.nc", preset.contract())
    assert len(whole) <= 14


def test_a_command_that_fails_is_named(script: Any, tmp_path: Path) -> None:
    with pytest.raises(EmufortError, match=r"'emufort run' failed, see .*run\.log"):
        script.timed("run", "--preset", "none", cache=tmp_path / "cache")
    assert "no preset 'none'" in (tmp_path / "run.log").read_text()


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("gfortran") and shutil.which("cmake")), reason="no compiler")
def test_the_script_measures_a_preset(
    script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "page.md").write_text("# Page\n<!-- presets: begin -->\n<!-- presets: end -->\n")
    options = [
        *("mam3", "--out", str(tmp_path / "out"), "--config", str(tmp_path / "tiny.toml")),
        *("--samples", "64", "--rows", "64", "--update", str(tmp_path / "page.md")),
    ]
    script.main(options)
    assert "| mam3 | 3 |" in (tmp_path / "page.md").read_text()
    (found,) = json.loads((tmp_path / "out/presets.json").read_text())["presets"]
    assert 0.0 < found["rmse"]["ARG2000"] < 0.5
    assert found["labels"]["cpu_seconds"] > 0.0
    assert found["training_samples"] == 64
    assert Path(found["bundle"]).is_dir()
    # The same command takes the results that it has.
    script.main(options)
    assert json.loads((tmp_path / "out/presets.json").read_text())["presets"] == [found]


def test_an_older_child_process_is_not_waited_for(script: Any, tmp_path: Path) -> None:
    older = subprocess.Popen(["sleep", "600"])
    try:
        cost = script.timed("presets", cache=tmp_path / "cache")
    finally:
        older.kill()
        older.wait()
    assert cost.cpu_seconds > 0.0
    assert "e3sm_mam5" in (tmp_path / "presets.log").read_text()
