"""Values that a file marks as missing, though not by NaN; flags that contradict themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import DataError

CONTRACT = Contract.from_toml("""
name = "pond"
[[input]]
name = "depth"
units = "m"
[[output]]
name = "evaporation"
units = "mm"
[filter]
variable = "status"
keep = ["good"]
""")

N = 12


def write(
    path: Path, kind: str = "f8", attributes: dict[str, Any] | None = None, **options: Any
) -> Path:
    """Write a file whose depth has the values 0 to 11 in the type `kind`, but that of row 4."""
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("sample", N)
        depth = file.createVariable("depth", kind, ("sample",), **options)
        depth.units = "m"
        depth.setncatts(attributes or {})
        depth.set_auto_maskandscale(False)
        keep = np.arange(N) != 4
        depth[keep] = np.arange(N, dtype=kind)[keep]
        evaporation = file.createVariable("evaporation", "f8", ("sample",))
        evaporation.units = "mm"
        evaporation[:] = np.arange(N)
        status = file.createVariable("status", "i1", ("sample",))
        status.setncatts({"flag_values": np.array([0, 1], "i1"), "flag_meanings": "good bad"})
        status[:] = 0
    return path


@pytest.mark.parametrize("kind", ["f4", "f8", "i2", "i4", "i8", "u2", "u4"])
def test_a_value_that_was_never_written_is_missing(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "pond.nc", kind)
    message = (
        "depth was never written, or is NaN or infinite, in 1 of 12 usable rows, first in row 4"
    )
    with pytest.raises(DataError, match=message):
        Dataset.open(path, CONTRACT)


@pytest.mark.parametrize(
    "attributes",
    [
        {"scale_factor": 0.01},
        {"add_offset": 270.0},
        {"scale_factor": np.float32(0.1), "add_offset": 5.0},
    ],
)
def test_a_packed_value_that_was_never_written_is_missing(
    tmp_path: Path, attributes: dict[str, Any]
) -> None:
    path = write(tmp_path / "pond.nc", "i2", attributes)
    with pytest.raises(DataError, match=r"depth was never written.* first in row 4"):
        Dataset.open(path, CONTRACT)


def test_the_same_holds_for_labels_and_for_data_in_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "pond.nc")
    with xr.open_dataset(path) as opened:
        raw = opened.load().rename(depth="evaporation", evaporation="depth")
    raw.evaporation.attrs["units"], raw.depth.attrs["units"] = "mm", "m"
    with pytest.raises(DataError, match=r"evaporation was never written.* first in row 4"):
        Dataset.from_xarray(raw, CONTRACT)


def test_rows_that_the_filter_leaves_out_need_no_values(tmp_path: Path) -> None:
    path = write(tmp_path / "pond.nc")
    with netCDF4.Dataset(path, "a") as file:
        file["status"][4] = 1
    data = Dataset.open(path, CONTRACT)
    assert len(data) == N - 1
    assert data.x.max() == N - 1


def test_bytes_are_never_filled(tmp_path: Path) -> None:
    """For netCDF any byte may be a value, also the one that a new variable holds."""
    data = Dataset.open(write(tmp_path / "pond.nc", "i1"), CONTRACT)
    assert data.x[4, 0] == netCDF4.default_fillvals["i1"]


def test_a_fill_value_of_the_files_own_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "pond.nc", fill_value=7.0)
    with pytest.raises(
        DataError, match=r"depth is NaN or infinite in 2 of 12 usable rows, .* row 4"
    ):
        Dataset.open(path, CONTRACT)


def test_a_missing_value_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "pond.nc", attributes={"missing_value": 7.0})
    with pytest.raises(DataError, match=r"depth was never written, or is NaN .* in 2 of 12"):
        Dataset.open(path, CONTRACT)


@pytest.mark.parametrize(
    ("attributes", "kind", "count", "row"),
    [
        ({"valid_min": 2.0}, "f8", 2, 0),
        ({"valid_max": 9.5}, "f8", 2, 10),
        ({"valid_range": np.array([2.0, 9.0])}, "f8", 4, 0),
        # Limits of packed data are packed as well; those of another type are not.
        ({"valid_range": np.array([2, 9], "i2"), "scale_factor": -0.5}, "i2", 4, 0),
        ({"valid_range": np.array([1.0, 4.5]), "scale_factor": 0.5}, "i2", 4, 0),
    ],
)
def test_values_outside_the_valid_range_of_the_file_are_missing(
    tmp_path: Path, attributes: dict[str, Any], kind: str, count: int, row: int
) -> None:
    path = write(tmp_path / "pond.nc", kind, attributes)
    with netCDF4.Dataset(path, "a") as file:
        file["depth"].set_auto_maskandscale(False)
        file["depth"][4] = 5
    message = f"depth lies outside the file's valid range.* in {count} of 12 .*first in row {row}"
    with pytest.raises(DataError, match=message):
        Dataset.open(path, CONTRACT)


def test_a_limit_in_another_precision_than_the_values_is_no_trap(tmp_path: Path) -> None:
    path = write(tmp_path / "pond.nc", "f4", {"valid_max": 11.1, "valid_min": -0.1})
    with netCDF4.Dataset(path, "a") as file:
        file["depth"][4] = np.float32(11.1)  # above 11.1 in double precision
    assert len(Dataset.open(path, CONTRACT)) == N


def test_unsigned_values_read_as_such(tmp_path: Path) -> None:
    path = write(tmp_path / "pond.nc", "i2", {"_Unsigned": "true"})
    assert Dataset.open(path, CONTRACT).x[4, 0] == 2**15 + 1


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (
            {"valid_range": "all"},
            "cannot read 'depth': the attribute valid_range is not two numbers",
        ),
        ({"valid_range": np.array([1.0])}, "valid_range is not two numbers"),
        ({"valid_min": np.nan}, "valid_min is not a number"),
        ({"scale_factor": "two"}, "'depth' does not hold numbers"),
    ],
)
def test_attributes_that_say_nothing_are_one_clear_line(
    tmp_path: Path, attributes: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "pond.nc", "f8", attributes)
    with pytest.raises(DataError, match=message) as caught:
        Dataset.open(path, CONTRACT)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "meanings", "message"),
    [
        ("0b 1b", "good bad", "'status' has flag_values that are not all numbers: 0b 1b"),
        (np.array([0.0, np.nan]), "good bad", "'status' has flag_values that are not all numbers"),
        (np.array([0, 1]), "good", "'status' has 2 flag_values and 1 flag_meanings"),
        (np.array([0, 1]), 7, "'status' has 2 flag_values and 1 flag_meanings"),
        (np.array([0, 0]), "good bad", "'status' has 0 twice among its flag_values"),
        (np.array([0, 1]), "good good", "'status' has good twice among its flag_meanings"),
        (None, "good bad", "'status' lacks the attribute flag_values"),
        (np.array([0, 1]), None, "'status' lacks the attribute flag_meanings"),
        (None, None, "'status' lacks the attributes flag_values and flag_meanings"),
    ],
)
def test_flags_that_contradict_themselves_are_one_clear_line(
    tmp_path: Path, values: Any, meanings: Any, message: str
) -> None:
    path = write(tmp_path / "pond.nc")
    with netCDF4.Dataset(path, "a") as file:
        file["depth"][4] = 4.0
        for name, value in (("flag_values", values), ("flag_meanings", meanings)):
            file["status"].delncattr(name)
            if value is not None:
                file["status"].setncattr(name, value)
    with pytest.raises(DataError, match=message):
        Dataset.open(path, CONTRACT)


def test_flag_values_that_are_no_whole_numbers_keep_their_meaning(tmp_path: Path) -> None:
    path = write(tmp_path / "pond.nc")
    with netCDF4.Dataset(path, "a") as file:
        file["depth"][4] = 4.0
        file["status"].flag_values = np.array([0.0, 0.5])
    assert len(Dataset.open(path, CONTRACT)) == N


def test_a_baseline_is_read_by_its_labels() -> None:
    contract = Contract.from_toml("""
name = "pond"
[dimensions]
layer = ["top", "bottom"]
[[input]]
name = "depth"
[[output]]
name = "salt"
dimension = "layer"
[[baseline]]
name = "old"
variable = "salt_old"
gives = "salt"
""")
    values = np.arange(2.0 * N).reshape(N, 2)
    raw = xr.Dataset(
        {
            "depth": ("sample", np.arange(float(N))),
            "salt": (("sample", "layer"), values),
            "salt_old": (("sample", "layer"), values),
        },
        coords={"layer": ["bottom", "top"]},
    )
    data = Dataset.from_xarray(raw, contract)
    np.testing.assert_array_equal(data.baselines["old"], data.y)
    flat = raw.assign(salt_old=("sample", values[:, 0]))
    with pytest.raises(
        DataError, match=r"'salt_old' of the baseline old has the dimensions \(sample\)"
    ):
        Dataset.from_xarray(flat, contract)
    twice = raw.assign_coords(layer=["top", "top"])
    with pytest.raises(DataError, match="several entries of the layer 'top'"):
        Dataset.from_xarray(twice, contract)
