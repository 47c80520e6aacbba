"""Data sets in Zarr stores: the same as in netCDF files, damaged ones, codecs that are not read."""

from __future__ import annotations

import json
import pickle
import shutil
from importlib import util
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from emufort.dataset.dataset import Dataset
from emufort.draft import write_draft
from emufort.errors import DataError
from tests.core.test_dataset import CONTRACT, pond
from tests.core.test_gridded_data import CONTRACT as GRIDDED
from tests.core.test_gridded_data import gridded

needs_zarr = pytest.mark.skipif(util.find_spec("zarr") is None, reason="needs zarr")
VERSIONS = pytest.mark.parametrize("version", [2, 3])


def written(data: xr.Dataset, path: Path, version: int = 3, **encoding: dict) -> Path:
    data.to_zarr(path, zarr_format=version, consolidated=version == 2, encoding=encoding)
    return path


def same(one: Dataset, other: Dataset) -> None:
    for name in ("x", "y", "split", "rows"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.baselines.keys() == other.baselines.keys()
    for name, values in one.baselines.items():
        np.testing.assert_array_equal(values, other.baselines[name])


@needs_zarr
@pytest.mark.filterwarnings("ignore")
@VERSIONS
def test_a_store_gives_what_a_netcdf_file_gives(version: int, tmp_path: Path) -> None:
    pond().to_netcdf(tmp_path / "pond.nc")
    store = written(pond(), tmp_path / "pond.zarr", version, depth={"chunks": (7,)})
    opened = Dataset.open(store, CONTRACT)
    same(Dataset.open(tmp_path / "pond.nc", CONTRACT), opened)
    assert opened.source == store
    assert opened.dropped == {"bad": 10}
    same(opened, opened.under(CONTRACT))


@needs_zarr
@pytest.mark.filterwarnings("ignore")
def test_several_stores_follow_each_other(tmp_path: Path) -> None:
    for number in range(2):
        gridded(number).to_netcdf(tmp_path / f"{number}.nc")
        written(gridded(number), tmp_path / f"{number}.zarr")
    same(
        Dataset.open(tmp_path / "*.nc", GRIDDED),
        Dataset.open(tmp_path / "[01].zarr", GRIDDED),
    )


@needs_zarr
@pytest.mark.filterwarnings("ignore")
@VERSIONS
def test_the_hash_is_that_of_all_chunks(version: int, tmp_path: Path) -> None:
    data = pond()
    one, same_one = (written(data, tmp_path / name, version) for name in ("a.zarr", "b.zarr"))
    data["depth"][3] += 0.5
    other = written(data, tmp_path / "c.zarr", version)
    hashes = [Dataset.open(path, CONTRACT).sha256 for path in (one, same_one, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert len(hashes[0]) == 64


@needs_zarr
@pytest.mark.filterwarnings("ignore")
def test_values_are_checked_as_in_netcdf(tmp_path: Path) -> None:
    data = pond()
    data["depth"].attrs["units"] = "hPa"
    with pytest.raises(DataError, match=r"units\.zarr: 'depth' has the units 'hPa'"):
        Dataset.open(written(data, tmp_path / "units.zarr"), CONTRACT)
    data = pond()
    data["depth"][4] = 50.0
    with pytest.raises(DataError, match=r"range\.zarr: depth .*50"):
        Dataset.open(written(data, tmp_path / "range.zarr"), CONTRACT)
    data = pond()
    packed = {"dtype": "i2", "scale_factor": 0.01, "_FillValue": -1}
    data["depth"][5] = np.nan
    with pytest.raises(DataError, match="depth is NaN"):
        Dataset.open(written(data, tmp_path / "packed.zarr", depth=packed), CONTRACT)


@needs_zarr
@pytest.mark.filterwarnings("ignore")
@VERSIONS
def test_a_missing_chunk_is_a_missing_value(version: int, tmp_path: Path) -> None:
    encoding = {"chunks": (10,), "_FillValue": np.nan}
    store = written(pond(), tmp_path / "pond.zarr", version, depth=encoding)
    chunk = next(f for f in sorted((store / "depth").rglob("*")) if f.name == "1")
    chunk.unlink()
    with pytest.raises(DataError, match="depth is NaN"):
        Dataset.open(store, CONTRACT)


@needs_zarr
@pytest.mark.filterwarnings("ignore")
@VERSIONS
def test_a_damaged_store_is_refused_in_one_line(version: int, tmp_path: Path) -> None:
    store = written(pond(), tmp_path / "pond.zarr", version)
    for number, file in enumerate(sorted(f for f in store.rglob("*") if f.is_file())):
        damaged = Path(shutil.copytree(store, tmp_path / f"{number}.zarr"))
        (damaged / file.relative_to(store)).write_bytes(b'{"shape": [')
        try:
            Dataset.open(damaged, CONTRACT)
        except DataError as error:
            assert "\n" not in str(error)
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(DataError, match="there is no data file"):
        Dataset.open(tmp_path / "empty.zarr", CONTRACT)


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@needs_zarr
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_consolidated", [False, True])
def test_a_pickle_is_not_read(is_consolidated: bool, tmp_path: Path) -> None:
    data = pond()
    store = written(data.assign_coords(layer=["top", "bottom"]), tmp_path / "pond.zarr", 2)
    described = json.loads((store / ".zmetadata").read_text())
    labels = described["metadata"]["layer/.zarray"]
    labels.update(dtype="|O", filters=[{"id": "pickle", "protocol": 5}], compressor=None)
    (store / "layer/0").write_bytes(pickle.dumps(Touch(tmp_path / "touched")))
    if is_consolidated:
        (store / ".zmetadata").write_text(json.dumps(described))
    else:
        (store / ".zmetadata").unlink()
        (store / "layer/.zarray").write_text(json.dumps(labels))
    with pytest.raises(DataError, match="the codec 'pickle', which is not read"):
        Dataset.open(store, CONTRACT)
    assert not (tmp_path / "touched").exists()


@needs_zarr
@pytest.mark.filterwarnings("ignore")
@VERSIONS
def test_a_link_to_a_folder_is_not_followed(version: int, tmp_path: Path) -> None:
    """Zarr follows it, but neither the check of codecs nor the hash would."""
    store = written(pond(), tmp_path / "pond.zarr", version)
    Dataset.open(store, CONTRACT)
    shutil.move(store / "depth", tmp_path / "elsewhere")
    (store / "depth").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(DataError, match=r"pond\.zarr has a link to a folder, 'depth'"):
        Dataset.open(store, CONTRACT)


@needs_zarr
@pytest.mark.filterwarnings("ignore")
def test_a_contract_is_drafted_of_a_store(tmp_path: Path) -> None:
    store = written(pond(), tmp_path / "pond.zarr")
    contract, _ = write_draft(store, ["evaporation"], tmp_path / "draft")
    assert 'name = "depth"' in contract.read_text()


def test_without_the_package_a_store_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pond.zarr").mkdir()
    (tmp_path / "pond.zarr/zarr.json").write_text("{}")
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"is a Zarr store.*install emufort\[zarr\]"):
        Dataset.open(tmp_path / "pond.zarr", CONTRACT)
