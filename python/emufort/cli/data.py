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
    """Describe a data set as read by its contract."""
    from emufort.config import DEFAULTS
    from emufort.contract import Contract
    from emufort.dataset.dataset import Dataset
    from emufort.run import display

    display.dataset(Dataset.open(file, Contract.load(contract or DEFAULTS.contract)))


def labels(
    contract: Annotated[str, typer.Argument(help="Contract of a process, as PROCESS.CONTRACT.")],
    out: Annotated[Path, typer.Option(help="netCDF file to write.")],
    samples: Annotated[int, typer.Option(min=1, help="Number of training samples.")] = 16384,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed; the same seed gives the same data.")
    ] = 1,
) -> None:
    """Make the data set of a contract with the label maker of its process."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from emufort.processes.labels import write_labels

    columns = (TextColumn("{task.completed:.0f} samples"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("labels", total=None)
        made = write_labels(contract, samples, seed, out, lambda n: bar.advance(task, n))
    sizes = ", ".join(f"{name} {size}" for name, size in made.sizes.items())
    typer.echo(f"{out}: {sizes}")


def processes() -> None:
    """List the registered processes with their package, contracts, heads and timing sources."""
    from emufort.run import display

    display.processes()
