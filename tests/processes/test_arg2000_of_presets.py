"""The Fortran program that times ARG2000, compiled with the modes and constants of a preset."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from emufort.processes.aerosol_activation.arg2000 import max_supersaturation
from emufort.processes.aerosol_activation.constants import PhysicalConstants
from emufort.processes.aerosol_activation.fortran import constants_of, widths
from emufort.processes.aerosol_activation.preset import Preset
from emufort.processes.registry import timing_source
from emufort.timing.timers import write_samples
from emufort.toolchain.compiler import Compiler


@pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")
@pytest.mark.parametrize("name", ["echam_ham", "e3sm_mam5"])
def test_the_program_has_the_modes_and_constants_of_the_preset(name: str, tmp_path: Path) -> None:
    preset = Preset.load(name)
    contract, n = preset.contract(), len(preset.modes)
    columns = contract.input_columns
    rng = np.random.default_rng(4)
    lower, upper = (np.array([getattr(c, end) for c in columns]) for end in ("lower", "upper"))
    rows = np.exp(rng.uniform(np.log(lower), np.log(upper), (300, len(columns))))
    timed = timing_source("aerosol_activation", "arg2000")
    sources = timed.write_sources(contract, tmp_path / "sources")
    program = Compiler.find("gfortran").build(sources, "-O2", tmp_path / "time_arg2000")
    inputs = write_samples(tmp_path / "in.bin", rows)

    def results(*options: str) -> np.ndarray:
        command = [str(program), str(inputs), "1", str(tmp_path / "out.bin"), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        return np.fromfile(tmp_path / "out.bin").reshape(len(rows), -1)

    np.testing.assert_allclose(results()[:, 0], timed.reference(contract, rows), rtol=1e-12)
    assert timed.call_reference is not None
    whole = timed.call_reference(contract, rows)
    assert whole.shape == (len(rows), 1 + 2 * n)
    np.testing.assert_allclose(results("call"), whole, rtol=1e-11, atol=1e-14)

    # The reference has the constants of the preset: with others, the results differ.
    t, p, w = rows[:, :3].T
    modes = [rows[:, 3 + i * n : 3 + (i + 1) * n] for i in range(3)]
    same = max_supersaturation(t, p, w, *modes, widths(contract), constants_of(contract))
    np.testing.assert_allclose(whole[:, 0], same, rtol=1e-14)
    others = max_supersaturation(t, p, w, *modes, widths(contract), PhysicalConstants())
    assert (np.abs(others / same - 1.0) > 0.01).mean() > 0.9
