"""Presets by name or file: which configurations of host models the registered processes bring."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emufort.contract_files import is_path
from emufort.errors import ContractError, UsageError, did_you_mean
from emufort.messages import one_line
from emufort.processes import registry as processes
from emufort.processes.process import Preset


def preset_files() -> dict[str, Path]:
    """Return the presets that come with processes, by name.

    Presets of emufort have plain names, those of other packages are called ``process.preset``. A
    process that cannot be imported is left out; ``emufort processes`` shows the reason.
    """
    found: dict[str, Path] = {}
    for name, one in processes.registered().items():
        try:
            presets = one.load().presets
        except ContractError:
            continue
        prefix = "" if processes.comes_with_emufort(name) else f"{name}."
        if presets is not None:
            found |= {f"{prefix}{preset}": path for preset, path in presets.files().items()}
    return found


def preset_file(name: str | Path) -> Path:
    """Return the file of a preset.

    Parameters
    ----------
    name
        Name of a preset, or the path of a TOML file: a path object, or text with a slash or ending
        in ``.toml``.

    Raises
    ------
    UsageError
        There is no preset of this name.
    """
    if not isinstance(name, str) or is_path(name):
        return Path(name)
    known = preset_files()
    if name not in known:
        raise UsageError(
            f"there is no preset '{name}'{did_you_mean(name, known)}; 'emufort presets' lists "
            "them, and a preset of your own is a TOML file given by its path"
        )
    return known[name]


def read_preset_file(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file; raises `UsageError` if it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise UsageError(f"cannot read the preset {path}: {reason}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {one_line(error)}") from error


def load_preset(name: str | Path) -> Preset:
    """Read a preset with the process that its file names.

    Parameters
    ----------
    name
        As for `preset_file`.

    Raises
    ------
    UsageError
        There is no such preset, or the file is not valid.
    """
    path = preset_file(name)
    content = read_preset_file(path)
    named = content.get("process")
    if not isinstance(named, str):
        known = ", ".join(processes.registered())
        raise UsageError(
            f"{path}: the key 'process' is missing or not a text; it names the process that reads "
            f"the preset, one of {known}"
        )
    presets = processes.process(named).presets
    if presets is None:
        raise UsageError(f"{path}: the process '{named}' takes no presets")
    preset = presets.read(path)
    processes.check_functions(preset.contract)
    return preset


def every_preset() -> Iterator[tuple[str, Preset]]:
    """Yield name and preset of every preset that comes with a process."""
    for name, path in preset_files().items():
        yield name, load_preset(path)
