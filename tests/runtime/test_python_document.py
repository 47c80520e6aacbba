"""The examples of docs/python.md run as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from emufort.contract import Contract
from emufort.contract_arrays import split_columns
from emufort.dataset.dataset import Dataset
from emufort.export import export
from tests.export.emulators import inputs, random_emulator

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "python.md"


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = Contract.load("activation")
    emulator = random_emulator(contract, (8, 8), "tanh")
    x = inputs(contract, 40)
    n = np.arange(len(x))
    y = emulator.predict(x)
    data = Dataset(
        *(contract, Path("memory"), "0" * 64, x, y, (n % 3).astype(np.int8), n),
        baselines={baseline.name: y for baseline in contract.baseline},
    )
    export(emulator, data, tmp_path / "runs/demo/bundle")
    columns = {
        variable.name: (
            ("time", *variable.dimensions),
            split_columns(contract, contract.input, x)[variable.name],
            {"units": variable.units},
        )
        for variable in contract.input
    }
    xr.Dataset(columns).to_netcdf(tmp_path / "columns.nc")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)
    assert len(blocks) == 4
    for block in blocks:
        exec(block, scope)
    np.testing.assert_allclose(
        scope["predicted"]["max_supersaturation"], emulator.predict(x)[:, 0], rtol=1e-4
    )
    assert scope["smax"].shape == (100,)
    np.testing.assert_array_equal(scope["y"][:, 0], scope["smax"])
    with xr.open_dataset("predicted.nc") as written:
        assert written.attrs["emulator"] == "activation"
