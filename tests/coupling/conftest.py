"""A bundle of the activation contract with random weights, made once, and the glue around it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export import Bundle, export
from emufort.export.host import write_host
from tests.export.emulators import random_emulator

TOP = Path(__file__).resolve().parents[2]
COUPLING = TOP / "coupling"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    contract = Contract.load("activation")
    emulator = random_emulator(contract, (8, 8), "tanh")
    folder = tmp_path_factory.mktemp("coupling") / "bundle"
    return export(emulator, Dataset.open(None, contract), folder, golden=8)


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
