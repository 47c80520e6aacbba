"""weights.bin: what is written is read back, and damage is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.errors import EmufortError
from emufort.export.flat import flatten
from emufort.export.flat_plan import FlatPlan, flat_plan
from emufort.export.packing import pack, packed_size, panel_width
from emufort.export.restore import restore
from emufort.export.unflatten import plan_of
from emufort.export.weights_file import WeightsFile
from emufort.network.activations import ACTIVATION_FUNCTIONS, ACTIVATIONS
from emufort.network.architecture import Architecture
from emufort.network.operations import OPERATIONS
from emufort.network.places import buffer_room
from tests.export.emulators import inputs, mixed, random_emulator


def _file(hidden: tuple[int, ...] = (5,), activation: str = "tanh", seed: int = 0) -> WeightsFile:
    emulator = random_emulator(mixed(), hidden, activation, seed)
    x = inputs(emulator.contract, 6, seed)
    return WeightsFile.from_emulator(emulator, x, absolute_tolerance=1e-6, about={"chain": "ab"})


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 40), max_size=4),
    st.sampled_from(ACTIVATIONS),
    st.integers(0, 1000),
)
def test_round_trip(hidden: list[int], activation: str, seed: int) -> None:
    file = _file(tuple(hidden), activation, seed)
    again = WeightsFile.from_bytes(file.to_bytes())
    np.testing.assert_array_equal(again.flat.plan, file.flat.plan)
    np.testing.assert_array_equal(again.flat.numbers, file.flat.numbers)
    np.testing.assert_array_equal(again.flat.weights, file.flat.weights)
    np.testing.assert_array_equal(again.golden_x, file.golden_x)
    np.testing.assert_array_equal(again.golden_y, file.golden_y)
    np.testing.assert_array_equal(again.absolute_tolerance, file.absolute_tolerance)
    assert again.columns == file.columns
    assert again.about == file.about
    assert again.contract == file.contract
    assert again.to_bytes() == file.to_bytes()


def test_write_gives_the_hash_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    sha256 = _file().write(path)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert WeightsFile.read(path).about["name"] == "mixed"


def test_damage_is_refused() -> None:
    content = _file().to_bytes()
    for length in (0, 7, 63, 64, 200, len(content) - 1):
        with pytest.raises(EmufortError):
            WeightsFile.from_bytes(content[:length])
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(content), 300):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(EmufortError):
            WeightsFile.from_bytes(bytes(damaged))


def test_hostile_sizes_are_refused() -> None:
    content = bytearray(_file().to_bytes())
    content[64 + 24 : 64 + 32] = struct.pack("<Q", 2**40)
    content[28:32] = bytes(4)
    content[28:32] = struct.pack("<I", zlib.crc32(bytes(content)))
    with pytest.raises(EmufortError, match="outside the file"):
        WeightsFile.from_bytes(bytes(content))


def test_a_file_of_the_first_format_says_what_to_do() -> None:
    content = bytearray(_file().to_bytes())
    content[12:16] = struct.pack("<I", 1)
    with pytest.raises(EmufortError, match="written by an earlier emufort: export again"):
        WeightsFile.from_bytes(bytes(content))


def test_text_that_would_break_lines_is_refused() -> None:
    emulator = random_emulator(mixed())
    with pytest.raises(EmufortError, match="tab or line end"):
        WeightsFile.from_emulator(emulator, about={"note": "two\nlines"}).to_bytes()


def test_packing_covers_every_neuron_once() -> None:
    assert [panel_width(n) for n in (1, 4, 5, 8, 9, 12, 13, 16, 300)] == [
        *(4, 4, 8, 8, 8, 8, 16, 16, 16)
    ]
    flat = flatten(random_emulator(mixed(), (37, 5)))
    packed = pack(plan_of(flat)[1])
    assert np.count_nonzero(packed) == np.count_nonzero(flat.weights)
    assert sorted(packed[packed != 0]) == sorted(flat.weights[flat.weights != 0])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 4096), min_size=2, max_size=9))
def test_buffers_of_a_chain_do_not_overlap_and_its_weights_follow_each_other(
    sizes: list[int],
) -> None:
    first, *hidden, last = sizes
    plan = flat_plan(Architecture(first, tuple(hidden), last, "gelu").plan)
    assert [o.n_in for o in plan.operations] == sizes[:-1]
    assert [o.n_out for o in plan.operations] == sizes[1:]
    assert [o.activation for o in plan.operations] == [
        *[ACTIVATION_FUNCTIONS["gelu"].code] * len(hidden),
        ACTIVATION_FUNCTIONS["linear"].code,
    ]
    dense = OPERATIONS["dense"].code
    place, weights = plan.features, 1
    for o in plan.operations:
        assert (o.code, o.x, o.second_x, o.weights) == (dense, place, 0, weights)
        lower, upper = sorted([(o.x, o.n_in), (o.y, o.n_out)])
        assert lower[0] + buffer_room(lower[1]) <= upper[0]
        assert upper[0] + buffer_room(upper[1]) <= plan.n_scratch
        assert o.x % 16 == o.y % 16 == (o.weights - 1) % 16 == 0
        place, weights = o.y, weights + packed_size((o.n_out, o.n_in), o.n_out)
    assert plan.result == place
    integers, tables = plan.to_arrays()
    again = FlatPlan.from_array(np.array([*integers, 7, 7], dtype=np.int32))
    assert again.operations == plan.operations
    assert not len(tables)


def test_layers_are_packed_where_the_plan_says() -> None:
    flat = flatten(random_emulator(mixed(), (37, 5, 13)))
    parameters = plan_of(flat)[1]
    packed = pack(parameters)
    arrays = list(parameters.values())
    layers = zip(arrays[::2], arrays[1::2], strict=True)
    for operation, (weight, bias) in zip(flat.network.operations, layers, strict=True):
        assert weight.shape == (operation.n_out, operation.n_in)
        first = operation.weights - 1
        width = panel_width(operation.n_out)
        n = min(width, operation.n_out)
        np.testing.assert_array_equal(packed[first : first + n], bias[:n])
        np.testing.assert_array_equal(packed[first + width : first + width + n], weight[:n, 0])
    end = flat.network.operations[-1]
    assert len(packed) == end.weights - 1 + packed_size((end.n_out, end.n_in), end.n_out) + 16


@pytest.mark.parametrize("field", range(12))
def test_operations_that_are_no_chain_are_not_restored(field: int) -> None:
    """Each integer of an operation counts: the numpy form would silently be another network."""
    file = _file((5, 5))
    plan = file.flat.plan.copy()
    plan[8 + 12 + field] += 64
    flat = dataclasses.replace(file.flat, plan=plan)
    with pytest.raises(EmufortError, match="contradicts itself") as caught:
        restore(dataclasses.replace(file, flat=flat))
    assert "\n" not in str(caught.value)


def test_a_plan_that_is_too_short_is_not_restored() -> None:
    file = _file()
    for n in (0, 3, 8, 12):
        flat = dataclasses.replace(file.flat, plan=file.flat.plan[:n])
        with pytest.raises(EmufortError, match="export again"):
            restore(dataclasses.replace(file, flat=flat))
