"""The Fortran trainer in double precision, which only tests need: built here, in no wheel."""

from __future__ import annotations

import fcntl
import importlib.util
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emufort.training.native_trainer import NativeTrainer

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / "build" / "double_trainer"
#: Nothing of the checkout is built but the extension.
OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "EMUFORT_PYTHON": "ON",
    **dict.fromkeys(("EMUFORT_DATA_PREP", "EMUFORT_ACTIVATION", "EMUFORT_PACKAGE"), "OFF"),
    **dict.fromkeys(("EMUFORT_NATIVE", "BUILD_TESTING"), "OFF"),
    "Python_EXECUTABLE": sys.executable,
}


@cache
def extension() -> Any:
    """Build the extension, which takes some seconds the first time, and import it."""
    for tool in ("cmake", "gfortran"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    if importlib.util.find_spec("f90wrap") is None:
        pytest.skip("f90wrap is not installed")
    options = [f"-D{name}={value}" for name, value in OPTIONS.items()]
    target = "emufort_module_trainer_double"
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(BUILD / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other processes of the same test session may build, too
        for command in (
            ["cmake", "-S", TOP, "-B", BUILD, "--log-level=WARNING", *options],
            ["cmake", "--build", BUILD, "--target", target],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
            assert done.returncode == 0, done.stdout + done.stderr
    (path,) = BUILD.rglob("_trainer_double.*.so")
    spec = importlib.util.spec_from_file_location("_trainer_double", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class DoubleTrainer(NativeTrainer):
    """A `NativeTrainer` in double precision: slow, and there to be compared with other codes."""

    _dtype = np.float64

    def _extension(self, level: int | None) -> Any:
        return extension()
