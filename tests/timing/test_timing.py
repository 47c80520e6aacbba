"""Timing: the table and its rounds, resuming, missing compilers. Never how fast anything is."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from emufort.config import TimingConfig
from emufort.contract import Contract
from emufort.errors import EmufortError
from emufort.files import read_csv
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator, dense_parameters
from emufort.network.scaler import Scaler
from emufort.processes import Process, TimingSource
from emufort.processes import registry as processes
from emufort.processes.aerosol_activation.baseline_programs import arg2000_sources
from emufort.processes.aerosol_activation.fortran import scheme_contract
from emufort.timing import measure as timing
from emufort.timing.measure import COLUMNS, time_candidates
from emufort.timing.timers import BaselineProgram, printed_times, write_inputs, write_samples
from emufort.toolchain.compiler import Compiler, CompilerMissing
from emufort.toolchain.sources import fortran_sources

needs_gfortran = pytest.mark.skipif(
    shutil.which("gfortran") is None, reason="needs a Fortran compiler"
)

#: A program that "times" as a baseline: it takes 100 ns times the first input of the first sample.
BASELINE = """program time_scheme
  use, intrinsic :: iso_fortran_env, only: real64
  implicit none
  character(len=1000) :: path
  real(real64) :: n, first
  integer :: unit
  call get_command_argument(1, path)
  open (newunit=unit, file=trim(path), access='stream', form='unformatted', status='old')
  read (unit) n, first
  print '(a, f0.3)', 'ns_per_sample ', 100*first
  print '(a)', 'checksum 1.0'
end program time_scheme
"""


def no_reference(contract: Contract, features: np.ndarray) -> np.ndarray:
    raise AssertionError("only the benchmark asks for it")


def register_scheme(monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    """Register what the contract's timing_source names."""
    scheme = TimingSource(lambda contract: [source], no_reference, no_reference)
    known = Process("pond_scheme", timing_sources={"scheme": scheme})
    monkeypatch.setattr(processes, "process", {known.name: known}.__getitem__)


def contract_of(baseline: bool = False) -> Contract:
    content = {
        "name": "pond",
        "input": [{"name": "a"}, {"name": "b"}],
        "output": [{"name": "y"}],
    }
    if baseline:
        content["process"] = "pond_scheme"
        content["baseline"] = [
            {
                "name": "SCHEME",
                "variable": "y_scheme",
                "gives": "y",
                "timing_source": "scheme",
            },
            {"name": "UNTIMED", "variable": "y_other", "gives": "y"},
        ]
    return Contract.from_dict(content)


def emulator(contract: Contract, width: int = 8) -> Emulator:
    rng = np.random.default_rng(width)
    affine = ("affine", "affine")
    return Emulator(
        contract,
        Architecture(2, (width,), 1),
        Scaler(affine, np.zeros(2), np.ones(2)),
        Scaler(affine[:1], np.zeros(1), np.ones(1)),
        dense_parameters(
            (rng.normal(size=(width, 2)).astype("f4"), rng.normal(size=(1, width)).astype("f4")),
            (np.zeros(width, "f4"), np.zeros(1, "f4")),
        ),
    )


@pytest.fixture
def candidates(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for number, width in enumerate((4, 8)):
        identity = f"t{number:05d}-s1"
        found[identity] = tmp_path / "retrain" / identity / "weights.safetensors"
        emulator(contract_of(), width).save(found[identity])
    return found


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).random((40, 2)) + 1.0


# ------------------------------------------------------------------------- rounds, by a false clock


@dataclass
class FalseTimer:
    """Takes 10, 11, 12, ... ns, and fails at one measurement if told to."""

    id: str
    log: list[str]
    fails_at: int | None = None
    fingerprint: str = "one"
    kind: str = "candidate"
    backend: str = "fortran"
    compiler: str = "false 1.0"
    flags: str = "-O0"
    count: int = field(default=0)

    def measure(self, ncol: Sequence[int]) -> dict[int, float]:
        if self.count == self.fails_at:
            raise KeyboardInterrupt
        self.log.append(self.id)
        self.count += 1
        return {n: 10.0 + self.count + n for n in ncol}


def with_timers(monkeypatch: pytest.MonkeyPatch, timers: list[FalseTimer]) -> None:
    monkeypatch.setattr(timing, "_timers", lambda *_: timers)


def run(tmp_path: Path, repeats: int = 3, ncol: tuple[int, ...] = (1, 16)) -> list[timing.Time]:
    config = TimingConfig(repeats=repeats, ncol=ncol)
    return time_candidates(
        {"a": Path("a")},
        contract_of(),
        config,
        tmp_path / "timing.csv",
        tmp_path / "work",
        np.ones((20, 2)),
    )


def test_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_timers(monkeypatch, [FalseTimer("a", []), FalseTimer("B", [], kind="baseline")])
    rows = run(tmp_path, repeats=4)
    stored = read_csv(tmp_path / "timing.csv")
    assert tuple(stored[0]) == COLUMNS
    assert [(r["id"], r["kind"], r["ncol"]) for r in stored] == [
        ("a", "candidate", "1"),
        ("a", "candidate", "16"),
        ("B", "baseline", "1"),
        ("B", "baseline", "16"),
    ]
    assert (rows[0].ns_per_sample, rows[0].ns_min, rows[0].ns_max) == (
        statistics.median([12, 13, 14, 15]),
        12.0,
        15.0,
    )
    assert {r["repeats"] for r in stored} == {"4"}
    assert [float(r["ns_per_sample"]) for r in stored] == [r.ns_per_sample for r in rows]


def test_candidates_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    with_timers(monkeypatch, [FalseTimer(name, log) for name in "abc"])
    run(tmp_path)
    rounds = [log[i : i + 3] for i in (0, 3, 6)]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds), "every round has all of them"
    assert [one[0] for one in rounds] == ["a", "b", "c"], "none is always the first"


def test_a_killed_timing_goes_on_with_whole_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    with_timers(monkeypatch, [FalseTimer("a", log), FalseTimer("b", log, fails_at=1)])
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert log == ["a", "b"], "the second round begins with b"
    assert not (tmp_path / "timing.csv").exists()

    log.clear()
    with_timers(monkeypatch, [FalseTimer("a", log), FalseTimer("b", log)])
    run(tmp_path)
    assert log == ["b", "a", "a", "b"], "the first round is kept, the broken one repeated"

    log.clear()
    run(tmp_path)
    assert log == [], "nothing is timed again"
    run(tmp_path, repeats=4)
    assert len(log) == 2, "one more round"
    assert len(read_csv(tmp_path / "timing.csv")) == 4


@pytest.mark.parametrize("what", ["fingerprint", "candidates", "ncol", "damage"])
def test_times_of_another_setting_are_not_mixed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    log: list[str] = []
    with_timers(monkeypatch, [FalseTimer("a", log)])
    run(tmp_path)
    log.clear()
    ncol = (1, 16)
    if what == "fingerprint":
        with_timers(monkeypatch, [FalseTimer("a", log, fingerprint="another")])
    elif what == "candidates":
        with_timers(monkeypatch, [FalseTimer("a", log), FalseTimer("b", log, fingerprint="b")])
    elif what == "ncol":
        ncol = (1, 64)
    else:
        (tmp_path / "work" / "rounds.json").write_text('{"key": 1')
    run(tmp_path, ncol=ncol)
    assert log.count("a") == 3


# ------------------------------------------------------------------ missing compilers


def test_without_a_compiler_onnx_runtime_is_timed(
    tmp_path: Path, candidates: dict[str, Path], x: np.ndarray
) -> None:
    config = TimingConfig(backend="onnxruntime", ncol=(1, 64), repeats=2)
    rows = time_candidates(
        candidates, contract_of(baseline=True), config, tmp_path / "t.csv", tmp_path / "work", x
    )
    assert {(r.id, r.ncol) for r in rows} == {(i, n) for i in candidates for n in (1, 64)}
    assert all(r.backend == "onnxruntime" and r.kind == "candidate" for r in rows)
    assert all(r.compiler.startswith("onnxruntime ") and r.flags == "" for r in rows)
    assert all(0 < r.ns_min <= r.ns_per_sample <= r.ns_max for r in rows)


def test_fortran_without_a_compiler_is_an_error(
    tmp_path: Path, candidates: dict[str, Path], x: np.ndarray
) -> None:
    config = TimingConfig(compiler="no-such-fortran")
    with pytest.raises(CompilerMissing, match="no-such-fortran"):
        time_candidates(candidates, contract_of(), config, tmp_path / "t.csv", tmp_path / "work", x)
    assert not (tmp_path / "t.csv").exists()


def test_nothing_to_time_is_an_error(tmp_path: Path, x: np.ndarray) -> None:
    with pytest.raises(EmufortError, match="no candidate"):
        time_candidates({}, contract_of(), TimingConfig(), tmp_path / "t", tmp_path, x)


# ------------------------------------------------------------------ in Fortran


@needs_gfortran
def test_candidates_and_baselines_in_fortran(
    tmp_path: Path, candidates: dict[str, Path], x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "time_scheme.f90"
    source.write_text(BASELINE)
    register_scheme(monkeypatch, source)
    config = TimingConfig(ncol=(1, 16), repeats=2, flags="-O0", baseline_flags="-O0")
    arguments = (candidates, contract_of(baseline=True), config, tmp_path / "t.csv")
    rows = time_candidates(*arguments, tmp_path / "work", x)
    assert [(r.id, r.kind, r.ncol) for r in rows] == [
        *((i, "candidate", n) for i in candidates for n in (1, 16)),
        *(("SCHEME", "baseline", n) for n in (1, 16)),
    ]
    assert {r.backend for r in rows} == {"fortran"}
    assert {r.flags for r in rows} == {"-O0"}
    assert {r.compiler for r in rows} == {Compiler.find("gfortran").version}
    assert all(r.ns_per_sample > 0 for r in rows)
    assert rows[-1].ns_per_sample == pytest.approx(100 * x[0, 0], abs=0.01)
    again = time_candidates(*arguments, tmp_path / "work", x)
    assert again == rows, "no round is measured again"


@needs_gfortran
def test_a_program_that_fails_is_named(tmp_path: Path) -> None:
    source = tmp_path / "fails.f90"
    source.write_text("program fails\n  error stop 'no such weights'\nend program fails\n")
    program = Compiler.find().build([source], "-O0", tmp_path / "fails")
    timer = BaselineProgram(
        "SCHEME", "", "", program, "", write_samples(tmp_path / "x", np.ones((1, 1)))
    )
    with pytest.raises(EmufortError, match=r"timing SCHEME .*: ERROR STOP no such weights"):
        timer.measure([1])


def test_inputs_are_written_as_the_programs_read_them(tmp_path: Path) -> None:
    x = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    raw = write_inputs(tmp_path / "inputs.bin", x).read_bytes()
    assert np.frombuffer(raw[:8], "<i4").tolist() == [3, 2]
    assert np.frombuffer(raw[8:], "<f8").tolist() == [1, 3, 5, 2, 4, 6]
    raw = write_samples(tmp_path / "samples.bin", x).read_bytes()
    assert np.frombuffer(raw, "<f8").tolist() == [3, 1, 2, 3, 4, 5, 6]


# ------------------------------------------------------------------ what programs print


def test_times_of_programs_that_take_numbers_of_columns_and_of_others() -> None:
    shown = "made for tests\n1,1,30.5\n16,1,6.5\n16,1\n128,1,-1.0\n,,\n"
    assert printed_times(shown, (16, 1, 128, 5), takes_ncol=True) == {16: 6.5, 1: 30.5}
    shown = "ns_per_sample 0.0\nns_per_sample x\n1,1,3.0\n ns_per_sample 12.5\nns_per_sample 3\n"
    assert printed_times(shown, (1, 16), takes_ncol=False) == {1: 12.5, 16: 12.5}
    assert printed_times("checksum 1.0\n", (1, 16), takes_ncol=False) == {}


# ------------------------------------------------------------------ sources


def test_sources_come_in_the_order_of_compilation() -> None:
    names = [path.name for path in fortran_sources("time_emulator")]
    assert names[-2:] == ["emufort_runtime.F90", "time_emulator.F90"]
    names = [path.name for path in arg2000_sources(scheme_contract())]
    assert names == ["emufort_aerosol_contract.F90", "arg2000.F90", "time_arg2000.F90"]
    with pytest.raises(EmufortError, match="no_such_program"):
        fortran_sources("no_such_program")


def test_default_flags_that_a_compiler_does_not_know_are_left_out() -> None:
    class Old:
        def accepted(self, flags: str) -> str:
            return "-O3"

    config = TimingConfig(baseline_flags="-Omine")
    assert timing.flags_of(Old(), config, "flags") == "-O3"  # type: ignore[arg-type]
    assert timing.flags_of(Old(), config, "baseline_flags") == "-Omine"  # type: ignore[arg-type]


def test_an_installed_package_has_the_runtime_in_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "emufort_runtime.F90").write_text(
        "module Kinds\nend module\nmodule emufort_runtime ! the face\n  use kinds\nend module\n"
    )
    (tmp_path / "time_emulator.F90").write_text(
        "program time_emulator\n  use, intrinsic :: iso_fortran_env, only: real64\n"
        "  use Emufort_Runtime, only: x\nend program\n"
    )
    monkeypatch.setattr("emufort.toolchain.sources.fortran_folders", lambda also: (tmp_path,))
    names = [path.name for path in fortran_sources("time_emulator")]
    assert names == ["emufort_runtime.F90", "time_emulator.F90"]
    assert fortran_sources("emufort_runtime") == [tmp_path / "emufort_runtime.F90"]
