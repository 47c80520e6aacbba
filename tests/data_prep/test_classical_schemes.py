"""ARG2000 and MBN2014 against pyrcel's, and the Fortran ARG2000 against the Python one."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, replace

import numpy as np
import pytest

from emufort.processes.aerosol_activation import arg2000, mbn2014
from emufort.processes.aerosol_activation.constants import PYRCEL
from emufort.processes.aerosol_activation.head import activated_fractions
from emufort.processes.aerosol_activation.labelling.inputs import sampled_inputs
from emufort.processes.aerosol_activation.labelling.sampling import sample_split
from emufort.processes.aerosol_activation.preset import Preset
from emufort.processes.registry import process
from tests.data_prep.conftest import SIGMA, VARIABLES


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


@pytest.mark.parametrize("name", ["mam3", "e3sm_mam4", "e3sm_mam5", "mam7"])
def test_fortran_arg2000_equals_python(name, tmp_path, gfortran):
    contract = Preset.load(name).contract()
    timed = process("aerosol_activation").timing_sources["arg2000"]
    program = tmp_path / "time_arg2000"
    done = subprocess.run(
        [
            *(gfortran, "-O3", "-march=native", "-std=f2018", "-Wall", "-Wextra", "-Werror"),
            *("-J", str(tmp_path), *map(str, timed.write_sources(contract, tmp_path))),
            *("-o", str(program)),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    samples = sample_split("test", 500, 5, sampled_inputs(Preset.load(name))).astype("<f8")
    np.concatenate([[len(samples)], samples.ravel()]).astype("<f8").tofile(tmp_path / "in.bin")
    for extra, reference in (([], timed.reference), (["call"], timed.call_reference)):
        done = subprocess.run(
            [str(program), str(tmp_path / "in.bin"), "3", str(tmp_path / "out.bin"), *extra],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        lines = [line.split() for line in done.stdout.splitlines()]
        assert [line[0] for line in lines] == ["ns_per_sample"] * 3 + ["checksum"]
        assert all(1.0 < float(line[1]) < 1e6 for line in lines[:3])
        python = reference(contract, samples).reshape(len(samples), -1)
        found = np.fromfile(tmp_path / "out.bin").reshape(python.shape)
        np.testing.assert_allclose(found[:, 0], python[:, 0], rtol=1e-12)
        np.testing.assert_allclose(found[:, 1:], python[:, 1:], rtol=1e-9, atol=1e-15)
        assert float(lines[3][1]) == pytest.approx(python[:, 0].mean(), rel=1e-12)

    for arguments in ([], [str(tmp_path / "none.bin"), "3"], [str(tmp_path / "in.bin"), "x"]):
        done = subprocess.run([str(program), *arguments], capture_output=True, text=True)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1


def test_constants_change_what_they_should(fixture_inputs):
    """A host's constants move both schemes as they move the parcel model, and the critical size."""
    constants = Preset.load("e3sm_mam4").physical_constants()
    for scheme in (arg2000, mbn2014):
        pyrcels = scheme.max_supersaturation(**fixture_inputs)
        hosts = scheme.max_supersaturation(**fixture_inputs, constants=constants)
        # latent heat: 11 % more forcing and a stronger sink
        assert 1.02 < np.median(hosts / pyrcels) < 1.12
        only = replace(constants, latent_heat=PYRCEL.latent_heat)
        assert (
            abs(
                np.median(scheme.max_supersaturation(**fixture_inputs, constants=only) / pyrcels)
                - 1.0
            )
            < 0.01
        )


def test_the_head_takes_the_constants_from_its_inputs(fixture_inputs):
    smax = np.full(len(fixture_inputs["air_temperature"]), 2e-3)
    plain = activated_fractions(fixture_inputs, smax)
    same = activated_fractions({**fixture_inputs, **asdict(PYRCEL)}, smax)
    denser = activated_fractions({**fixture_inputs, "density_water": np.array(1100.0)}, smax)
    for name, values in plain.items():
        np.testing.assert_array_equal(same[name], values)
        assert (denser[name] >= values).all() and (denser[name] > values).any()
