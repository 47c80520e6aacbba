"""Data with several sample dimensions, profiles and several files."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.contract import Contract
from emufort.dataset import rows
from emufort.dataset.dataset import Dataset
from emufort.errors import ContractError, DataError
from emufort.skill import baseline_values, skill_of_baseline

TEXT = """
name = "column"
sample_dimensions = ["time", "lat", "lon"]
[dimensions]
lev = 4
band = ["red", "green"]
[[input]]
name = "temperature"
units = "K"
dimension = "lev"
[[input]]
name = "albedo"
dimensions = ["band"]
[[input]]
name = "pressure"
units = "Pa"
transform = "ln"
[[output]]
name = "heating"
units = "K s-1"
dimensions = ["lev", "band"]
[[baseline]]
name = "Newton"
variable = "newton"
gives = "heating"
[filter]
variable = "surface"
keep = ["sea"]
"""
CONTRACT = Contract.from_toml(TEXT)
SIZES = {"time": 6, "lat": 3, "lon": 5, "lev": 4, "band": 2}


def gridded(seed: int = 0, times: int = SIZES["time"]) -> xr.Dataset:
    """The albedo has no time and the surface no band; bands stand in another order."""
    rng = np.random.default_rng(seed)
    sizes = {**SIZES, "time": times}

    def values(*dimensions: str) -> tuple[tuple[str, ...], np.ndarray]:
        return dimensions, rng.uniform(1.0, 2.0, [sizes[name] for name in dimensions])

    found = xr.Dataset(
        {
            "temperature": values("time", "lev", "lat", "lon"),
            "albedo": values("band", "lat", "lon"),
            "pressure": values("time", "lat", "lon"),
            "heating": values("band", "time", "lev", "lat", "lon"),
            "newton": values("time", "lat", "lon", "band", "lev"),
            "surface": (("lat", "lon"), rng.integers(0, 2, (3, 5)).astype("i1")),
        },
        coords={"band": ["green", "red"], "lev": [900.0, 700.0, 400.0, 100.0]},
    )
    units = {"temperature": "K", "albedo": "1", "pressure": "hPa", "heating": "K s-1"}
    units["newton"] = "K day-1"
    for name, unit in units.items():
        found[name].attrs["units"] = unit
    found["surface"].attrs = {"flag_values": np.array([0, 1], "i1"), "flag_meanings": "land sea"}
    return found


def expected(raw: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and outputs by xarray's own stacking."""

    def column(name: str, *own: str) -> np.ndarray:
        found = raw[name].broadcast_like(raw["pressure"])
        return found.stack(sample=("time", "lat", "lon")).transpose("sample", *own).values

    raw = raw.sel(band=["red", "green"])
    sea = column("surface") == 1
    x = [
        column("temperature", "lev"),
        column("albedo", "band"),
        100.0 * column("pressure")[:, None],
    ]
    y = column("heating", "lev", "band").reshape(len(sea), -1)
    return np.concatenate(x, axis=1)[sea], y[sea]


def test_points_of_a_grid_are_rows() -> None:
    raw = gridded()
    data = Dataset.from_xarray(raw, CONTRACT)
    x, y = expected(raw)
    np.testing.assert_array_equal(data.x, x)
    np.testing.assert_array_equal(data.y, y)
    sea = np.broadcast_to(raw["surface"].values == 1, (6, 3, 5)).ravel()
    np.testing.assert_array_equal(data.rows, np.flatnonzero(sea))
    assert dict(data.dropped) == {"land": int((~sea).sum())}


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_the_order_of_dimensions_in_the_data_has_no_effect(data: st.DataObject) -> None:
    raw = gridded()
    turned = xr.Dataset(
        {
            name: variable.transpose(*data.draw(st.permutations(variable.dims)))
            for name, variable in raw.items()
        }
    )
    lev = data.draw(st.permutations(range(SIZES["band"])))
    turned = turned.isel(band=list(lev))
    one, other = (Dataset.from_xarray(found, CONTRACT) for found in (raw, turned))
    np.testing.assert_array_equal(one.x, other.x)
    np.testing.assert_array_equal(one.y, other.y)
    np.testing.assert_array_equal(one.baselines["Newton"], other.baselines["Newton"])


def test_blocks_may_end_within_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Dataset.from_xarray(gridded(), CONTRACT)
    for block in (1, 4, 7, 15, 31):
        monkeypatch.setattr(rows, "BLOCK", block)
        parts = Dataset.from_xarray(gridded(), CONTRACT)
        np.testing.assert_array_equal(parts.x, whole.x)
        np.testing.assert_array_equal(parts.y, whole.y)
        np.testing.assert_array_equal(parts.split, whole.split)


def test_the_baseline_is_compared_in_the_units_and_shape_of_the_output() -> None:
    raw = gridded()
    raw["newton"] = (86400.0 * raw["heating"]).assign_attrs(units="K day-1")
    data = Dataset.from_xarray(raw, CONTRACT)
    np.testing.assert_allclose(baseline_values(data, "Newton")["heating"], data.y, rtol=1e-14)
    skill = skill_of_baseline(data, "Newton")
    assert list(skill.columns)[:3] == ["heating[0, red]", "heating[0, green]", "heating[1, red]"]
    assert skill.overall.rmse == pytest.approx(0.0, abs=1e-12)


def test_rows_of_several_files_follow_each_other(tmp_path: Path) -> None:
    raw = gridded()
    for i, part in enumerate((slice(0, 1), slice(1, 4), slice(4, 6))):
        raw.isel(time=part).to_netcdf(tmp_path / f"year_{i}.nc")
    whole = Dataset.from_xarray(raw, CONTRACT)
    data = Dataset.open(tmp_path / "year_*.nc", CONTRACT)
    np.testing.assert_array_equal(data.x, whole.x)
    np.testing.assert_array_equal(data.rows, whole.rows)
    np.testing.assert_array_equal(data.split, whole.split)
    assert data.sha256 != Dataset.open(tmp_path / "year_[01].nc", CONTRACT).sha256
    assert len(data.sha256) == 64
    other = Contract.from_toml(TEXT.replace("[[baseline]]", "[[output]]\nname='newton'\nunits="
                               "'K s-1'\ndimensions=['lev', 'band']\n[[baseline]]"))  # fmt: skip
    assert data.under(other).y.shape == (len(data), 16)


def test_a_pattern_without_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no data file .*year_\*\.nc"):
        Dataset.open(tmp_path / "year_*.nc", CONTRACT)


def test_an_error_in_one_of_several_files_names_it(tmp_path: Path) -> None:
    gridded().to_netcdf(tmp_path / "a.nc")
    gridded().drop_vars("pressure").to_netcdf(tmp_path / "b.nc")
    with pytest.raises(DataError, match=r"b\.nc has no variable 'pressure'"):
        Dataset.open(tmp_path / "*.nc", CONTRACT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.rename(lat="y"), "no dimension 'lat', which is the contract's sample_dim"),
        (lambda d: d.isel(lon=slice(0)), "the dimension 'lon' has length 0"),
        (
            lambda d: d.isel(lev=[0, 1]),
            "'temperature' has 2 entries along 'lev', the contract 4",
        ),
        (lambda d: d.isel(band=[0]), "'albedo' has no band 'red'; it has green"),
        (
            lambda d: d.assign(heating=d["heating"].isel(band=0)),
            r"'heating' has the dimensions \(time, lev, lat, lon\), the contract 'column' requires "
            r"\(time, lat, lon, lev, band\)",
        ),
        (
            lambda d: d.assign(pressure=d["pressure"].expand_dims(member=2)),
            r"'pressure' has the dimensions \(member, time, lat, lon\)",
        ),
        (
            lambda d: d.assign(albedo=d["albedo"].isel(lat=0, lon=0)),
            r"'albedo' has the dimensions \(band\), the contract .* \(time, lat, lon, band\)",
        ),
        (
            lambda d: d.assign(newton=d["newton"].isel(lev=0)),
            r"'newton' of the baseline Newton has .*; as 'heating' it needs \(time, lat, lon, lev",
        ),
        (
            lambda d: d.assign(pressure=d["pressure"].assign_attrs(units="m")),
            "'pressure' has the units 'm', the contract 'column' requires 'Pa'",
        ),
    ],
)
def test_errors_name_the_variable(change: Callable[[xr.Dataset], xr.Dataset], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset.from_xarray(change(gridded()), CONTRACT)


def test_every_combination_of_missing_sample_dimensions_is_repeated() -> None:
    contract = Contract.from_toml(
        'name = "c"\nsample_dimensions = ["a", "b", "c"]\n[dimensions]\nlev = 2\n[[input]]\n'
        'name = "x"\n[[output]]\nname = "y"\ndimension = "lev"\n'
    )
    rng = np.random.default_rng(1)
    sizes = {"a": 2, "b": 3, "c": 4}
    y = rng.normal(size=(2, 3, 4, 2))
    for count in (1, 2, 3):
        for own in itertools.combinations(sizes, count):
            x = xr.DataArray(rng.normal(size=[sizes[name] for name in own]), dims=own)
            raw = xr.Dataset({"x": x, "y": (("a", "b", "c", "lev"), y)})
            data = Dataset.from_xarray(raw, contract)
            wanted = x.broadcast_like(raw["y"].isel(lev=0)).transpose(*sizes).values.ravel()
            np.testing.assert_array_equal(data.x[:, 0], wanted)
            np.testing.assert_array_equal(data.y, y.reshape(24, 2))


BLOCKS = TEXT + '[split]\ndimension = "time"\nblock = 3\n'


def test_blocks_of_time_are_in_one_split(tmp_path: Path) -> None:
    contract = Contract.from_toml(BLOCKS)
    raw = gridded(times=40)
    data = Dataset.from_xarray(raw, contract)
    times = data.rows // 15
    split_of = {int(time): set(data.split[times == time].tolist()) for time in set(times)}
    assert all(len(found) == 1 for found in split_of.values())
    assert all(split_of[time] == split_of[time - time % 3] for time in split_of)
    assert [sum(found == {code} for found in split_of.values()) for code in range(3)] == [34, 3, 3]
    for i in range(4):
        raw.isel(time=slice(10 * i, 10 * i + 10)).to_netcdf(tmp_path / f"{i}.nc")
    parts = Dataset.open(tmp_path / "?.nc", contract)
    np.testing.assert_array_equal(parts.split, data.split)
    assert Contract.from_dict(contract.to_dict()).sha256 == contract.sha256


def test_blocks_of_place_are_the_same_in_all_files(tmp_path: Path) -> None:
    contract = Contract.from_toml(BLOCKS.replace('"time"\nblock = 3', '"lon"'))
    raw = gridded(times=4)
    raw = xr.concat([raw.roll(lon=i, roll_coords=False) for i in range(3)], dim="lon")
    data = Dataset.from_xarray(raw, contract)
    places = data.rows % 15
    assert all(len(set(data.split[places == place].tolist())) == 1 for place in set(places))
    for i in range(2):
        raw.isel(time=slice(2 * i, 2 * i + 2)).to_netcdf(tmp_path / f"{i}.nc")
    np.testing.assert_array_equal(Dataset.open(tmp_path / "?.nc", contract).split, data.split)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("block = 3", "block = 6"), "7 blocks of 6 are too few for the split 'test'"),
        (('dimension = "time"\n', ""), "split.block is given without split.dimension"),
        (('dimension = "time"\n', 'dimension = "tim"\n'), "did you mean 'time'"),
        (("block = 3", 'variable = "s"'), "split.variable and split.dimension are both given"),
        (("block = 3", "block = 0"), "split.block: .* 1"),
    ],
)
def test_a_wrong_split_by_blocks_is_named(change: tuple[str, str], message: str) -> None:
    head, tail = BLOCKS.split("[split]")
    with pytest.raises((ContractError, DataError), match=message):
        contract = Contract.from_toml(head + "[split]" + tail.replace(*change))
        Dataset.from_xarray(gridded(times=40), contract)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("lev = 4", "lev = 0"), "the size of the dimension 'lev' is not 1 to"),
        (("lev = 4", "lev = 99999999999"), "the size of the dimension 'lev' is not 1 to"),
        (("lev = 4", "lev = 60000"), "have 180,003 values in one sample; at most 65,536"),
        (("lev = 4", "lev = 4.5"), r"dimensions\.lev: "),
        (("lev = 4", "lev = true"), r"dimensions\.lev: "),
        (("lev = 4", "lev = 4\nsample = 3"), "'sample', the dimension of stacked samples"),
        (("lev = 4", "lev = 4\nlat = 3"), "lists 'lat', which is the sample_dimension"),
        (('"lat", "lon"]', '"lat", "lat"]'), "sample_dimensions lists 'lat' twice"),
        (('["time", "lat", "lon"]', "[]"), "sample_dimensions: .* at least 1"),
        (('dimension = "lev"', 'dimension = "lev"\ndimensions = ["lev"]'), "'dimension' and"),
        (('["lev", "band"]', '["lev", "lev"]'), "'heating' has the dimension 'lev' twice"),
        (('["lev", "band"]', '["lev", "bend"]'), "did you mean 'band'"),
        (('dimension = "lev"', "dimension = 3"), r"input\.0\.dimensions\.0: .*string"),
    ],
)
def test_a_wrong_contract_is_named(change: tuple[str, str], message: str) -> None:
    text = TEXT.replace(*change)
    assert text != TEXT
    with pytest.raises(ContractError, match=message) as caught:
        Contract.from_toml(text)
    assert "\n" not in str(caught.value)
