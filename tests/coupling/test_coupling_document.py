"""Every command of docs/coupling.md runs, in the order of the document."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.coupling.conftest import TOP
from tests.coupling.test_mpi import SETTINGS

DOCUMENT = (TOP / "docs" / "coupling.md").read_text()
BLOCKS = re.findall(r"^```bash *(\w*)\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)

#: A run that keeps a configuration continues with it: the same command, small.
CONFIG = """
workers = 1
[search]
trials = 2
batch = 2
subset = 256
validation = 100
rungs = [1]
[search.space]
depth = [1, 1]
width = [8]
[retrain]
top = 1
seeds = 1
steps = 50
[timing]
ncol = [16]
repeats = 1
[select]
ncol = 16
[verify]
rows = 200
"""


@pytest.mark.slow
@pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("gfortran", "cmake", "make", "bash")),
    reason="no gfortran, cmake, make or bash",
)
def test_commands(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    script = f'#!/bin/sh\nexec "{sys.executable}" -m emufort.cli "$@"\n'
    (tools / "emufort").write_text(script)
    (tools / "emufort").chmod(0o755)
    folder = tmp_path / "work"
    (folder / "runs" / "mine").mkdir(parents=True)
    (folder / "runs" / "mine" / "config.toml").write_text(CONFIG)
    environment = {
        **os.environ,
        **SETTINGS,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "FFLAGS": "-O1",
    }
    assert len(BLOCKS) == 7
    skipped = []
    for needs, commands in BLOCKS:
        if needs == "mpi" and shutil.which("mpirun") is None:
            skipped.append("mpi")
            continue
        done = subprocess.run(
            ["bash", "-eux", "-c", commands],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, commands + done.stdout + done.stderr
    if skipped:
        pytest.skip("no MPI: its commands were not run")


def test_what_the_document_names_is_there() -> None:
    for name in re.findall(r"`((?:tests|coupling|mpi)/[\w./]+)`", DOCUMENT):
        assert (TOP / name).exists() or (TOP / "coupling" / name).exists(), name
    defaults = (TOP / "coupling/aerosol_activation/column_model/column_model.F90").read_text()
    namelist = re.search(r"namelist /column_nml/ (.*?)\n\n", defaults, re.DOTALL)
    assert namelist is not None
    for option in re.findall(r"\w+", namelist[1]):
        assert f"`{option}`" in DOCUMENT, option


def test_measured_figures_are_in_the_document() -> None:
    """Each part that a script writes is there, with numbers, and the script would find it."""
    parts = dict(
        re.findall(r"<!-- (\w+): begin[^>]*-->\n(.*?)<!-- \1: end -->", DOCUMENT, re.DOTALL)
    )
    assert set(parts) == {"outside", "column"}
    ratio = re.findall(
        r"^\|.*\| [\d.]+ \| ([\d.]+) \([\d.]+\) \| ([\d.]+) ", parts["outside"], re.M
    )
    assert len(ratio) > 10
    # what the default rests on
    assert all(float(own) < float(classical) for own, classical in ratio)
    costs = [float(x) for x in re.findall(r"\| (\d+) \|$", parts["column"], re.MULTILINE)]
    assert len(costs) == 3 and costs[2] < costs[0]
    script = (TOP / "coupling/aerosol_activation/column_model/document_figures.py").read_text()
    for name in parts:
        assert f'replaced(document, "{name}"' in script
