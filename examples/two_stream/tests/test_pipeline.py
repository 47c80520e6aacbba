"""From the label maker to a Fortran host program, by the commands of the README."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emufort import Dataset, load
from two_stream import dataset, delta_eddington
from two_stream.head import layer_fluxes

#: A run that keeps a configuration continues with it: the README's command, small.
CONFIG = """
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
#: Commands of the README in the place of what pip would install.
COMMANDS = {"pip": "exit 0", "emufort": f'exec "{sys.executable}" -m emufort "$@"'}
TOP = Path(__file__).parents[3]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in ("gfortran", "cmake", "make", "bash")),
        reason="no gfortran, cmake, make or bash",
    ),
]


def run(*command: object, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env={**os.environ, **(environment or {})},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def readme(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the commands of the README; return the folder of the run and what was printed."""
    folder = tmp_path_factory.mktemp("layer")
    (folder / "examples").symlink_to(TOP / "examples")
    (folder / "bin").mkdir()
    for name, script in COMMANDS.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)
    (folder / "runs" / "layer").mkdir(parents=True)
    (folder / "runs" / "layer" / "config.toml").write_text(CONFIG)
    text = (TOP / "examples" / "two_stream" / "README.md").read_text()
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    commands = "".join(blocks).replace("--samples 16384", "--samples 2048")
    printed = run("bash", "-e", "-c", commands, cwd=folder, environment={"PATH": path})
    return folder, printed


@pytest.fixture(scope="module")
def folder(readme: tuple[Path, str]) -> Path:
    return readme[0] / "runs" / "layer"


def test_the_scheme_stands_beside_the_networks(folder: Path) -> None:
    selection = json.loads((folder / "selection.json").read_text())
    (scheme,) = selection["baselines"]
    assert scheme["name"] == "delta-Eddington"
    assert scheme["ns_per_sample"] > 0
    # the choice is made by the validation samples
    data = Dataset.open(folder.parents[1] / "layer.nc", dataset.contract()).part("validation")
    error = delta_eddington.layer_fluxes(*data.x.T) - layer_fluxes({}, outputs(data.y))["flux"]
    assert scheme["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-5)
    assert min(network["rmse"] for network in selection["all"]) < 0.5 * scheme["rmse"]
    assert "delta-Eddington" in (folder / "report.html").read_text()
    assert "delta-Eddington" in (folder / "bundle" / "MODEL_CARD.md").read_text()


def outputs(y: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return {"absorptance": y[:, :2], "reflected_share": y[:, 2:]}


def printed_table(text: str) -> NDArray[np.float64]:
    _, *table = [line.replace("|", " ").split() for line in text.splitlines() if "|" in line]
    return np.array(table, dtype=np.float64)


def expected_table(bundle: Path, table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the host must print, for the inputs that it prints."""
    x = np.column_stack([table[:, 0], table[:, 1], np.full(len(table), 0.85), table[:, 2]])
    y = load(bundle).predict_array(x)
    fluxes = layer_fluxes({}, outputs(y))["flux"]
    scheme = delta_eddington.layer_fluxes(*x.T)
    return np.column_stack([table[:, :3], fluxes[:, :2], scheme[:, :2]])


def test_the_host_gives_what_python_gives(readme: tuple[Path, str]) -> None:
    folder, printed = readme
    bundle = folder / "runs" / "layer" / "bundle"
    table = printed_table(printed)
    assert table.shape == (8, 7)
    assert table == pytest.approx(expected_table(bundle, table), abs=2e-6)


def test_the_host_of_cmake_and_flang_gives_what_python_gives(folder: Path, tmp_path: Path) -> None:
    glue = folder / "host" / "plain"
    if shutil.which("flang-22") is None:
        pytest.skip("flang-22 is not installed")
    run("cmake", "-S", glue, "-B", "build", "-DCMAKE_Fortran_COMPILER=flang-22", cwd=tmp_path)
    run("cmake", "--build", "build", cwd=tmp_path)
    table = printed_table(run("build/example_host", cwd=tmp_path))
    assert table == pytest.approx(expected_table(folder / "bundle", table), abs=2e-6)


def test_the_installed_package_is_complete(tmp_path: Path) -> None:
    # Only its version: importing setuptools after distutils is an error.
    try:
        available = int(version("setuptools").partition(".")[0])
    except PackageNotFoundError:
        available = 0
    if available < 77:
        pytest.skip("needs setuptools 77")
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns("*.egg-info", "__pycache__", "build")
    shutil.copytree(TOP / "examples" / "two_stream", source, ignore=ignored)
    command = ["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", source]
    run(sys.executable, *command, "--wheel-dir", tmp_path, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    package = source / "two_stream"
    expected = {
        f"two_stream/{path.relative_to(package)}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        assert expected == {n for n in archive.namelist() if n.startswith("two_stream/")}
