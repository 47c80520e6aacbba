"""The command `emufort run` as its users meet it, on a process without aerosols."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from emufort.files import read_csv, read_json
from emufort.provenance import file_sha256
from emufort.search.identity import study_sha256
from tests.pipeline.runs import command, emufort, results


@pytest.mark.parametrize("width", [520, pytest.param(2048, marks=pytest.mark.exhaustive)])
def test_a_wide_network_reaches_a_verified_bundle(width: int, tmp_path: Path) -> None:
    from tests.conftest import SYNTHETIC_CONFIG, SYNTHETIC_CONTRACT, synthetic_data

    config = SYNTHETIC_CONFIG
    for old, new in (
        ("trials = 8", "trials = 2"),
        ("batch = 4", "batch = 2"),
        ("rungs = [1, 4]", "rungs = [1]"),
        ("depth = [1, 2]", "depth = [2, 2]"),
        ("width = [4, 8]", f"width = [{width}]"),
        ("top = 3\nseeds = 2\nsteps = 400", "top = 1\nseeds = 1\nsteps = 4"),
    ):
        assert old in config
        config = config.replace(old, new)
    (tmp_path / "evaporation.toml").write_text(SYNTHETIC_CONTRACT)
    (tmp_path / "run.toml").write_text(config)
    synthetic_data().to_netcdf(tmp_path / "evaporation.nc")
    environment = {**os.environ, "OMP_STACKSIZE": "256k"}
    done = emufort("run", tmp_path / "run.toml", "--out", tmp_path / "out", env=environment)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert read_json(tmp_path / "out" / "verification.json")["passed"]
    # the weights of a large network are text
    module = (tmp_path / "out" / "bundle" / "evaporation_emulator.F90").read_text()
    assert "subroutine emufort_decode" in module
    assert "data emufort_weights" not in module
    weights = (tmp_path / "out" / "bundle" / "weights.bin").stat().st_size
    assert weights < len(module) < 1.5 * weights


def test_another_process_reaches_a_verified_bundle_without_touching_python(
    uninterrupted: Path,
) -> None:
    out = uninterrupted / "out"
    verification = read_json(out / "verification.json")
    assert verification["passed"]
    manifest = read_json(out / "bundle" / "manifest.json")
    links = {link["link"]: link["sha256"] for link in manifest["chain"]}
    assert links["study"] == study_sha256(out / "search")
    assert links["data"] == file_sha256(uninterrupted / "evaporation.nc")
    assert all(links.values())
    agreed = {c["name"] for c in verification["comparisons"] if c["passed"]}
    assert agreed >= {"link 'data'", "link 'study'", "link 'candidate'", "sources"}
    text = json.dumps(manifest) + (out / "bundle" / "evaporation_emulator.F90").read_text()
    assert "aerosol" not in text.lower()
    assert "supersaturation" not in (out / "report.html").read_text().lower()
    assert {p.name for p in (out / "bundle").iterdir()} >= {
        "model.onnx",
        "weights.bin",
        "evaporation_emulator.F90",
        "evaporation_emulator.h",
        "evaporation_emulator.hpp",
        "emufort.h",
        "emufort.hpp",
        "emufort_runtime.F90",
        "manifest.json",
        "golden.nc",
        "CMakeLists.txt",
        "MODEL_CARD.md",
        "LICENSE",
    }


def test_a_finished_run_is_not_repeated(uninterrupted: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (uninterrupted / "out").rglob("*.csv")}
    done = emufort("run", uninterrupted / "run.toml", "--out", uninterrupted / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("already finished") == 7
    assert before == {p: p.stat().st_mtime_ns for p in (uninterrupted / "out").rglob("*.csv")}


def test_a_step_without_a_run_leaves_no_folder(tmp_path: Path) -> None:
    done = emufort("select", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "holds no run" in done.stderr
    assert not (tmp_path / "out").exists()


def test_status_names_every_step(uninterrupted: Path) -> None:
    done = emufort("status", "--out", uninterrupted / "out")
    assert done.stdout.count("finished ") == 7
    assert "is finished: nothing is left to do" in done.stdout


def test_a_later_step_can_be_repeated_with_another_option(uninterrupted: Path) -> None:
    out = uninterrupted / "out"
    done = emufort("select", "--out", out, "--rule", "best")
    assert done.returncode == 0, done.stderr
    selection = read_json(out / "selection.json")
    best = min(read_csv(out / "retrain" / "candidates.csv"), key=lambda r: float(r["rmse"]))
    assert selection["choice"] == best["id"]
    done = emufort("run", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("already finished") == 4


@pytest.mark.parametrize(
    ("pattern", "finished"),
    [
        ("search/trials.csv", 6),
        ("retrain/*/weights.safetensors", 6),
        ("bundle/weights.bin", 4),
        ("report.html", 6),
    ],
)
def test_a_result_that_is_lost_or_damaged_is_made_again(
    uninterrupted: Path, tmp_path: Path, pattern: str, finished: int
) -> None:
    out = tmp_path / "out"
    shutil.copytree(uninterrupted / "out", out)
    expected = results(out)
    lost = sorted(out.glob(pattern))[0]
    if pattern.startswith("search"):
        lost.unlink()
    else:
        os.truncate(lost, lost.stat().st_size // 2)
    done = emufort("run", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("already finished") == finished
    assert results(out) == expected
    assert lost.exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--seed", 77, ", not 77; give the old value or choose another --out"),
        ("--trials", 7, "holds 8 finished trials, more than search.trials = 7"),
    ],
)
def test_finished_training_is_not_given_up_for_another_option(
    option: str, value: int, message: str, uninterrupted: Path
) -> None:
    out = uninterrupted / "out"
    done = emufort("run", uninterrupted / "run.toml", "--out", out, option, value)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_finished_run_can_get_more_trials(uninterrupted: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(uninterrupted / "out", out)
    before = results(out)
    done = emufort("search", "--out", out, "--trials", 10)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    after = read_csv(out / "search" / "trials.csv")
    assert [r["number"] for r in after] == [str(n) for n in range(10)]
    done = emufort("time", "--out", out)
    assert done.returncode == 1
    assert "the step 'retrain' of" in done.stderr
    done = emufort("run", "--out", out, "--trials", 12)
    assert done.returncode == 0, done.stderr
    assert "batch 2 has only 2 of 4 candidates" in done.stderr
    assert "already finished" not in done.stdout
    found = results(out)
    assert found["trials"][:8] == before["trials"]  # type: ignore[index]
    assert read_json(out / "verification.json")["passed"]
    study = study_sha256(out / "search")
    assert read_json(out / "bundle" / "manifest.json")["chain"][1]["sha256"] == study
    done = emufort("run", "--out", out)
    assert done.stdout.count("already finished") == 7


@pytest.mark.skipif(shutil.which("gfortran") is None, reason="needs gfortran")
def test_without_a_compiler_a_run_is_reported_but_not_verified(synthetic: Path) -> None:
    out, compiler = synthetic / "out", synthetic / "fortran"
    edit(
        synthetic / "run.toml",
        "repeats = 2",
        f'repeats = 2\nbackend = "onnxruntime"\ncompiler = "{compiler}"',
    )
    for _ in range(2):  # the second time only the verification is tried again
        done = emufort("run", synthetic / "run.toml", "--out", out)
        assert done.returncode == 3, done.stderr
        assert "not verified: there is no Fortran compiler" in done.stderr
        assert done.stderr.count("\n") == 1
        assert "Not verified" in done.stdout
        assert "not verified" in (out / "report.html").read_text()
        words = f"{out} is finished, but not verified: there is no Fortran compiler '{compiler}'; "
        assert words + f"'emufort run --out {out}'" in emufort("status", "--out", out).stdout
    compiler.symlink_to(str(shutil.which("gfortran")))
    done = emufort("run", synthetic / "run.toml", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("already finished") == 5
    assert read_json(out / "verification.json")["status"] == "verified"


#: What a run has written when it is at work on each step.
AT_WORK = (
    "search/trials.csv",
    "retrain/*/weights.safetensors",
    "timing.csv",
    "bundle/weights.bin",
    "verification.json",
)


def test_killed_in_each_step_it_ends_as_if_it_had_not_been(
    uninterrupted: Path, synthetic: Path
) -> None:
    """The moment depends on what the run has written, not on the speed of the machine."""
    out = synthetic / "out"
    arguments = command("run", synthetic / "run.toml", "--out", out)
    codes = []
    for pattern in AT_WORK:
        process = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        while process.poll() is None and not list(out.glob(pattern)):
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        _, errors = process.communicate()
        codes.append(process.returncode)
        assert codes[-1] in (0, -signal.SIGKILL), errors
    assert codes[0] == -signal.SIGKILL
    done = emufort("run", synthetic / "run.toml", "--out", out)
    assert done.returncode == 0, done.stderr
    assert results(out) == results(uninterrupted / "out")
    assert read_json(out / "verification.json")["passed"]


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("delay", [2.5, 4.0, 6.0, 9.0])
def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(
    uninterrupted: Path, synthetic: Path, delay: float
) -> None:
    out = synthetic / "out"
    arguments = command("run", synthetic / "run.toml", "--out", out)
    for _ in range(3):
        process = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    done = emufort("run", synthetic / "run.toml", "--out", out)
    assert done.returncode == 0, done.stderr
    assert results(out) == results(uninterrupted / "out")
    assert read_json(out / "verification.json")["passed"]


def test_two_drivers_in_one_folder_are_refused(synthetic: Path) -> None:
    import fcntl

    out = synthetic / "out"
    out.mkdir()
    with open(out / ".lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = emufort("run", synthetic / "run.toml", "--out", out)
    assert done.returncode == 1
    assert "another emufort is at work" in done.stderr


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("trials = 8", "trails = 8", 2, "unknown key 'search.trails' (did you mean 'trials'?)"),
        ("trials = 8", "trials = 0", 2, "search.trials"),
        ("trials = 8", "trials = ", 2, "not valid TOML"),
        ("rungs = [1, 4]", "rungs = [4, 1]", 2, "ascending"),
        ("subset = 128", "subset = 5000", 1, "a subset of 5000 rows cannot be drawn from the 480"),
        ('"evaporation.nc"', '"absent.nc"', 1, "there is no data file absent.nc"),
        ('"evaporation.toml"', '"absent.toml"', 2, "cannot read the contract absent.toml"),
        ("[verify]", '[select]\nrule = "cheapest"\n[verify]', 2, "cheapest"),
        ("ncol = [1, 16]", "ncol = [0, 16]", 2, "timing.ncol"),
        ("[verify]", '[export]\nname = "2d"\n[verify]', 2, "'2d' cannot name a Fortran module"),
    ],
)
def test_a_bad_configuration_is_one_clear_line(
    synthetic: Path, old: str, new: str, code: int, message: str
) -> None:
    edit(synthetic / "run.toml", old, new)
    done = emufort("run", synthetic / "run.toml", "--out", synthetic / "out")
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (synthetic / "out").exists()


def test_a_contract_in_place_of_a_configuration_is_called_so(synthetic: Path) -> None:
    contract = synthetic / "evaporation.toml"
    for name in ("check", "run"):
        done = emufort(name, contract)
        assert done.returncode == 2
        assert done.stderr == (
            f"error: {contract} is a contract, not a configuration; give it by --contract\n"
        )


def test_names_that_clash_in_fortran_are_found_before_the_training(synthetic: Path) -> None:
    import xarray as xr

    path = synthetic / "evaporation.nc"
    with xr.open_dataset(path) as opened:
        raw = opened.load().rename(wind_speed="ncol", cooling="NCOL_")
    path.unlink()
    raw.to_netcdf(path)
    edit(synthetic / "evaporation.toml", '"wind_speed"', '"ncol"')
    edit(synthetic / "evaporation.toml", '"cooling"', '"NCOL_"')
    for command_name in ("check", "run"):
        options = ("--out", synthetic / "out") if command_name == "run" else ()
        done = emufort(command_name, synthetic / "run.toml", *options)
        assert done.returncode == 1
        assert "become 'ncol_' in Fortran" in done.stderr
    assert not (synthetic / "out").exists()


def test_bad_data_is_one_clear_line_and_leaves_no_folder(synthetic: Path) -> None:
    import xarray as xr

    path = synthetic / "evaporation.nc"
    with xr.open_dataset(path) as opened:
        raw = opened.load()
    raw.cooling.values[7] = np.nan
    path.unlink()
    raw.to_netcdf(path)
    done = emufort("run", synthetic / "run.toml", "--out", synthetic / "out")
    assert done.returncode == 1
    assert "cooling is NaN or infinite in 1 of 600 usable rows, first in row 7" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (synthetic / "out").exists()


def test_constant_columns_are_named_by_check(synthetic: Path) -> None:
    import xarray as xr

    done = emufort("check", synthetic / "run.toml")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    path = synthetic / "evaporation.nc"
    with xr.open_dataset(path) as opened:
        raw = opened.load()
    raw.water_temperature.values[:] = 287.1
    raw.cooling.values[:] = 0.0
    path.unlink()
    raw.to_netcdf(path)
    done = emufort("check", synthetic / "run.toml")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1:] == [
        "note: water_temperature is the same in all training rows: "
        "it has no effect on the emulator",
        "note: cooling is the same in all training rows: it is emitted as a constant, "
        "cooling = 0 K",
    ]


def test_debug_shows_the_traceback(synthetic: Path) -> None:
    (synthetic / "evaporation.nc").unlink()
    done = emufort("--debug", "run", synthetic / "run.toml", "--out", synthetic / "out")
    assert "Traceback" in done.stderr


def test_an_output_folder_that_cannot_be_made_is_one_clear_line(synthetic: Path) -> None:
    (synthetic / "file").write_text("")
    done = emufort("run", synthetic / "run.toml", "--out", synthetic / "file" / "out")
    assert done.returncode == 1
    assert "cannot create the folder" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_full_disk_is_one_clear_line_and_the_run_goes_on_later(synthetic: Path) -> None:
    """A limit on the size of files stands in for the full disk: writing fails in the same way."""
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    out = synthetic / "out"
    done = emufort("run", synthetic / "run.toml", "--out", out, preexec_fn=limit)
    assert done.returncode == 1, done.stdout
    assert done.stderr.count("\n") == 1, done.stderr
    assert not list(out.rglob("*.part"))
    done = emufort("run", synthetic / "run.toml", "--out", out)
    assert done.returncode == 0, done.stderr


def test_times_of_onnx_runtime_are_called_so_everywhere(synthetic: Path) -> None:
    edit(synthetic / "run.toml", "repeats = 2", 'repeats = 2\nbackend = "onnxruntime"')
    out = synthetic / "out"
    done = emufort("run", synthetic / "run.toml", "--out", out)
    assert done.returncode == 0, done.stderr
    assert {row["backend"] for row in read_csv(out / "timing.csv")} == {"onnxruntime"}
    assert "time: ONNX Runtime" in done.stdout
    assert "time: compiled Fortran" not in done.stdout
    caveat = "Times are those of ONNX Runtime, not of the compiled Fortran that a host model runs"
    words = " ".join(done.stdout.split())
    assert caveat in words and "; times of ONNX Runtime" in words
    assert caveat in read_json(out / "selection.json")["reason"]
    card = " ".join((out / "bundle" / "MODEL_CARD.md").read_text().split())
    assert f"selected by skill and measured time. {caveat}" in card
    report = (out / "report.html").read_text()
    assert report.count(caveat) == 2
    assert "ns per sample in ONNX Runtime" in report
    assert caveat in " ".join(emufort("time", "--out", out).stdout.split())


def test_times_of_compiled_fortran_need_no_caveat(uninterrupted: Path) -> None:
    out = uninterrupted / "out"
    assert read_json(out / "selection.json")["caveat"] == ""
    for text in ((out / "report.html"), (out / "bundle" / "MODEL_CARD.md")):
        assert "ONNX Runtime, not of the compiled Fortran" not in text.read_text()


def test_a_wanted_compiler_that_is_missing_is_one_clear_line(synthetic: Path) -> None:
    edit(
        synthetic / "run.toml",
        "repeats = 2",
        'repeats = 2\ncompiler = "no-such-fortran"',
    )
    done = emufort("run", synthetic / "run.toml", "--out", synthetic / "out")
    assert done.returncode == 1
    assert "there is no Fortran compiler 'no-such-fortran' on this machine; install" in done.stderr
    assert "'timing.backend = \"onnxruntime\"' times ONNX Runtime instead" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (synthetic / "out").exists()


@pytest.mark.parametrize(
    "module", ["", ".cli", ".api", ".run.pipeline", ".run.display", ".run.status"]
)
def test_what_users_import_brings_neither_the_benchmark_nor_a_framework(module: str) -> None:
    statement = f"import emufort{module}, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", statement], capture_output=True, text=True, timeout=300, check=True
    )
    modules = set(done.stdout.split())
    assert not {name for name in modules if name.startswith("emufort.benchmark")}
    heavy = {"torch", "onnx", "onnxruntime", "optuna", "xarray", "matplotlib", "scipy", "dask"}
    assert not heavy & modules


def test_help_is_light() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "emufort.cli", "--help"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    for heavy in ("torch", "onnx", "optuna", "xarray", "matplotlib", "scipy", "numpy"):
        assert f"| {heavy}\n" not in done.stderr.replace(" ", "").replace("|", "| ")
