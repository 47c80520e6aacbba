"""ARG2000 and MBN2014 against pyrcel's, and the Fortran ARG2000 against the Python one."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from activation_data.ranges import RANGES, VARIABLES, scale_unit_cube, split_columns

from emufort.processes.aerosol_activation import arg2000, mbn2014
from emufort.processes.aerosol_activation.baseline_programs import arg2000_sources
from emufort.processes.aerosol_activation.fortran import scheme_contract, widths
from emufort.processes.aerosol_activation.head import activated_fractions

SIGMA = np.array(widths(scheme_contract()))


@pytest.mark.parametrize(("name", "scheme"), [("arg2000", arg2000), ("mbn2014", mbn2014)])
def test_scheme_agrees_with_pyrcel(name, scheme, pyrcel_fixture, fixture_inputs):
    smax = scheme.max_supersaturation(**fixture_inputs)
    np.testing.assert_allclose(smax, pyrcel_fixture[f"smax_{name}"].values, rtol=1e-6)


def test_arg2000_fractions_agree_with_pyrcel(pyrcel_fixture, fixture_inputs):
    smax = arg2000.max_supersaturation(**fixture_inputs)
    found = activated_fractions(fixture_inputs, smax)["number_activated_fraction"]
    np.testing.assert_allclose(found, pyrcel_fixture["fraction_arg2000"].values, atol=1e-10)


@pytest.mark.parametrize("scheme", [arg2000, mbn2014])
def test_rows_do_not_depend_on_each_other(scheme, fixture_inputs):
    together = scheme.max_supersaturation(**fixture_inputs)
    single = [
        scheme.max_supersaturation(*(fixture_inputs[name][i : i + 1] for name in VARIABLES), SIGMA)[
            0
        ]
        for i in range(8)
    ]
    np.testing.assert_allclose(together[:8], single, rtol=1e-12)


@pytest.mark.parametrize("scheme", [arg2000, mbn2014])
def test_faster_updraft_means_more_supersaturation(scheme, fixture_inputs):
    faster = fixture_inputs | {"updraft_speed": 1.5 * fixture_inputs["updraft_speed"]}
    slow, fast = (scheme.max_supersaturation(**x) for x in (fixture_inputs, faster))
    assert (fast > slow).all()


def test_fortran_arg2000_equals_python(tmp_path, gfortran):
    program = tmp_path / "time_arg2000"
    sources = arg2000_sources()
    done = subprocess.run(
        [
            *(gfortran, "-O3", "-march=native", "-std=f2018", "-Wall", "-Wextra", "-Werror"),
            *("-J", str(tmp_path), *map(str, sources), "-o", str(program)),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    samples = scale_unit_cube(np.random.default_rng(5).random((500, len(RANGES)))).astype("<f8")
    np.concatenate([[len(samples)], samples.ravel()]).astype("<f8").tofile(tmp_path / "in.bin")
    done = subprocess.run(
        [str(program), str(tmp_path / "in.bin"), "3", str(tmp_path / "out.bin")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["ns_per_sample"] * 3 + ["checksum"]
    assert all(1.0 < float(line[1]) < 1e6 for line in lines[:3])
    python = arg2000.max_supersaturation(
        **split_columns(samples), geometric_standard_deviation=SIGMA
    )
    np.testing.assert_allclose(np.fromfile(tmp_path / "out.bin"), python, rtol=1e-12)
    assert float(lines[3][1]) == pytest.approx(python.mean(), rel=1e-12)

    for arguments in ([], [str(tmp_path / "none.bin"), "3"], [str(tmp_path / "in.bin"), "x"]):
        done = subprocess.run([str(program), *arguments], capture_output=True, text=True)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
