"""Contract and data of a run: named in the configuration, or those of a preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export.fortran import check_names
from emufort.export.host import check_host, write_host
from emufort.processes.presets import load_preset
from emufort.progress import Reporter, silent


def contract_of(config: Config) -> Contract:
    """Return the contract of a run.

    Raises
    ------
    ContractError
        As for `Contract.load`.
    UsageError
        There is no such preset, its file is not valid, or it names a host without glue.
    """
    if config.preset is None:
        return Contract.load(config.contract)
    preset = load_preset(config.preset)
    # Errors of the file must not wait for the labels, which take minutes.
    check_names(preset.contract, config.export.name)
    for host in preset.glue:
        check_host(preset.contract, host)
    return preset.contract


def open_data(config: Config, contract: Contract, work: Path, report: Reporter = silent) -> Dataset:
    """Open the data set of a run; a preset makes it unless it has kept it.

    Parameters
    ----------
    config
        Names the preset or the file.
    contract
        The result of `contract_of`.
    work
        Folder for scratch files.
    report
        Receives the progress of the labels of a preset as the step ``"labels"``.

    Raises
    ------
    DataError
        The data do not satisfy the contract.
    EmufortError
        The preset cannot make its labels.
    """
    if config.preset is None:
        return Dataset.open(config.data, contract, work)
    made = load_preset(config.preset).labels(
        config.labels.samples,
        config.labels.seed,
        lambda done, total: report("labels", done, total),
    )
    return Dataset.open(made, contract, work)


def describe_preset(config: Config) -> dict[str, Any]:
    """Return what the provenance of a run records of its preset."""
    assert config.preset is not None
    preset = load_preset(config.preset)
    options = config.labels.model_dump(mode="json")
    return {"name": preset.name, "source": config.preset, "labels": options, **preset.facts}


def write_preset_glue(config: Config, bundle: Path) -> list[Path]:
    """Write the host glue that the preset of a run names; return the folders.

    Raises
    ------
    EmufortError
        As for `emufort.export.host.write_host`.
    """
    if config.preset is None:
        return []
    return [write_host(bundle, host).path for host in load_preset(config.preset).glue]
