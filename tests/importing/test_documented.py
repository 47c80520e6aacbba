"""What the pages about the import say is so: every block of the examples runs, every row exists."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emufort.importing.sources.keras.layers import LAYERS
from emufort.importing.sources.keras.operations import OPERATIONS
from emufort.importing.sources.reading import FILES
from tests.conftest import PACKAGE

TOP = Path(__file__).resolve().parents[2]
EXAMPLES = (TOP / "docs/import_examples.md").read_text()
PAGE = (TOP / "docs/import.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", EXAMPLES, re.M | re.S))
#: What a section prints at its end, and the packages that it needs.
PRINTED = {
    "torch, with a contract": (
        r"heating rate in column 2:( +-?\d\.\d+E[+-]\d+){8}\n",
        ["onnxscript"],
    ),
    "Keras, without a contract": (r"rain, snow:( +\d\.\d+E[+-]\d+){2}\n", ["keras"]),
    "ONNX": (r"diffusivity", []),
}


def test_every_section_of_the_examples_is_run() -> None:
    assert set(SECTIONS) == set(PRINTED)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("gfortran") is None or shutil.which("make") is None, reason="needs a compiler"
)
@pytest.mark.parametrize("section", PRINTED)
def test_the_examples_run_as_they_stand(tmp_path: Path, section: str) -> None:
    pattern, packages = PRINTED[section]
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", SECTIONS[section], re.M | re.S)
    assert len(blocks) >= 3
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": PACKAGE,
        "KERAS_HOME": str(tmp_path / "keras"),
    }
    printed = ""
    for language, text in blocks:
        named = re.match(r"[#!] ([\w.]+)\n", text)
        if named:
            (tmp_path / named[1]).write_text(text)
            continue
        assert language == "bash", text
        done = subprocess.run(
            ["bash", "-eu", "-c", text.replace("gfortran -O2", "gfortran -O0")],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, text + done.stdout + done.stderr
        printed = done.stdout
        if "./heating" in text:
            assert "values outside of their range: 1" in printed
            assert re.search(pattern, printed)
    if section != "torch, with a contract":
        assert re.search(pattern, printed), printed


def listed(heading: str) -> set[str]:
    """Return the names in the row of the table of Keras that begins with `heading`."""
    (row,) = re.findall(rf"^\| {heading} \| (.*?) \|$", PAGE, re.M)
    return set(row.split(", "))


def test_the_page_lists_every_layer_and_operation_of_keras() -> None:
    assert listed("layers") == set(LAYERS)
    assert listed("operations of `keras.ops`") == set(OPERATIONS)


def test_the_page_lists_every_kind_of_file() -> None:
    found = set(re.findall(r"^\| `(\.\w+)`", PAGE, re.M))
    assert found == set(FILES)
