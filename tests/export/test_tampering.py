"""Whatever is changed in a bundle is noticed: every entry of its manifest and every file."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError
from emufort.export import Bundle, export
from emufort.export.contents import FIXED
from emufort.export.manifest import HashChain
from emufort.export.weights_file import WeightsFile
from emufort.files import json_text
from emufort.verification import chain
from tests.conftest import SYNTHETIC_CONTRACT, synthetic_data
from tests.export.emulators import random_emulator

ENTRIES = (
    *(
        "format",
        "name",
        "hash",
        "chain",
        "files",
        "tolerance",
        "precision",
        "weights",
        "architecture",
        "plan",
    ),
    "contract_sha256",
    *("contract", "skill", "provenance", "metadata", "manifest_sha256"),
)
#: What only the hash of the manifest itself protects: nothing that is computed depends on it.
DESCRIPTIVE = {"skill", "provenance", "metadata"}
FILES = sorted({*FIXED, *(f"evaporation_emulator.{s}" for s in ("F90", "h", "hpp"))})


def _export(seed: int, folder: Path) -> Bundle:
    contract = Contract.from_toml(SYNTHETIC_CONTRACT)
    data = Dataset.from_xarray(synthetic_data(), contract, Path("pond.nc"), "d" * 64)
    return export(random_emulator(contract, (8, 8), seed=seed), data, folder, golden=8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return _export(0, tmp_path_factory.mktemp("first") / "bundle")


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return _export(1, tmp_path_factory.mktemp("second") / "bundle")


@pytest.fixture
def bundle(exported: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


def refused(folder: Path) -> str:
    """Return the line by which a bundle is refused."""
    with pytest.raises(EmufortError) as error:
        Bundle.open(folder)
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)
    return str(error.value)


# ------------------------------------------------------------ entries of the manifest

Edit = Callable[[Any], None]


def _other_value(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value[:-1] + ("0" if value[-1:] != "0" else "1")
    if isinstance(value, int | float):
        return value + 1
    if value is None:
        return 0
    return [*value, value[-1]] if isinstance(value, list) and value else {"more": 1}


def _other_type(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return float(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else str(value)
    return {str: [value], list: {"0": value}, dict: [value], type(None): "None"}[type(value)]


def edits(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[str, Edit]]:
    """Yield every way to change, retype or delete one entry at any depth, with its name."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        here = (*place, key)

        def at(whole: Any, here: tuple[Any, ...] = here) -> tuple[Any, Any]:
            for step in here[:-1]:
                whole = whole[step]
            return whole, here[-1]

        def change(whole: Any, at: Any = at) -> None:
            parent, last = at(whole)
            parent[last] = _other_value(parent[last])

        def retype(whole: Any, at: Any = at) -> None:
            parent, last = at(whole)
            parent[last] = _other_type(parent[last])

        def delete(whole: Any, at: Any = at) -> None:
            parent, last = at(whole)
            del parent[last]

        name = ".".join(map(str, here))
        yield from ((f"change {name}", change), (f"retype {name}", retype))
        yield f"delete {name}", delete
        if isinstance(value, dict | list):
            yield from edits(value, here)
    if isinstance(content, dict) and place:

        def add(whole: Any, place: tuple[Any, ...] = place) -> None:
            for step in place:
                whole = whole[step]
            whole["smuggled"] = 1

        yield f"add to {'.'.join(map(str, place))}", add


def sign(content: dict[str, Any]) -> None:
    """Recompute the hash of the manifest."""
    rest = {key: value for key, value in content.items() if key != "manifest_sha256"}
    content["manifest_sha256"] = hashlib.sha256(json_text(rest).encode()).hexdigest()


def test_the_entries_are_those_that_are_tested(exported: Bundle) -> None:
    content = json.loads((exported.path / "manifest.json").read_text())
    assert tuple(content) == ENTRIES
    assert sum(1 for _ in edits(content)) > 400


@pytest.mark.parametrize("signed", [False, True], ids=["edited", "signed anew"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_every_change_of_the_manifest_is_noticed(bundle: Path, entry: str, signed: bool) -> None:
    """An edit always; an edit with a new hash of the manifest where another file says otherwise."""
    manifest = bundle / "manifest.json"
    original = json.loads(manifest.read_text())
    unnoticed = []
    for name, edit in edits({entry: original[entry]}):
        content = copy.deepcopy(original)
        edit(content)
        if signed and entry != "manifest_sha256":
            sign(content)
        manifest.write_text(json_text(content))
        try:
            Bundle.open(bundle)
        except EmufortError as error:
            assert "\n" not in str(error), name
        else:
            unnoticed.append(name)
    if not signed or entry not in DESCRIPTIVE:
        assert not unnoticed


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: t.replace('"name"', '"name": "other", "name"', 1), "was changed"),
        (lambda t: t.replace('"tolerance": 1e-05', '"tolerance": NaN'), "damaged"),
        (lambda t: t.replace('"tolerance": 1e-05', '"tolerance": 1e999'), "damaged"),
        (lambda t: t.replace('"tolerance": 1e-05', f'"tolerance": {"9" * 5000}'), "not valid JSON"),
        (lambda t: t.replace('"tolerance": 1e-05', '"tolerance": 0.00001'), "was changed"),
        (lambda t: t.replace('"skill": {', '"skill": ' + '{"a": ' * 50_000), "nested too deeply"),
        (lambda t: t.replace('"metadata": {', '"metadata": {"a": ' + "[" * 900), "not valid JSON"),
        (lambda t: t.replace('"evaporation"', '"\\ud800"', 1), "was changed"),
        (lambda t: t.replace('"evaporation"', '"../evaporation"', 1), "was changed"),
        (lambda t: t.replace('"evaporation"', '"e\\nvaporation"', 1), "was changed"),
        (lambda t: t.replace("\n", "\r\n"), "was changed"),
        (lambda t: t.replace('"hash": ', '"hash":  '), "was changed"),
        (lambda t: "[" + t + "]", "not a manifest"),
        (lambda t: "\ufeff" + t, "not valid JSON"),
        (lambda t: t + " ", "was changed"),
        (lambda t: "", "not valid JSON"),
        (lambda t: "null", "not a manifest"),
        (lambda t: '{"format": "emufort-bundle-2"}', "lacks the entry 'chain'"),
    ],
)
def test_a_manifest_that_no_export_wrote_is_refused(
    bundle: Path, damage: Callable[[str], str], message: str
) -> None:
    manifest = bundle / "manifest.json"
    text = damage(manifest.read_text())
    manifest.write_bytes(text.encode())
    assert message in refused(bundle)


def test_bytes_that_are_no_text_are_refused(bundle: Path) -> None:
    (bundle / "manifest.json").write_bytes(b'{"format": "\xff\xfe"}')
    assert "not valid JSON" in refused(bundle)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/file", "", ".", "other.F90"])
def test_the_manifest_lists_the_files_of_a_bundle_and_no_others(bundle: Path, name: str) -> None:
    manifest = bundle / "manifest.json"
    content = json.loads(manifest.read_text())
    content["files"][name] = "0" * 64
    sign(content)
    manifest.write_text(json_text(content))
    assert f"the file {name!r}" in refused(bundle)


@pytest.mark.parametrize("name", ["../evaporation", "/evaporation", "e v", "e\nv", "\ud800", ""])
def test_a_name_that_is_no_name_is_refused(bundle: Path, name: str) -> None:
    manifest = bundle / "manifest.json"
    content = json.loads(manifest.read_text())
    content["name"] = name
    sign(content)
    manifest.write_text(json_text(content))
    assert "cannot name a Fortran module" in refused(bundle)


# ---------------------------------------------------------------------- files


def _flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "first byte": lambda path, _: _flip(path, 0),
    "middle byte": lambda path, _: _flip(path, path.stat().st_size // 2),
    "last byte": lambda path, _: _flip(path, -1),
    "cut": lambda path, _: os.truncate(path, path.stat().st_size // 2),
    "longer": lambda path, _: path.write_bytes(path.read_bytes() + b" "),
    "emptied": lambda path, _: os.truncate(path, 0),
    "deleted": lambda path, _: path.unlink(),
    "a folder": lambda path, _: (path.unlink(), path.mkdir()),
    "another's": lambda path, other: shutil.copyfile(other, path),
    "a link": lambda path, _: path.symlink_to(path.rename(path.parent.parent / path.name)),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_every_change_of_a_file_is_noticed(
    bundle: Path, another: Bundle, name: str, damage: str
) -> None:
    before = (bundle / name).read_bytes()
    other = another.path / name
    if damage == "another's" and other.read_bytes() == before:
        # the same in all bundles of a contract
        headers = {"emufort.h", "emufort.hpp", "evaporation_emulator.hpp"}
        assert name in headers | {"emufort_runtime.F90", "emufort_cpu_level.c", "LICENSE"}
        return
    DAMAGES[damage](bundle / name, other)
    assert name in refused(bundle)


@pytest.mark.parametrize("name", [".hidden", "other_emulator.F90", "build"])
def test_what_is_no_part_of_the_bundle_is_named(bundle: Path, name: str) -> None:
    (bundle / name).mkdir()
    assert f"holds '{name}'" in refused(bundle)


def test_every_byte_of_the_manifest_counts(bundle: Path) -> None:
    manifest = bundle / "manifest.json"
    content = manifest.read_bytes()
    for place in range(0, len(content), 29):
        manifest.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        refused(bundle)


# ------------------------------------------------ weights.bin, with all hashes made anew


def resigned(folder: Path, weights: bytes) -> None:
    """Put another weights.bin into a bundle, and make the manifest fit it."""
    (folder / "weights.bin").write_bytes(weights)
    manifest = folder / "manifest.json"
    content = json.loads(manifest.read_text())
    sha256 = hashlib.sha256(weights).hexdigest()
    content["files"]["weights.bin"] = sha256
    links = {link["link"]: link["sha256"] for link in content["chain"]} | {"weights": sha256}
    whole = HashChain(links)
    content |= {"chain": whole.to_list(), "hash": whole.upto("weights")}
    sign(content)
    manifest.write_text(json_text(content))


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(where=st.floats(0.0, 1.0, exclude_max=True), flip=st.integers(1, 255), n=st.integers(1, 9))
def test_a_weights_file_with_a_right_checksum_is_noticed(
    exported: Bundle, bundle: Path, where: float, flip: int, n: int
) -> None:
    """Whatever a forger writes there: one line, and no other error."""
    original = (exported.path / "weights.bin").read_bytes()
    content = bytearray(original)
    place = int(where * len(content))
    for i in range(place, min(place + n, len(content))):
        content[i] ^= flip
    content[28:32] = bytes(4)
    content[28:32] = struct.pack("<I", zlib.crc32(bytes(content)))
    resigned(bundle, bytes(content))
    manifest = bundle / "manifest.json"
    try:
        problems = chain.problems(Bundle.open(bundle, check=False))
    finally:
        manifest.write_bytes((exported.path / "manifest.json").read_bytes())
    assert all("\n" not in problem for problem in problems)
    if not problems:  # bytes that mean nothing, such as those between two sections
        found, wanted = (WeightsFile.from_bytes(c) for c in (bytes(content), original))
        np.testing.assert_allclose(found.absolute_tolerance, wanted.absolute_tolerance, 1e-9)
        same = replace(found, absolute_tolerance=wanted.absolute_tolerance)
        assert same.to_bytes() == original
