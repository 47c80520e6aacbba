"""Make the data set of a preset: sample, label with the parcel model, write CF netCDF-4.

    python data_prep/make_dataset.py --train 32768 --seed 1 --out activation.nc

After a kill, the same command continues the run and gives the same file.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

try:
    import emufort.processes.aerosol_activation  # noqa: F401
except ImportError:  # from a checkout without installation
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from emufort import signals
from emufort.errors import EmufortError, UsageError
from emufort.processes.aerosol_activation.labelling import Recipe, write_labels
from emufort.processes.aerosol_activation.labelling.parallel import CHUNK
from emufort.processes.aerosol_activation.labels import BUNDLED_PRESET
from emufort.processes.aerosol_activation.parcel_chunks import RESULT_COLUMNS
from emufort.processes.aerosol_activation.parcel_model import STATUS_MEANINGS
from emufort.processes.aerosol_activation.preset import Preset


def _check_folder(out: Path) -> None:
    """Check before hours of work that the result can be written."""
    if not out.parent.is_dir():
        raise UsageError(f"the folder {out.parent} does not exist; make it or choose another --out")
    if out.is_dir():
        raise UsageError(f"{out} is a folder; --out must name a file")
    if not os.access(out.parent, os.W_OK):
        raise UsageError(f"no permission to write into {out.parent}; choose another --out")


def _make(recipe: Recipe, out: Path, workers: int, chunk: int, console: Console) -> None:
    _check_folder(out)
    columns = (
        TextColumn("labelling"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("labelling", total=recipe.rows)
        labels = write_labels(
            out, recipe, lambda n: bar.advance(task, n), workers=workers or None, chunk=chunk
        )
    console.print(f"{out}: {recipe.rows} samples, {out.stat().st_size / 1e6:.2f} MB")
    status = labels[:, RESULT_COLUMNS.index("status")].astype(int)
    for flag, split in enumerate(recipe.sizes()):
        counts = np.bincount(status[recipe.split_flags() == flag], minlength=len(STATUS_MEANINGS))
        text = ", ".join(
            f"{name} {count}" for name, count in zip(STATUS_MEANINGS, counts, strict=True)
        )
        console.print(f"  {split}: {text}")


def main(
    out: Annotated[Path, typer.Option(help="File to write.")],
    preset: Annotated[
        str, typer.Option(help="Name of a preset, or path of a preset file.")
    ] = BUNDLED_PRESET,
    train: Annotated[
        int, typer.Option(min=1, help="Training samples (Sobol': preferably a power of two).")
    ] = 32768,
    validation: Annotated[int, typer.Option(min=0, help="Validation samples.")] = 4096,
    test: Annotated[int, typer.Option(min=0, help="Test samples.")] = 8192,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 1,
    bins: Annotated[
        int, typer.Option(min=1, help="Cells per aerosol mode for training samples.")
    ] = Recipe.bins,
    judging_bins: Annotated[
        int, typer.Option(min=1, help="Cells per aerosol mode for validation and test samples.")
    ] = Recipe.judging_bins,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per available core.")] = 0,
    chunk: Annotated[int, typer.Option(min=1, help="Samples per restart file.")] = CHUNK,
) -> None:
    """Make the data set of a preset of aerosol activation."""
    console = Console(stderr=True)
    try:
        recipe = Recipe(
            Preset.load(preset),
            train,
            validation,
            test,
            seed=seed,
            bins=bins,
            judging_bins=judging_bins,
        )
        _make(recipe, out.absolute(), workers, chunk, console)
    except (EmufortError, MemoryError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except signals.StoppedError:
        signals.leave()


if __name__ == "__main__":
    signals.watch()
    typer.run(main)
