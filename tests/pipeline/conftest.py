"""One run of the synthetic process that nothing disturbs, for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import SYNTHETIC_CONFIG, SYNTHETIC_CONTRACT, synthetic_data
from tests.pipeline.runs import emufort


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "evaporation.toml").write_text(SYNTHETIC_CONTRACT)
    (folder / "run.toml").write_text(SYNTHETIC_CONFIG)
    synthetic_data().to_netcdf(folder / "evaporation.nc")
    done = emufort("run", folder / "run.toml", "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    return folder
