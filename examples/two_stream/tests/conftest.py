"""Makes the process known to the tests where the package is not installed."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]

sys.path.insert(0, str(FOLDER))


@pytest.fixture(autouse=True, scope="session")
def _registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Write what pip would: the entry point of pyproject.toml, found by programs, too."""
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    site = tmp_path_factory.mktemp("site")
    info = site / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = ["[emufort.processes]"]
    lines += [f"{k} = {v}" for k, v in project["entry-points"]["emufort.processes"].items()]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        yield
