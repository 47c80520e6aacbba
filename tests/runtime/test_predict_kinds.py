"""`predict` of a bundle: data sets, mappings and matrices, of profiles in any order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.contract_arrays import join_columns, split_columns
from emufort.dataset.dataset import Dataset
from emufort.errors import DataError, UsageError
from emufort.export import export
from emufort.runtime.loaded import LoadedEmulator, load
from tests.export.emulators import inputs
from tests.export.profiles import contract, emulator, profile_data


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedEmulator:
    data = Dataset.from_xarray(profile_data(), contract())
    return load(export(emulator(), data, tmp_path_factory.mktemp("kinds") / "bundle"))


def by_name(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    return split_columns(contract(), contract().input, inputs(contract(), n, seed))


def gridded(sizes: Mapping[str, int], seed: int = 0) -> xr.Dataset:
    """Inputs over the given dimensions, in units of the contract."""
    n = int(np.prod(list(sizes.values())))
    variables = {
        variable.name: (
            (*sizes, *variable.dimensions),
            by_name(n, seed)[variable.name].reshape((*sizes.values(), *contract().shape(variable))),
            {"units": variable.units},
        )
        for variable in contract().input
    }
    return xr.Dataset(variables, {"band": ["red", "green"], "lev": [900.0, 500.0, 100.0]})


def test_a_mapping_gives_a_mapping(loaded: LoadedEmulator) -> None:
    x = inputs(contract(), 9)
    arrays = split_columns(contract(), contract().input, x)
    found = loaded.predict({**arrays, "spare": np.array("ignored")})
    assert isinstance(found, dict)
    shapes = {name: values.shape for name, values in found.items()}
    assert shapes == {"heating": (9, 3, 2), "radiance": (9, 2, 2, 3), "albedo": (9,)}
    whole = loaded.predict(x)
    assert isinstance(whole, np.ndarray)
    np.testing.assert_array_equal(join_columns(contract(), contract().output, found), whole)
    np.testing.assert_array_equal(whole, loaded.predict_array(x))
    single = loaded.predict({name: values.astype(np.float32) for name, values in arrays.items()})
    assert {values.dtype for values in single.values()} == {np.dtype(np.float32)}
    assert {values.dtype for values in found.values()} == {np.dtype(np.float64)}
    assert loaded.predict({name: values[:0] for name, values in arrays.items()})[
        "heating"
    ].shape == (0, 3, 2)


def test_any_mapping_of_anything_that_is_an_array(loaded: LoadedEmulator) -> None:
    class Arrays(Mapping[str, list[float]]):
        def __getitem__(self, name: str) -> list[float]:
            values: list[float] = by_name(4)[name].tolist()
            return values

        def __iter__(self) -> Iterator[str]:
            return iter(by_name(4))

        def __len__(self) -> int:
            return 3

    wanted = loaded.predict(by_name(4))
    for name, values in loaded.predict(Arrays()).items():
        np.testing.assert_array_equal(values, wanted[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": None}, "there is no 'depth'$"),
        ({"depth": None, "cosine": None}, "there is no 'cosine', 'depth'"),
        ({"depth": None, "dept": 3}, "there is no 'depth' .did you mean 'dept'"),
        ({"depth": np.ones((5, 2, 3))}, r"'depth' has the shape \(5, 2, 3\), not \(n, 3, 2\)"),
        ({"cosine": np.ones((5, 1))}, r"'cosine' has the shape \(5, 1\), not \(n,\)"),
        ({"cosine": 0.5}, r"'cosine' has the shape \(\), not \(n,\)"),
        ({"cosine": np.ones(4)}, "'cosine' has 4 samples and 'depth' 5; give the same number"),
        ({"cosine": np.array(["a"] * 5)}, "'cosine' is of type <U1, not real numbers"),
    ],
)
def test_a_wrong_mapping_is_named(
    loaded: LoadedEmulator, change: dict[str, object], message: str
) -> None:
    given = {k: v for k, v in {**by_name(5), **change}.items() if v is not None}
    with pytest.raises(DataError, match=message):
        loaded.predict(given)  # type: ignore[arg-type]


def test_a_wrong_matrix_is_named(loaded: LoadedEmulator) -> None:
    with pytest.raises(UsageError, match="10"):
        loaded.predict(np.ones((3, 9)))


def test_missing_variables_of_a_data_set_are_all_named(loaded: LoadedEmulator) -> None:
    with pytest.raises(DataError, match="no variable 'cosine', 'temperature'"):
        loaded.predict(gridded({"time": 2}).drop_vars(["cosine", "temperature"]))


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_grid_is_stacked_and_unstacked(loaded: LoadedEmulator, data: st.DataObject) -> None:
    """Any sample dimensions, any order of dimensions and bands: the same values at each point."""
    names = data.draw(st.lists(st.sampled_from(["time", "lat", "lon", "x"]), unique=True))
    sizes = {name: data.draw(st.integers(1, 3)) for name in names}
    raw = gridded(sizes, seed=3).assign_coords(
        {name: np.arange(10.0, 10.0 + size) for name, size in sizes.items()}
    )
    turned = xr.Dataset(
        {
            name: variable.transpose(*data.draw(st.permutations(variable.dims)))
            for name, variable in raw.items()
        }
    ).isel(band=data.draw(st.permutations([0, 1])))
    found = loaded.predict(turned)
    n = int(np.prod(list(sizes.values())))
    wanted = loaded.predict(by_name(n, seed=3))
    for variable in contract().output:
        values = found[variable.name].sel(band=["red", "green"]) if variable.dimensions else (
            found[variable.name])  # fmt: skip
        values = values.transpose(*sizes, *variable.dimensions)
        shape = (*sizes.values(), *contract().shape(variable))
        np.testing.assert_array_equal(values, wanted[variable.name].reshape(shape))
        assert found[variable.name].attrs["units"] == variable.units
    for name in (*sizes, "lev"):
        assert found[name].identical(raw[name])
    assert found["band"].values.tolist() == ["red", "green"]
    assert "angle" not in found.coords


def test_units_are_converted_and_the_precision_stays(loaded: LoadedEmulator) -> None:
    raw = gridded({"time": 4})
    other = raw.copy()
    other["temperature"] = (raw["temperature"] - 273.15).assign_attrs(units="degC")
    other["depth"] = (100.0 * raw["depth"]).assign_attrs(units="%")
    wanted, found = loaded.predict(raw), loaded.predict(other)
    for name in wanted.data_vars:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5, atol=1e-6)
        assert found[name].dtype == np.float64
        assert loaded.predict(other.astype(np.float32))[name].dtype == np.float32
    with pytest.raises(DataError, match="'temperature' has the units 'Pa'"):
        loaded.predict(raw.assign(temperature=raw["temperature"].assign_attrs(units="Pa")))


def test_coordinates_along_levels_stay(loaded: LoadedEmulator) -> None:
    raw = gridded({"time": 2}).assign_coords(
        pressure=("lev", [9.0e4, 5.0e4, 1.0e4], {"units": "Pa"}),
        height=(("time", "lev"), np.ones((2, 3))),
        spare=("station", [1, 2]),
    )
    found = loaded.predict(raw)
    assert found["pressure"].identical(raw["pressure"])
    assert set(found.coords) == {"band", "lev", "pressure", "height"}


def test_a_profile_of_another_length_is_named(loaded: LoadedEmulator) -> None:
    with pytest.raises(DataError, match="'depth' has 2 entries along 'lev', the emulator needs 3"):
        loaded.predict(gridded({"time": 2}).isel(lev=[0, 1]))
