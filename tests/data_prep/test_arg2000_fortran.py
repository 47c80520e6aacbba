"""The Fortran tests of the parcel model, through CTest."""

from __future__ import annotations

import shutil
import subprocess

import pytest


@pytest.mark.slow
@pytest.mark.usefixtures("gfortran")
def test_ctest(root, tmp_path):
    if shutil.which("cmake") is None:
        pytest.skip("no cmake")
    for command in (
        ["cmake", "-S", str(root / "data_prep"), "-B", str(tmp_path)],
        ["cmake", "--build", str(tmp_path)],
        ["ctest", "--test-dir", str(tmp_path), "--output-on-failure"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Warning" not in done.stdout + done.stderr
