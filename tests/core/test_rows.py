"""Long tables: on disk and block by block what they are in memory and in one piece."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

from emufort.contract import Contract
from emufort.dataset import rows as tables
from emufort.dataset.dataset import Dataset
from emufort.errors import DataError, StorageError
from emufort.network.scaler import Scaler
from emufort.search.subset import draw_subset
from emufort.skill import skill_of, skill_of_baseline
from emufort.workers.shared_arrays import SharedArrays
from tests.conftest import SYNTHETIC_CONTRACT, synthetic_data

CONTRACT = Contract.from_toml(SYNTHETIC_CONTRACT)


@pytest.fixture
def short_blocks(monkeypatch):
    monkeypatch.setattr(tables, "BLOCK", 64)


def is_mapped(array) -> bool:
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array is not None


def test_parts_are_joined(short_blocks, tmp_path):
    values = np.arange(400.0).reshape(200, 2)
    parts = [(values[p], np.arange(200)[p]) for p in tables.blocks(200, 30)]
    joined, numbers = tables.tables(iter(parts), tmp_path / "new")
    assert np.array_equal(joined, values)
    assert np.array_equal(numbers, np.arange(200))
    assert numbers.dtype == np.int64
    assert is_mapped(joined)
    assert is_mapped(numbers)
    tables.forget(joined)
    assert np.array_equal(joined, values)
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(ValueError, match="read-only"):
        joined[0] = 0.0
    (short,) = tables.tables(iter([(values[:10],), (values[10:64],)]))
    assert np.array_equal(short, values[:64])
    assert not is_mapped(short)


def test_rows_are_taken(short_blocks):
    values = np.arange(300.0)
    assert tables.take(values, np.arange(20, 220)).base is values
    assert tables.take(values, np.array([], dtype=np.int64)).shape == (0,)
    for indices in (np.arange(300)[::-1], np.arange(0, 300, 2), np.array([5, 4, 6, 8])):
        taken = tables.take(values, indices)
        assert np.array_equal(taken, values[indices])
        assert is_mapped(taken) == (len(indices) > 64)


def test_a_full_disk_is_one_line(short_blocks, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*file"):
        tables.tables(iter([(np.zeros((100, 2)),)]), tmp_path / "file")


@pytest.fixture
def whole_and_blocks(monkeypatch, tmp_path):
    synthetic_data(1000).to_netcdf(tmp_path / "data.nc")
    whole = Dataset.open(tmp_path / "data.nc", CONTRACT)
    monkeypatch.setattr(tables, "BLOCK", 64)
    return whole, Dataset.open(tmp_path / "data.nc", CONTRACT, tmp_path / "work")


def test_a_long_data_set_is_what_a_short_one_is(whole_and_blocks, tmp_path, monkeypatch):
    whole, parts = whole_and_blocks
    assert is_mapped(parts.x)
    assert not is_mapped(whole.x)
    for split in ("train", "validation", "test"):
        a, b = whole.part(split), parts.part(split)
        assert np.array_equal(a.x, b.x)
        assert np.array_equal(a.y, b.y)
        assert np.array_equal(a.rows, b.rows)
    train = parts.part("train")
    assert np.array_equal(np.concatenate(list(train.feature_blocks())), train.features)
    assert np.array_equal(np.concatenate(list(train.target_blocks())), train.targets)
    # Not "stratified": the sign of a principal component turns on the last bit of a sum.
    for method in ("random", "space_filling"):
        rows = draw_subset(train, 100, method, 3).rows
        with monkeypatch.context() as patch:
            patch.setattr(tables, "BLOCK", 10_000)
            assert np.array_equal(draw_subset(whole.part("train"), 100, method, 3).rows, rows)


def test_scalers_and_arrays_of_blocks(whole_and_blocks, tmp_path):
    whole, parts = whole_and_blocks
    train = whole.part("train")
    columns = [CONTRACT.input_columns[i] for i in CONTRACT.feature_indices]
    stored, x_scaler, y_scaler = SharedArrays.from_datasets(
        parts.part("train"), parts.part("validation"), tmp_path / "arrays"
    )
    for found, wanted in (
        (x_scaler, Scaler.fit(columns, train.features)),
        (y_scaler, Scaler.fit(CONTRACT.output_columns, train.targets)),
    ):
        assert found.kinds == wanted.kinds
        assert np.allclose(found.shift, wanted.shift, rtol=1e-13)
        assert np.allclose(found.scale, wanted.scale, rtol=1e-12)
    arrays = stored.load()
    assert np.array_equal(arrays.x_train, x_scaler.forward(train.features).astype(np.float32))
    assert np.array_equal(
        arrays.y_validation,
        y_scaler.forward(whole.part("validation").targets).astype(np.float32),
    )


def test_a_mean_far_from_zero_keeps_its_spread(short_blocks):
    contract = Contract.from_toml(
        '[[input]]\nname = "t"\n[[output]]\nname = "y"\n'.join(['name = "x"\n', ""])
    )
    t = 1e8 + np.random.default_rng(0).normal(size=(1000, 1))
    scaler = Scaler.fit_blocks(
        contract.input_columns, lambda: (t[part] for part in tables.blocks(1000))
    )
    assert scaler.scale[0] == pytest.approx(1 / t.std(), rel=1e-6)


def test_skill_of_blocks(monkeypatch):
    data = Dataset.open(None, Contract.load("activation")).part("validation")
    outputs = data.y * 1.01
    whole = skill_of(data, outputs), skill_of_baseline(data, "ARG2000")
    monkeypatch.setattr("emufort.skill.SKILL_BLOCK", 100)
    parts = skill_of(data, outputs), skill_of_baseline(data, "ARG2000")
    for a, b in zip(whole, parts, strict=True):
        for one, other in [(a.overall, b.overall), *zip(a.columns.values(), b.columns.values(),
                                                        strict=True)]:  # fmt: skip
            assert vars(one) == pytest.approx(vars(other), rel=1e-11)


def test_what_is_wrong_is_counted_over_all_blocks(tmp_path, short_blocks):
    raw = synthetic_data(500)
    raw["water_temperature"][[70, 71, 400]] = 400.0
    raw.to_netcdf(tmp_path / "range.nc")
    with pytest.raises(DataError, match=r"is 400 K in row 70 .* in 3 rows"):
        Dataset.open(tmp_path / "range.nc", CONTRACT)
    # A NaN is told before it, wherever it is.
    raw["cooling"][499] = np.nan
    raw.to_netcdf(tmp_path / "nan.nc")
    with pytest.raises(DataError, match=r"cooling is NaN or infinite in 1 of 500 .* in row 499"):
        Dataset.open(tmp_path / "nan.nc", CONTRACT)
