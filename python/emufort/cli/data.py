"""Commands about data sets and processes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emufort.cli.options import ContractName


def data(
    file: Annotated[Path | None, typer.Argument(help="CF netCDF file.")] = None,
    contract: ContractName = None,
) -> None:
    """Describe a data set as its contract sees it."""
    from emufort.config import DEFAULTS
    from emufort.contract import Contract
    from emufort.dataset.dataset import Dataset
    from emufort.run import display

    display.dataset(Dataset.open(file, Contract.load(contract or DEFAULTS.contract)))


def processes() -> None:
    """List the registered processes: what a contract may name, and the package it comes from."""
    from emufort.run import display

    display.processes()
