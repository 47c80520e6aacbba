"""From the label maker to a Fortran host program, by the commands of the README."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emufort import Dataset, load
from two_stream import dataset, delta_eddington
from two_stream.process import layer_fluxes

CONFIG = """
contract = "two_stream.layer"
data = "layer.nc"
workers = 1
[search]
trials = 4
batch = 2
subset = 256
validation = 100
rungs = [1, 4]
[search.space]
depth = [1, 2]
width = [16, 32]
[retrain]
top = 2
seeds = 1
steps = 4000
longer = 1
[timing]
ncol = [1, 16]
repeats = 2
[verify]
rows = 500
"""
HOST = Path(__file__).parents[1] / "two_stream" / "host"

pytestmark = pytest.mark.slow


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set and a whole run of `emufort run`."""
    folder = tmp_path_factory.mktemp("layer")
    dataset.write(
        dataset.make_dataset({"train": 2048, "validation": 256, "test": 256}, 1, streams=12),
        folder / "layer.nc",
    )
    (folder / "run.toml").write_text(CONFIG)
    run(sys.executable, "-m", "emufort", "run", "run.toml", "--out", "run", cwd=folder)
    return folder


def test_the_scheme_stands_beside_the_networks(folder: Path) -> None:
    selection = json.loads((folder / "run" / "selection.json").read_text())
    (scheme,) = selection["baselines"]
    assert scheme["name"] == "delta-Eddington"
    assert scheme["ns_per_sample"] > 0
    # the choice is made by the validation samples
    data = Dataset.open(folder / "layer.nc", dataset.contract()).part("validation")
    error = delta_eddington.layer_fluxes(*data.x.T) - layer_fluxes({}, outputs(data.y))["flux"]
    assert scheme["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-5)
    assert min(network["rmse"] for network in selection["all"]) < 0.5 * scheme["rmse"]
    assert "delta-Eddington" in (folder / "run" / "report.html").read_text()
    assert "delta-Eddington" in (folder / "run" / "bundle" / "MODEL_CARD.md").read_text()


def outputs(y: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return {"absorptance": y[:, :2], "reflected_share": y[:, 2:]}


def printed_table(text: str) -> NDArray[np.float64]:
    rows = [line.replace("|", " ").split() for line in text.splitlines()[2:]]
    return np.array(rows, dtype=np.float64)


def expected_table(bundle: Path, table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the host must print, for the inputs that it prints."""
    x = np.column_stack([table[:, 0], table[:, 1], np.full(len(table), 0.85), table[:, 2]])
    y = load(bundle).predict_array(x)
    fluxes = layer_fluxes({}, outputs(y))["flux"]
    scheme = delta_eddington.layer_fluxes(*x.T)
    return np.column_stack([table[:, :3], fluxes[:, :2], scheme[:, :2]])


@pytest.mark.parametrize("compiler", ["gfortran", "flang-22"])
def test_the_host_of_the_makefile_gives_what_python_gives(
    folder: Path, tmp_path: Path, compiler: str
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    bundle = folder / "run" / "bundle"
    run("make", "-f", HOST / "Makefile", f"BUNDLE={bundle}", f"FC={compiler}", cwd=tmp_path)
    table = printed_table(run("./layer_host", cwd=tmp_path))
    assert table.shape == (8, 7)
    assert table == pytest.approx(expected_table(bundle, table), abs=2e-6)


def test_the_host_of_cmake_gives_what_python_gives(folder: Path, tmp_path: Path) -> None:
    bundle = folder / "run" / "bundle"
    run("cmake", "-S", HOST, "-B", "build", f"-DBUNDLE={bundle}", cwd=tmp_path)
    run("cmake", "--build", "build", cwd=tmp_path)
    table = printed_table(run("build/layer_host", cwd=tmp_path))
    assert table == pytest.approx(expected_table(bundle, table), abs=2e-6)
