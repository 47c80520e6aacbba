"""Verification finds one wrong weight in any artefact, and says what it could not check."""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from emufort.cli import execute
from emufort.config import TimingConfig
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError, StorageError, VerificationError
from emufort.export import Bundle, export
from emufort.export.golden import Golden, output_spread, single_within
from emufort.export.restore import restore
from emufort.export.weights_file import WeightsFile
from emufort.native import bindings as native_bindings
from emufort.network.emulator import Emulator, dense_parameters
from emufort.toolchain.compiler import Compiler
from emufort.verification import (
    DECISIVE,
    Verification,
    differences,
    draw_rows,
    odd_rows,
    verify,
)
from tests.export.emulators import inputs, mixed, random_emulator
from tests.export.forge import sign

NO_COMPILER = "no-such-fortran"
needs_gfortran = pytest.mark.skipif(shutil.which("gfortran") is None, reason="needs gfortran")


@pytest.fixture(scope="module")
def emulator() -> Emulator:
    return random_emulator(mixed(), (8, 8), "silu")


@pytest.fixture(scope="module")
def exported(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_of(emulator, tmp_path_factory.mktemp("run"))


def bundle_of(emulator: Emulator, folder: Path) -> Bundle:
    x = inputs(emulator.contract, 60)
    n = np.arange(len(x))
    data = Dataset(
        emulator.contract,
        Path("memory.nc"),
        "d" * 64,
        x,
        emulator.predict(x),
        (n % 3).astype(np.int8),
        n,
    )
    return export(emulator, data, folder / "bundle", golden=16)


@pytest.fixture
def copy(exported: Bundle, tmp_path: Path) -> Bundle:
    return Bundle.open(shutil.copytree(exported, tmp_path / "bundle"))


def by_name(result: Verification) -> dict[str, bool]:
    return {c.name: c.passed for c in result.comparisons}


def failures(result: Verification) -> set[str]:
    return {c.name for c in result.comparisons if c.failed}


# ------------------------------------------------------------------- one weight


def tamper_onnx(bundle: Bundle) -> None:
    model = onnx.load(bundle.onnx)
    tensor = next(t for t in model.graph.initializer if t.name == "layer_1_weight")
    values = numpy_helper.to_array(tensor).copy()
    values[3, 2] += 0.01
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, bundle.onnx)


def tamper_weights(bundle: Bundle) -> None:
    file = WeightsFile.read(bundle.weights)
    values = file.flat.weights.copy()
    values[40] += np.float32(0.01)
    replace(file, flat=replace(file.flat, weights=values)).write(bundle.weights)


def tamper_golden(bundle: Bundle) -> None:
    golden = bundle.golden
    y = golden.y.copy()
    y[5, 0] *= 1.001
    Golden(golden.contract, golden.x, y, golden.tolerance).save(bundle.path / "golden.nc")


def tamper_module(bundle: Bundle) -> None:
    text = bundle.module_source.read_text()
    start = text.index("data emufort_weights")
    place = re.compile(r"-?\d+\.\d+(e[-+]?\d+)?").search(text, text.index("/", start) + 200)
    assert place is not None
    value = float(place[0]) + 0.01
    bundle.module_source.write_text(text[: place.start()] + f"{value:.8e}" + text[place.end() :])


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (tamper_onnx, "model.onnx"),
        (tamper_weights, "reference"),
        (tamper_golden, "reference"),
    ],
)
def test_one_wrong_number_is_found_even_if_the_manifest_is_forged(
    copy: Bundle, tamper: Callable[[Bundle], None], found: str
) -> None:
    tamper(copy)
    assert failures(verify(copy, rows=200, compiler=NO_COMPILER)) == {"files and hash chain"}
    sign(copy)
    result = verify(copy.path, rows=200, compiler=NO_COMPILER)
    assert found in failures(result)
    assert "files and hash chain" not in failures(result)
    with pytest.raises(VerificationError, match="does not agree") as error:
        result.raise_if_failed()
    assert error.value.exit_code == 3
    assert "\n" not in str(error.value)


@needs_gfortran
def test_one_wrong_number_in_the_generated_module_is_found(copy: Bundle) -> None:
    tamper_module(copy)
    sign(copy, keep_sources=True)
    result = verify(copy.path, rows=200, flags="-O0", trust_sources=True)
    assert "generated module" in failures(result)
    assert by_name(result)["weights.bin"]
    assert result.notes["generated_and_loaded_bitwise_equal"] is False


@needs_gfortran
def test_wrong_weights_that_numpy_restores_faithfully_are_found(copy: Bundle) -> None:
    """A forged weights.bin with forged golden vectors still differs from ONNX and Fortran."""
    golden = copy.golden
    tamper_weights(copy)
    restored = restore(WeightsFile.read(copy.weights))
    forged = Golden(golden.contract, golden.x, restored.predict(golden.x), golden.tolerance)
    forged.save(copy.path / "golden.nc")
    sign(copy, keep_sources=True)
    result = verify(copy.path, rows=200, flags="-O0", trust_sources=True)
    assert failures(result) >= {"model.onnx", "generated module"}
    assert failures(verify(copy.path, rows=200)) == {"model.onnx"}


# --------------------------------------------------------------- a right bundle


@needs_gfortran
def test_all_forms_agree(exported: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "verification.json"
    heard: list[tuple[int, int]] = []
    result = verify(
        exported,
        rows=1000,
        out=out,
        flags="-O1",
        report=lambda step, done, total, note="": heard.append((done, total)),
    )
    result.raise_if_failed()
    assert result.passed
    names = by_name(result)
    for name in (
        "files and hash chain",
        "reference",
        "torch",
        "model.onnx",
        "generated module",
        "generated module, single",
        "weights.bin",
        "weights.bin, single",
        "self test of weights.bin",
        "hash in the module",
    ):
        assert names[name], name
    assert heard[-1][0] == heard[-1][1]
    content = json.loads(out.read_text())
    assert content == result.to_dict()
    assert content["rows"] == 1000 + 16 + 16
    assert content["reference"]
    assert max(content["pairs"].values()) < 2e-5
    assert content["notes"]["generated_and_loaded_bitwise_equal"] is True


def test_all_forms_ignore_inputs_that_were_constant(tmp_path: Path) -> None:
    emulator = random_emulator(mixed(), (8, 8), "silu", constant=True)
    x = inputs(emulator.contract, 50)
    other = x.copy()
    other[:, 1:] = inputs(emulator.contract, 50, seed=1)[:, 1:]
    other[:, 3] = x[:, 3]  # what an output is relative to
    np.testing.assert_array_equal(emulator.predict(x), emulator.predict(other))
    result = verify(bundle_of(emulator, tmp_path), rows=500)
    result.raise_if_failed()
    if shutil.which("gfortran"):
        assert by_name(result)["generated module"]


def test_an_output_that_is_always_the_same_has_a_size() -> None:
    contract = mixed()
    y = np.full((5, len(contract.output_columns)), -3.0)
    kinds = [c.transform for c in contract.output_columns]
    spread = output_spread(contract, y)
    assert spread[kinds.index("standardise")] == 3.0
    y[:, kinds.index("standardise")] = 0.0
    assert output_spread(contract, y)[kinds.index("standardise")] == 1.0


def test_the_trained_emulator_may_be_the_reference(exported: Bundle, emulator: Emulator) -> None:
    assert not failures(verify(exported, emulator, rows=100, compiler=NO_COMPILER))
    weights = [w.copy() for w in emulator.weights]
    weights[0][0, 0] += 0.01
    other = replace(emulator, parameters=dense_parameters(weights, emulator.biases))
    failed = failures(verify(exported, other, rows=100, compiler=NO_COMPILER))
    assert failed >= {"reference", "model.onnx"}
    assert "torch" not in failed


def test_an_emulator_of_another_contract_is_refused(exported: Bundle) -> None:
    other = random_emulator(Contract.load("activation"))
    with pytest.raises(VerificationError, match="another contract"):
        verify(exported, other, rows=20, compiler=NO_COMPILER)


def test_without_a_compiler_nothing_is_verified(exported: Bundle, tmp_path: Path) -> None:
    result = verify(exported, rows=50, compiler=NO_COMPILER, out=tmp_path / "verification.json")
    assert not failures(result)
    assert result.status == "not verified"
    assert not result.passed
    skipped = {c.name: c.skipped for c in result.comparisons if c.skipped}
    assert NO_COMPILER in str(skipped["generated module"])
    assert not any(by_name(result)[name] for name in skipped)
    with pytest.raises(VerificationError, match="not verified: there is no Fortran comp") as error:
        result.raise_if_failed()
    assert error.value.exit_code == 3
    stored = json.loads((tmp_path / "verification.json").read_text())
    assert (stored["status"], stored["passed"]) == ("not verified", False)
    assert NO_COMPILER in stored["reason"]


@needs_gfortran
def test_bindings_and_onnx_runtime_may_be_missing(
    exported: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_bindings, "available", lambda *_: False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = verify(exported, rows=50, flags="-O0")
    result.raise_if_failed()
    assert result.status == "verified"
    skipped = {c.name: str(c.skipped) for c in result.comparisons if c.skipped}
    assert set(skipped) == {"model.onnx", "Python bindings", "Python bindings, single"}
    assert "not built" in skipped["Python bindings"]
    assert "not installed" in skipped["model.onnx"]
    assert not set(skipped) & set(DECISIVE)


@pytest.mark.skipif(not native_bindings.available(), reason="the bindings are not built")
def test_the_bindings_agree(exported: Bundle) -> None:
    names = by_name(verify(exported, rows=100, compiler=NO_COMPILER))
    assert names["Python bindings"]
    assert names["Python bindings, single"]


# ------------------------------------------------------------------------ damage


@needs_gfortran
def test_a_module_that_does_not_compile_fails(copy: Bundle, tmp_path: Path) -> None:
    copy.module_source.write_text(copy.module_source.read_text().replace("implicit none", "imp"))
    sign(copy, keep_sources=True)
    out = tmp_path / "verification.json"
    result = verify(copy.path, rows=20, flags="-O0", out=out, trust_sources=True)
    assert failures(result) == {"generated module"}
    assert "does not compile" in str(result.to_dict())
    assert not json.loads(out.read_text())["passed"]


def test_every_damaged_file_is_named(copy: Bundle) -> None:
    copy.weights.write_bytes(b"nonsense")
    copy.onnx.unlink()
    (copy.path / "golden.nc").unlink()
    result = verify(copy, rows=20, compiler=NO_COMPILER)
    assert failures(result) == {"files and hash chain"}
    assert all(name in result.reason for name in ("weights.bin", "model.onnx", "golden.nc"))
    (copy.path / "manifest.json").write_text("{}")
    with pytest.raises(VerificationError, match="not a manifest"):
        verify(copy, rows=20, compiler=NO_COMPILER)


def test_a_broken_onnx_model_fails_even_if_it_is_signed(copy: Bundle) -> None:
    copy.onnx.write_bytes(b"nonsense")
    sign(copy)
    result = verify(copy.path, rows=20, compiler=NO_COMPILER)
    assert failures(result) == {"files and hash chain"}
    assert "is not an ONNX model" in result.reason


def test_no_bundle_is_an_ordinary_error(tmp_path: Path) -> None:
    with pytest.raises(EmufortError, match="is no bundle"):
        verify(tmp_path)


def test_an_infinite_difference_is_written_as_null(copy: Bundle, tmp_path: Path) -> None:
    model = onnx.load(copy.onnx)
    tensor = next(t for t in model.graph.initializer if t.name == "layer_2_bias")
    values = np.full_like(numpy_helper.to_array(tensor), np.nan)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, copy.onnx)
    sign(copy)
    out = tmp_path / "verification.json"
    result = verify(copy.path, rows=20, compiler=NO_COMPILER, out=out)
    found = next(c for c in result.comparisons if c.name == "model.onnx")
    assert math.isinf(found.max_difference)
    stored = json.loads(out.read_text())["comparisons"]
    assert next(c for c in stored if c["name"] == "model.onnx")["max_difference"] is None


# ------------------------------------------------------------------ rows, measure


def test_rows_fill_the_range_and_reach_its_edges() -> None:
    contract = mixed()
    known = inputs(contract, 10)
    x = draw_rows(contract, known, 1000)
    assert (x == draw_rows(contract, known, 1000)).all()
    assert (x == x.astype(np.float32)).all()
    for j, column in enumerate(contract.input_columns):
        lower, upper = single_within(np.tile([[column.lower], [column.upper]], 6), contract)[:, j]
        assert x[:, j].min() == lower
        assert x[:, j].max() == upper
    # uniform in the logarithm: as many small particles as large ones
    assert 0.4 < (x[:, 0] < 1e-8).mean() < 0.6
    assert len(draw_rows(contract, known, 1)) == 1


def test_odd_rows_leave_the_range_or_hold_one_invalid_value() -> None:
    contract = mixed()
    rows = draw_rows(contract, inputs(contract, 10), 50)
    odd = odd_rows(contract, rows)
    lower = np.array([c.lower for c in contract.input_columns])
    upper = np.array([c.upper for c in contract.input_columns])
    invalid = ~np.isfinite(odd)
    outside = ((odd < lower) | (odd > upper)) & ~invalid
    assert set((outside | invalid).sum(axis=1)) == {1}
    assert invalid.sum() == len(odd) / 2
    assert np.isnan(odd).any()
    assert np.isinf(odd).any()


def test_differences_mean_the_same_for_every_output() -> None:
    spread = np.array([0.0, 1.0, 10.0])
    reference = np.array([[1e-6, 0.5, 300.0]])
    y = np.array([[1e-6 * math.exp(1e-5), 0.5 + 1e-5, 300.0 + 3e-3]])
    np.testing.assert_allclose(differences(reference, y, spread), [[1e-5] * 3], rtol=1e-4)
    near_zero = differences(np.array([[1e-6, 0.0, 0.0]]), np.array([[1e-6, 0.0, 1e-4]]), spread)
    np.testing.assert_allclose(near_zero, [[0.0, 0.0, 1e-5]], rtol=1e-12)
    nan = np.full((1, 3), np.nan)
    assert (differences(nan, nan, spread) == 0.0).all()
    assert np.isinf(differences(reference, nan, spread)).all()
    assert np.isinf(differences(nan, reference, spread)).all()
    assert np.isinf(differences(reference, np.zeros((1, 3)) - 1e-9, spread)[0, 0])


@needs_gfortran
def test_default_flags_that_a_compiler_does_not_know_are_left_out_as_in_timing(
    exported: Bundle, tmp_path: Path
) -> None:
    picky = tmp_path / "picky"
    picky.write_text(
        "#!/bin/sh\nfor option; do case $option in -mprefer*) echo Error: $option >&2; exit 1;; "
        'esac; done\nexec gfortran "$@"\n'
    )
    picky.chmod(0o755)
    flags = TimingConfig().flags
    assert "-mprefer" in flags
    result = verify(exported, rows=50, compiler=str(picky), flags=flags)
    result.raise_if_failed()
    assert "-mprefer" not in str(result.notes["flags"])


def test_a_full_disk_is_not_taken_for_a_bundle_that_does_not_agree(
    exported: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("cannot write verify_bundle: No space left on device")

    monkeypatch.setattr("emufort.verification.forms.compiled", full)
    with pytest.raises(StorageError):
        verify(exported, rows=10)


# --------------------------------------------------------- sources of a stranger


@pytest.fixture
def never_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something of the bundle is compiled")

    monkeypatch.setattr(Compiler, "build", refuse)


@pytest.mark.usefixtures("never_compiles")
@pytest.mark.parametrize(
    "name",
    [
        *("weights.bin", "mixed_emulator.F90", "mixed_emulator.h", "emufort.h", "LICENSE"),
        *("emufort_runtime.F90", "CMakeLists.txt"),
    ],
)
def test_nothing_is_compiled_when_a_hash_does_not_agree(copy: Bundle, name: str) -> None:
    with (copy.path / name).open("ab") as file:
        file.write(b"\n")
    result = verify(copy.path, rows=20, trust_sources=True)
    assert result.status == "failed"
    assert name in result.reason
    assert [c.name for c in result.comparisons] == ["files and hash chain"]


HOSTILE = """
subroutine hostile()
  call execute_command_line('touch {mark}')
end subroutine hostile
"""


@pytest.mark.parametrize(
    "name",
    [
        *("mixed_emulator.F90", "emufort_runtime.F90", "CMakeLists.txt"),
        *("mixed_emulator.h", "mixed_emulator.hpp", "emufort.h"),
    ],
)
def test_sources_that_this_version_does_not_write_are_not_compiled(
    copy: Bundle, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with (copy.path / name).open("a") as file:
        comment = {".F90": "!", ".txt": "#"}.get(Path(name).suffix, "//")
        file.write(f"{comment} of another version\n")
    sign(copy, keep_sources=True)
    with monkeypatch.context() as patched:
        patched.setattr(Compiler, "build", None)
        result = verify(copy.path, rows=20)
        assert result.status == "not verified"
        assert name in result.reason
        assert "--trust-sources" in result.reason
        assert execute(["verify", "--bundle", str(copy.path), "--rows", "20"]) == 3
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "not verified" in said.err
    if shutil.which("gfortran"):
        trusted = verify(copy.path, rows=20, trust_sources=True, flags="-O0")
        assert not failures(trusted) - {"hash in the module"}
        assert by_name(trusted)["generated module"]


def test_sources_are_trusted_for_a_bundle_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["verify", "--trust-sources"]) == 2
    assert "--trust-sources needs --bundle" in capsys.readouterr().err


@needs_gfortran
def test_what_is_compiled_are_the_bytes_that_were_compared(
    copy: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Files that are exchanged between comparing and compiling are not what is compiled."""
    staged = Bundle.staged

    def exchange(bundle: Bundle, folder: Path) -> Bundle:
        found = staged(bundle, folder)
        bundle.module_source.write_text(HOSTILE.format(mark=tmp_path / "mark"))
        bundle.runtime_source.write_text("")
        return found

    monkeypatch.setattr(Bundle, "staged", exchange)
    assert verify(copy.path, rows=20, flags="-O0").passed
    monkeypatch.undo()
    with pytest.raises(EmufortError, match=r"mixed_emulator\.F90 is not the file"):
        copy.staged(tmp_path / "again")
