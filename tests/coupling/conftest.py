"""A bundle of the activation contract with random weights, made once, and the glue around it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export import Bundle, export
from emufort.export.host import write_host
from emufort.processes.aerosol_activation.preset import Preset
from tests.export.emulators import inputs, random_emulator

TOP = Path(__file__).resolve().parents[2]
COUPLING = TOP / "coupling"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    contract = Contract.load("activation")
    emulator = random_emulator(contract, (8, 8), "tanh")
    folder = tmp_path_factory.mktemp("coupling") / "bundle"
    return export(emulator, Dataset.open(None, contract), folder, golden=8)


@pytest.fixture(scope="session")
def five_mode_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of the preset e3sm_mam5 with random weights and invented labels."""
    contract = Preset.load("e3sm_mam5").contract()
    n = 300
    labels = np.exp(np.random.default_rng(5).normal(-5.0, 1.0, (n, 1)))
    data = Dataset(
        contract,
        source=Path("invented"),
        sha256="0" * 64,
        x=inputs(contract, n, 5),
        y=labels,
        split=np.arange(n, dtype=np.int8) % 3,
        rows=np.arange(n),
        baselines={baseline.name: 1.2 * labels for baseline in contract.baseline},
    )
    folder = tmp_path_factory.mktemp("five_modes") / "bundle"
    return export(random_emulator(contract, (8, 8), "tanh"), data, folder, golden=8)


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
