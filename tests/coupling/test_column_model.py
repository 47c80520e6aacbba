"""The column model: the same bits on any decomposition and after a restart; its errors."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from emufort.export import Bundle
from tests.coupling.conftest import COUPLING, TOP, attempt, run
from tests.coupling.test_mpi import SETTINGS

SCRIPTS = COUPLING / "aerosol_activation" / "column_model"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in ("gfortran", "cmake")),
        reason="no gfortran or no cmake",
    ),
    pytest.mark.skipif(
        shutil.which("nf-config") is None,
        reason="no netCDF for Fortran: apt-get install libnetcdff-dev",
    ),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program: out of the build that `make test` made, if there is one."""
    build = TOP / "build" / "fortran"
    if not (build / "CMakeCache.txt").is_file():
        build = tmp_path_factory.mktemp("column_build")
    run("cmake", "-S", TOP, "-B", build, "-DCMAKE_BUILD_TYPE=Release")
    shown = run("cmake", "--build", build, "--parallel", "2", "--target", "column_model")
    assert "Warning" not in shown
    return build / "coupling/aerosol_activation/column_model/column_model"


@pytest.fixture(scope="module")
def five_mode_model(five_mode_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program for the contract of the five modes, and the program that measures its range."""
    build = tmp_path_factory.mktemp("five_mode_build")
    module = build / "emufort_aerosol_contract.F90"
    run(sys.executable, SCRIPTS / "write_contract.py", five_mode_bundle.path, module)
    run(
        *("cmake", "-S", TOP, "-B", build, "-DCMAKE_BUILD_TYPE=Release"),
        f"-DEMUFORT_AEROSOL_CONTRACT={module}",
    )
    targets = ("column_model", "measure_activation")
    shown = run("cmake", "--build", build, "--parallel", "2", "--target", *targets)
    assert "Warning" not in shown
    return build / "coupling/aerosol_activation/column_model/column_model"


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """37 columns of 5 levels, a fifth of them out of the emulator's range."""
    path = tmp_path_factory.mktemp("columns") / "columns.nc"
    script = SCRIPTS / "make_columns.py"
    size = ("--columns", "37", "--levels", "5", "--seed", "3", "--outside", "0.2")
    run(sys.executable, script, path, *size)
    return path


class Case:
    """Runs of the column model in one folder, all with the same input."""

    def __init__(self, model: Path, columns: Path, bundle: Bundle, folder: Path) -> None:
        self.model, self.columns, self.weights, self.folder = model, columns, bundle.weights, folder

    def start(
        self, name: str, launcher: tuple[str, ...] = (), threads: int = 1, **options: object
    ) -> subprocess.CompletedProcess[str]:
        settings: dict[str, object] = {
            "input": self.columns,
            "output": self.folder / f"{name}.nc",
            "weights": self.weights,
            "n_steps": 6,
            "output_every": 1,
            "n_bins": 8,
            "chunk": 16,
            **options,
        }
        lines = [
            f" {key} = {value if isinstance(value, int) else repr(str(value))}"
            for key, value in settings.items()
        ]
        namelist = self.folder / f"{name}.nml"
        namelist.write_text("\n".join(["&column_nml", *lines, "/", ""]))
        environment = {**SETTINGS, "OMP_NUM_THREADS": str(threads)}
        return attempt(*launcher, self.model, namelist, **environment)

    def run(
        self, name: str, launcher: tuple[str, ...] = (), threads: int = 1, **options: object
    ) -> xr.Dataset:
        done = self.start(name, launcher, threads, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        self.shown = done.stdout
        return xr.load_dataset(self.folder / f"{name}.nc", decode_cf=False)


@pytest.fixture
def case(model: Path, columns: Path, bundle: Bundle, tmp_path: Path) -> Case:
    return Case(model, columns, bundle, tmp_path)


@pytest.fixture
def five_mode_case(five_mode_model: Path, five_mode_bundle: Bundle, tmp_path: Path) -> Case:
    columns = tmp_path / "columns.nc"
    run(
        *(sys.executable, SCRIPTS / "make_columns.py", columns, "--bundle", five_mode_bundle.path),
        *("--columns", "23", "--levels", "4", "--seed", "2", "--outside", "0.2"),
    )
    return Case(five_mode_model, columns, five_mode_bundle, tmp_path)


def same_bits(a: xr.Dataset, b: xr.Dataset) -> bool:
    assert set(a.variables) == set(b.variables)
    return all(a[name].values.tobytes() == b[name].values.tobytes() for name in a.variables)


def test_chunks_and_threads(case: Case) -> None:
    reference = case.run("reference")
    counted = case.shown.split("; ranks")[0]
    assert " 0 bad, 0 invalid" in counted and " 0 outside" not in counted
    for chunk in (1, 7, 128):
        assert same_bits(reference, case.run(f"chunk{chunk}", chunk=chunk))
        assert case.shown.split("; ranks")[0] == counted
    for threads in (2, 3):
        assert same_bits(reference, case.run(f"threads{threads}", threads=threads, chunk=4))
        assert case.shown.split("; ranks")[0] == counted
        assert f"threads {threads}" in case.shown


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="no MPI: apt-get install openmpi-bin")
def test_ranks(case: Case) -> None:
    reference = case.run("reference")
    counted = case.shown.split("; ranks")[0]
    for ranks in (2, 3, 4):
        launcher = ("mpirun", "-n", str(ranks))
        assert same_bits(reference, case.run(f"ranks{ranks}", launcher, chunk=5))
        if f"ranks {ranks}" not in case.shown:
            pytest.skip("the column model was built without MPI")
        assert case.shown.split("; ranks")[0] == counted


def test_restart(case: Case) -> None:
    whole = case.run("whole", restart_to=case.folder / "end_of_whole.nc")
    half = case.run("half", n_steps=3, restart_to=case.folder / "half_restart.nc")
    rest = case.run(
        "rest",
        chunk=7,
        restart_from=case.folder / "half_restart.nc",
        restart_to=case.folder / "end_of_rest.nc",
    )
    assert same_bits(whole.isel(time=slice(0, 3)), half)
    assert same_bits(whole.isel(time=slice(3, 6)), rest)
    ends = [
        xr.load_dataset(case.folder / f"end_of_{name}.nc", decode_cf=False)
        for name in ("whole", "rest")
    ]
    assert same_bits(*ends)


def test_output_is_cf_and_complete(case: Case) -> None:
    case.run("output")
    with xr.open_dataset(case.folder / "output.nc") as data:
        assert data.attrs["Conventions"].startswith("CF-")
        assert data["time"].dtype.kind == "M"
        assert dict(data.sizes) == {"time": 6, "level": 5, "column": 37}
        check_history(data)
        for name, variable in data.data_vars.items():
            assert variable.attrs["units"], name
            assert "long_name" in variable.attrs or "standard_name" in variable.attrs, name
        for name in ("arg2000", "emulator", "parcel"):
            drops = data[f"droplet_number_{name}"].values
            drops = drops[np.isfinite(drops)]
            assert drops.size and (drops >= 0).all()
            assert (drops <= 1.001 * data["number_concentration"].max().item()).all()
            albedo = data[f"cloud_albedo_{name}"].values
            albedo = albedo[np.isfinite(albedo)]
            assert ((albedo >= 0) & (albedo < 1)).all()


def check_history(data: xr.Dataset) -> None:
    """The answers of every column are in the output and agree with its counts."""
    answered = data["answered_by"]
    words = answered.attrs["flag_meanings"].split()
    codes = dict(zip(words, answered.attrs["flag_values"], strict=True))
    assert codes["error"] == -1 and codes["emulator"] == 1
    emulated = answered == codes["emulator"]
    outside = answered == codes["ratio"]
    assert emulated.any() and outside.any() and (emulated | outside).all()
    # a step is an output here, so the count of a column is that of its levels
    assert (data["n_outside_range"] == outside.sum("level")).all()
    assert (data["n_by_fall_back"] == 0).all()
    smax = data["max_supersaturation"]
    assert ((smax > 0) & (smax < 1)).all()


def test_history_of_the_classical_scheme(case: Case) -> None:
    data = case.run("classical", scheme="arg2000", with_truth=False)
    words = data["answered_by"].attrs["flag_meanings"].split()
    assert (data["answered_by"] == words.index("arg2000") - 1).all()
    assert (data["n_outside_range"] == 0).all()


def test_counts_are_of_all_steps_since_the_last_output(case: Case) -> None:
    each = case.run("each", with_truth=False)
    some = case.run("some", with_truth=False, output_every=3)
    for name in ("n_outside_range", "n_by_fall_back"):
        sums = each[name].values.reshape(2, 3, -1).sum(axis=1)
        assert (some[name].values == sums).all()
    assert some["n_outside_range"].values.any()


def test_five_modes(five_mode_case: Case, five_mode_bundle: Bundle) -> None:
    """The contract of the bundle decides on the modes, in the model and in its columns."""
    case = five_mode_case
    reference = case.run("reference", restart_to=case.folder / "end.nc")
    counted = case.shown.split("; ranks")[0]
    assert " 0 bad, 0 invalid" in counted and " 0 outside" not in counted
    with xr.open_dataset(case.columns) as data:
        assert data.sizes["mode"] == 5
        low, high = data["number_concentration"].min(("column", "level")), data["dry_median_radius"]
        for column in five_mode_bundle.manifest.contract.input_columns:
            if column.variable == "number_concentration":
                assert float(low[column.index]) >= column.lower
            if column.variable == "dry_median_radius":
                assert float(high[column.index].max()) <= column.upper
    with xr.open_dataset(case.folder / "reference.nc") as data:
        check_history(data)
        assert np.isfinite(data["droplet_number_parcel"].values).mean() > 0.9
    assert same_bits(reference, case.run("chunked", chunk=7, threads=2))
    case.run("half", n_steps=3, restart_to=case.folder / "half_restart.nc")
    rest = case.run("rest", chunk=5, restart_from=case.folder / "half_restart.nc")
    assert same_bits(reference.isel(time=slice(3, 6)), rest)


def test_another_number_of_modes_is_refused(
    case: Case, five_mode_case: Case, five_mode_bundle: Bundle
) -> None:
    done = case.start("columns", input=five_mode_case.columns)
    assert done.returncode == 2
    assert "must have the modes of the contract: write it with make_columns.py" in done.stderr
    done = case.start("emulator", weights=five_mode_bundle.weights)
    assert done.returncode == 2 and "another" in done.stderr


def test_the_tables_have_a_row_for_each_contract(
    five_mode_case: Case, five_mode_bundle: Bundle
) -> None:
    case = five_mode_case
    case.run("timed", n_steps=2, with_times=True)
    log = case.folder / "log.txt"
    log.write_text(case.shown)
    folders = []
    for name in ("one", "two"):
        folder = case.folder / name
        attempt(
            *(sys.executable, SCRIPTS / "draw_column.py", case.folder / "timed.nc", folder),
            *("--log", log, "--bundle", five_mode_bundle.path),
        )
        summary = json.loads((folder / "summary.json").read_text())
        assert summary["contract"] == "activation_e3sm_mam5" and len(summary["modes"]) == 5
        (folder / "summary.json").write_text(json.dumps({**summary, "contract": name}))
        measured = run(case.model.parent / "measure_activation", five_mode_bundle.weights, "6")
        (folder / "outside.csv").write_text(measured)
        folders.append(folder)
    pages = {name: case.folder / f"{name}.md" for name in ("outside", "column")}
    for name, page in pages.items():
        page.write_text(f"before\n<!-- {name}: begin -->\nold\n<!-- {name}: end -->\nafter")
    command = [sys.executable, SCRIPTS / "document_figures.py"]
    for page in pages.values():
        command += ["--update", page]
    run(*command, folders[1], *folders)
    texts = [page.read_text() for page in pages.values()]
    for text in texts:
        assert text.startswith("before\n") and text.endswith("\nafter") and "old" not in text
    text = "".join(texts)
    assert "Contract `two`. 6 columns in each case." in text
    assert "no stratospheric coarse mode" in text and "of primary carbon |" in text
    for name in ("one", "two"):
        assert len(re.findall(rf"^\| `{name}` \| 18-8-8-1 tanh \| 0\.\d+ ", text, re.M)) == 1
        assert len(re.findall(rf"^\| `{name}` \| 0\.4 \| ", text, re.M)) == 1
    pages["column"].write_text("nothing")
    done = attempt(*command, *folders)
    assert done.returncode == 1
    assert "0 of the documents have the markers <!-- column: begin --> and end" in done.stderr


def test_off_means_unchanged(case: Case) -> None:
    """With ARG2000 as the scheme the aerosol does not know of the emulator, nor of its policy."""
    own = ["updraft_speed", "droplet_number_arg2000", "cloud_albedo_arg2000"]
    own += ["number_concentration"]
    classical = case.run("classical", scheme="arg2000")
    clipped = case.run("clipped", scheme="arg2000", outside="clip")
    emulated = case.run("emulated")
    assert same_bits(classical[own], clipped[own])
    assert not same_bits(classical[own], emulated[own])


def test_restart_of_another_scheme_and_formula(case: Case) -> None:
    paper = case.run("paper", scheme="arg2000")
    e3sm = case.run("e3sm", scheme="arg2000", formula="e3sm")
    assert not same_bits(paper, e3sm)


def test_errors_are_one_line(case: Case, columns: Path) -> None:
    broken = case.folder / "broken.nc"
    with xr.open_dataset(columns) as data:
        changed = data.load()
    changed["air_pressure"].attrs["units"] = "hPa"
    changed.to_netcdf(broken)
    bad = case.folder / "bad.bin"
    bad.write_bytes(b"\0" * 100)
    for options, message in (
        ({"input": case.folder / "absent.nc"}, "cannot open"),
        ({"input": broken}, "air_pressure must be in Pa, not in hPa"),
        ({"weights": case.folder / "absent.bin"}, "absent.bin"),
        ({"weights": bad}, "bad.bin"),
        ({"scheme": "mbn"}, "scheme must be emulator or arg2000"),
        ({"outside": "guess"}, "outside must be"),
        ({"chunk": 0}, "must be positive"),
        ({"no_such_option": 1}, "no_such_option"),
    ):
        done = case.start("wrong", **options)
        assert done.returncode == 2, done
        lines = [line for line in done.stderr.splitlines() if "column_model:" in line]
        assert len(lines) == 1 and message in lines[0], done.stderr


def test_drawing_judges(case: Case) -> None:
    case.run("drawn")
    script = SCRIPTS / "draw_column.py"
    # random weights are far from the truth
    done = attempt(sys.executable, script, case.folder / "drawn.nc", case.folder / "figures")
    assert done.returncode == 1
    assert "the error must be at least 20 times smaller" in done.stderr
    found = json.loads((case.folder / "figures/summary.json").read_text())
    assert found["arg2000"]["droplet_number_relative_rms"] > 0.05
    for name in ("profiles.png", "errors.png"):
        assert (case.folder / "figures" / name).stat().st_size > 10_000


def test_costs_are_of_the_call_alone(case: Case) -> None:
    case.run("timed", n_steps=1, with_truth=False, with_times=True)
    times = {
        name: float(nanoseconds)
        for name, nanoseconds in re.findall(r"^time (\w+) ([\d.]+) ns", case.shown, re.MULTILINE)
    }
    assert set(times) == {"scalar", "arg2000", "emulator"}
    # the emulator is a network 15-8-8-1 here: far cheaper than one parcel after the other
    assert 0.0 < times["emulator"] < times["scalar"]
    assert 0.0 < times["arg2000"] < times["scalar"]


def test_cost_judges(case: Case) -> None:
    case.run("drawn")
    # as if the emulator were the parcel model, and then too dear
    with xr.open_dataset(case.folder / "drawn.nc", decode_cf=False) as data:
        perfect = data.load()
    for name in ("droplet_number", "cloud_albedo"):
        perfect[f"{name}_emulator"] = perfect[f"{name}_parcel"] * (1.0 + 1e-6)
    perfect.to_netcdf(case.folder / "perfect.nc")
    script = SCRIPTS / "draw_column.py"
    command = (sys.executable, script, case.folder / "perfect.nc", case.folder / "figures")
    log = case.folder / "log.txt"
    for nanoseconds, code in ((299, 0), (301, 1)):
        log.write_text(
            f"time scalar 300.0 ns\ntime arg2000 100.0 ns\ntime emulator {nanoseconds}.0 ns\n"
        )
        done = attempt(*command, "--log", log)
        assert done.returncode == code, done.stdout + done.stderr
        # both forms of ARG2000 are named with what the emulator costs of them
        assert f"the emulator costs {nanoseconds / 300:.2f} times as much" in done.stdout
        assert f"the emulator costs {nanoseconds / 100:.2f} times as much" in done.stdout
    assert "the emulator costs more than ARG2000 as models have it" in done.stderr
