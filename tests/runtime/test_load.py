"""`emufort.runtime.loaded.load`: bundles, xarray data sets, the way round missing bindings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import DataError, EmufortError, UsageError
from emufort.export import Bundle, export
from emufort.export.weights_file import WeightsFile
from emufort.native import bindings as native_bindings
from emufort.network.emulator import Emulator
from emufort.runtime.loaded import LoadedEmulator, load
from tests.export.emulators import inputs, random_emulator
from tests.runtime.pond import pond_data


@pytest.fixture(params=["fortran", "onnxruntime"])
def loaded(request: pytest.FixtureRequest, bundle: Bundle) -> LoadedEmulator:
    if request.param == "fortran" and not native_bindings.available():
        pytest.skip("the Fortran bindings are not built (docs/building.md)")
    return load(bundle, request.param)


@pytest.fixture
def grid() -> xr.Dataset:
    """Time, latitude and longitude; the wind has no time and the guess is one number."""
    rng = np.random.default_rng(3)
    shape = {"time": 3, "lat": 4, "lon": 5}
    temperature = rng.uniform(276.0, 294.0, (3, 2, 4, 5)).astype(np.float32)
    return xr.Dataset(
        {
            "water_temperature": (("time", "layer", "lat", "lon"), temperature, {"units": "K"}),
            "wind_speed": (("lat", "lon"), rng.uniform(1.0, 9.0, (4, 5)), {"units": "m/s"}),
            "first_guess": ((), 1e-5, {"units": "kg m-2 s-1"}),
        },
        coords={
            "layer": ["lower", "upper"],
            "lat": ("lat", np.linspace(-30.0, 30.0, 4), {"units": "degrees_north"}),
            "lon": np.linspace(0.0, 288.0, 5),
            "area": (("lat", "lon"), np.ones((4, 5))),
            "time": np.arange(shape["time"]),
        },
    )


def test_agrees_with_numpy(loaded: LoadedEmulator, emulator: Emulator, data: Dataset) -> None:
    y = loaded.predict_array(data.x)
    wanted = emulator.predict(data.x)
    assert np.abs(np.log(y[:, 0] / wanted[:, 0])).max() < 1e-5
    np.testing.assert_allclose(y[:, 1:], wanted[:, 1:], rtol=1e-5, atol=1e-4)
    assert loaded.backend in repr(loaded)


def test_a_data_set_goes_in_and_comes_out(
    loaded: LoadedEmulator, emulator: Emulator, grid: xr.Dataset
) -> None:
    result = loaded.predict(grid)
    assert list(result.data_vars) == ["evaporation", "heat_flux"]
    assert result["evaporation"].dims == ("time", "lat", "lon")
    assert result["heat_flux"].dims == ("time", "lat", "lon", "layer")
    assert result["evaporation"].attrs == {
        "units": "kg m-2 s-1",
        "long_name": "evaporation rate",
    }
    assert result["layer"].values.tolist() == ["upper", "lower"]
    assert result["lat"].identical(grid["lat"])
    assert set(result.coords) == {"time", "lat", "lon", "area", "layer"}
    assert result.attrs["emulator"] == "pond"
    assert result.attrs["emulator_hash"] == loaded.bundle.hash
    assert result.attrs["emulator_backend"] == loaded.backend
    assert (result.attrs["n_clipped"], result.attrs["n_invalid"]) == (0, 0)
    point = grid.isel(time=2, lat=1, lon=4)
    upper, lower = (float(point["water_temperature"].sel(layer=k)) for k in ("upper", "lower"))
    wanted = emulator.predict(np.array([[float(point["wind_speed"]), upper, lower, 1e-5]]))[0]
    found = result.isel(time=2, lat=1, lon=4)
    assert float(found["evaporation"]) == pytest.approx(wanted[0], rel=1e-5)
    assert found["heat_flux"].values == pytest.approx(wanted[1:], rel=1e-5, abs=1e-4)


def test_it_can_be_written_as_netcdf(
    loaded: LoadedEmulator, grid: xr.Dataset, tmp_path: Path
) -> None:
    result = loaded.predict(grid)
    result.to_netcdf(tmp_path / "result.nc")
    with xr.open_dataset(tmp_path / "result.nc", decode_times=False) as read:
        xr.testing.assert_equal(read.load(), result)


def test_dimensions_may_be_stacked(loaded: LoadedEmulator, grid: xr.Dataset) -> None:
    stacked = loaded.predict(grid.stack(place=("lat", "lon")))
    whole = loaded.predict(grid)
    xr.testing.assert_equal(stacked.unstack("place").transpose(*whole.dims), whole)


def test_one_point_and_no_points(loaded: LoadedEmulator, grid: xr.Dataset) -> None:
    point = loaded.predict(grid.isel(time=0, lat=0, lon=0))
    assert point["evaporation"].dims == ()
    assert point["heat_flux"].dims == ("layer",)
    none = loaded.predict(grid.isel(time=slice(0)))
    assert none["heat_flux"].shape == (0, 4, 5, 2)


def test_single_precision_stays(loaded: LoadedEmulator, grid: xr.Dataset) -> None:
    assert loaded.predict(grid)["evaporation"].dtype == np.float64
    assert loaded.predict(grid.astype(np.float32))["evaporation"].dtype == np.float32


def test_bad_points_are_counted(loaded: LoadedEmulator, grid: xr.Dataset) -> None:
    grid["wind_speed"][0, 0] = 500.0
    grid["water_temperature"][1, 0, 2, 2] = np.nan
    grid["water_temperature"][1, 0, 3, 3] = np.inf
    result = loaded.predict(grid)
    assert (result.attrs["n_clipped"], result.attrs["n_invalid"]) == (3, 2)
    assert int(np.isnan(result["evaporation"]).sum()) == 2
    assert int(np.isnan(result["heat_flux"]).sum()) == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.drop_vars("wind_speed"), "no variable 'wind_speed'"),
        (lambda d: d.rename(wind_speed="wind_sped"), "did you mean 'wind_sped'"),
        (lambda d: d.assign(wind_speed=d["wind_speed"].assign_attrs(units="knot")), "'knot'"),
        (lambda d: d.assign(wind_speed=d["wind_speed"].drop_attrs()), "units ''"),
        (lambda d: d.isel(layer=0), "lacks the dimension 'layer'"),
        (lambda d: d.isel(layer=[0]), "no layer 'upper'"),
        (lambda d: d.drop_vars("layer").isel(layer=[0, 1, 1]), "3 entries along 'layer'"),
        (lambda d: d.assign(wind_speed=d["wind_speed"].astype(str)), "not real numbers"),
        (
            lambda d: d.assign(first_guess=d["first_guess"].expand_dims(layer=2)),
            "which its contract does not have",
        ),
    ],
)
def test_a_wrong_data_set_is_named(bundle: Bundle, grid: xr.Dataset, change, words) -> None:
    with xr.set_options(keep_attrs=True):
        wrong = change(grid)
    with pytest.raises(DataError, match=words):
        load(bundle).predict(wrong)


def test_the_training_data_go_through_as_they_are(bundle: Bundle, emulator: Emulator) -> None:
    raw = pond_data(50, seed=9)
    x = np.column_stack([raw["wind_speed"], raw["water_temperature"], raw["first_guess"]])
    found = load(bundle).predict(raw)
    np.testing.assert_allclose(found["evaporation"], emulator.predict(x)[:, 0], rtol=1e-5)


# --------------------------------------------------------------- two engines agree

#: No range at all, one that single precision cannot hold exactly, a logit, and a whole number.
UNBOUNDED = """
name = "edges"
[[input]]
name = "size"
units = "m"
transform = "ln"
[[input]]
name = "share"
transform = "logit"
range = [0.1, 0.9]
[[input]]
name = "height"
units = "m"
range = [0.1, 1000.3]
[[input]]
name = "count"
units = "1"
transform = "none"
[[output]]
name = "growth"
units = "m"
transform = "ln"
[[output]]
name = "anomaly"
units = "K"
"""


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    contract = Contract.from_toml(UNBOUNDED)
    emulator = random_emulator(contract, (8, 8), "tanh")
    x = inputs(contract, 90)
    data = Dataset.from_xarray(
        xr.Dataset(
            {
                c.name: ("sample", values, {"units": c.units})
                for columns, block in (
                    (contract.input_columns, x),
                    (contract.output_columns, emulator.predict(x)),
                )
                for c, values in zip(columns, block.T, strict=True)
            }
        ),
        contract,
    )
    return export(emulator, data, tmp_path_factory.mktemp("edges") / "bundle", golden=16)


@pytest.fixture(scope="module")
def engines(edges: Bundle) -> tuple[LoadedEmulator, LoadedEmulator]:
    if not native_bindings.available():
        pytest.skip("the Fortran bindings are not built (docs/building.md)")
    return load(edges, "fortran"), load(edges, "onnxruntime")


@st.composite
def odd_values(draw: st.DrawFn) -> np.ndarray:
    """Rows at, near and beyond limits, with NaN and infinity, in either precision."""
    kind = draw(st.sampled_from([np.float32, np.float64]))
    limits = [0.1, 0.9, 1000.3, 1.0, 1e-3, 1e-33, 3e30, 0.0, -5.0]
    near = [np.nextafter(kind(v), kind(to)) for v in limits for to in (-np.inf, np.inf)]
    odd = [*map(kind, limits), *near, kind(np.nan), kind(np.inf), kind(-np.inf)]
    value = st.one_of(st.sampled_from(odd), st.floats(0.1, 0.9).map(kind))
    n = draw(st.sampled_from([1, 3, 17]))
    return np.array(draw(st.lists(value, min_size=4 * n, max_size=4 * n)), kind).reshape(n, 4)


@settings(max_examples=100, deadline=None)
@given(x=odd_values())
def test_both_engines_find_the_same_rows_out_of_range(
    engines: tuple[LoadedEmulator, LoadedEmulator], x: np.ndarray
) -> None:
    fortran, onnx = (engine.predict_with_status(x) for engine in engines)
    assert onnx.n_clipped == fortran.n_clipped
    assert onnx.n_invalid == fortran.n_invalid
    np.testing.assert_array_equal(onnx.outside, fortran.outside)
    np.testing.assert_array_equal(np.isnan(onnx.y), np.isnan(fortran.y))
    assert onnx.y.dtype == fortran.y.dtype
    np.testing.assert_allclose(onnx.y, fortran.y, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("bindings")
def test_what_a_logarithm_cannot_take_is_clipped_by_both(edges: Bundle) -> None:
    """The contract gives no limit; the emulator has one where its logarithm ends."""
    x = np.array([[0.0, 0.5, 10.0, 1.0], [-1.0, 0.5, 10.0, 1.0], [1e35, 0.5, 10.0, 1.0]])
    for name in ("fortran", "onnxruntime"):
        found = load(edges, name).predict_with_status(x)  # type: ignore[arg-type]
        assert (found.n_clipped, found.n_invalid) == (3, 0)
        assert found.outside.all()
        assert np.isfinite(found.y).all()


@pytest.mark.parametrize("backend", ["fortran", "onnxruntime"])
def test_golden_vectors_that_are_not_reproduced_are_an_error(
    bundle: Bundle, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "fortran" and not native_bindings.available():
        pytest.skip("the Fortran bindings are not built (docs/building.md)")
    read = Bundle.read

    def with_another_golden_vector(opened: Bundle, name: str) -> bytes:
        content = read(opened, name)
        if name != "weights.bin":
            return content
        file = WeightsFile.from_bytes(content)
        y = file.golden_y.copy()
        y[3, 1] += 1e-3 * (1.0 + abs(y[3, 1])) + 10 * file.absolute_tolerance[1]
        return replace(file, golden_y=y).to_bytes()

    monkeypatch.setattr(Bundle, "read", with_another_golden_vector)
    with pytest.raises(EmufortError, match=r"golden vector 4 is not reproduced in heat_flux"):
        load(bundle, backend)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["fortran", "onnxruntime"])
@pytest.mark.parametrize("name", ["weights.bin", "model.onnx"])
def test_a_file_that_is_exchanged_after_the_comparison_is_not_used(
    bundle: Bundle, copied: Path, backend: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "fortran" and not native_bindings.available():
        pytest.skip("the Fortran bindings are not built (docs/building.md)")
    x = bundle.golden.x
    wanted = load(bundle, backend).predict_array(x)  # type: ignore[arg-type]
    problems = Bundle.problems

    def exchange(opened: Bundle) -> list[str]:
        found = problems(opened)
        (opened.path / name).write_bytes(b"exchanged")
        return found

    monkeypatch.setattr(Bundle, "problems", exchange)
    try:
        found = load(copied, backend).predict_array(x)  # type: ignore[arg-type]
    except EmufortError as error:
        assert f"{name} is not the file that was exported" in str(error)
    else:
        np.testing.assert_array_equal(found, wanted)


def test_without_bindings_onnx_runtime_takes_over(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_bindings, "_native", lambda *_: None)
    assert load(bundle).backend == "onnxruntime"
    with pytest.raises(EmufortError, match="bindings are not built"):
        load(bundle, "fortran")


@pytest.mark.usefixtures("bindings")
def test_with_bindings_fortran_computes(bundle: Bundle) -> None:
    assert load(bundle).backend == "fortran"
    assert load(str(bundle.path)).backend == "fortran"


def test_what_cannot_be_loaded(bundle: Bundle, copied: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'fortran'"):
        load(bundle, "fortan")  # type: ignore[arg-type]
    with pytest.raises(EmufortError, match="no bundle"):
        load(copied / "nowhere")
    weights = copied / "weights.bin"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(EmufortError, match=r"weights\.bin"):
        load(copied)
    weights.unlink()
    with pytest.raises(EmufortError, match=r"lacks weights\.bin"):
        load(copied)
