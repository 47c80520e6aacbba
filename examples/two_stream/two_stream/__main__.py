"""The label maker: ``python -m two_stream --out layer.nc``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from two_stream.adding_doubling import STREAMS
from two_stream.dataset import make_dataset, write


def main(
    out: Annotated[Path, typer.Option(help="netCDF file to write.")],
    train: Annotated[int, typer.Option(min=16, help="Training samples.")] = 16384,
    validation: Annotated[int, typer.Option(min=2, help="Validation samples.")] = 2048,
    test: Annotated[int, typer.Option(min=2, help="Test samples.")] = 2048,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same samples.")] = 1,
    streams: Annotated[int, typer.Option(min=2, help="Gauss nodes in each hemisphere.")] = STREAMS,
) -> None:
    """Label samples of a scattering layer with the adding-doubling method."""
    console = Console(stderr=True)
    sizes = {"train": train, "validation": validation, "test": test}
    columns = (TextColumn("labelling"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        if not out.absolute().parent.is_dir():
            raise NotADirectoryError(f"the folder {out.parent} does not exist; make it first")
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("labelling", total=sum(sizes.values()))
            data = make_dataset(sizes, seed, streams, lambda n: bar.advance(task, n))
        write(data, out)
    except OSError as error:
        typer.echo(f"error: cannot write {out}: {error.strerror or error}", err=True)
        raise typer.Exit(1) from None
    done = f"{out}: {data.sizes['sample']} samples, {out.stat().st_size / 1e6:.2f} MB"
    console.print(done, soft_wrap=True)


def run() -> None:
    """Run the command."""
    typer.run(main)


if __name__ == "__main__":
    run()
