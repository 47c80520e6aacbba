"""The examples of docs/extending_search.md."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from emufort.config import Config
from tests.conftest import PACKAGE

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "extending_search.md").read_text()
#: Options of the examples -> options that make them small.
SMALL = {
    "trials=64": "trials=4, batch=2, subset=64, validation=64, rungs=(1, 2), workers=1, "
    "space={'depth': (1, 1), 'width': (8,)}",
    'out="runs/seen/retrain"': 'out="runs/seen/retrain", top=2, seeds=1, steps=100, workers=1',
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


def test_the_examples_in_python_run_as_they_stand(uninterrupted: Path, tmp_path: Path) -> None:
    examples = blocks("python")
    if importlib.util.find_spec("tensorboard") is None:
        examples = [one for one in examples if "TensorBoard" not in one]
    script = "\n".join(examples)
    for given, small in SMALL.items():
        assert given in script
        script = script.replace(given, small)
    script += "\nprint(own, study.trials[0].number, len(networks))\n"
    (tmp_path / "script.py").write_text(script)
    shutil.copytree(uninterrupted / "out", tmp_path / "runs" / "a")
    done = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": PACKAGE},
    )
    assert done.returncode == 0, done.stderr
    assert "search begin" in done.stdout
    assert "retrain end" in done.stdout
    assert re.search(r"^\['[^']+64-64[^']+', '[^']+40[^']+'\] 0 \d", done.stdout, re.MULTILINE)
    assert "selection " in done.stdout


def test_the_candidates_of_the_example_are_valid() -> None:
    (example,) = blocks("toml")
    found = Config.from_dict(tomllib.loads(example)).search.enqueue
    assert [one.hidden for one in found] == [(64, 64), (40,)]
