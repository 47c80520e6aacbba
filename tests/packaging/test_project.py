"""Versions, pins and licences agree over all files that state them."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import emufort

TOP = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())
PINS = dict(
    line.split("==")
    for line in (TOP / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements() -> list[str]:
    project = PROJECT["project"]
    extras = [r for extra in project["optional-dependencies"].values() for r in extra]
    return [*PROJECT["build-system"]["requires"], *project["dependencies"], *extras]


def test_one_version_everywhere() -> None:
    fpm = TOP / "fortran" / "fpm.toml"
    if fpm.exists():
        assert tomllib.loads(fpm.read_text())["version"] == emufort.__version__
    assert f"## {emufort.__version__}" in (TOP / "CHANGELOG.md").read_text()
    try:
        assert metadata.version("emufort") == emufort.__version__
    except metadata.PackageNotFoundError:
        pytest.skip("emufort is used from the checkout, not installed")


@pytest.mark.parametrize("requirement", requirements())
def test_everything_asked_for_is_pinned(requirement: str) -> None:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    assert canonical(name[0]) in {canonical(pin) for pin in PINS}


def test_pins_satisfy_what_is_asked_for() -> None:
    packaging = pytest.importorskip("packaging.requirements")
    pins = {canonical(name): version for name, version in PINS.items()}
    for text in requirements():
        requirement = packaging.Requirement(text)
        assert requirement.specifier.contains(pins[canonical(requirement.name)]), text


def test_torch_is_pinned_without_a_build_label() -> None:
    # `==2.13.0` is satisfied by a CPU build with a label, a labelled pin by that one alone
    assert re.fullmatch(r"\d+\.\d+\.\d+", PINS["torch"])


def test_the_installed_packages_are_the_pinned_ones() -> None:
    pins = {canonical(name): version for name, version in PINS.items()}
    try:
        asked = metadata.requires("emufort") or []
    except metadata.PackageNotFoundError:
        pytest.skip("emufort is used from the checkout, not installed")
    for text in asked:
        if "extra ==" in text:
            continue
        name = re.match(r"[A-Za-z0-9._-]+", text)[0]  # type: ignore[index]
        version = metadata.version(name).partition("+")[0]
        assert version == pins[canonical(name)], name


def test_licence_is_apache() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in (TOP / "LICENSE").read_text()


def test_builds_and_runs_are_ignored_by_git() -> None:
    paths = [
        ".venv/bin/python",
        "build/CMakeCache.txt",
        "runs/demo/report.html",
        "python/emufort/_native.cpython-311-x86_64-linux-gnu.so",
        "python/emufort/_trainer_v4.cpython-311-x86_64-linux-gnu.so",
        "python/emufort/_fortran/emufort_runtime.F90",
        "python/emufort/__pycache__/cli.pyc",
        "data/.activation.nc.abc.part",
    ]
    done = subprocess.run(
        ["git", "-C", str(TOP), "check-ignore", *paths], capture_output=True, text=True, check=False
    )
    if done.returncode == 128:
        pytest.skip("this is no git checkout")
    assert done.stdout.split() == paths
    kept = subprocess.run(
        ["git", "-C", str(TOP), "check-ignore", "python/emufort/data/activation.nc"], check=False
    )
    assert kept.returncode == 1
