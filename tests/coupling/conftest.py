"""A bundle of the activation contract with random weights, made once, and the glue around it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export import Bundle, export
from emufort.export.host import write_host
from emufort.processes.aerosol_activation.preset import Preset
from tests.export.emulators import random_emulator

TOP = Path(__file__).resolve().parents[2]
COUPLING = TOP / "coupling"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    contract = Contract.load("activation")
    emulator = random_emulator(contract, (8, 8), "tanh")
    folder = tmp_path_factory.mktemp("coupling") / "bundle"
    return export(emulator, Dataset.open(None, contract), folder, golden=8)


@pytest.fixture(scope="session")
def preset_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """Return a function that makes a bundle of a preset with random weights, once each."""
    made: dict[str, Bundle] = {}

    def make(name: str) -> Bundle:
        if name not in made:
            contract = Preset.load(name).contract()
            data = Dataset.from_xarray(_samples(contract), contract, Path(f"{name}.nc"), "d" * 64)
            folder = tmp_path_factory.mktemp(name) / "bundle"
            made[name] = export(random_emulator(contract, (8, 8), "tanh"), data, folder, golden=8)
        return made[name]

    return make


@pytest.fixture(scope="session")
def five_mode_bundle(preset_bundle: Callable[[str], Bundle]) -> Bundle:
    return preset_bundle("e3sm_mam5")


def _samples(contract: Contract, n: int = 200) -> xr.Dataset:
    """Return samples of a contract, uniform within the ranges; all outputs are 0.01."""
    rng = np.random.default_rng(7)
    variables = {}
    for variable in contract.input:
        limits = np.array(variable.range, dtype=float).reshape(-1, 2)
        values = rng.uniform(limits[:, 0], limits[:, 1], (n, contract.width(variable)))
        variables[variable.name] = (
            ("sample", *variable.dimensions),
            values.reshape(n, *contract.shape(variable)),
            {"units": variable.units},
        )
    for output in contract.output:
        variables[output.name] = (("sample",), np.full(n, 0.01), {"units": output.units})
    for baseline in contract.baseline:
        variables[baseline.variable] = (("sample",), np.full(n, 0.01), {"units": "1"})
    for name, meanings in (("status", "peak"), ("split", "train validation test")):
        kinds = len(meanings.split())
        flags = (np.arange(n) % kinds).astype(np.int8)
        attrs = {"flag_values": np.arange(kinds, dtype=np.int8), "flag_meanings": meanings}
        variables[name] = (("sample",), flags, attrs)
    return xr.Dataset(variables)


@pytest.fixture
def glue(bundle: Bundle, tmp_path: Path) -> Callable[[str], Path]:
    def write(host: str) -> Path:
        return write_host(bundle, host, tmp_path / host).path

    return write


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """Run a command that must succeed; return what it printed."""
    done = attempt(*command, cwd=cwd, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def attempt(
    *command: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
