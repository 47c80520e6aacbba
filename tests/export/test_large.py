"""Networks of which one column is too large for the stack: workspaces of the generated module."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export import Bundle, export
from emufort.export.flat import flatten
from emufort.export.fortran import MOST_STACK_SCRATCH, fortran_source
from emufort.native.bindings import FortranEmulator, available
from emufort.network.emulator import Emulator
from emufort.network.imported import ImportedArchitecture
from emufort.network.operation import Operation
from emufort.network.plan import Plan
from emufort.network.table import Table
from emufort.verification import verify
from tests.core.plans import parameters_of
from tests.export.test_wide import COMPILERS, need_openmp, run
from tests.runtime.pond import CONTRACT, pond_data, pond_emulator

DRIVER = Path(__file__).parent / "large_driver.F90"

#: 300 levels of 20 channels, with a layer that is applied to each level.
LEVELS, CHANNELS = 300, 20
SIZE = LEVELS * CHANNELS
PLAN = Plan(
    (("x", 3), ("a", SIZE), ("b", SIZE), ("c", SIZE), ("y", 3)),
    (
        Operation("gather", ("x",), "a", table=Table((), np.arange(SIZE) % 3)),
        Operation(
            "dense", ("a",), "b", ("w.weight", "w.bias"), "tanh",
            extent=(LEVELS, CHANNELS, CHANNELS),
        ),
        Operation("multiply", ("a", "b"), "c", activation="sin"),
        Operation("maximum_of", ("c",), "y", table=Table((0, 2000, 4000, 6000), range(SIZE))),
    ),
    "x", "y",
)  # fmt: skip


def large_emulator(data: Dataset) -> Emulator:
    architecture = ImportedArchitecture.of_plan(PLAN)
    parameters = parameters_of(architecture.plan)
    return replace(pond_emulator(data), architecture=architecture, parameters=parameters)


def large_bundle(folder: Path, **options: object) -> tuple[Emulator, Bundle]:
    data = Dataset.from_xarray(pond_data(), Contract.from_toml(CONTRACT))
    emulator = large_emulator(data)
    return emulator, export(emulator, data, folder / "bundle", golden=8, **options)


@pytest.mark.parametrize(
    ("compiler", "form", "flag"),
    [("gfortran", "numbers", []), ("flang-22", "file", ["-DLOADS"])],
)
def test_a_module_makes_the_workspaces_of_threads(
    compiler: str, form: str, flag: list[str], tmp_path: Path
) -> None:
    need_openmp(compiler, tmp_path)
    assert PLAN.n_scratch > MOST_STACK_SCRATCH
    _, bundle = large_bundle(tmp_path, weights="file" if form == "file" else "module")
    assert bundle.form == form
    called = "load" if form == "file" else "init"
    assert f"pond_emulator_{called}" in (bundle.path / "MODEL_CARD.md").read_text()
    flags = [*COMPILERS[compiler], *flag, "-fopenmp"]
    run(
        tmp_path, compiler, *flags, bundle.runtime_source, bundle.module_source, DRIVER,
        "-o", "driver",
    )  # fmt: skip
    said = run(tmp_path, "./driver", bundle.weights, env={**os.environ, "OMP_STACKSIZE": "256k"})
    assert said.split() == ["the", "same", "bits"]


def test_no_statement_of_a_module_is_too_long() -> None:
    emulator = large_emulator(Dataset.from_xarray(pond_data(), Contract.from_toml(CONTRACT)))
    source = fortran_source(emulator, "chain")
    assert source.count("data emufort_plan(") == -(-len(flatten(emulator).plan) // 1000) > 10
    # Fortran 2018 allows 255 continuation lines of 132 characters.
    longest = max(
        len(list(group))
        for is_continued, group in itertools.groupby(
            source.splitlines(), lambda line: line.endswith("&")
        )
        if is_continued
    )
    assert longest <= 255
    assert max(map(len, source.splitlines())) <= 132


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")
def test_a_large_network_is_verified(tmp_path: Path) -> None:
    _, bundle = large_bundle(tmp_path)
    result = verify(bundle, rows=100, flags="-O0")
    assert result.passed, result
    assert {"generated module", "weights.bin", "C interface"} <= {
        c.name for c in result.comparisons
    }


@pytest.mark.skipif(not available(), reason="the bindings are not built")
def test_the_bindings_make_a_workspace(tmp_path: Path) -> None:
    emulator, bundle = large_bundle(tmp_path)
    x = pond_data(50, seed=2)
    rows = np.column_stack([x.wind_speed, x.water_temperature, x.first_guess])
    fortran = FortranEmulator.from_bytes(bundle.weights.read_bytes())
    y = fortran.predict(rows).y
    np.testing.assert_allclose(y, emulator.predict(rows), rtol=1e-4, atol=1e-4 * np.abs(y).max())
    for n in (1, 3, 17):
        assert fortran.predict(rows[:n]).y.tobytes() == y[:n].tobytes()
