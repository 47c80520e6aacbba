"""Variables with several dimensions: host arrays (ncol, lev, band), and every form of a bundle."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
import xarray as xr

from emufort.benchmark.contenders import Native
from emufort.benchmark.options import Options
from emufort.benchmark.run import run as measure
from emufort.contract_arrays import split_columns
from emufort.dataset.dataset import Dataset
from emufort.export import Bundle, export, fortran
from emufort.export.golden import Golden
from emufort.export.host import write_host
from emufort.verification import DECISIVE, verify
from tests.export.emulators import inputs
from tests.export.profiles import contract, emulator, profile_data

needs_gfortran = pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")
#: The flags of other tests, so that the runtime is compiled once for all of them.
FLAGS = {
    "gfortran": ["-O1", "-fopenmp-simd", "-Wall", "-Wextra", "-Werror", "-fcheck=array-temps"],
    "flang-22": ["-O1"],
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    data = Dataset.from_xarray(profile_data(), contract())
    return export(emulator(), data, tmp_path_factory.mktemp("profiles") / "bundle")


def run(folder: Path, *command: object) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# Loops copy a variable with more entries than the limit.
@pytest.mark.parametrize(
    ("compiler", "most_statements"), [("gfortran", 32), ("gfortran", 1), ("flang-22", 32)]
)
def test_host_arrays_have_the_shapes_of_the_contract(
    bundle: Bundle,
    compiler: str,
    most_statements: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    x = inputs(contract(), 70, seed=8)
    (tmp_path / "x.bin").write_bytes(np.int64(len(x)).tobytes() + x.tobytes(order="F"))
    monkeypatch.setattr(fortran, "_MOST_STATEMENTS", most_statements)
    module = tmp_path / "profile_emulator.F90"
    module.write_text(fortran.fortran_source(bundle.emulator(), "chain", file=bundle.weights_file))
    is_looped = "do emufort_k1 = 0, 2" in _procedure(module.read_text(), "predict_real64")
    assert is_looped == (most_statements == 1)
    sources = [
        bundle.runtime_source,
        module,
        Path(__file__).with_name("profile_host.F90"),
    ]
    run(tmp_path, compiler, *FLAGS[compiler], "-c", *sources)
    run(tmp_path, compiler, *(f"{source.stem}.o" for source in sources), "-o", "host")
    assert run(tmp_path, "./host", "x.bin", "y.bin").split() == ["the", "same", "bits"]
    given = np.fromfile(tmp_path / "y.bin")
    wanted = split_columns(contract(), contract().output, emulator().predict(x))
    first = 0
    for values in wanted.values():
        found = given[first : first + values.size].reshape(values.shape, order="F")
        np.testing.assert_allclose(found, values, rtol=2e-5, atol=2e-5)
        first += values.size
    assert first == given.size


def _procedure(source: str, name: str) -> str:
    first, last = (
        f"{start} profile_emulator_{name}" for start in (" subroutine", "end subroutine")
    )
    return source[source.index(f"recursive{first}") : source.index(last)]


@pytest.mark.slow
@needs_gfortran
def test_every_form_is_verified(bundle: Bundle) -> None:
    done = verify(bundle, emulator(), rows=200)
    assert done.passed
    assert {c.name for c in done.comparisons if c.passed} >= set(DECISIVE)


def test_declarations_and_comments_say_what_the_dimensions_are(bundle: Bundle) -> None:
    module = bundle.module_source.read_text()
    assert ":: depth(ncol, 3, 2)   !! optical depth [1] (ncol, 3, 2): lev, band" in module
    assert "real(real32), intent(out) :: radiance(ncol, 2, 2, 3)" in module
    assert "real(real64), intent(in) :: temperature(ncol, 3)" in module
    assert "integer, intent(in) :: strides(4, 6)" in module
    header = (bundle.path / "profile_emulator.h").read_text()
    assert "/* optical depth [1] (ncol, 3, 2): lev, band */" in header
    assert "the last dimension varies fastest" in header
    assert "(ncol, 3, 2)" in (bundle.path / "MODEL_CARD.md").read_text()


def test_names_of_columns_have_a_label_of_each_dimension(bundle: Bundle) -> None:
    names = [column.name for column in contract().input_columns]
    assert names[1:5] == ["depth[0, red]", "depth[0, green]", "depth[1, red]", "depth[1, green]"]
    metadata = {p.key: p.value for p in onnx.load(bundle.onnx).metadata_props}
    assert '"depth[1, green]"' in metadata["inputs"] or '"1, green"' in metadata["inputs"]
    assert [name for _, name, _ in bundle.weights_file.columns][:3] == names[:3]


def test_golden_vectors_keep_the_dimensions(bundle: Bundle) -> None:
    with xr.open_dataset(bundle.path / "golden.nc") as file:
        assert file["depth"].dims == ("sample", "lev", "band")
        assert file["radiance"].dims == ("sample", "band", "angle", "lev")
        assert file["band"].values.tolist() == ["red", "green"]
        assert "lev" not in file.variables
    again = Golden.load(bundle.path / "golden.nc", contract())
    np.testing.assert_array_equal(again.x, bundle.golden.x)
    np.testing.assert_array_equal(again.y, bundle.golden.y)


@needs_gfortran
@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_the_example_of_a_host_calls_it(bundle: Bundle, tmp_path: Path) -> None:
    glue = write_host(bundle, "plain", tmp_path / "glue")
    printed = run(glue.path, "make", "-s", "run", "FC=gfortran", "FFLAGS=-O0")
    assert "radiance(:, 2, 1, 3)" in printed


@pytest.mark.slow
@needs_gfortran
def test_the_benchmark_passes_matrices_in_contract_order(bundle: Bundle, tmp_path: Path) -> None:
    options = Options.quick().changed(
        bundle=bundle.path, models=("bundle",), ncol=(1, 33), flags="-O0"
    )
    contenders = [Native("embedded", "generated module"), Native("loaded", "weights.bin")]
    result = measure(options, tmp_path, contenders=contenders)
    calls = [row for row in result.rows if row.model == "profile"]
    assert len(calls) == 4
    assert {(row.status, row.note) for row in calls} == {("ok", "")}
