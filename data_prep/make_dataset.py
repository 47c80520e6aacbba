"""Make the aerosol activation data set: sample, label with the parcel model, write CF netCDF-4.

    python data_prep/make_dataset.py --train 32768 --seed 1 --out activation.nc

After a kill, the same command continues the run and gives the same file.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

try:
    import emufort.processes.aerosol_activation  # noqa: F401
except ImportError:  # from a checkout without installation
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))

import numpy as np
from activation_data.labelling import Recipe, label_in_parallel
from activation_data.netcdf_writer import write_dataset
from activation_data.sampling import SPLITS
from activation_data.solver import STATUS_MEANINGS, BuildError
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


def _check_folder(out: Path) -> None:
    """Check before hours of work that the result can be written."""
    if not out.parent.is_dir():
        raise NotADirectoryError(
            f"the folder {out.parent} does not exist; make it or choose another --out"
        )
    if out.is_dir():
        raise IsADirectoryError(f"{out} is a folder; --out must name a file")
    if not os.access(out.parent, os.W_OK):
        raise PermissionError(f"no permission to write into {out.parent}; choose another --out")


def _make(recipe: Recipe, out: Path, workers: int, console: Console) -> None:
    _check_folder(out)
    # named after the recipe: another recipe never reads these chunks
    work = out.with_name(f"{out.name}.work") / recipe.fingerprint()
    samples = recipe.samples()
    columns = (
        TextColumn("labelling"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("labelling", total=len(samples))
        labels = label_in_parallel(samples, recipe, work, workers, lambda n: bar.advance(task, n))
    written = write_dataset(out, recipe, samples, labels)
    shutil.rmtree(work.parent, ignore_errors=True)
    console.print(f"{out}: {len(samples)} samples, {out.stat().st_size / 1e6:.2f} MB")
    for flag, split in enumerate(SPLITS):
        status = written["status"][written["split"] == flag]
        counts = np.bincount(status, minlength=len(STATUS_MEANINGS))
        text = ", ".join(
            f"{name} {count}" for name, count in zip(STATUS_MEANINGS, counts, strict=True)
        )
        console.print(f"  {split}: {text}")


def main(
    out: Annotated[Path, typer.Option(help="File to write.")],
    train: Annotated[
        int, typer.Option(min=1, help="Training samples (Sobol': preferably a power of two).")
    ] = 32768,
    validation: Annotated[int, typer.Option(min=0, help="Validation samples.")] = 4096,
    test: Annotated[int, typer.Option(min=0, help="Test samples.")] = 8192,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 1,
    bins: Annotated[int, typer.Option(min=1, help="Cells per aerosol mode.")] = 100,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per available core.")] = 0,
    chunk: Annotated[int, typer.Option(min=1, help="Samples per restart file.")] = 256,
) -> None:
    """Make the aerosol activation data set."""
    console = Console(stderr=True)
    recipe = Recipe(
        train=train, validation=validation, test=test, seed=seed, bins=bins, chunk=chunk
    )
    try:
        _make(recipe, out.absolute(), workers or len(os.sched_getaffinity(0)), console)
    except (BuildError, OSError, MemoryError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        typer.echo(f"error: cannot make {out}: {reason}{where}", err=True)
        raise typer.Exit(1) from None
    except signals.StoppedError:
        signals.leave()


if __name__ == "__main__":
    signals.watch()
    typer.run(main)
