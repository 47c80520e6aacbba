"""The benchmark: files, checks and flags. Never how fast anything is."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emufort.benchmark import Options, Result, run
from emufort.benchmark.agreement import TOLERANCE, largest_error
from emufort.benchmark.contender import Bench, Contender
from emufort.benchmark.markdown import BEGIN, END, SUMMARY_BEGIN, SUMMARY_END, update_document
from emufort.benchmark.model import Model
from emufort.benchmark.models import call_of, models_of
from emufort.benchmark.options import CONTENDERS
from emufort.benchmark.result import COLUMNS
from emufort.benchmark.workers import Missing, Process, Worker
from emufort.cli import execute
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError, UsageError
from emufort.export import export
from emufort.files import read_csv
from emufort.processes.aerosol_activation.preset import Preset
from tests.export.emulators import inputs, mixed, random_emulator
from tests.export.forge import sign

needs_gfortran = pytest.mark.skipif(
    shutil.which("gfortran") is None, reason="needs a Fortran compiler"
)

FILES = {"bench.csv", "bench.json", "bench.md", "bench.png"}
NO_COMPILER = "emufort-no-such-compiler"


class Numbers:
    """A worker that answers with the right outputs plus an error, in a made-up time."""

    def __init__(self, model: Model, error: float, ns: float) -> None:
        self._y = model.reference
        self._error = error
        self._ns = ns

    def time(self, ncol: int, milliseconds: float) -> tuple[float, float]:
        return self._ns, self._ns

    def check(self, ncol: int) -> NDArray[np.float64]:
        y = self._y[:ncol].copy()
        y[-1, 0] += self._error
        return y


class Pretended(Contender):
    """A contender of which all is known."""

    title = "pretended"

    def __init__(
        self,
        name: str,
        error: float = 0.0,
        ns: float = 100.0,
        native: bool = False,
        part: bool = False,
        second_of: str | None = None,
    ):
        self.name = name
        self.is_native = native
        self.is_part = part
        self.second_of = second_of
        self._error = error
        self._ns = ns

    for_calls = False

    def runs(self, model: Model) -> bool:
        return super().runs(model) or self.for_calls

    def start(self, bench: Bench, model: Model, threads: int) -> Worker:
        return Numbers(model, self._error, self._ns)


class Absent(Pretended):
    """A contender that the machine does not have."""

    def start(self, bench: Bench, model: Model, threads: int) -> Worker:
        raise Missing("there is no such library")


class Broken(Pretended):
    """A contender that fails when it is called."""

    def start(self, bench: Bench, model: Model, threads: int) -> Worker:
        class Failing(Numbers):
            def check(self, ncol: int) -> NDArray[np.float64]:
                raise EmufortError("it fell over")

        return Failing(model, 0.0, 1.0)


@pytest.fixture(scope="module")
def options() -> Options:
    return Options.quick().changed(compiler=NO_COMPILER, ncol=(1, 16), models=("S",))


# ----------------------------------------------------------------- contenders that are pretended


def test_wrong_numbers_are_flagged_and_win_nothing(options: Options, tmp_path: Path) -> None:
    contenders = (
        Pretended("native-network", ns=50.0, native=True),
        Pretended("openblas", ns=120.0),
        Pretended("torch", error=1e-2, ns=1.0),
    )
    result = run(options, tmp_path, contenders=contenders)
    rows = {row.contender: row for row in result.rows if row.ncol == 16}
    assert rows["torch"].status == "wrong"
    assert "differ" in rows["torch"].note
    assert rows["torch"].max_error is not None and rows["torch"].max_error > TOLERANCE
    assert rows["openblas"].status == "ok" and rows["openblas"].max_error == 0.0
    comparison = next(c for c in result.comparison() if c["ncol"] == 16)
    assert comparison["best_other"] == "openblas"
    assert comparison["speedup"] == pytest.approx(120.0 / 50.0)
    assert "wrong" in (tmp_path / "bench.md").read_text()


def test_a_part_of_a_call_is_compared_with_nobody(options: Options, tmp_path: Path) -> None:
    contenders = (
        Pretended("native-layers", ns=10.0, native=True, part=True),
        Pretended("native-network", ns=50.0, native=True),
        Pretended("openblas", ns=120.0),
    )
    result = run(options, tmp_path, contenders=contenders)
    for cell in result.comparison():
        assert cell["native"] == "native-network"
        assert cell["speedup"] == pytest.approx(120.0 / 50.0)
    text = (tmp_path / "bench.md").read_text()
    assert "| native-layers | 10.0 | 10.0 |" in text
    assert "| native-network | **50.0** | **50.0** |" in text


def test_what_the_second_compiler_made_is_compared_with_the_same_form_alone(
    options: Options, tmp_path: Path
) -> None:
    contenders = (
        Pretended("native-network", ns=50.0, native=True),
        Pretended("second-network", ns=40.0, native=True, second_of="native-network"),
        Pretended("openblas", ns=120.0),
    )
    chosen = options.changed(contenders=CONTENDERS)
    result = run(chosen, tmp_path, contenders=contenders)
    assert {c["native"] for c in result.comparison()} == {"native-network"}
    assert {c["form"] for c in result.compilers()} == {"native-network"}
    assert {c["percent_of_speed"] for c in result.compilers()} == {125.0}
    text = (tmp_path / "bench.md").read_text()
    assert "| S | native-network | 125 | 125 |" in text
    assert "**50.0**" in text and "**40.0**" not in text


def test_a_call_is_compared_with_its_layers_and_the_classical_scheme(
    options: Options, tmp_path: Path
) -> None:
    contenders = (
        Pretended("native-layers", ns=40.0, native=True, part=True),
        Pretended("native-embedded", ns=60.0, native=True),
        Pretended("baseline", ns=120.0),
        Pretended("baseline-call", ns=200.0),
    )
    for contender in contenders:
        contender.for_calls = True
    chosen = options.changed(models=("S", "call-32"))
    result = run(chosen, tmp_path, contenders=contenders)
    assert {c["model"] for c in result.calls()} == {"call-32"}
    for call in result.calls():
        assert (call["over_layers"], call["over_baseline"]) == (1.5, 0.5)
        assert call["over_baseline_call"] == 0.3
    assert "| 1.50 | 0.30 (200 ns) | 0.50 (120 ns) |" in (tmp_path / "bench.md").read_text()


def test_only_emulators_of_its_contract_have_the_call_of_a_head() -> None:
    assert call_of(Contract.load("activation")) is not None
    assert call_of(Contract.load("activation_ratio")) is None
    assert call_of(Contract.load("activation_fractions")) is None


@pytest.mark.parametrize(
    ("contender", "status", "note"),
    [
        (Absent("openblas"), "missing", "no such library"),
        (Broken("openblas"), "failed", "fell over"),
    ],
)
def test_what_cannot_run_is_flagged(
    options: Options, tmp_path: Path, contender: Contender, status: str, note: str
) -> None:
    result = run(options, tmp_path, contenders=(Pretended("torch"), contender))
    rows = [row for row in result.rows if row.contender == "openblas"]
    assert {row.status for row in rows} == {status}
    assert all(note in row.note and row.ns_per_column is None for row in rows)
    assert {row.status for row in result.rows if row.contender == "torch"} == {"ok"}
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == FILES
    assert f"openblas: {status}" in (tmp_path / "bench.md").read_text()


def test_without_a_compiler_all_fortran_is_missing(options: Options, tmp_path: Path) -> None:
    fortran = ("native-network", "native-loaded", "onnxruntime-fortran", "openblas")
    chosen = options.changed(contenders=(*fortran, "onnxruntime-python"))
    result = run(chosen, tmp_path)
    by_name = {row.contender: row for row in result.rows}
    assert {by_name[name].status for name in fortran} == {"missing"}
    assert NO_COMPILER in by_name["openblas"].note
    assert by_name["onnxruntime-python"].status == "ok"
    assert by_name["onnxruntime-python"].percent_of_peak is None
    assert result.about["peak"] is None


# ------------------------------------------------------------------------------ the whole command


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    # -O1 compiles faster, and no time is looked at.
    code = execute(["bench", "--quick", "--ncol", "1,5,40", "--flags=-O1", "--out", str(folder)])
    assert code == 0
    return folder


@needs_gfortran
def test_quick_writes_all_files(quick: Path) -> None:
    assert {path.name for path in quick.iterdir() if path.is_file()} == FILES
    rows = read_csv(quick / "bench.csv")
    assert tuple(rows[0]) == COLUMNS
    content = json.loads((quick / "bench.json").read_text())
    machine = content["machine"]
    assert machine["cpu"] and machine["cores"] >= 1 and machine["load_average"] >= 0
    assert "GNU Fortran" in content["compiler"] and "-O1" in content["flags"]
    assert "-O3" in content["flags_of_others"]
    assert content["versions"]["numpy"]
    assert content["peak"]["gflops"] > 0.0
    assert set(content["peak"]["gflops_by_bits"]) == {"512", "256"}
    assert content["models"][0]["multiply_adds"] == 16 * 32 + 32 * 32 + 32 * 4


@needs_gfortran
def test_quick_checks_every_number(quick: Path) -> None:
    result = Result.read(quick / "bench.json")
    second = {name for name in CONTENDERS if name.startswith("second-")}
    wanted = set(CONTENDERS) - {"torch-compile"} - second
    assert {row.contender for row in result.rows} == wanted
    for row in result.rows:
        if row.status == "missing":
            assert row.contender.startswith(("onnx2c", "openblas", "torch")), row
            continue
        assert row.status == "ok", row
        assert row.max_error is not None and row.max_error <= TOLERANCE
        assert row.repeats == 3
        assert row.ns_per_column is not None and row.ns_min is not None and row.ns_max is not None
        assert 0 < row.ns_min <= row.ns_per_column <= row.ns_max
    ours = result.get("S", "native-network", 40, 1)
    assert ours is not None and ours.percent_of_peak is not None and ours.gflops is not None
    operations = 2 * result.about["models"][0]["multiply_adds"]
    assert ours.gflops == pytest.approx(operations / (ours.ns_per_column or 0), rel=1e-2)


@needs_gfortran
def test_results_are_shown_and_put_into_a_document(
    quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"Before\n\n{BEGIN}\nold\n{END}\n\nAfter\n")
    short = tmp_path / "short.md"
    short.write_text(f"Before\n\n{SUMMARY_BEGIN}\nold\n{SUMMARY_END}\n\nAfter\n")
    source = str(quick / "bench.json")
    done = execute(["bench", "--from", source, "--update", str(document), "--update", str(short)])
    assert done == 0
    assert "old" not in short.read_text() and "After" in short.read_text()
    assert "| 16-32-32-4 relu | 1 | " in short.read_text()
    assert "native-network" in capsys.readouterr().out
    text = document.read_text()
    assert text.startswith("Before") and text.endswith("After\n")
    assert "old" not in text
    assert "| native-network |" in text
    update_document(Result.read(quick / "bench.json"), document)
    assert document.read_text() == text


def test_a_document_without_markers_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("nothing\n")
    with pytest.raises(EmufortError, match="no markers for tables"):
        update_document(Result({"contenders": []}, ()), document)


# -------------------------------------------------------------------------------------- small parts


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--models", "XL"], "XL"),
        (["--contenders", "open-blas"], "did you mean 'openblas'"),
        (["--ncol", "0"], "--ncol"),
        (["--ncol", "many"], "many"),
        (["--models", "bundle"], "--bundle"),
        (["--repeats", "0"], "--repeats"),
    ],
)
def test_wrong_use(arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["bench", *arguments]) == 2
    message = capsys.readouterr().err
    assert word in message and message.count("\n") == 1


def test_options_are_put_in_order() -> None:
    options = Options(ncol=(16, 1, 16), models=("M", "M")).checked()
    assert options.ncol == (1, 16)
    assert options.models == ("M",)
    with pytest.raises(UsageError):
        dataclasses.replace(options, ncol=()).checked()


def test_errors_are_relative_to_value_or_spread() -> None:
    reference = np.array([[100.0, 0.0], [-100.0, 2.0]])
    y = reference + np.array([[1.0, 0.1], [0.0, 0.0]])
    assert largest_error(y, reference, 2) == pytest.approx(0.1)
    assert largest_error(y[:1] * np.nan, reference, 1) == np.inf


def test_a_worker_that_ends_is_an_error() -> None:
    with pytest.raises(EmufortError, match="ended or said"):
        Process(["true"], {})
    with pytest.raises(EmufortError, match="cannot run"):
        Process(["/nowhere/program"], {})


def test_sources_in_a_bundle_are_not_what_is_measured(tmp_path: Path) -> None:
    emulator = random_emulator(mixed(), (8,))
    x = inputs(emulator.contract, 20)
    split, rows = np.zeros(20, np.int8), np.arange(20)
    data = Dataset(emulator.contract, Path("m.nc"), "d" * 64, x, emulator.predict(x), split, rows)
    bundle = export(emulator, data, tmp_path / "bundle", golden=4)
    with bundle.module_source.open("a") as file:
        file.write("! by others\n")
    options = Options(bundle=bundle.path, models=("bundle",), ncol=(1,))
    with pytest.raises(EmufortError, match="is not the file that was exported"):
        models_of(options, tmp_path / "work")
    sign(bundle, keep_sources=True)
    models = models_of(options, tmp_path / "work")
    assert {m.emulator.contract.name for m in models} == {"mixed", "mixed_network"}
    written = [path for path in (tmp_path / "work").rglob("*") if path.is_file()]
    assert written
    assert not any(b"by others" in path.read_bytes() for path in written)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")
@pytest.mark.parametrize(
    "preset", [pytest.param("mam3", marks=pytest.mark.exhaustive), "e3sm_mam5"]
)
def test_the_call_and_the_classical_scheme_of_a_preset(preset: str, tmp_path: Path) -> None:
    """Both are compiled with the modes and constants of the contract, and compared with Python."""
    contract = Preset.load(preset).contract()
    assert call_of(contract) is not None
    emulator = random_emulator(contract, (8,))
    x = inputs(contract, 64)
    split, rows = np.zeros(64, np.int8), np.arange(64)
    data = Dataset(contract, Path("m.nc"), "d" * 64, x, emulator.predict(x), split, rows)
    bundle = export(emulator, data, tmp_path / "bundle", golden=4)
    options = Options(
        bundle=bundle.path,
        models=("bundle",),
        contenders=("native-embedded", "native-loaded", "baseline", "baseline-call"),
        ncol=(1, 16),
        repeats=1,
        milliseconds=1.0,
        threads=(1,),
    )
    result = run(options, tmp_path / "bench")
    calls = [row for row in result.rows if row.model.endswith("-call")]
    assert {row.contender for row in calls} >= {"native-embedded", "native-loaded"}
    assert {row.contender for row in result.rows} == set(options.contenders)
    assert {(row.status, row.note) for row in result.rows} == {("ok", "")}
