"""Records of a run folder about its steps, in files that contain their own hash.

Hashes of results show which files are missing or damaged. Hashes of `essences` leave out values
that differ each time without being results, such as seconds of training. A repeated step that ends
with the same essences does not make later steps out of date.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from emufort.errors import EmufortError
from emufort.files import read_csv, read_json, write_json
from emufort.provenance import file_sha256

#: Files that only repeat or summarise other results.
_INFORMATIVE = ("search/search.json", "search/study.journal")


def read_record(path: Path) -> dict[str, Any]:
    """Return the content that `write_record` wrote; empty if the file is missing or damaged."""
    try:
        content = read_json(path)
        sha256 = content.pop("sha256")
    except (EmufortError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return {}
    return content if sha256 == _hash(content) else {}


def write_record(path: Path, content: dict[str, Any]) -> None:
    """Write JSON with a hash of its content."""
    write_json(path, {"sha256": _hash(content), **content})


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def hashes(folder: Path, patterns: tuple[str, ...]) -> dict[str, str]:
    """Return the files below `folder` that match `patterns`, with their SHA-256."""
    found = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return {
        path.relative_to(folder).as_posix(): file_sha256(path) for path in found if path.is_file()
    }


def essences(folder: Path, results: dict[str, str]) -> dict[str, str]:
    """Return the hashes of the essential content of `results`, which `hashes` returned."""
    return {
        name: _essence(folder / name, sha256)
        for name, sha256 in results.items()
        if name not in _INFORMATIVE
    }


def _essence(path: Path, sha256: str) -> str:
    if path.suffix == ".csv":
        return _hash([_essential(row) for row in read_csv(path)])
    if path.suffix == ".json":
        return _hash(_essential(read_json(path)))
    if path.suffix == ".safetensors":
        # The order of the entries in the header differs between files.
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        tensors = hashlib.sha256(content[8 + size :]).hexdigest()
        return _hash([json.loads(content[8 : 8 + size]), tensors])
    return sha256


#: Keys of durations, and of hashes of files that have separate essences.
_NOISE = ("seconds", "files", "sha256")


def _essential(content: Any) -> Any:
    if isinstance(content, dict):
        return {k: _essential(v) for k, v in content.items() if k not in _NOISE}
    if isinstance(content, list):
        return [_essential(value) for value in content]
    return content


def remove_damaged(folder: Path, patterns: tuple[str, ...], results: dict[str, str]) -> list[str]:
    """Remove the recorded `results` that were changed; return their names.

    Only files that match `patterns` and lie in `folder` are removed, because an untrusted record
    may name any file.
    """
    changed = []
    for name, sha256 in hashes(folder, patterns).items():
        path = folder / name
        inside = path.parent.resolve().is_relative_to(folder.resolve())
        if inside and results.get(name, sha256) != sha256:
            path.unlink()
            changed.append(name)
    return changed
