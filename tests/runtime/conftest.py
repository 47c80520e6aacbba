"""A bundle with random weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export import Bundle, export
from emufort.native import bindings as native_bindings
from emufort.network.emulator import Emulator
from tests.runtime.pond import CONTRACT, pond_data, pond_emulator


@pytest.fixture(scope="session")
def data() -> Dataset:
    return Dataset.from_xarray(pond_data(), Contract.from_toml(CONTRACT))


@pytest.fixture(scope="session")
def emulator(data: Dataset) -> Emulator:
    return pond_emulator(data)


@pytest.fixture(scope="session")
def bundle(data: Dataset, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(emulator, data, tmp_path_factory.mktemp("runtime") / "bundle")


@pytest.fixture
def bindings() -> None:
    if not native_bindings.available():
        pytest.skip("the Fortran bindings are not built (docs/building.md)")


@pytest.fixture
def copied(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the bundle that a test may damage."""
    return Path(shutil.copytree(bundle.path, tmp_path / "bundle"))
