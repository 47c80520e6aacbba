"""C code of onnx2c as a contender, with a stand-in that translates one small network."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from emufort.api import import_network
from emufort.benchmark import Options, Result, run
from emufort.files import write_text
from tests.importing.models import model_of, node

needs_gfortran = pytest.mark.skipif(
    shutil.which("gfortran") is None, reason="needs a Fortran compiler"
)

#: Translates the network of `bundle` and no other, for one column.
STAND_IN = """\
#!{python}
import sys
import onnx
from onnx import numpy_helper
graph = onnx.load(sys.argv[1]).graph
for value in [*graph.input, *graph.output]:
    assert value.type.tensor_type.shape.dim[0].dim_value == 1
w, b = (numpy_helper.to_array(graph.initializer[i]).ravel().tolist() for i in (0, 1))
print("#include <math.h>")
print("void entry(const float profile[1][2][2], const float state[1][2],")
print("           float fluxes[1][3], float cloud[1][2][2]) {{")
for j in range(3):
    print(f"  fluxes[0][{{j}}] = {{b[j]}}f + {{w[j]}}f*state[0][0] + {{w[3 + j]}}f*state[0][1];")
for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
    print(f"  cloud[0][{{i}}][{{j}}] = tanhf(profile[0][{{i}}][{{j}}]);")
print("}}")
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The original of a bundle beside it."""
    folder = tmp_path_factory.mktemp("imported")
    rng = np.random.default_rng(4)
    model = model_of(
        [node("Gemm", "state w b", "fluxes"), node("Tanh", "profile", "cloud")],
        {"profile": ["ncol", 2, 2], "state": ["ncol", 2]},
        {"fluxes": ["ncol", 3], "cloud": ["ncol", 2, 2]},
        {"w": rng.normal(size=(2, 3)), "b": rng.normal(size=3)},
    )
    onnx.save(model, folder / "original.onnx")
    import_network(model, folder / "bundle", name="pair")
    return folder / "original.onnx"


def measured(original: Path, work: Path) -> Result:
    options = Options(
        bundle=original.parent / "bundle",
        originals=(original,),
        models=("bundle",),
        contenders=("onnx2c",),
        ncol=(1, 5),
        repeats=1,
        milliseconds=1.0,
        threads=(1,),
        flags="-O1",
    )
    return run(options, work)


def put_on_path(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    program = folder / "bin" / "onnx2c"
    program.parent.mkdir()
    write_text(program, script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


@needs_gfortran
def test_the_translation_is_called_column_by_column(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_path(monkeypatch, tmp_path, STAND_IN.format(python=sys.executable))
    result = measured(original, tmp_path / "bench")
    assert {(row.ncol, row.status, row.note) for row in result.rows} == {
        (1, "ok", ""),
        (5, "ok", ""),
    }
    assert all(row.max_error is not None and row.max_error < 1e-6 for row in result.rows)


@needs_gfortran
def test_a_wrong_translation_is_flagged(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = STAND_IN.format(python=sys.executable).replace("tanhf", "sinf")
    put_on_path(monkeypatch, tmp_path, wrong)
    assert {row.status for row in measured(original, tmp_path / "bench").rows} == {"wrong"}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("#!/bin/sh\necho 'Unimplemented: Tanh' >&2\nexit 1\n", "Unimplemented: Tanh"),
        ("#!/bin/sh\nexit 3\n", "exit code 3"),
        ("#!/bin/sh\necho 'no C'\n", "the C code of onnx2c"),
    ],
)
@needs_gfortran
def test_what_onnx2c_cannot_translate_is_missing(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    put_on_path(monkeypatch, tmp_path, script)
    rows = measured(original, tmp_path / "bench").rows
    assert {row.status for row in rows} == {"missing"}
    assert all(reason in row.note for row in rows)


def test_without_onnx2c_it_is_missing(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    rows = measured(original, tmp_path / "bench").rows
    assert {(row.status, row.note) for row in rows} == {
        ("missing", "there is no onnx2c on the PATH")
    }
