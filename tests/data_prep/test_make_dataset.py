"""Sampling, labelling and writing of the data set."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from activation_data.labelling import Recipe
from activation_data.ranges import (
    GEOMETRIC_STANDARD_DEVIATION,
    MODES,
    RANGES,
    VARIABLES,
)
from activation_data.sampling import sample_split
from activation_data.solver import STATUS_PEAK, ParcelOptions, solve_modes

from emufort.processes.aerosol_activation import arg2000, mbn2014
from emufort.processes.aerosol_activation.head import activated_fractions

SIZES = {"train": 64, "validation": 16, "test": 24}
#: Where the maximum is.
PLACE = ("temperature_at_smax", "height_of_smax", "time_of_smax")
#: Largest relative error of a stored maximum: ten times the tolerance of one step. Measured: 7.2e-5
#: for one of 501 rows, 6.4e-6 for 99 % of them; see "Accuracy" in docs/data.md.
LABEL_ERROR = 10.0 * ParcelOptions().relative_tolerance
#: The labels are compared with solutions whose own error is 1e-7: small against LABEL_ERROR.
REFERENCE = ParcelOptions(relative_tolerance=1e-8, maximum_steps=200_000)
#: No ascending air cools faster than dry air [K m-1].
DRY_LAPSE_RATE = 9.81 / 1004.0


def command(root, out, *extra, **sizes):
    sizes = {**SIZES, **sizes}
    return [
        sys.executable,
        str(root / "data_prep" / "make_dataset.py"),
        *(f"--{name}={value}" for name, value in sizes.items()),
        "--seed=9",
        "--bins=20",
        "--chunk=16",
        f"--out={out}",
        *extra,
    ]


def run(arguments, **kwargs):
    return subprocess.run(arguments, capture_output=True, text=True, timeout=1200, **kwargs)


@pytest.fixture(scope="module")
def made(root, gfortran, tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "small.nc"
    done = run(command(root, out, "--workers=2"))
    assert done.returncode == 0, done.stderr
    return out


def test_samples_are_in_range_and_reproducible():
    low = np.array([np.float32(entry.lower) for entry in RANGES])
    high = np.array([np.float32(entry.upper) for entry in RANGES])
    seen = []
    for split in ("train", "validation", "test"):
        samples = sample_split(split, 64, seed=3)
        assert samples.dtype == np.float32
        assert (samples >= low).all()
        assert (samples <= high).all()
        np.testing.assert_array_equal(samples, sample_split(split, 64, seed=3))
        assert not np.array_equal(samples, sample_split(split, 64, seed=4))
        seen.append(samples)
    assert not np.array_equal(seen[1], seen[2])


def test_a_smaller_training_set_is_the_beginning_of_a_larger_one():
    np.testing.assert_array_equal(sample_split("train", 32, 3), sample_split("train", 128, 3)[:32])


def test_ranges_are_those_of_the_contract():
    bounds = {(entry.variable, entry.mode): (entry.lower, entry.upper) for entry in RANGES}
    assert bounds["air_temperature", None] == (248.0, 310.0)
    # 0.0087 to 0.052 micrometres in diameter
    assert bounds["dry_median_radius", "aitken"] == pytest.approx((4.35e-9, 2.6e-8))
    # 1e-3 to 5 per cubic centimetre
    assert bounds["number_concentration", "coarse"] == pytest.approx((1e3, 5e6))
    assert [entry.variable for entry in RANGES[:3]] == list(VARIABLES[:3])


def test_file_follows_the_data_contract(made):
    with xr.open_dataset(made) as data:
        assert dict(data.sizes) == {"sample": 104, "mode": 4}
        assert list(data["mode"].values) == list(MODES)
        assert data.attrs["Conventions"] == "CF-1.11"
        for name in ("solver", "solver_version", "bins_per_mode", "relative_tolerance", "sampler",
                     "initial_supersaturation", "accommodation_coefficient", "seeds", "range_table",
                     "constants", "history", "title", "license"):  # fmt: skip
            assert name in data.attrs, name
        units = {name: data[name].attrs.get("units") for name in data.data_vars}
        assert units.pop("status") is None
        assert units.pop("split") is None
        assert units == {
            "air_temperature": "K",
            "air_pressure": "Pa",
            "updraft_speed": "m s-1",
            "number_concentration": "m-3",
            "dry_median_radius": "m",
            "hygroscopicity": "1",
            "geometric_standard_deviation": "1",
            "max_supersaturation": "1",
            "number_activated_fraction": "1",
            "mass_activated_fraction": "1",
            "smax_arg2000": "1",
            "smax_mbn2014": "1",
            "temperature_at_smax": "K",
            "height_of_smax": "m",
            "time_of_smax": "s",
        }
        assert all("long_name" in data[name].attrs for name in data.variables)
        assert data["status"].attrs["flag_meanings"].split() == [
            "peak", "no_peak", "never_supersaturated", "solver_failure",
        ]  # fmt: skip
        assert data["split"].attrs["flag_meanings"].split() == ["train", "validation", "test"]
        assert np.bincount(data["split"].values).tolist() == list(SIZES.values())


def inputs_of(data, rows):
    """Inputs of some rows in double precision, and the standard deviations of the modes."""
    sigma = data["geometric_standard_deviation"].values
    np.testing.assert_array_equal(sigma, GEOMETRIC_STANDARD_DEVIATION)
    return {name: data[name].values[rows].astype(np.float64) for name in VARIABLES}, sigma


def check_derived_values(data, rows, peak):
    """What follows from inputs and maximum supersaturation is that; the rest is missing."""
    columns, sigma = inputs_of(data, rows)
    context = columns | {"geometric_standard_deviation": sigma}
    smax = data["max_supersaturation"].values[rows].astype(np.float64)
    np.testing.assert_array_equal(np.isfinite(smax), peak)
    # fractions of the stored, rounded supersaturation: the logarithmic derivative of a fraction
    # is below 0.6, so all that may differ is the rounding to single precision, 1.2e-7
    for name, values in activated_fractions(context, smax).items():
        np.testing.assert_allclose(data[name].values[rows][peak], values[peak], atol=1e-6)
        assert np.isnan(data[name].values[rows][~peak]).all()
    for name, scheme in (("arg2000", arg2000), ("mbn2014", mbn2014)):
        np.testing.assert_allclose(
            data[f"smax_{name}"].values[rows], scheme.max_supersaturation(**context), rtol=1e-6
        )


def test_stored_inputs_are_the_labelled_ones(made):
    # the same build on the same machine: what differs is the rounding to single precision
    with xr.open_dataset(made) as data:
        rows = np.arange(data.sizes["sample"])
        columns, sigma = inputs_of(data, rows)
        found = solve_modes(columns, sigma, bins=20)
        np.testing.assert_array_equal(found.status, data["status"].values)
        peak = found.status == STATUS_PEAK
        assert 0.8 < peak.mean() < 1.0
        for name in ("max_supersaturation", *PLACE):
            np.testing.assert_allclose(
                data[name].values[peak], getattr(found, name)[peak], rtol=1.2e-7
            )
        check_derived_values(data, rows, peak)


@pytest.fixture(scope="module")
def embedded(root, gfortran):
    """Some rows of the embedded data set: data, rows, inputs, and their nearly exact solution."""
    path = root / "python" / "emufort" / "data" / "activation.nc"
    assert path.stat().st_size < 8e6
    with xr.open_dataset(path) as data:
        rows = np.arange(0, data.sizes["sample"], 900)
        columns, sigma = inputs_of(data, rows)
        yield data, rows, columns, solve_modes(columns, sigma, bins=100, options=REFERENCE)


def check_labels(labels, columns, true):
    """Labels are those of the solution, to the accuracy of the solver that made them.

    Labels were made on one CPU: another one rounds differently, takes other steps and errs
    elsewhere. So they are not compared with labels made here, but with the solution at a tolerance
    a thousand times smaller, which is the same on every CPU to 1e-7. A maximum is flat: its place
    is as uncertain as the supersaturation around it is within the solver's error of the maximum,
    which is asked of the solution itself.
    """
    np.testing.assert_array_equal(true.status, labels["status"])
    peak = true.status == STATUS_PEAK
    smax, highest = labels["max_supersaturation"], true.max_supersaturation
    np.testing.assert_allclose(smax[peak], highest[peak], rtol=LABEL_ERROR)
    temperature, height, time_of = (labels[name].astype(np.float64) for name in PLACE)
    moved = np.abs(height - true.height_of_smax)
    for row in np.flatnonzero(peak):
        at = before_maximum(columns, row, true.height_of_smax[row] - moved[row])
        assert at >= (1.0 - LABEL_ERROR) * highest[row], f"the maximum of row {row} is elsewhere"
    cooled = np.abs(temperature - true.temperature_at_smax)[peak]
    of_one_step = ParcelOptions().relative_tolerance * temperature[peak]
    assert (cooled <= DRY_LAPSE_RATE * moved[peak] + of_one_step).all()
    np.testing.assert_allclose((time_of * columns["updraft_speed"])[peak], height[peak], rtol=3e-7)


def before_maximum(columns, row, height):
    """Supersaturation of one row at a height below its maximum: the end of a shorter ascent."""
    options = replace(REFERENCE, maximum_ascent=height)
    one = {name: values[row : row + 1] for name, values in columns.items()}
    found = solve_modes(one, GEOMETRIC_STANDARD_DEVIATION, bins=100, options=options)
    return found.max_supersaturation[0]


def test_embedded_data_set(embedded):
    data, rows, columns, true = embedded
    assert np.bincount(data["split"].values).tolist() == [32768, 4096, 8192]
    assert int(data.attrs["bins_per_mode"]) == 100
    assert float(data.attrs["relative_tolerance"]) == ParcelOptions().relative_tolerance
    names = ("status", "max_supersaturation", *PLACE)
    check_labels({name: data[name].values[rows] for name in names}, columns, true)
    check_derived_values(data, rows, true.status == STATUS_PEAK)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_other_steps_make_labels_that_agree(embedded, factor):
    # what another CPU does to the steps, a slightly other tolerance does on this one, and more
    _, _, columns, true = embedded
    options = ParcelOptions(relative_tolerance=factor * ParcelOptions().relative_tolerance)
    found = solve_modes(columns, GEOMETRIC_STANDARD_DEVIATION, bins=100, options=options)
    check_labels(vars(found), columns, true)


def test_labels_of_a_coarser_model_do_not_agree(embedded):
    _, _, columns, true = embedded
    coarser = solve_modes(columns, GEOMETRIC_STANDARD_DEVIATION, bins=60)
    with pytest.raises(AssertionError):
        check_labels(vars(coarser), columns, true)


def test_workers_do_not_change_the_file(root, made, tmp_path):
    out = tmp_path / "one.nc"
    done = run(command(root, out, "--workers=1"))
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == made.read_bytes()
    assert sorted(x.name for x in tmp_path.iterdir()) == ["one.nc"]


def test_killed_run_continues_and_gives_the_same_file(root, made, tmp_path):
    out = tmp_path / "killed.nc"
    process = subprocess.Popen(
        command(root, out, "--workers=1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120.0
    chunks = []
    while not chunks and time.monotonic() < deadline and process.poll() is None:
        chunks = list((tmp_path / "killed.nc.work").glob("*/chunk_*"))
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert chunks, "the run ended before it stored a chunk"
    if out.exists():
        pytest.skip("this machine finished all chunks before the signal")
    kept = {path: path.stat().st_mtime_ns for path in chunks}
    done = run(command(root, out, "--workers=2"))
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == made.read_bytes()
    assert kept


@pytest.mark.parametrize("to_group", [False, True])
@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
def test_a_signal_ends_it_in_one_line_and_it_continues(
    root, made, tmp_path, number, word, to_group
):
    out = tmp_path / "stopped.nc"
    # Samples by the thousand in small chunks: it is still at work when the signal comes.
    arguments = command(root, out, "--workers=2", train=40000)
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not list((tmp_path / "stopped.nc.work").glob("*/chunk_*")):
        assert process.poll() is None
        time.sleep(0.002)
    begun = time.monotonic()
    (os.killpg if to_group else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert time.monotonic() - begun < 15.0  # 5 s on a machine with cores to spare
    lines = [line for line in errors.splitlines() if "error:" in line]
    assert lines == [f"error: {word}; finished work is kept, the same command continues it"]
    assert "Traceback" not in errors
    assert not out.exists()


def test_finished_chunks_are_not_labelled_again(gfortran, tmp_path):
    from activation_data.labelling import label_in_parallel

    recipe = Recipe(train=40, validation=0, test=0, bins=5, chunk=16)
    samples = recipe.samples()
    first = label_in_parallel(samples, recipe, tmp_path, workers=1)
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    (tmp_path / "chunk_000001.f64").write_bytes(b"torn")
    second = label_in_parallel(samples, recipe, tmp_path, workers=1)
    np.testing.assert_array_equal(first, second)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {name for name in times if times[name] != after[name]} == {"chunk_000001.f64"}


def test_another_recipe_has_another_work_folder():
    recipes = [
        Recipe(8, 0, 0),
        Recipe(8, 0, 0, seed=2),
        Recipe(8, 0, 0, bins=99),
        Recipe(8, 0, 0, options=ParcelOptions(prominence=0.0)),
    ]
    assert len({recipe.fingerprint() for recipe in recipes}) == len(recipes)


def one_line(done):
    lines = done.stderr.strip().splitlines()
    return [line for line in lines if "error:" in line], "Traceback" not in done.stderr


def test_missing_folder_is_said_in_one_line(root, tmp_path):
    done = run(command(root, tmp_path / "none" / "a.nc"))
    errors, clean = one_line(done)
    assert done.returncode == 1
    assert clean
    assert len(errors) == 1
    assert "does not exist" in errors[0]


def test_no_permission_is_said_in_one_line(root, tmp_path):
    prefix = []
    if os.geteuid() == 0:  # the superuser may write anywhere, unless it gives that right up
        if shutil.which("setpriv") is None:
            pytest.skip("run by the superuser, and no setpriv to drop its rights")
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    tmp_path.chmod(0o500)
    done = run([*prefix, *command(root, tmp_path / "a.nc")])
    tmp_path.chmod(0o700)
    errors, clean = one_line(done)
    assert done.returncode == 1
    assert clean
    assert len(errors) == 1
    assert "permission" in errors[0]


def test_full_disk_leaves_nothing_half_written(root, made, tmp_path):
    # a limit of the file size stands for a full disk: chunks fit, the data set does not
    out = tmp_path / "full.nc"
    out.write_bytes(b"old")
    limit = 20_000

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = run(command(root, out, "--workers=1"), preexec_fn=small_files)
    errors, clean = one_line(done)
    assert done.returncode == 1, done.stderr
    assert clean, done.stderr
    assert len(errors) == 1
    assert out.read_bytes() == b"old"
    assert not list(tmp_path.glob("*.part"))
    done = run(command(root, out, "--workers=1"))
    assert done.returncode == 0
    assert out.read_bytes() == made.read_bytes()
