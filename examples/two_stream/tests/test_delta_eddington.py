"""The classical scheme: numpy against the equations that it solves, Fortran against numpy."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import expm

from emufort.processes import process
from two_stream.dataset import contract, samples
from two_stream.delta_eddington import layer_fluxes

Array = NDArray[np.float64]

optical_depths = st.floats(-3.0, 2.0).map(lambda power: 10.0**power)
coalbedos = st.floats(-6.0, 0.0).map(lambda power: 10.0**power)
asymmetry_factors = st.floats(0.0, 0.9)
cosines = st.floats(0.02, 1.0)


def solved(tau: float, coalbedo: float, g: float, cosine: float) -> Array:
    """Solve the Eddington equations of the scaled layer as a linear system, without formulas."""
    peak = g * g
    omega = (1.0 - coalbedo) * (1.0 - peak) / (1.0 - (1.0 - coalbedo) * peak)
    tau, g = (1.0 - (1.0 - coalbedo) * peak) * tau, (g - peak) / (1.0 - peak)
    gamma1 = (7.0 - omega * (4.0 + 3.0 * g)) / 4.0
    gamma2 = -(1.0 - omega * (4.0 - 3.0 * g)) / 4.0
    gamma3 = (2.0 - 3.0 * g * cosine) / 4.0
    # d/dtau of (upward flux, downward flux, direct flux / cosine); Meador and Weaver, equation 9
    matrix = np.array(
        [
            [gamma1, -gamma2, -omega * gamma3],
            [gamma2, -gamma1, omega * (1.0 - gamma3)],
            [0.0, 0.0, -1.0 / cosine],
        ]
    )
    through = expm(matrix * tau)
    found = []
    for downward, direct in ((0.0, 1.0 / cosine), (1.0, 0.0)):
        # nothing comes from below: the upward flux at the bottom is 0
        upward = -(through[0, 1] * downward + through[0, 2] * direct) / through[0, 0]
        bottom = through @ [upward, downward, direct]
        found += [upward, bottom[1] + cosine * bottom[2]]
    return np.array(found)


@given(
    tau=st.floats(-3.0, 1.0).map(lambda power: 10.0**power),
    coalbedo=coalbedos,
    g=asymmetry_factors,
    cosine=st.floats(0.1, 1.0),
)
@settings(max_examples=100, deadline=None)
def test_the_formulas_solve_the_equations(
    tau: float, coalbedo: float, g: float, cosine: float
) -> None:
    exact = solved(tau, coalbedo, g, cosine)
    reflected = np.clip(exact[0::2], 0.0, 1.0)
    passed = np.clip(exact[1::2], 0.0, 1.0 - reflected)
    found = layer_fluxes(tau, coalbedo, g, cosine)[0]
    assert found[0::2] == pytest.approx(reflected, abs=5e-5)
    assert found[1::2] == pytest.approx(passed, abs=5e-5)


@given(tau=optical_depths, coalbedo=coalbedos, g=asymmetry_factors, cosine=cosines)
def test_fractions_are_fractions(tau: float, coalbedo: float, g: float, cosine: float) -> None:
    found = layer_fluxes(tau, coalbedo, g, cosine)[0]
    assert (found >= 0).all() and (found[0::2] + found[1::2] <= 1.0 + 1e-15).all()


@given(tau=optical_depths, g=asymmetry_factors, cosine=cosines)
def test_energy_is_conserved_without_absorption(tau: float, g: float, cosine: float) -> None:
    found = layer_fluxes(tau, 0.0, g, cosine)[0]
    assert found[0::2] + found[1::2] == pytest.approx([1.0, 1.0], abs=1e-7)


def test_the_singularity_of_the_beam_is_removed() -> None:
    """Where the diffusion exponent times the cosine is 1, numerator and denominator vanish."""
    coalbedo, cosine = 0.48, 1.0 / 1.2
    assert np.sqrt(3.0 * coalbedo) * cosine == pytest.approx(1.0, abs=1e-12)
    offsets = np.array([-1e-3, -1e-5, -1e-9, 0.0, 1e-9, 1e-5, 1e-3])
    found = layer_fluxes(1.0, coalbedo * (1.0 + offsets), 0.0, cosine)
    assert found == pytest.approx(np.tile(solved(1.0, coalbedo, 0.0, cosine), (7, 1)), abs=5e-4)
    assert found[1:-1] == pytest.approx(np.tile(found[3], (5, 1)), abs=2e-5)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("timing")
    timed = process("two_stream").timing_sources["delta_eddington"]
    sources = timed.sources(contract())
    command = ["gfortran", "-O2", "-std=f2018", "-Wall", "-Wextra", "-Werror", "-fcheck=all"]
    command += ["-J", str(folder), *map(str, sources), "-o", str(folder / "program")]
    subprocess.run(command, check=True, timeout=120)
    return folder / "program"


def test_the_timed_program_gives_what_numpy_gives(program: Path, tmp_path: Path) -> None:
    x = samples(1000, seed=4)  # no whole number of blocks
    content = np.array([len(x)], "<f8").tobytes() + x.astype("<f8").tobytes()
    (tmp_path / "samples.bin").write_bytes(content)
    done = subprocess.run(
        [str(program), "samples.bin", "1,300,16", "2", "results.bin"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    times = [line.split(",") for line in done.stdout.splitlines()]
    assert [(int(ncol), int(repeat)) for ncol, repeat, _ in times] == [
        (ncol, repeat) for ncol in (1, 300, 16) for repeat in (1, 2)
    ]
    assert all(float(value) > 0 for _, _, value in times)
    found = np.fromfile(tmp_path / "results.bin", "<f8").reshape(-1, 4)
    timed = process("two_stream").timing_sources["delta_eddington"]
    assert found == pytest.approx(timed.reference(contract(), x), abs=1e-12)


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (b"", ["1", "1"], "cannot read the number of samples"),
        (np.array([2.0, 1.0], "<f8").tobytes(), ["1", "1"], "fewer samples than announced"),
        (np.array([np.nan], "<f8").tobytes(), ["1", "1"], "bad number of samples"),
        (None, ["1", "1"], "cannot open"),
        (b"", ["1", "x"], "usage: time_delta_eddington INPUT NCOL"),
        (b"", ["1,x", "1"], "usage: time_delta_eddington INPUT NCOL"),
        (b"", ["0", "1"], "usage: time_delta_eddington INPUT NCOL"),
        (b"", ["1"], "usage: time_delta_eddington INPUT NCOL"),
    ],
)
def test_a_bad_call_is_one_line(
    program: Path, tmp_path: Path, content: bytes | None, arguments: list[str], message: str
) -> None:
    if content is not None:
        (tmp_path / "samples.bin").write_bytes(content)
    done = subprocess.run(
        [str(program), "samples.bin", *arguments],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert message in done.stderr and done.stderr.count("\n") == 1
