"""The data set: reproducible samples, labels that the contract accepts, and the command."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from emufort import Dataset
from emufort.skill import baseline_values, skill_values
from two_stream import adding_doubling, dataset, delta_eddington
from two_stream.head import layer_fluxes, network_outputs
from two_stream.process import PROCESS

SIZES = [64, 8, 8]


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    return dataset.make_dataset(64, seed=3, streams=8)


@pytest.fixture(scope="module")
def opened(data: xr.Dataset) -> Dataset:
    return Dataset.from_xarray(data, dataset.contract())


def test_samples_fill_the_ranges_and_follow_the_seed() -> None:
    x = dataset.samples(1024, seed=1)
    for values, column in zip(x.T, dataset.contract().input_columns, strict=True):
        even = np.log(values) if column.transform == "ln" else values
        ends = [column.lower, column.upper]
        lower, upper = np.log(ends) if column.transform == "ln" else ends
        counts, _ = np.histogram(even, bins=8, range=(lower, upper))
        assert counts == pytest.approx(np.full(8, 128), abs=2), "Sobol' points are even"
    assert np.array_equal(x, x.astype(np.float32)), "labels belong to the inputs of the file"
    assert np.array_equal(x, dataset.samples(1024, seed=1))
    assert not np.array_equal(x, dataset.samples(1024, seed=2))


def test_the_contract_accepts_the_data(data: xr.Dataset, opened: Dataset) -> None:
    assert len(opened) == 80 and not opened.dropped
    assert np.bincount(opened.split).tolist() == SIZES
    assert data.sizes == {"sample": 80, "incidence": 2, "flux": 4}
    assert tuple(data["flux"].values) == adding_doubling.FLUXES
    assert len(np.unique(opened.x, axis=0)) == 80, "no sample is in two splits"


def test_skill_is_judged_by_fluxes(data: xr.Dataset, opened: Dataset) -> None:
    contract = dataset.contract()
    expected = adding_doubling.layer_fluxes(*opened.x.T, streams=8)
    of_labels = skill_values(contract, opened.x, opened.y)["flux"]
    assert of_labels == pytest.approx(expected, abs=2e-7)
    of_scheme = baseline_values(opened, "delta-Eddington")["flux"]
    assert of_scheme == pytest.approx(delta_eddington.layer_fluxes(*opened.x.T), abs=1e-7)
    assert not contract.skill_is_normalised, "errors are fractions of the incident flux"


@given(
    absorptance=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=2),
    share=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=2),
)
def test_no_output_of_a_network_creates_energy(
    absorptance: list[float], share: list[float]
) -> None:
    outputs = {"absorptance": np.array([absorptance]), "reflected_share": np.array([share])}
    flux = layer_fluxes({}, outputs)["flux"]
    assert flux.shape == (1, 4) and (flux >= 0.0).all()
    assert (flux[:, 0::2] + flux[:, 1::2] <= 1.0 + 1e-15).all()


def test_the_head_undoes_what_made_the_labels() -> None:
    fluxes = adding_doubling.layer_fluxes(*dataset.samples(32, seed=9).T, streams=8)
    absorptance, share = network_outputs(fluxes)
    found = layer_fluxes({}, {"absorptance": absorptance, "reflected_share": share})["flux"]
    assert found == pytest.approx(fluxes, abs=1e-8)


def test_the_label_maker_counts_samples_and_follows_the_seed() -> None:
    told: list[int] = []
    made = PROCESS.label_makers["layer"](16, 5, told.append)
    assert sum(told) == made.sizes["sample"] == 20
    assert made.equals(dataset.make_dataset(16, seed=5))
