"""The labels of presets: the cache by hash, `emufort labels`, and what the data set satisfies."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import DataError, EmufortError
from emufort.paths import cache_folder
from emufort.processes.aerosol_activation import parcel_model
from emufort.processes.aerosol_activation.labelling import Recipe, dataset, labelled, make, parallel
from emufort.processes.aerosol_activation.preset import Preset, names
from emufort.processes.labels import make_labels
from tests.data_prep.conftest import INPUTS, PRESET

pytestmark = pytest.mark.usefixtures("gfortran")

TINY = """
process = "aerosol_activation"
name = "tiny"
[constants]
gravity = 9.8
gas_constant_air = 287.0
gas_constant_vapour = 461.5
heat_capacity_air = 1004.6
latent_heat = 2.5e6
[parcel]
initial_supersaturation = -0.03
accommodation_coefficient = 0.8
[modes]
only = { sigma = 1.5, number = [10, 1e3], diameter = [0.05, 0.2], hygroscopicity = [0.2, 0.6] }
"""


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache folder; the parcel model is compiled in that of the user."""
    library = parcel_model.build()
    monkeypatch.setattr(parallel, "build", lambda: library)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder()


@pytest.fixture
def tiny(tmp_path: Path) -> Preset:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return Preset.load(path)


def test_the_bundled_contracts_are_those_of_the_preset() -> None:
    bundled, preset = (c.to_dict() for c in (Contract.load("activation"), PRESET.contract()))
    assert (bundled.pop("name"), preset.pop("name")) == ("activation", "activation_e3sm_mam4")
    assert bundled.pop("default_data") == "activation.nc"
    assert preset.pop("default_data", None) is None
    assert bundled == preset


def test_labels_are_those_of_the_parcel_model(cache: Path) -> None:
    seen: list[int] = []
    made = make_labels("aerosol_activation.activation", 16, 3, seen.append)
    recipe = Recipe(PRESET, train=16, validation=2, test=4, seed=3)
    assert recipe == Recipe.of(PRESET, 16, 3)
    assert sum(seen) == made.sizes["sample"] == recipe.rows == 22
    x = np.column_stack(
        [
            made[entry.variable].values
            if entry.mode is None
            else made[entry.variable].sel(mode=entry.mode).values
            for entry in INPUTS
        ]
    )
    np.testing.assert_array_equal(x, np.concatenate(list(recipe.samples().values())))
    assert np.bincount(made["split"].values).tolist() == list(recipe.sizes().values())
    for name in ("activation", "activation_fractions", "activation_ratio"):
        assert 0 < len(Dataset.from_xarray(made, Contract.load(name))) <= 22


@pytest.mark.parametrize("name", names())
def test_the_labels_of_a_preset_satisfy_its_contract(name: str, cache: Path) -> None:
    preset = Preset.load(name)
    path = labelled(preset, 8)
    data = Dataset.open(path, preset.contract())
    assert data.x.shape[1] == 3 + 3 * len(preset.modes)
    with xr.open_dataset(path) as found:
        assert found.attrs["preset"] == name
        assert Preset.model_validate_json(found.attrs["preset_definition"]) == preset


def test_labels_of_other_constants_are_refused(cache: Path, tiny: Preset) -> None:
    path = labelled(tiny, 8)
    text = tiny.contract_text().replace("2500000.0", "2501000.0")
    with pytest.raises(DataError, match="latent_heat"):
        Dataset.open(path, Contract.from_toml(text, "other"))


def test_labels_are_made_once(cache: Path, tiny: Preset) -> None:
    seen: list[int] = []
    path = labelled(tiny, 8, 1, seen.append)
    assert path.is_relative_to(cache) and sum(seen) == Recipe.of(tiny, 8).rows
    first, content = path.stat().st_mtime_ns, path.read_bytes()
    assert labelled(tiny, 8, 1, seen.append) == path
    assert path.stat().st_mtime_ns == first and sum(seen) == Recipe.of(tiny, 8).rows
    assert make(tiny, 8).identical(xr.load_dataset(path))
    assert labelled(tiny, 8, 2) != path
    # a damaged file is made again
    path.write_bytes(content[:-10])
    assert labelled(tiny, 8) == path and path.read_bytes() == content
    assert not list(cache.rglob("*.work"))


def test_an_interrupted_call_continues(
    cache: Path, tiny: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(dataset, "write_dataset", stop)
        with pytest.raises(KeyboardInterrupt):
            labelled(tiny, 8)
    chunks = {path: path.stat().st_mtime_ns for path in cache.rglob("*.f64")}
    assert chunks
    kept: dict[Path, int] = {}

    def look(*arguments: object) -> None:
        kept.update({path: path.stat().st_mtime_ns for path in cache.rglob("*.f64")})
        write(*arguments)

    write = dataset.write_dataset
    monkeypatch.setattr(dataset, "write_dataset", look)
    labelled(tiny, 8)
    assert kept == chunks


def test_a_second_call_waits_for_the_first(cache: Path, tiny: Preset) -> None:
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(labelled(tiny, 8, workers=1)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(found) == 2 and found[0] == found[1]


def test_without_a_compiler_one_line_says_so(
    cache: Path, tiny: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    monkeypatch.setenv("FC", "no-such-compiler")
    with pytest.raises(EmufortError, match="install gfortran") as caught:
        labelled(tiny, 8)
    assert "\n" not in str(caught.value)


def test_a_script_without_a_guard_makes_labels(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "preset.toml").write_text(TINY)
    (tmp_path / "script.py").write_text(
        "from emufort.processes.aerosol_activation.labelling import labelled\n"
        "from emufort.processes.aerosol_activation.preset import Preset\n"
        "print(labelled(Preset.load('./preset.toml'), 8, workers=2))\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert [Path(line).is_file() for line in done.stdout.splitlines()] == [True]
