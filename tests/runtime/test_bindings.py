"""The Fortran runtime through f90wrap: numbers, errors, memory, threads."""

from __future__ import annotations

import gc
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError, UsageError
from emufort.export import Bundle
from emufort.native.bindings import FortranEmulator, FortranError
from emufort.network.emulator import Emulator

pytestmark = pytest.mark.usefixtures("bindings")

#: emufort_error_* of the runtime.
FILE, FORMAT, CHECKSUM, CONTRACT = 1, 2, 4, 7


@pytest.fixture(scope="module")
def fortran(bundle: Bundle) -> FortranEmulator:
    return FortranEmulator.from_file(bundle.weights)


def test_agrees_with_numpy(fortran: FortranEmulator, emulator: Emulator, data: Dataset) -> None:
    wanted = emulator.predict(data.x)
    found = fortran.predict(data.x).y
    assert found.dtype == np.float64
    assert np.abs(np.log(found[:, 0] / wanted[:, 0])).max() < 1e-5
    np.testing.assert_allclose(found[:, 1:], wanted[:, 1:], rtol=1e-5, atol=1e-4)


def test_single_precision_in_single_precision_out(
    fortran: FortranEmulator, emulator: Emulator, data: Dataset
) -> None:
    found = fortran.predict(data.x.astype(np.float32)).y
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, emulator.predict(data.x), rtol=1e-5, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(0, 200), start=st.integers(0, 39), strided=st.booleans())
def test_a_row_has_the_same_bits_in_any_batch(
    fortran: FortranEmulator, data: Dataset, n: int, start: int, strided: bool
) -> None:
    whole = fortran.predict(data.x).y
    rows = np.asfortranarray(data.x)[start : start + n] if strided else data.x[start : start + n]
    part = fortran.predict(rows).y
    assert part.shape == (min(n, len(data) - start), 3)
    assert part.tobytes() == whole[start : start + n].tobytes()


def test_many_calls_of_fortran_are_one_prediction(
    fortran: FortranEmulator, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = data.x.copy()
    x[3, 0] = 99.0
    x[150, 1] = np.nan
    whole = fortran.predict(x)
    monkeypatch.setattr("emufort.native.bindings._COLUMNS_PER_CALL", 37)
    parts = fortran.predict(x)
    assert parts.y.tobytes() == whole.y.tobytes()
    assert (parts.n_clipped, parts.n_invalid) == (whole.n_clipped, whole.n_invalid) == (1, 1)


def test_out_of_range_is_clipped_counted_and_marked(
    fortran: FortranEmulator, emulator: Emulator, data: Dataset
) -> None:
    x = data.x[:5].copy()
    x[1, 0], x[1, 1], x[3, 2] = 1e3, 0.0, 400.0
    found = fortran.predict(x)
    assert (found.n_clipped, found.n_invalid) == (3, 0)
    assert found.outside.tolist() == [False, True, False, True, False]
    np.testing.assert_allclose(found.y, emulator.predict(x), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_invalid_input_spoils_its_row_alone(
    fortran: FortranEmulator, data: Dataset, bad: float
) -> None:
    x = data.x[:40].copy()
    x[7, 2] = bad
    found = fortran.predict(x)
    others = np.arange(40) != 7
    assert (found.n_clipped, found.n_invalid) == (0, 1)
    assert np.isnan(found.y[7]).all()
    assert found.y[others].tobytes() == fortran.predict(data.x[:40]).y[others].tobytes()


def test_threads_share_an_emulator(fortran: FortranEmulator, data: Dataset) -> None:
    x = np.tile(data.x, (40, 1))
    alone = fortran.predict(x).y.tobytes()
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda _: fortran.predict(x).y.tobytes(), range(32)))
    assert all(result == alone for result in together)


def test_names_units_contract_and_description(
    fortran: FortranEmulator, bundle: Bundle, data: Dataset
) -> None:
    contract = data.contract
    assert (fortran.n_inputs, fortran.n_outputs) == (4, 3)
    assert fortran.columns("input") == [(c.name, c.units) for c in contract.input_columns]
    assert fortran.columns("output") == [(c.name, c.units) for c in contract.output_columns]
    assert json.loads(fortran.contract_json()) == contract.to_dict()
    assert contract.sha256 in fortran.describe()
    fortran.self_test()


def test_require_names_the_variable_at_fault(fortran: FortranEmulator) -> None:
    names = ["wind_speed", "water_temperature", "first_guess"]
    units = ["m s-1", "K", "kg m-2 s-1"]
    fortran.require(names, units)
    for wrong_names, wrong_units, word in [
        (["wind", *names[1:]], units, "wind"),
        ([names[1], names[0], names[2]], units, "water_temperature"),
        (names, ["m s-1", "degC", units[2]], "degC"),
        (names[:1], units[:1], "1 variables"),
        ([], [], "0 variables"),
    ]:
        with pytest.raises(FortranError, match=word) as caught:
            fortran.require(wrong_names, wrong_units)
        assert caught.value.code == CONTRACT
        assert caught.value.place == "require"


def test_errors_carry_code_message_and_place(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(FortranError, match=r"nowhere\.bin") as caught:
        FortranEmulator.from_file(tmp_path / "nowhere.bin")
    assert (caught.value.code, caught.value.place) == (FILE, "load")
    assert isinstance(caught.value, EmufortError)
    content = bundle.weights.read_bytes()
    damaged = bytearray(content)
    damaged[-100] ^= 1
    for bad, code in [(b"", FORMAT), (b"x" * 1000, FORMAT), (bytes(damaged), CHECKSUM)]:
        with pytest.raises(FortranError) as caught:
            FortranEmulator.from_bytes(bad)
        assert caught.value.code == code
        assert caught.value.message


@settings(max_examples=100, deadline=None)
@given(cut=st.floats(0, 1), place=st.floats(0, 1), value=st.integers(0, 255))
def test_no_damage_to_the_weights_file_crashes(
    bundle: Bundle, cut: float, place: float, value: int
) -> None:
    content = bytearray(bundle.weights.read_bytes())
    at = int(place * (len(content) - 1))
    unchanged = content[at] == value
    content[at] = value
    del content[int(cut * len(content)) :]
    if unchanged and len(content) == bundle.weights.stat().st_size:
        return
    with pytest.raises(FortranError):
        FortranEmulator.from_bytes(bytes(content))


@pytest.mark.parametrize(
    "x",
    [
        np.zeros(4),
        np.zeros((2, 3)),
        np.zeros((2, 4, 1)),
        np.zeros((2, 4), dtype=complex),
        np.full((2, 4), "a"),
        1.0,
    ],
)
def test_wrong_shapes_and_types_are_refused(fortran: FortranEmulator, x: object) -> None:
    with pytest.raises(UsageError, match="the inputs"):
        fortran.predict(x)  # type: ignore[arg-type]


def test_a_path_need_not_be_ascii(bundle: Bundle, data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "Gewicht für Ωμέγα 1.bin"
    path.write_bytes(bundle.weights.read_bytes())
    assert np.isfinite(FortranEmulator.from_file(path).predict(data.x).y).all()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system has no /proc")
def test_memory_is_released(bundle: Bundle, data: Dataset) -> None:
    content = bundle.weights.read_bytes()

    def resident_after(n: int) -> int:
        for _ in range(n):
            FortranEmulator.from_bytes(content).predict(data.x[:20])
            with pytest.raises(FortranError):
                FortranEmulator.from_bytes(content[:-1])
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    before = resident_after(50)
    n = max(200, 20_000_000 // len(content))
    assert resident_after(n) - before < 0.3 * n * len(content)
