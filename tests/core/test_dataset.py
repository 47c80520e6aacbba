from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import DataError
from emufort.skill import skill_of, skill_of_baseline

CONTRACT = Contract.from_toml("""
name = "pond"
sample_dimension = "case"
[dimensions]
layer = ["top", "bottom"]
[[input]]
name = "depth"
units = "m"
transform = "ln"
range = [0.1, 10.0]
[[input]]
name = "salinity"
units = "kg m-3"
dimension = "layer"
range = [0.0, 40.0]
[[parameter]]
name = "albedo"
dimension = "layer"
values = [0.1, 0.2]
[[output]]
name = "evaporation"
units = "m s-1"
[[baseline]]
name = "Dalton"
variable = "evaporation_dalton"
gives = "evaporation"
[filter]
variable = "status"
keep = ["good"]
[split]
""")


def pond(n: int = 40) -> xr.Dataset:
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.2, 9.0, n)
    return xr.Dataset(
        {
            "depth": ("case", depth, {"units": "m"}),
            "salinity": (("layer", "case"), rng.uniform(0, 40, (2, n)), {"units": "kg m-3"}),
            "albedo": ("layer", [0.2, 0.1], {"units": "1"}),
            "evaporation": ("case", 2 * depth, {"units": "m/s"}),
            "evaporation_dalton": ("case", 2 * depth + 1, {"units": "m s-1"}),
            "status": (
                "case",
                (np.arange(n) % 4 == 3).astype("i1"),
                {"flag_values": np.array([0, 1], "i1"), "flag_meanings": "good bad"},
            ),
            "split": (
                "case",
                (np.arange(n) % 3).astype("i1"),
                {
                    "flag_values": np.array([0, 1, 2], "i1"),
                    "flag_meanings": "train validation test",
                },
            ),
        },
        coords={"layer": ["bottom", "top"]},
    )


def opened(raw: xr.Dataset) -> Dataset:
    return Dataset.from_xarray(raw, CONTRACT, Path("pond.nc"))


def test_rows_are_filtered_counted_and_put_in_contract_order() -> None:
    raw = pond()
    data = opened(raw)
    assert len(data) == 30
    assert dict(data.dropped) == {"bad": 10}
    np.testing.assert_array_equal(data.x[:, 1], raw.salinity.sel(layer="top").values[data.rows])
    assert len(data.part("train")) + len(data.part("validation")) + len(data.part("test")) == 30


def test_a_netcdf_file_reads_as_the_memory_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "pond.nc"
    pond().to_netcdf(path)
    data = Dataset.open(path, CONTRACT)
    np.testing.assert_array_equal(data.x, opened(pond()).x)
    assert len(data.sha256) == 64


def test_a_subset_depends_on_its_seed_only() -> None:
    data = opened(pond()).part("train")
    np.testing.assert_array_equal(data.subset(7, 1).rows, data.subset(7, 1).rows)
    assert list(data.subset(7, 1).rows) != list(data.subset(7, 2).rows)
    assert sorted(data.subset(len(data), 1).rows) == sorted(data.rows)


def test_a_subset_thins_the_training_rows_alone() -> None:
    data = opened(pond())
    thinned = data.subset(3, 1)
    assert len(thinned.part("train")) == 3
    for name in ("validation", "test"):
        np.testing.assert_array_equal(thinned.part(name).rows, data.part(name).rows)


@pytest.mark.parametrize("size", [0, -1, 31])
def test_a_subset_larger_than_the_data_is_refused(size: int) -> None:
    with pytest.raises(DataError, match=r"cannot be drawn from the 1\d usable rows"):
        opened(pond()).subset(size, 1)


def poison(name: str, value: float) -> Callable[[xr.Dataset], xr.Dataset]:
    def change(raw: xr.Dataset) -> xr.Dataset:
        raw = raw.copy(deep=True)
        raw[name].values[..., 4] = value
        return raw

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.rename(depth="dept"), "no variable 'depth' .did you mean 'dept'"),
        (lambda d: d.drop_vars("evaporation_dalton"), "no variable 'evaporation_dalton'"),
        (lambda d: d.rename(case="cases"), "no dimension 'case' .did you mean 'cases'.., which is "
         "the contract's sample_dimension; it has .*cases"),
        (lambda d: d.isel(case=slice(0, 0)), "no rows"),
        (lambda d: d.isel(layer=[0]), "no layer 'top'; it has bottom"),
        (lambda d: d.drop_vars("layer").isel(layer=[0, 1, 1]), "3 entries along 'layer'"),
        (lambda d: d.assign(depth=d.depth.assign_attrs(units="kg")), "'depth' has the units 'kg'"),
        (lambda d: d.assign(depth=d.depth.expand_dims(z=2)),
         "dimensions .z, case., the contract 'pond' requires .case."),
        (lambda d: d.assign(albedo=d.albedo * 2), "'albedo' is"),
        (poison("evaporation", np.nan), "evaporation is NaN or infinite in 1 of 30.*row 4"),
        (poison("evaporation", np.inf), "evaporation is NaN or infinite"),
        (poison("depth", np.nan), "depth is NaN"),
        (poison("depth", 11.0), r"depth is 11 m in row 4 and outside .* 0.1 to 10 in 1 rows"),
        (poison("salinity", -1.0), r"salinity\[top\] is -1"),
        (lambda d: d.assign(status=d.status.drop_attrs()), "lacks the attributes"),
        (lambda d: d.assign(status=(d.status * 0 + 1).assign_attrs(d.status.attrs)),
         "no row is usable, 'status' is never good .bad 40"),
        (lambda d: d.assign(status=d.status.assign_attrs(flag_meanings="fine bad")), "no meaning"),
        (lambda d: d.assign(depth=("case", np.array(["a"] * 40), {"units": "m"})), "numbers"),
        (lambda d: d.assign(split=(d.split * 0 + 9).assign_attrs(d.split.attrs)),
         "no row is usable, 'split' is never train, validation, test"),
        (poison("evaporation", 1e39), "1e.39 m s-1 in row 4, which single precision"),
        (poison("evaporation", 1e-40), "which single precision cannot hold.* other units"),
        (poison("evaporation_dalton", np.nan), "of the baseline Dalton, is NaN or infinite in 1"),
        (lambda d: d.assign(evaporation_dalton=d.evaporation_dalton.assign_attrs(units="K")),
         "'evaporation_dalton' has the units 'K'"),
    ],
)  # fmt: skip
def test_errors_name_the_variable_and_what_is_wrong(
    change: Callable[[xr.Dataset], xr.Dataset], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        opened(change(pond()))
    assert "\n" not in str(caught.value)
    assert "pond.nc" in str(caught.value)


@pytest.mark.parametrize(
    ("transform", "value", "message"),
    [
        ("ln", 0.0, "evaporation is 0 m s-1 in row 4, which has no logarithm, and so in 1 of 30"),
        ("ln", -2.0, "evaporation is -2 m s-1 in row 4, which has no logarithm"),
        ("logit", 1.0, "which has no logit"),
    ],
)
def test_values_outside_the_domain_of_their_transform_are_named(
    transform: str, value: float, message: str
) -> None:
    content = CONTRACT.to_dict()
    content["output"][0]["transform"] = transform
    raw = pond()
    raw["evaporation"] = (raw.evaporation / 100).assign_attrs(raw.evaporation.attrs)
    with pytest.raises(DataError, match=message):
        Dataset.from_xarray(poison("evaporation", value)(raw), Contract.from_dict(content))


def test_what_an_output_is_relative_to_must_be_positive() -> None:
    content = CONTRACT.to_dict()
    content["output"][0] |= {"transform": "ln", "relative_to": "speed"}
    content["input"].append({"name": "speed", "units": "m s-1"})
    raw = pond()
    raw["speed"] = raw.depth.assign_attrs(units="m s-1")
    with pytest.raises(DataError, match=r"speed is 0 m s-1 in row 4, which has no logarithm"):
        Dataset.from_xarray(poison("speed", 0.0)(raw), Contract.from_dict(content))


def test_a_ratio_beyond_single_precision_is_refused() -> None:
    content = CONTRACT.to_dict()
    content["output"][0] |= {"transform": "ln", "relative_to": "speed"}
    content["input"].append({"name": "speed", "units": "m s-1"})
    raw = pond()
    raw["speed"] = (1e-30 * raw.depth).assign_attrs(units="m s-1")
    assert len(Dataset.from_xarray(raw, Contract.from_dict(content)))
    raw["evaporation"] = (1e30 * raw.evaporation).assign_attrs(units="m s-1")
    with pytest.raises(DataError, match=r"evaporation is 2e\+60 times speed .* cannot hold"):
        Dataset.from_xarray(raw, Contract.from_dict(content))


def test_rows_whose_flags_mean_nothing_are_counted() -> None:
    raw = pond()
    raw["status"] = raw.status.astype("f8").assign_attrs(raw.status.attrs)
    raw.status.values[:2] = np.nan
    raw.split.values[4] = 7
    data = opened(raw)
    assert len(data) == 27
    assert dict(data.dropped) == {
        "bad": 10,
        "status without a meaning": 2,
        "split without a meaning": 1,
    }
    assert set(data.split) == {0, 1, 2}


def test_a_nan_in_an_unusable_row_does_no_harm() -> None:
    raw = pond()
    raw.evaporation.values[3] = np.nan
    assert len(opened(raw)) == 30


def test_values_at_the_limit_survive_single_precision() -> None:
    raw = pond()
    raw.depth.values[0] = np.float32(0.1)
    raw.depth.values[1] = np.nextafter(np.float32(10.0), np.float32(11.0))
    assert len(opened(raw)) == 30


def test_files_that_are_no_netcdf_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pond.nc"
    with pytest.raises(DataError, match="no data file"):
        Dataset.open(path, CONTRACT)
    path.write_text("not netCDF")
    with pytest.raises(DataError, match="as netCDF"):
        Dataset.open(path, CONTRACT)
    with pytest.raises(DataError, match="no data set comes with the contract 'pond'"):
        Dataset.open(None, CONTRACT)


def test_an_empty_split_is_an_error() -> None:
    raw = pond()
    raw["split"] = (raw.split * 0).assign_attrs(raw.split.attrs)
    with pytest.raises(DataError, match="no usable row in the split 'test'"):
        opened(raw).part("test")


def test_without_a_split_variable_rows_are_shared_out_reproducibly() -> None:
    contract = CONTRACT.model_copy(update={"split": None})
    data = Dataset.from_xarray(pond(), contract)
    again = Dataset.from_xarray(pond(), contract)
    np.testing.assert_array_equal(data.split, again.split)
    assert {0, 1, 2} == set(data.split)


def test_skill_of_a_perfect_and_of_a_biased_prediction() -> None:
    data = opened(pond())
    perfect = skill_of(data, data.y).overall
    assert (perfect.rmse, perfect.bias, perfect.r2) == (0.0, 0.0, 1.0)
    biased = skill_of_baseline(data, "Dalton").overall
    assert biased.rmse == pytest.approx(1.0)
    assert biased.bias == pytest.approx(1.0)
    assert biased.mae == pytest.approx(1.0)
    assert biased.r2 == pytest.approx(1 - 1 / data.y.var())


def two_outputs(mass: np.ndarray, units: str = "kg m-2") -> Dataset:
    """The pond with a second output."""
    content = CONTRACT.to_dict()
    content["output"].append({"name": "mass", "units": units})
    raw = pond()
    raw["mass"] = ("case", mass, {"units": units})
    return Dataset.from_xarray(raw, Contract.from_dict(content))


@pytest.mark.parametrize("units", ["kg m-2", "m s-1"])
def test_several_outputs_count_alike_overall_in_any_units(units: str) -> None:
    data = two_outputs(1e-6 * np.arange(40.0), units)
    spread = data.part("train").y.std(axis=0)
    for j in range(2):
        for part in (data, data.part("validation"), data.part("test")):
            wrong = part.y.copy()
            wrong[:, j] += 0.5 * spread[j]
            skill = skill_of(part, wrong)
            assert skill.overall.rmse == pytest.approx(0.5 / np.sqrt(2))
            varies = np.square(part.y.std(axis=0) / spread).mean()
            assert skill.overall.r2 == pytest.approx(1 - 0.125 / varies)
            assert list(skill.columns.values())[j].rmse == pytest.approx(0.5 * spread[j])


@pytest.mark.parametrize("noise", [0.0, 1e-15])
def test_what_is_constant_in_training_does_not_count(noise: float) -> None:
    rounding = noise * np.random.default_rng(1).normal(size=40)
    data = two_outputs(0.1 * (1 + rounding))
    wrong = data.y * [1.1, 1e6]
    skill = skill_of(data, wrong)
    assert list(skill.columns) == ["evaporation"]
    spread = data.part("train").y[:, 0].std()
    error = np.sqrt(np.square(0.1 * data.y[:, 0]).mean())
    assert skill.overall.rmse == pytest.approx(error / spread)
    assert [column.name for column in data.constant_columns()] == ["mass"]
    assert data.part("test").constant_outputs == {1: pytest.approx(0.1)}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [0.0, 1e-30, 1.0, 1e30])
def test_what_varies_in_training_only_is_measured_by_its_spread_there(size: float) -> None:
    mass = size * np.arange(40.0)
    mass[two_outputs(mass).part("validation").rows] = size * 5.0
    data = two_outputs(mass)
    part = data.part("validation")
    spread = data.part("train").y.std(axis=0)
    skill = skill_of(part, part.y + np.array([0.0, 0.1 * spread[1]]))
    if size == 0.0:
        assert list(skill.columns) == ["evaporation"]
        return
    assert np.isnan(skill.columns["mass"].r2)
    assert skill.overall.rmse == pytest.approx(0.1 / np.sqrt(2))
    assert np.isfinite(skill.overall.r2)


def test_an_output_that_is_constant_in_training_only_is_named() -> None:
    mass = np.full(40, 2.0)
    data = two_outputs(mass)
    assert data.constant_in_training_only() == []
    mass[data.part("test").rows[0]] = 3.0
    data = two_outputs(mass)
    assert data.constant_outputs == {1: 2.0}
    assert [c.name for c in data.constant_in_training_only()] == ["mass"]
    assert [c.name for c in data.part("train").constant_in_training_only()] == ["mass"]


def test_constant_columns_are_named() -> None:
    raw = pond()
    assert opened(raw).constant_columns() == []
    raw["salinity"][0] = 35.1
    assert [c.name for c in opened(raw).constant_columns()] == ["salinity[bottom]"]
