"""The tables of a run folder for pandas and xarray."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

import emufort.api as ef
from emufort.errors import EmufortError, UsageError
from emufort.files import read_csv, read_json
from emufort.retrain.models import Models
from emufort.steps import read_selection


def test_all_tables_of_a_run(uninterrupted):
    out = uninterrupted / "out"
    found = ef.load_results(out)
    frames, sets = found.to_pandas(), found.to_xarray()
    assert list(frames) == list(sets) == [
        "trials", "networks", "ranking", "predictions", "times", "selection",
    ]  # fmt: skip
    rows = read_csv(out / "search" / "trials.csv")
    assert frames["trials"].value.tolist() == [float(row["value"]) for row in rows]
    # the predicted ranks are those that the search wrote
    assert frames["trials"].predicted_rank.tolist() == [int(r["predicted_rank"]) for r in rows]
    rows = read_csv(out / "retrain" / "candidates.csv")
    assert frames["networks"].index.tolist() == [row["id"] for row in rows]
    assert frames["networks"].rmse.tolist() == [float(row["rmse"]) for row in rows]
    assert sets["networks"].rmse.attrs["units"] == "1"
    assert sets["times"].ns_per_sample.attrs["units"] == "ns"
    chosen = read_json(out / "selection.json")["choice"]
    assert frames["selection"].index[frames["selection"].chosen].tolist() == [chosen]
    assert sets["selection"].attrs["rule"] == read_json(out / "selection.json")["rule"]
    ranked = read_csv(out / "retrain" / "ranking.csv")
    assert frames["ranking"].index.tolist() == [int(row["trial"]) for row in ranked]
    trained = frames["predictions"].trained
    assert int(trained.notna().sum()) == len(ranked)
    assert repr(found).startswith("<Results ")
    for name, one in sets.items():
        for variable in one.variables:
            assert one[variable].attrs.get("long_name"), f"{name}: {variable}"


def test_the_objects_of_the_steps_give_the_same_tables(uninterrupted):
    out = uninterrupted / "out"
    found = ef.load_results(out).to_pandas()
    pond = ef.Dataset.open(
        uninterrupted / "evaporation.nc", ef.Contract.load(uninterrupted / "evaporation.toml")
    )
    models = Models.load(out / "retrain", pond)
    pd.testing.assert_frame_equal(models.to_pandas(), found["networks"])
    pd.testing.assert_frame_equal(models.ranking().to_pandas(), found["ranking"])
    pd.testing.assert_frame_equal(ef.load_search(out / "search").to_pandas(), found["trials"])
    selection = read_selection(out / "selection.json", models)
    pd.testing.assert_frame_equal(selection.to_pandas(), found["selection"])
    assert selection.to_xarray().equals(ef.load_results(out).to_xarray()["selection"])


def test_tables_of_steps_that_are_not_finished_are_missing(uninterrupted, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(uninterrupted / "out", out)
    (out / "selection.json").unlink()
    shutil.rmtree(out / "retrain")
    assert list(ef.load_results(out).tables) == ["trials", "times"]
    with pytest.raises(UsageError, match="holds no run"):
        ef.load_results(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("selection.json", "{"),
        ("selection.json", '{"front": []}'),
        ("selection.json", "[]"),
        ("search/search.json", "[]"),
        ("timing.csv", "id,ncol\na,16\nb\n"),
        ("retrain/ranking.csv", "trial,rank\n1,1,1\n2,2\n"),
    ],
)
def test_a_damaged_table_is_one_line(name, damage, uninterrupted, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(uninterrupted / "out", out)
    (out / name).write_text(damage)
    with pytest.raises(EmufortError) as error:
        ef.load_results(out)
    assert "\n" not in str(error.value)
