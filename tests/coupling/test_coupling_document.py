"""Every command of docs/coupling.md and docs/hosts runs, in the order of the documents.

The sources of E3SM and CAM are those of tests/coupling/standins, and a case is a folder whose
xmlchange writes down what it is asked. They run twice: with the data that come with emufort and for
all hosts; and after the command for a preset, whose labels are made of a few samples.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emufort.export import Bundle
from tests.coupling.conftest import TOP
from tests.coupling.test_host_physics import STANDINS, answers
from tests.coupling.test_mpi import SETTINGS

DOCUMENT = (TOP / "docs" / "coupling.md").read_text()
COLUMN_MODEL = (TOP / "docs" / "column_model.md").read_text()
HOSTS = {
    name: (TOP / "docs" / "hosts" / f"{name}.md").read_text()
    for name in ("e3sm", "cam", "cime", "ccpp")
}
PATTERN = re.compile(r"^```bash *(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What a block of commands needs, or an empty text, and its commands.
Block = tuple[str, str]
OF_DOCUMENT: list[Block] = PATTERN.findall(DOCUMENT)
BLOCKS: list[Block] = [*OF_DOCUMENT, *(b for text in HOSTS.values() for b in PATTERN.findall(text))]

#: The programs of a case that the documents call. They write down their arguments.
CASE_PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >> "$(dirname "$0")/asked"
"""

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


pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("gfortran", "cmake", "make", "bash")),
    reason="no gfortran, cmake, make or bash",
)


def prepared(folder: Path, config: str) -> dict[str, str]:
    """Make the folder of the commands, with a run that keeps a configuration; return the PATH."""
    tools = folder.parent / "bin"
    tools.mkdir()
    script = f'#!/bin/sh\nexec "{sys.executable}" -m emufort.cli "$@"\n'
    (tools / "emufort").write_text(script)
    (tools / "emufort").chmod(0o755)
    (folder / "runs" / "mine").mkdir(parents=True)
    (folder / "runs" / "mine" / "config.toml").write_text(config)
    return {"PATH": f"{tools}:{os.environ['PATH']}", "FFLAGS": "-O1"}


def execute(blocks: list[Block], folder: Path, environment: dict[str, str]) -> list[str]:
    """Run blocks of commands; return what they print, apart from those that need absent MPI."""
    shown = []
    for needs, commands in blocks:
        if needs == "mpi" and shutil.which("mpirun") is None:
            continue
        done = subprocess.run(
            ["bash", "-eux", "-c", commands],
            cwd=folder,
            env={**os.environ, **SETTINGS, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, commands + done.stdout + done.stderr
        shown.append(done.stdout)
    return shown


@pytest.mark.slow
def test_commands(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    environment = prepared(folder, CONFIG)
    for host, sources in (("eam", "E3SM/components/eam/src"), ("cam", "cam/src")):
        shutil.copytree(STANDINS / host, tmp_path / sources)
    case = tmp_path / "case"
    case.mkdir()
    for program in ("xmlchange", "case.build"):
        (case / program).write_text(CASE_PROGRAM)
        (case / program).chmod(0o755)
    environment |= {
        "E3SM": str(tmp_path / "E3SM"),
        "CESM_CAM": str(tmp_path / "cam"),
        "CASE": str(case),
        "MACHINE": "laptop",
        "GLUE": str(folder / "runs/mine/host/e3sm"),
    }
    assert len(BLOCKS) == 12
    execute([block for block in BLOCKS if block[0] != "preset"], folder, environment)
    asked = (case / "asked").read_text().splitlines()
    with_emulator, without = (line.split("-usr_src ")[1] for line in asked if "-usr_src" in line)
    mods = case / "SourceMods" / "src.eam"
    original = answers("eam", "gfortran", tmp_path / "original")
    emulated = answers("eam", "gfortran", tmp_path / "emulated", mods, Path(with_emulator))
    assert answers("eam", "gfortran", tmp_path / "without", mods, Path(without)) == original
    assert emulated != original and emulated.keys() == original.keys()
    depends = (case / "Depends.laptop.cmake").read_text()
    assert Path(depends.removeprefix("include(").rstrip(")\n")).is_file()
    assert "xmlchange USE_EMUFORT=TRUE" in asked
    assert (case / "SourceMods" / "src.cam" / "emufort_cam.F90").is_file()
    if shutil.which("mpirun") is None:
        pytest.skip("no MPI: its commands were not run")


@pytest.mark.slow
def test_commands_of_a_preset(tmp_path: Path) -> None:
    """The commands after that of the preset continue its run, and the hosts have its contract."""
    folder = tmp_path / "work"
    environment = prepared(folder, f"{CONFIG}[labels]\nsamples = 320\n")
    environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    shown = execute(OF_DOCUMENT, folder, environment)
    assert "labels: done" in shown[0] and "glue for the host" in shown[0]
    assert shown[1].count("already finished") == 8
    bundle = Bundle.open(folder / "runs/mine/bundle")
    assert bundle.manifest.contract.name == "activation_e3sm_mam5"
    assert len(bundle.manifest.contract.dimensions["mode"]) == 5
    assert sum("drops per cm3" in text for text in shown) == 2


def test_what_the_document_names_is_there() -> None:
    for text in (DOCUMENT, *HOSTS.values()):
        for name in re.findall(r"`((?:tests|coupling|mpi)/[\w./]+)`", text):
            assert (TOP / name).exists() or (TOP / "coupling" / name).exists(), name
    defaults = (TOP / "coupling/aerosol_activation/column_model/column_model.F90").read_text()
    namelist = re.search(r"namelist /column_nml/ (.*?)\n\n", defaults, re.DOTALL)
    assert namelist is not None
    for option in re.findall(r"\w+", namelist[1]):
        assert f"`{option}`" in COLUMN_MODEL, option


def test_measured_figures_are_in_the_document() -> None:
    """Each part that a script writes is there, with numbers, and the script would find it."""
    pattern = re.compile(r"<!-- (\w+): begin[^>]*-->\n(.*?)<!-- \1: end -->", re.DOTALL)
    parts = dict(pattern.findall(DOCUMENT))
    assert set(parts) == {"outside"}
    parts |= dict(pattern.findall(COLUMN_MODEL))
    assert set(parts) == {"outside", "column"}
    ratio = re.findall(
        r"^\|.*\| [\d.]+ \| ([\d.]+) \([\d.]+\) \| ([\d.]+) ", parts["outside"], re.M
    )
    assert len(ratio) > 10
    # what the default rests on
    assert all(float(own) < float(classical) for own, classical in ratio)
    # a row for each contract, ns per parcel: ARG2000 as models have it, in the scheme, emulator
    costs = re.findall(r"\| (\d+) \| (\d+) \| (\d+) \|$", parts["column"], re.MULTILINE)
    assert len(costs) >= 3
    assert all(int(emulator) < int(classical) for classical, _, emulator in costs)
    script = (TOP / "coupling/aerosol_activation/column_model/document_figures.py").read_text()
    for name in parts:
        assert f'update(arguments.update, "{name}"' in script
