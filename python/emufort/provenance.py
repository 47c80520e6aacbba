"""The provenance of a result: versions, host, compiler, revision, hashes."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from emufort import __version__
from emufort.toolchain.flags import DEFAULT_COMPILER

_PACKAGES = ("numpy", "torch", "optuna", "xarray", "netCDF4", "onnx", "onnxruntime", "scipy")


def cpu_model() -> str:
    """Return the CPU's model name, with family and model because names in clouds are vague."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    known: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        known.setdefault(key.strip(), value.strip())
    if "model name" not in known:
        return platform.processor() or platform.machine()
    if "cpu family" not in known:
        return known["model name"]
    return f"{known['model name']} (family {known['cpu family']}, model {known['model']})"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def command_version(command: str) -> str | None:
    """Return the first line of ``command --version``, or None when there is no such command."""
    try:
        done = subprocess.run(
            [command, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else None


def git_revision(folder: Path) -> str | None:
    """Return the git revision of the checkout that holds `folder`, or None outside of one."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def versions() -> dict[str, str]:
    """Return the versions of Python, emufort and the packages that results depend on."""
    return dict(_versions())


@cache
def _versions() -> Mapping[str, str]:
    # Each look-up searches the folders of all packages.
    found = {"python": platform.python_version(), "emufort": __version__}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe(compiler: str | None = DEFAULT_COMPILER) -> dict[str, Any]:
    """Return machine, versions and time, for the provenance of a result.

    The version of `compiler` is included, unless it is None.
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "revision": git_revision(Path.cwd()),
        "compiler": None if compiler is None else command_version(compiler),
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "command": sys.argv,
    }
