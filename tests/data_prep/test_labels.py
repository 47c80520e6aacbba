"""The label maker of the process `aerosol_activation`: the parcel model, by `emufort labels`."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from activation_data.labelling import Recipe
from activation_data.ranges import RANGES
from activation_data.sampling import SPLITS

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError
from emufort.processes.aerosol_activation import labels
from emufort.processes.labels import make_labels


def test_labels_are_those_of_the_parcel_model(gfortran, root, monkeypatch):
    # the package may be installed; labels are made by a checkout
    place = SimpleNamespace(files=lambda name: root / "python" / name)
    monkeypatch.setattr(labels, "resources", place)
    seen = []
    made = make_labels("aerosol_activation.activation", 16, 3, seen.append)
    recipe = Recipe(train=16, validation=2, test=4, seed=3)
    assert sum(seen) == made.sizes["sample"] == 22
    x = np.column_stack(
        [
            made[entry.variable].values
            if entry.mode is None
            else made[entry.variable].sel(mode=entry.mode).values
            for entry in RANGES
        ]
    )
    np.testing.assert_array_equal(x, recipe.samples())
    assert np.bincount(made["split"].values).tolist() == list(recipe.sizes().values())
    data = Dataset.from_xarray(made, Contract.load("activation"))
    assert 0 < len(data) <= 22 and len(SPLITS) == 3


def test_without_a_checkout_one_line_says_so(monkeypatch, tmp_path):
    place = SimpleNamespace(files=lambda name: tmp_path / "a" / "b" / name)
    monkeypatch.setattr(labels, "resources", place)
    with pytest.raises(EmufortError, match="part of a checkout of emufort only") as caught:
        labels.make_labels(16, 3, print)
    assert "\n" not in str(caught.value)
