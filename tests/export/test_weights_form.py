"""Weights as text in a generated module: the text, the module in a host, damage."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export import Bundle, export
from emufort.export.flat import flatten
from emufort.export.host import write_host
from emufort.export.weights_form import MOST_BYTES_OF_NUMBERS, form_of, text_of
from emufort.verification import verify
from tests.export.emulators import inputs, mixed, random_emulator

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

needs_gfortran = pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def decoded(lines: list[str]) -> bytes:
    """Decode a text by the arithmetic of integers of any length."""
    whole, found = "".join(lines), b""
    for i in range(0, len(whole), 7):
        number = 0
        for character in whole[i : i + 7]:
            number = 62 * number + DIGITS.index(character)
        found += number.to_bytes(5, "big")
    return found


@given(st.binary(min_size=1, max_size=400))
def test_a_text_holds_the_bytes(content: bytes) -> None:
    (lines,) = text_of(content)
    assert decoded(lines)[: len(content)] == content
    assert not any(decoded(lines)[len(content) :])


def test_lines_are_single_words_and_statements_are_within_the_standard() -> None:
    content = bytes(range(256)) * 300
    texts = text_of(content)
    assert b"".join(map(decoded, texts))[: len(content)] == content
    for lines in texts:
        assert len(lines) <= 250
        assert all(len(line) == 119 and line.isalnum() for line in lines[:-1])
        assert 0 < len(lines[-1]) <= 119


def test_only_large_networks_are_text() -> None:
    small, large = (flatten(random_emulator(mixed(), (n, n), "relu")) for n in (100, 170))
    assert small.weights.nbytes < MOST_BYTES_OF_NUMBERS < large.weights.nbytes
    assert form_of(small, "module") == "numbers"
    assert form_of(large, "module") == "text"
    assert form_of(small, "file") == form_of(large, "file") == "file"


def large_bundle(contract: Contract, folder: Path) -> Bundle:
    emulator = random_emulator(contract, (160, 160), "relu")
    x = inputs(emulator.contract, 30)
    n = np.arange(len(x))
    data = Dataset(
        emulator.contract, Path("memory.nc"), "d" * 64, x, emulator.predict(x),
        (n % 3).astype(np.int8), n,
    )  # fmt: skip
    return export(emulator, data, folder / "bundle", golden=4)


@needs_gfortran
def test_a_bundle_with_weights_as_text_is_verified_and_says_so(tmp_path: Path) -> None:
    bundle = large_bundle(mixed(), tmp_path)
    assert bundle.form == "text"
    result = verify(bundle, rows=200, flags="-O0")
    assert result.passed, result
    assert result.notes["generated_and_loaded_bitwise_equal"]
    assert "call mixed_emulator_init(status)" in (bundle.path / "MODEL_CARD.md").read_text()
    assert "mixed_emulator_init" in (bundle.path / "CMakeLists.txt").read_text()


@needs_gfortran
@needs_make
def test_hosts_decode_the_weights(tmp_path: Path) -> None:
    content = {**Contract.load("activation").to_dict(), "baseline": []}
    for name, contract in {"mixed": mixed(), "activation": Contract.from_dict(content)}.items():
        bundle = large_bundle(contract, tmp_path / name)
        assert bundle.form == "text"
        folder = write_host(bundle, "plain").path
        done = subprocess.run(
            ["make", "-s", "run", "FFLAGS=-O0"], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.startswith(f"emulator {bundle.hash}")
        assert "NaN" not in done.stdout


_HOST = """
program host
  use mixed_emulator, only: mixed_emulator_init, status_type
  implicit none
  type(status_type) :: status
  call mixed_emulator_init(status)
  print '(i0, 1x, a)', status%code, trim(status%message)
end program host
"""


@needs_gfortran
def test_a_damaged_text_is_an_error(tmp_path: Path) -> None:
    bundle = large_bundle(mixed(), tmp_path)
    source = bundle.module_source.read_text()
    lines = source.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("&")) + 100
    lines[at] = lines[at].replace(lines[at][60], "x" if lines[at][60] != "x" else "y", 1)
    (tmp_path / "host.F90").write_text(_HOST)
    (tmp_path / "damaged.F90").write_text("\n".join(lines) + "\n")
    subprocess.run(["gfortran", "-O0", "-c", bundle.runtime_source], cwd=tmp_path, check=True)
    for module, said in ((bundle.module_source, "0"), ("damaged.F90", "4 ")):
        command = ["gfortran", "-O0", module, "host.F90", "emufort_runtime.o", "-o", "host"]
        subprocess.run(command, cwd=tmp_path, check=True)
        done = subprocess.run(["./host"], cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout.startswith(said)
        assert ("checksum" in done.stdout) == (said == "4 ")
