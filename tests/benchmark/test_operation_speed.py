"""The script that times each operation of a network. Never how fast anything is."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emufort.benchmark.options import Options
from emufort.benchmark.programs import Programs
from emufort.export.weights_file import WeightsFile
from emufort.network.operation import Operation
from emufort.network.plan import Plan
from tests.runtime.test_plans import emulator_of

CHECKOUT = Path(__file__).resolve().parents[2]
PLAN = Plan(
    (("x", 40), ("a", 36), ("b", 36), ("c", 36), ("y", 2)),
    (
        Operation("depthwise", ("x",), "a", ("p0", "p1"), extent=(3, 12, 2, 1)),
        Operation("softmax", ("a",), "b", extent=(3, 12)),
        Operation("softmax", ("b",), "c", extent=(3, 12)),
        Operation("dense", ("c",), "y", ("p2", "p3"), "tanh"),
    ),
    "x",
    "y",
)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(CHECKOUT))
    return importlib.import_module("benchmarks.operation_speed")


def test_equal_operations_are_added_up(script: Any) -> None:
    found = script.shares(PLAN, [1.0, 2.0, 3.0, 4.0])
    assert [(s.name, s.number, s.microseconds, s.multiply_adds) for s in found] == [
        ("softmax 36 to 36 (3, 12)", 2, 5.0, 0),
        ("dense 36 to 2, tanh", 1, 4.0, 72),
        ("depthwise 40 to 36 (3, 12, 2, 1)", 1, 1.0, 72),
    ]
    *_, last = script.rows_of(found)
    assert last == ["all", "4", "10.00", "100.0", ""]
    assert script.rows_of(found)[0] == ["`softmax 36 to 36 (3, 12)`", "2", "5.00", "50.0", ""]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gfortran") is None, reason="needs gfortran")
def test_every_operation_is_timed(script: Any, tmp_path: Path) -> None:
    weights = tmp_path / "weights.bin"
    WeightsFile.from_emulator(emulator_of(PLAN)).write(weights)
    program = Programs(Options(), tmp_path).operations()
    for columns in (1, 16, 32):
        times = np.array(script.measured(program, weights, columns, 2))
        assert times.shape == (4,)
        assert np.all((times >= 0.0) & (times < 1e6))
