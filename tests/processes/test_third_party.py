"""A process of a separately installed package: labels, pipeline, classical scheme, host program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emufort.benchmark.workers import BaselineWorker
from emufort.cli import execute
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import ContractError, DataError, EmufortError, UsageError
from emufort.export import Bundle, export
from emufort.export.host import write_host
from emufort.processes import HostGlue, Process
from emufort.processes import registry as processes
from emufort.processes.labels import make_labels, write_labels
from emufort.skill import skill_of_baseline, skill_values
from emufort.timing.timers import BaselineProgram, write_samples
from emufort.toolchain.compiler import Compiler
from tests.conftest import PACKAGE, SYNTHETIC_CONFIG, install_process
from tests.export.emulators import random_emulator

FOLDER = Path(__file__).parent / "pond" / "pond_package"
STRICT = "-std=f2018 -Wall -Wextra -Werror"

needs_gfortran = pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for ``sys.path`` with the installed package."""
    folder = install_process(
        tmp_path_factory.mktemp("pond") / "site", "pond", "pond_package.process:PROCESS"
    )
    shutil.copytree(FOLDER, folder / "pond_package", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def pond(site: Path, monkeypatch: pytest.MonkeyPatch) -> Contract:
    for name in [name for name in sys.modules if name.split(".")[0] == "pond_package"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(site))
    processes.process.cache_clear()
    return Contract.load("pond.shallow")


@pytest.fixture
def bundle(pond: Contract, tmp_path: Path) -> Bundle:
    data = Dataset.from_xarray(make_labels("pond.shallow", 100), pond)
    return export(random_emulator(pond, (8,), "tanh"), data, tmp_path / "bundle", golden=8)


def run(*command: object, cwd: Path, site: Path | None = None) -> str:
    path = {} if site is None else {"PYTHONPATH": os.pathsep.join([str(site), PACKAGE])}
    done = subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=cwd,
        env=os.environ | path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_document_shows_the_package() -> None:
    document = (Path(__file__).parents[2] / "docs" / "processes.md").read_text()
    source = (FOLDER / "process.py").read_text()
    for shown in re.findall(r"```python\n(.*?)```", document, re.S):
        assert shown in source


# ------------------------------------------------------------------------------ end to end


@pytest.mark.slow
@needs_gfortran
@needs_make
def test_from_labels_to_a_host_program(site: Path, tmp_path: Path) -> None:
    def emufort(*arguments: object) -> str:
        return run(sys.executable, "-m", "emufort", *arguments, cwd=tmp_path, site=site)

    made = emufort("labels", "pond.shallow", "--samples", 300, "--seed", 2, "--out", "pond.nc")
    assert "sample 600" in made
    config = SYNTHETIC_CONFIG.replace("evaporation.toml", "pond.shallow")
    (tmp_path / "run.toml").write_text(config.replace("evaporation.nc", "pond.nc"))
    emufort("run", "run.toml", "--out", "run", "--quiet")
    times = pd.read_csv(tmp_path / "run/timing.csv").query("id == 'BULK'").set_index("ncol")
    assert set(times.index) == {1, 16} and (times["ns_per_sample"] > 0).all()
    assert "BULK" in (tmp_path / "run/report.html").read_text()
    shown = emufort("export", "--out", "run", "--host", "plain")
    assert "files" in shown
    glue = tmp_path / "run/host/plain"
    lines = run("make", "-s", "run", f"FFLAGS={STRICT}", cwd=glue).splitlines()
    check_host(lines, Bundle.open(tmp_path / "run/bundle"))


def check_host(lines: list[str], bundle: Bundle) -> None:
    """Compare what pond_host printed with Python."""
    rate, *heat = map(float, lines[0].split())
    predicted = bundle.emulator().predict(np.array([[5.0, 0.5, 290.0]]))[0]
    np.testing.assert_allclose([rate, heat[0] / (4.2 * 0.1)], predicted[:2], rtol=1e-5)
    np.testing.assert_allclose(heat[1] / (4.2 * 1.9), predicted[2], rtol=1e-5)
    np.testing.assert_allclose(float(lines[1]), 1e-6 * 3.0 * 0.5 * 3.55, rtol=1e-12)


@pytest.mark.parametrize("compiler", ["gfortran", "flang-22"])
@needs_make
def test_the_glue_takes_the_sources_of_head_and_process(
    bundle: Bundle, tmp_path: Path, compiler: str
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    written = write_host(bundle, "plain", tmp_path / "glue")
    assert {"src/pond_heat.F90", "src/pond_bulk.F90", "example_host.F90"} <= set(written.files)
    strict = STRICT if compiler == "gfortran" else "-std=f2018 -Werror"
    shown = run("make", "-s", "run", f"FC={compiler}", f"FFLAGS={strict}", cwd=written.path)
    check_host(shown.splitlines(), bundle)


@needs_gfortran
@pytest.mark.skipif(shutil.which("cmake") is None, reason="no cmake")
def test_the_glue_builds_with_cmake_within_a_host(bundle: Bundle, tmp_path: Path) -> None:
    glue = write_host(bundle, "plain", tmp_path / "glue").path
    shutil.copy(glue / "example_host.F90", tmp_path / "host.F90")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(host LANGUAGES Fortran)\n"
        "add_subdirectory(glue)\nadd_executable(host host.F90)\n"
        "target_link_libraries(host PRIVATE emufort::evaporation_host)\n"
    )
    run("cmake", "-S", ".", "-B", "build", cwd=tmp_path)
    run("cmake", "--build", "build", cwd=tmp_path)
    check_host(run("build/host", cwd=tmp_path).splitlines(), bundle)


# ------------------------------------------------------------------------- data and judgement


def test_labels_are_made_and_checked(pond: Contract, tmp_path: Path) -> None:
    seen: list[int] = []
    made = write_labels("pond.shallow", 50, 3, tmp_path / "pond.nc", seen.append)
    assert sum(seen) == made.sizes["sample"] == 100
    data = Dataset.open(tmp_path / "pond.nc", pond)
    again = Dataset.from_xarray(make_labels("pond.shallow", 50, 3), pond)
    np.testing.assert_array_equal(data.x, again.x)
    with pytest.raises(UsageError, match="at least 1"):
        make_labels("pond.shallow", 0)
    with pytest.raises(UsageError, match="folder that exists"):
        write_labels("pond.shallow", 5, 1, tmp_path / "none" / "pond.nc")
    with pytest.raises(UsageError, match=r"not for the file .*pond\.toml"):
        make_labels("./pond.toml", 5)


def test_label_makers_that_fail_are_named(
    pond: Contract, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = processes.process("pond")

    def process_with(maker) -> None:
        makers = {} if maker is None else {"shallow": maker}
        found = Process("pond", known.heads, known.timing_sources, FOLDER / "contracts",
                        label_makers=makers)  # fmt: skip
        monkeypatch.setattr(processes, "process", {"pond": found}.__getitem__)

    def fails(samples: int, seed: int, advance: object) -> None:
        raise ZeroDivisionError("no water")

    process_with(fails)
    with pytest.raises(EmufortError, match=r"'pond\.shallow' failed: ZeroDivisionError: no water"):
        make_labels("pond.shallow", 5)
    process_with(lambda *_: known.label_makers["shallow"](5, 1, print).drop_vars("cooling"))
    with pytest.raises(DataError, match="cooling"):
        write_labels("pond.shallow", 5, 1, tmp_path / "pond.nc")
    assert not (tmp_path / "pond.nc").exists()
    process_with(None)
    with pytest.raises(UsageError, match="the process 'pond' has no label makers"):
        make_labels("pond.shallow", 5)


def test_default_data_are_those_of_the_process(pond: Contract, site: Path) -> None:
    with pytest.raises(DataError, match=r"no data file .*pond_package/data/shallow\.nc"):
        Dataset.open(None, pond)
    folder = site / "pond_package" / "data"
    folder.mkdir()
    try:
        made = write_labels("pond.shallow", 20, 1, folder / "shallow.nc")
        assert len(Dataset.open(None, pond)) == made.sizes["sample"]
    finally:
        shutil.rmtree(folder)


def test_a_baseline_of_several_quantities_is_judged(pond: Contract) -> None:
    raw = make_labels("pond.shallow", 100)
    data = Dataset.from_xarray(raw, pond)
    found = skill_of_baseline(data, "BULK")
    assert list(found.columns) == ["heat[skin]", "heat[bottom]"]
    depth = np.array([0.1, 1.9])
    error = 4.2 * depth * (raw["bulk_cooling"].values - raw["cooling"].values)
    np.testing.assert_allclose(found.overall.rmse, np.sqrt(np.mean(error**2)), rtol=1e-12)
    part = data.part("test")
    assert skill_of_baseline(part, "BULK").overall.n == 2 * len(part)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('gives = ["evaporation_rate", "cooling"]', 'gives = "cooling"'), "has 2 in 'variable'"),
        (('gives = ["evaporation_rate", "cooling"]', 'gives = ["cooling", "cooling"]'), "twice"),
        (('gives = ["evaporation_rate", "cooling"]', 'gives = ["a", "evaporation_rate"]'), "needs"),
        (('layer = ["skin", "bottom"]', 'leyer = ["skin", "bottom"]'), "mean 'leyer'|leyer"),
    ],
)
def test_contracts_that_do_not_fit_are_refused(
    pond: Contract, change: tuple[str, str], message: str, tmp_path: Path
) -> None:
    text = (FOLDER / "contracts/shallow.toml").read_text()
    if "leyer" in change[1]:
        text = text.replace('dimension = "layer"', 'dimension = "leyer"')
    assert change[0] in text
    (tmp_path / "pond.toml").write_text(text.replace(*change))
    with pytest.raises(ContractError, match=message) as caught:
        Contract.load(tmp_path / "pond.toml")
    assert "\n" not in str(caught.value)


def test_a_head_must_give_the_shape_that_it_says(
    pond: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = processes.process("pond").heads["heat_loss"]
    monkeypatch.setattr(
        "emufort.skill.processes.head",
        lambda *_: type(head)(lambda x, y: {"heat": y["cooling"][:, :1]}, gives=head.gives),
    )
    with pytest.raises(ContractError, match=r"'heat' in the shape \(3, 1\).*\(3, 2\)"):
        skill_values(pond, np.ones((3, 3)), np.ones((3, 3)))


@needs_gfortran
def test_a_scheme_that_takes_many_columns_is_timed_and_compared(
    pond: Contract, tmp_path: Path
) -> None:
    timed = processes.timing_source("pond", "bulk")
    compiler = Compiler.find("gfortran")
    program = compiler.build(list(timed.sources(pond)), "-O1", tmp_path / "time_bulk")
    x = Dataset.from_xarray(make_labels("pond.shallow", 100), pond).x
    inputs = write_samples(tmp_path / "samples.bin", x)
    timer = BaselineProgram("BULK", "", "", program, "", inputs, takes_ncol=timed.takes_ncol)
    found = timer.measure((1, 16, 50))
    assert set(found) == {1, 16, 50} and min(found.values()) > 0.0
    with pytest.raises(EmufortError, match="no time for 400 columns"):
        timer.measure((1, 400))  # more than there are samples
    worker = BaselineWorker(program, inputs, takes_ncol=True)
    wanted = timed.reference(pond, x)
    np.testing.assert_allclose(worker.check(16), wanted[:16], rtol=1e-12)
    assert worker.time(16, 1.0)[0] > 0.0


# ------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a b.F90"], "the source 'a b.F90' for hosts; name it with letters"),
        (["$(touch sentinel).F90"], "name it with letters"),
        (["emufort_runtime.F90"], "named like a file of the bundle"),
        (["x/scheme.F90", "y/Scheme.F90"], "two sources called 'Scheme.F90'"),
        (["missing.F90"], "cannot read the source .*missing.F90 of the process 'pond'"),
    ],
)
def test_sources_that_cannot_be_used_are_named(
    bundle: Bundle,
    names: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = [tmp_path / name for name in names]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        if path.name != "missing.F90":
            path.write_text("end\n")
    known = processes.process("pond")
    glue = HostGlue(sources=lambda contract: paths)
    found = Process("pond", known.heads, known.timing_sources, host=glue)
    monkeypatch.setattr(processes, "process", {"pond": found}.__getitem__)
    with pytest.raises(EmufortError, match=message) as caught:
        write_host(bundle, "plain", tmp_path / "glue")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "glue").exists()


def test_the_command_says_which_hosts_there_are(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["export", "--bundle", str(bundle.path), "--host", "ccpp"]) == 2
    error = capsys.readouterr().err
    assert "'ccpp' and the contract 'evaporation' of the process 'pond'; it offers plain" in error
    assert execute(["processes"]) == 0
    shown = capsys.readouterr().out
    assert "  timing sources: bulk\n" in shown and "  label makers: shallow\n" in shown
