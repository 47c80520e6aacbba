"""What `emufort check` and `emufort run` find before any work begins."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest

from emufort import cli
from emufort.checks import LEAST_ROWS, check_run
from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset import rows
from emufort.dataset.dataset import SPLITS, Dataset
from emufort.errors import ContractError, DataError, EmufortError, UsageError
from emufort.files import read_json
from emufort.steps import STEP_NAMES
from emufort.toolchain.compiler import CompilationError, Compiler, CompilerMissing
from tests.conftest import SYNTHETIC_CONTRACT, synthetic_data

SMALL = {"search": {"subset": 16}}


def opened(contract: str = SYNTHETIC_CONTRACT) -> Dataset:
    return Dataset.from_xarray(synthetic_data(), Contract.from_toml(contract), Path("pond.nc"))


def with_rows(**numbers: int) -> Dataset:
    """Return data with the given number of rows in each split."""
    split = np.repeat(np.arange(3, dtype=np.int8), [numbers[name] for name in SPLITS])
    data = opened()
    return dataclasses.replace(data.take(np.arange(len(split))), split=split)


def configured(**sections: Any) -> Config:
    return Config.from_dict({**SMALL, **sections})


# ------------------------------------------------------------------------- numbers of rows


def test_the_least_numbers_of_rows_are_enough() -> None:
    check_run(configured(), with_rows(**LEAST_ROWS), STEP_NAMES)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("missing", [1, 99])
def test_a_split_with_too_few_rows_is_refused(split: str, missing: int) -> None:
    n = max(0, LEAST_ROWS[split] - missing)
    message = f"in the split '{split}'; a run needs at least {LEAST_ROWS[split]} there"
    with pytest.raises(DataError, match=message):
        check_run(configured(), with_rows(**{**LEAST_ROWS, split: n}), STEP_NAMES)


def test_a_run_with_the_least_rows_ends_verified(synthetic: Path) -> None:
    """Two rows to validate and two to test: R2, ranks and spreads of them are numbers or absent."""
    raw = synthetic_data(20)
    flags = {"flag_values": np.arange(3, dtype="i1"), "flag_meanings": "train validation test"}
    raw["part"] = ("sample", np.repeat(np.arange(3, dtype="i1"), [16, 2, 2]), flags)
    raw.to_netcdf(synthetic / "least.nc")
    text = (synthetic / "evaporation.toml").read_text() + '[split]\nvariable = "part"\n'
    (synthetic / "evaporation.toml").write_text(text)
    (synthetic / "least.toml").write_text(
        'contract = "evaporation.toml"\ndata = "least.nc"\nworkers = 1\n'
        "[search]\ntrials = 2\nbatch = 8\nsubset = 16\nrungs = [1]\nspace.width = [4]\n"
        "space.batch_size = [512]\n[retrain]\ntop = 5\nseeds = 1\nsteps = 20\nbatch_size = 4096\n"
        '[timing]\nncol = [16, 300]\nrepeats = 1\nflags = "-O0"\n[verify]\nrows = 16\n'
    )
    out = synthetic / "out"
    done = subprocess.run(
        [sys.executable, "-m", "emufort.cli", "run", synthetic / "least.toml", "--out", out],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert read_json(out / "verification.json")["passed"]
    assert "errors on 2 test rows" in done.stdout


def test_a_subset_larger_than_the_training_rows_is_refused() -> None:
    message = "a subset of 17 rows cannot be drawn from the 16 usable rows"
    with pytest.raises(DataError, match=message):
        check_run(configured(search={"subset": 17}), with_rows(**LEAST_ROWS), STEP_NAMES)
    # A search that is finished asks for no subset.
    check_run(configured(search={"subset": 17}), with_rows(**LEAST_ROWS), STEP_NAMES[1:])


# ------------------------------------------------------------------------ the contract's judges

BASELINE = """
[[baseline]]
name = "Dalton"
variable = "cooling"
gives = "cooling"
"""


def test_a_baseline_that_gives_too_little_is_named() -> None:
    judged = SYNTHETIC_CONTRACT + '[skill]\nvariables = ["cooling"]\n' + BASELINE
    check_run(configured(), opened(judged), STEP_NAMES)
    with pytest.raises(ContractError, match=r"'Dalton': .* judged by 'evaporation_rate'"):
        check_run(configured(), opened(SYNTHETIC_CONTRACT + BASELINE), STEP_NAMES)


def test_a_head_that_does_not_exist_is_found() -> None:
    text = 'process = "aerosol_activation"' + SYNTHETIC_CONTRACT + '[skill]\nhead = "no_such"\n'
    with pytest.raises(EmufortError, match=r"no_such"):
        check_run(configured(), opened(text), STEP_NAMES)


def test_a_timing_source_that_does_not_exist_is_found() -> None:
    judged = SYNTHETIC_CONTRACT + '[skill]\nvariables = ["cooling"]\n' + BASELINE
    text = 'process = "aerosol_activation"' + judged + 'timing_source = "no_such"\n'
    with pytest.raises(EmufortError, match=r"no_such"):
        check_run(configured(), opened(text), STEP_NAMES)


def test_a_head_that_fails_on_the_data_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("albedo\nof the pond")

    monkeypatch.setattr("emufort.skill.skill_values", fail)
    with pytest.raises(ContractError, match=r"fails on the data with KeyError: .*albedo") as caught:
        check_run(configured(), opened(), STEP_NAMES)
    assert "\n" not in str(caught.value)


#: The evaporation relative to a guess, which the host model has.
RELATIVE = SYNTHETIC_CONTRACT.replace(
    "[[output]]",
    '[[input]]\nname = "guess"\nunits = "kg m-2 s-1"\nfeature = false\n'
    'transform = "ln"\n[[output]]',
    1,
).replace("lower_bound", 'relative_to = "guess"\nlower_bound')


@pytest.mark.parametrize("backend", ["fortran", "onnxruntime"])
def test_a_target_that_needs_a_scheme_without_a_time_is_refused(
    tmp_path: Path, backend: str
) -> None:
    """Its time would have to be added to that of the network, or the comparison is unfair."""
    raw = synthetic_data()
    raw["guess"] = raw.evaporation_rate * 1.1
    raw.guess.attrs["units"] = "kg m-2 s-1"
    raw.to_netcdf(tmp_path / "pond.nc")
    (tmp_path / "relative.toml").write_text(
        RELATIVE + '[skill]\nvariables = ["evaporation_rate"]\n'
    )
    judged = SYNTHETIC_CONTRACT + (
        '[skill]\nvariables = ["evaporation_rate"]\n[[baseline]]\nname = "Dalton"\n'
        'variable = "guess"\ngives = "evaporation_rate"\n'
    )
    data = Dataset.open(tmp_path / "pond.nc", Contract.from_toml(judged))
    target = str(tmp_path / "relative.toml")
    config = configured(
        search={"subset": 16, "space": {"target": [target, "cooling=standardise"]}},
        timing={"backend": backend},
    )
    with pytest.raises(UsageError, match="needs the value of the scheme 'Dalton', whose time"):
        check_run(config, data, STEP_NAMES)


# --------------------------------------------------------------------------------- the compiler


def fake_compiler(folder: Path, script: str) -> str:
    """Write a compiler that says its version and then does `script`."""
    path = folder / "fortran"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Fake 1.0" && exit 0\n{script}\n')
    path.chmod(0o755)
    return str(path)


def timed(**options: Any) -> Config:
    return configured(timing=options)


def test_a_missing_compiler_stops_what_needs_it_and_nothing_else() -> None:
    data, missing = opened(), {"compiler": "no-such-fortran"}
    with pytest.raises(CompilerMissing, match="onnxruntime"):
        check_run(timed(**missing), data, STEP_NAMES)
    check_run(timed(**missing), data, ("search", "retrain"))
    check_run(timed(**missing), data, ("verify",))
    check_run(timed(**missing, backend="onnxruntime"), data, STEP_NAMES)
    limited = configured(search={"subset": 16, "max_ns": 100.0}, timing=missing)
    with pytest.raises(CompilerMissing):
        check_run(limited, data, ("search",))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'error: no licence' >&2; exit 1", "does not compile the options: error: no licence"),
        # Writes what is no program to the file named last.
        ('for f; do :; done; echo nothing > "$f"; chmod 755 "$f"', "does not run"),
        ('for f; do :; done; printf "#!/bin/sh\\nexit 3\\n" > "$f"; chmod 755 "$f"', "exit code 3"),
    ],
)
def test_a_compiler_that_does_not_work_is_found(tmp_path: Path, script: str, message: str) -> None:
    with pytest.raises(CompilationError, match=message):
        check_run(timed(compiler=fake_compiler(tmp_path, script)), opened(), STEP_NAMES)


@pytest.mark.parametrize("backend", ["fortran", "onnxruntime"])
def test_flags_that_the_compiler_refuses_are_found(backend: str) -> None:
    with pytest.raises(CompilationError, match="bogus"):
        check_run(timed(backend=backend, flags="-O2 -march=bogus"), opened(), STEP_NAMES)


def test_the_compiler_is_tried_once_in_a_process(tmp_path: Path) -> None:
    script = f"for f; do :; done; echo >> {tmp_path}/calls; echo '#!/bin/sh' > $f; chmod 755 $f"
    compiler = Compiler.find(fake_compiler(tmp_path, script))
    for _ in range(3):
        compiler.try_flags("-O2")
    assert (tmp_path / "calls").read_text().count("\n") == 1


def test_times_of_another_backend_than_was_asked_for_do_not_exist() -> None:
    """There is no choice that takes ONNX Runtime's times where the compiler is missing."""
    with pytest.raises(UsageError, match=r"timing\.backend: .*'fortran' or 'onnxruntime'"):
        timed(backend="auto")


# ---------------------------------------------------------------------------------- the options


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"search": {"max_ns": 50.0, "cost_table": "no/such.csv", "subset": 16}}, "no/such.csv"),
        ({"search": {"subset": 16, "sampler_options": {"gama": 1}}}, "has no option 'gama'"),
        ({"export": {"name": "x" * 40}}, "too long for Fortran"),
        ({"export": {"name": "2d"}}, "cannot name a Fortran module"),
    ],
)
def test_options_that_cannot_work_are_found(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(EmufortError, match=message):
        check_run(configured(**sections), opened(), STEP_NAMES)


@pytest.mark.parametrize("section", ["search", "retrain"])
def test_a_trainer_that_is_not_built_is_found(
    section: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emufort.training.native_trainer.available", lambda: False)
    content: dict[str, dict[str, Any]] = {"retrain": {}, **SMALL}
    content[section] = {**content[section], "backend": "native"}
    with pytest.raises(EmufortError, match="the native trainer is not built here"):
        check_run(Config.from_dict(content), opened(), STEP_NAMES)


def run_in_process(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[str]]:
    code = cli.execute([str(a) for a in arguments])
    return code, capsys.readouterr().err.splitlines()


def single_options() -> list[tuple[str, str]]:
    import typer.main

    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    return [
        (name, parameter.opts[0])
        for name, command in commands.items()
        for parameter in command.params
        if parameter.param_type_name == "option"
        and not parameter.multiple
        and not parameter.is_flag
    ]


def test_an_option_with_one_value_is_given_once(capsys: pytest.CaptureFixture[str]) -> None:
    found = single_options()
    assert ("check", "--data") in found and ("run", "--out") in found and len(found) > 40
    for command, option in found:
        code, lines = run_in_process(capsys, command, option, "1", f"{option}=2")
        assert code == 2, (command, option)
        assert lines == [f"error: {option} is given more than once but takes one value"]


def test_an_option_with_many_values_is_given_often(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = run_in_process(
        capsys, "bench", "--update", "a.md", "--update", "b.md", "--from", "no-such.json"
    )
    assert code == 1
    assert "no-such.json" in lines[0]


# --------------------------------------------------------------------------- what a check costs


def test_check_leaves_nothing_behind(
    synthetic: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rows, "BLOCK", 100)  # so that tables are on disk
    monkeypatch.chdir(synthetic)
    before = sorted(synthetic.rglob("*"))
    assert run_in_process(capsys, "check", "run.toml") == (0, [])
    assert sorted(synthetic.rglob("*")) == before


def test_a_check_in_blocks_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = synthetic_data()
    raw.cooling.values[[250, 400]] = np.nan
    raw.wind_speed.values[[30, 500]] = [99.0, np.inf]
    messages = set()
    for block in (64, 333, 10_000):
        monkeypatch.setattr(rows, "BLOCK", block)
        with pytest.raises(DataError) as caught:
            Dataset.from_xarray(raw, Contract.from_toml(SYNTHETIC_CONTRACT), Path("pond.nc"))
        messages.add(str(caught.value))
    assert len(messages) == 1
    assert (
        "wind_speed is NaN or infinite in 1 of 600 usable rows, first in row 500" in messages.pop()
    )


def write_physics(folder: Path, n: int, rows_first: bool) -> list[str]:
    """Write a contract of 252 values per row and `n` rows; return the command that checks them."""
    contract, path = folder / "physics.toml", folder / f"physics{n}.nc"
    variables = [(f"profile_{i}", "lev") for i in range(2)] + [
        (f"scalar_{i}", "") for i in range(4)
    ]
    outputs = [(f"tendency_{i}", "lev") for i in range(2)] + [(f"flux_{i}", "") for i in range(8)]
    labels = ", ".join(f'"{i}"' for i in range(60))
    text = f'name = "physics"\n[dimensions]\nlev = [{labels}]\n'
    for kind, of in (("input", variables), ("output", outputs)):
        for name, dimension in of:
            text += f'[[{kind}]]\nname = "{name}"\n'
            text += f'dimension = "{dimension}"\n' if dimension else ""
    contract.write_text(text)
    rng = np.random.default_rng(0)
    sizes = {"sample": n, "lev": 60}
    with netCDF4.Dataset(path, "w") as file:
        for name, size in sizes.items():
            file.createDimension(name, size)
        for name, dimension in (*variables, *outputs):
            dims: tuple[str, ...] = ("sample",)
            if dimension:
                dims = ("sample", "lev") if rows_first else ("lev", "sample")
            stored = file.createVariable(name, "f4", dims, zlib=not rows_first, complevel=1)
            stored[:] = rng.standard_normal([sizes[d] for d in dims], dtype=np.float32)
    return ["check", "--contract", str(contract), "--data", str(path)]


def work_of(command: list[str]) -> tuple[int, int]:
    """Return how many functions Python calls in a command, and how many bytes the command reads."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    def n_read() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    before = n_read()
    sys.setprofile(count)
    try:
        assert cli.execute(command) == 0
    finally:
        sys.setprofile(None)
    return calls, n_read() - before


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system does not count reads")
@pytest.mark.parametrize("layout", ["rows first", "levels first, compressed"])
def test_a_check_has_no_python_code_for_each_row_and_reads_no_value_often(
    tmp_path: Path, layout: str
) -> None:
    """One core checks 200,000 rows of 252 values in a few seconds. The test measures no time."""
    few, many = 2_000, 60_000
    rows_first = layout == "rows first"
    # The first command also imports modules.
    work_of(write_physics(tmp_path, 20, rows_first))
    calls_for_few, _ = work_of(write_physics(tmp_path, few, rows_first))
    calls, n_read = work_of(write_physics(tmp_path, many, rows_first))
    assert calls - calls_for_few < many - few
    # Once for the hash, and once or twice for the values: a chunk can be at the end of a block.
    assert n_read < 4 * (tmp_path / f"physics{many}.nc").stat().st_size
