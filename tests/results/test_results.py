"""Results as tables for pandas and xarray."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from emufort.contract import Contract
from emufort.results.table import Table
from emufort.retrain.models import Models
from emufort.search.result import SearchResult
from emufort.selection.select import select
from tests.conftest import SYNTHETIC_CONTRACT
from tests.search.candidates import made
from tests.search.pond import data

TRIALS = (
    made(0, 3.0, 2.0, hidden=(8, 4)),
    made(1, 5.0, hidden=(16,), stopped=True, enqueued=True),
    made(2, math.inf, hidden=(4,), stopped=True, activation="tanh"),
)


@pytest.fixture
def study(tmp_path):
    return SearchResult(tmp_path, TRIALS, {"sampler": "parzen", "n_inputs": 3, "n_outputs": 2})


def test_trials_as_a_frame(study):
    frame = study.to_pandas()
    assert frame.index.name == "trial"
    assert frame.index.tolist() == [0, 1, 2]
    assert frame.loc[0, ["loss_1", "loss_2"]].tolist() == [3.0, 2.0]
    assert math.isnan(frame.loc[1, "loss_2"])
    assert frame.loc[:, ["width_1", "width_2"]].to_numpy().tolist() == [[8, 4], [16, 0], [4, 0]]
    assert frame.pruned.tolist() == [False, True, True]
    assert frame.enqueued.tolist() == [False, True, False]
    assert frame.finite.tolist() == [True, True, False]
    assert frame.activation.tolist() == ["relu", "relu", "tanh"]
    assert frame.predicted_rank.tolist()[2] == 3
    assert frame.batch_size.dtype == np.int64
    assert frame.attrs["units"]["seconds"] == "s"
    assert frame.attrs["sampler"] == "parzen"
    assert "target" not in frame


def test_trials_as_a_dataset(study, tmp_path):
    found = study.to_xarray()
    assert dict(found.sizes) == {"trial": 3, "rung": 2, "layer": 2}
    assert found.rung.values.tolist() == [1, 2]
    assert float(found.loss.sel(trial=0, rung=2)) == 2.0
    assert bool(found.loss.sel(trial=1, rung=2).isnull())
    assert found.width.sel(layer=1).values.tolist() == [8, 16, 4]
    assert found.seconds.attrs == {"units": "s", "long_name": "training time"}
    assert found.value.attrs["units"] == "1"
    # netCDF has no type for texts of Python objects that are not all texts
    found.to_netcdf(tmp_path / "trials.nc")
    with xr.open_dataset(tmp_path / "trials.nc") as again:
        assert again.label.values.tolist() == [t.architecture.label for t in TRIALS]
        assert again.loss.equals(found.loss)


def test_the_error_of_targets_is_no_loss(tmp_path):
    trials = (made(0, 3.0, 2.0, target="depth=ln"),)
    summary = {"value": "RMSE of depth over the validation rows"}
    study = SearchResult(tmp_path, trials, summary)
    found = study.to_xarray()
    assert found.value.attrs == {"long_name": "RMSE of depth over the validation rows"}
    assert found.loss.attrs == {"long_name": "RMSE of depth over the validation rows at each rung"}
    assert "value" not in study.to_pandas().attrs["units"]


def test_every_column_of_a_table_has_a_meaning(study):
    """A variable without a long name is one that nobody described."""
    found = study.to_xarray()
    assert [n for n in found.variables if not found[n].attrs.get("long_name")] == []


def test_frames_and_datasets_hold_the_same(study):
    frame, found = study.to_pandas(), study.to_xarray()
    for name in set(frame) & set(found):
        assert frame[name].tolist() == pytest.approx(found[name].values.tolist(), nan_ok=True) or (
            frame[name].tolist() == found[name].values.tolist()
        )


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "int64"), ([1, 2.5], "float64"), ([1, ""], "float64"), ([None, 2.0], "float64"),
        (["a", ""], "object"), ([True, False], "bool"), (["", ""], "object"),
    ],
)  # fmt: skip
def test_types(values, kind):
    frame = Table.of("id", [{"id": i, "x": v} for i, v in enumerate(values)]).to_pandas()
    column = frame["x"]
    assert column.to_numpy().dtype == kind or pd.api.types.is_string_dtype(column)
    if kind == "float64":
        assert column.isna().tolist() == [v in ("", None) for v in values]


def test_quantities_of_which_no_value_is_known_are_numbers(tmp_path):
    rows = [{"trial": i, "rmse_spread": "", "trained": "", "target": ""} for i in range(2)]
    table = Table.of("trial", rows)
    frame = table.to_pandas()
    assert frame.dtypes[["rmse_spread", "trained"]].tolist() == [np.float64, np.float64]
    assert frame[["rmse_spread", "trained"]].isna().all(axis=None)
    assert frame.target.tolist() == ["", ""]
    table.to_xarray().to_netcdf(tmp_path / "table.nc")
    with xr.open_dataset(tmp_path / "table.nc") as stored:
        assert bool(stored.rmse_spread.isnull().all())


def test_an_empty_table():
    table = Table.of("id", [])
    assert len(table) == len(table.to_pandas()) == 0
    assert table.to_xarray().sizes == {"id": 0}


def test_units_of_errors():
    assert Contract.from_toml(SYNTHETIC_CONTRACT).error_units == "1"
    contract = Contract.from_toml(
        SYNTHETIC_CONTRACT + '\n[skill]\nvariables = ["evaporation_rate"]\n'
    )
    assert contract.error_units == "kg m-2 s-1"
    assert Contract.load("activation").error_units == ""


def test_schemes_are_part_of_a_selection():
    rows = [
        {"id": "a", "kind": "candidate", "ncol": 16, "ns_per_sample": 5.0},
        {"id": "ARG", "kind": "baseline", "ncol": 16, "ns_per_sample": 50.0},
    ]
    chosen = select([{"id": "a", "label": "3-4-2 relu", "rmse": 0.1}], rows, baselines={"ARG": 0.2})
    frame = chosen.to_pandas()
    assert frame.kind.to_dict() == {"a": "emulator", "ARG": "scheme"}
    assert frame.ns_per_sample.to_dict() == {"a": 5.0, "ARG": 50.0}
    assert "rmse" not in frame.attrs["units"]


def test_searched_targets_are_a_column(tmp_path):
    trials = (made(0, 1.0, target="a"), made(1, 2.0, target="b"))
    frame = SearchResult(tmp_path, trials, {}).to_pandas()
    assert frame.target.tolist() == ["a", "b"]


def test_units_come_from_the_contract_of_the_data(tmp_path):
    models = Models(tmp_path, (), data())
    assert models.table().error_units == data().contract.error_units
