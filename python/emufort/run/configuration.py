"""The options of a run: given by the user, or stored in the run folder by the last command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from emufort.config import Config
from emufort.errors import EmufortError, UsageError
from emufort.files import read_json, write_text
from emufort.processes.presets import load_preset
from emufort.run.folder import RunFolder
from emufort.run.untrusted_options import EXECUTED
from emufort.search.growth import check_not_fewer
from emufort.steps import STEPS, Step


def configuration(
    out: Path,
    given: Path | dict[str, Any] | None,
    overrides: Mapping[str, Any] | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Config:
    """Return the options of the run in the folder `out`.

    Parameters
    ----------
    given
        A TOML file or its content. None: the configuration in the folder, or the defaults if the
        folder has none.
    overrides
        ``section.key`` -> value, which takes precedence unless it is None.
    warn
        Called with a warning if the configuration in the folder is damaged.

    Raises
    ------
    UsageError
        A key is unknown or a value is not valid.
    """
    kept: Config | None = None
    asked = {key: value for key, value in (overrides or {}).items() if value is not None}
    if isinstance(given, dict):
        config = Config.from_dict(given, "arguments")
    elif given is not None:
        config = Config.load(given)
    else:
        kept, wrong = read_config(RunFolder(out))
        config = kept or Config()
        if wrong:
            warn(wrong)
    if kept is None:
        config = _with_options_of_preset(config, asked.get("preset"))
    content = config.model_dump(mode="json", exclude_none=True)
    if given is None:
        # A run folder does not determine where to compute, because the lines of 'setup' are shell
        # commands.
        content["cluster"] = {}
    for key, value in asked.items():
        section, _, name = key.rpartition(".")
        (content[section] if section else content)[name] = value
    made = Config.from_dict(content, "command line")
    if kept is not None:
        return made.as_recorded(name for name in EXECUTED if f"timing.{name}" not in asked)
    return made


def _with_options_of_preset(config: Config, preset: str | None) -> Config:
    """Return `config` with the options of its preset where the user gave none."""
    name = config.preset if preset is None else preset
    if name is None:
        return config
    given = config.model_dump(mode="json", exclude_unset=True)
    return Config.from_dict(_merged(load_preset(name).options, given), f"the preset '{name}'")


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested mappings with the entries of `over` in place of those of `base`."""
    merged = {**base, **over}
    for key in base.keys() & over.keys():
        if isinstance(base[key], Mapping) and isinstance(over[key], Mapping):
            merged[key] = _merged(base[key], over[key])
    return merged


def read_config(folder: RunFolder) -> tuple[Config | None, str]:
    """Return the options of the run, and a warning about config.toml (empty if it is valid).

    The options are those that the last command recorded; config.toml shows them. If the record is
    lost, config.toml is used, and if that is damaged, the options that the search recorded.

    Raises
    ------
    UsageError
        config.toml is damaged, and there is no record from which it can be restored.
    """
    recorded = folder.record.get("config")
    if recorded is not None:
        config = Config.from_dict(recorded, str(folder.path / "steps.json"))
        if _is_shown(folder, recorded):
            return config, ""
        return config, (
            f"{folder.config} was changed after the last command: the options that it recorded "
            "are used; change options on the command line or in a separate configuration"
        )
    if not (folder.config.is_file() or folder.config.is_dir()):
        return None, ""
    try:
        return Config.load(folder.config), ""
    except UsageError as error:
        try:
            content = read_json(folder.search / "search.json")["config"]
            return Config.from_dict({**content, "cluster": {}}), (
                f"{folder.config} is damaged: the options that the search recorded are used"
            )
        except (EmufortError, KeyError, TypeError, UnicodeDecodeError):
            raise UsageError(
                f"{error}; remove {folder.config} and give the options or the configuration again"
            ) from error


def keep_config(
    folder: RunFolder,
    config: Config,
    inputs: dict[str, str],
    targets: tuple[dict[str, str], dict[str, str]] = ({}, {}),
) -> None:
    """Write config.toml, unless that would discard a search or retraining in progress.

    Parameters
    ----------
    inputs
        ``"data"`` and ``"contract"`` -> SHA-256.
    targets
        As `recorded_targets` returns them.

    Raises
    ------
    UsageError
        The folder holds a search or retraining with other options or other data, or a search of
        more trials.
    """
    import tomli_w

    record = folder.record
    begun = _begun(folder)
    if begun:
        refuse_other_inputs(folder, inputs)
        try:
            stored = read_config(folder)[0] or config
        except UsageError:
            stored = config  # the search has its own record of its options
        check_not_fewer(folder.search, config.search.trials)
        for step in begun:
            change = _first_change(stored, config, step.sections)
            if change:
                raise UsageError(
                    f"{folder.path} holds a run with {change}; give the old value or choose "
                    "another --out"
                )
    # The place of the computation is not stored, because the next session may run elsewhere.
    content = config.model_dump(mode="json", exclude_none=True, exclude={"cluster"})
    if config.preset is not None:
        del content["contract"]  # the preset brings its own
    if not _is_shown(folder, content):
        write_text(folder.config, tomli_w.dumps(content))
    known = {"config": content, "inputs": inputs, "targets": list(targets)}
    if not known.items() <= record.items():
        folder.remember(**known)


def refuse_other_inputs(folder: RunFolder, inputs: Mapping[str, str]) -> None:
    """Raise `UsageError` if a search or retraining in the folder has other inputs.

    Parameters
    ----------
    inputs
        ``"data"`` or ``"contract"`` -> SHA-256; what is missing is not compared.
    """
    if not _begun(folder):
        return
    for what, sha256 in folder.record.get("inputs", {}).items():
        if inputs.get(what, sha256) != sha256:
            other = "other data" if what == "data" else f"another {what}"
            raise UsageError(
                f"{folder.path} holds a run of {other}, whose SHA-256 begins with "
                f"{sha256[:12]}; give the same {what} or choose another --out"
            )


def _begun(folder: RunFolder) -> list[Step]:
    """Return the steps with work in the folder that is never overwritten."""
    return [s for s in STEPS.values() if s.is_resumable and (folder.path / s.name).exists()]


def recorded_path(folder: RunFolder, what: str) -> str | None:
    """Return the last known ``"data"``, ``"contract"`` or ``"preset"`` of the run."""
    found = folder.record.get("config", {}).get(what)
    return None if found is None else str(found)


def recorded_targets(folder: RunFolder) -> tuple[dict[str, str], dict[str, str]]:
    """Return target -> SHA-256 of its contract, and target -> its file if that has moved."""
    hashes, files = folder.record.get("targets", ({}, {}))
    return hashes, files


def _is_shown(folder: RunFolder, content: dict[str, Any]) -> bool:
    """Return whether config.toml holds `content`."""
    import tomli_w

    try:
        shown = folder.config.read_bytes() if folder.config.is_file() else None
        return shown == tomli_w.dumps(content).encode()
    except OSError:
        return False


def _first_change(stored: Config, wanted: Config, sections: tuple[str, ...]) -> str | None:
    """Describe the first option among `sections` that differs, or return None."""
    old, new = stored.model_dump(mode="json"), wanted.model_dump(mode="json")

    def differ(a: Any, b: Any, place: str) -> str | None:
        if place == "search.trials":
            return None  # a search may grow
        if isinstance(a, dict) and isinstance(b, dict):
            for key in a:
                found = differ(a[key], b.get(key), f"{place}.{key}")
                if found:
                    return found
            return None
        return None if a == b else f"{place} = {a!r}, not {b!r}"

    for section in sections:
        found = differ(old[section], new[section], section)
        if found:
            return found
    return None
