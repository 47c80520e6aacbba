"""Networks of which one column is too large for the stack: workspaces of the generated module."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export import Bundle, export
from emufort.export.fortran import MOST_STACK_SCRATCH
from emufort.native.bindings import FortranEmulator, available
from emufort.network.emulator import Emulator
from emufort.network.imported import ImportedArchitecture
from emufort.network.plan import Operation, Plan
from emufort.network.table import Table
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


def large_bundle(folder: Path, **options: object) -> tuple[Emulator, Bundle]:
    data = Dataset.from_xarray(pond_data(), Contract.from_toml(CONTRACT))
    architecture = ImportedArchitecture.of_plan(PLAN)
    emulator = replace(
        pond_emulator(data),
        architecture=architecture,
        parameters=parameters_of(architecture.plan),
    )
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
