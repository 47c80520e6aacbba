"""Options that several commands of ``emufort`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None, typer.Argument(help="Configuration (TOML); default: built-in values.")
]
#: Default run folder.
RUN_FOLDER = Path("runs/latest")

Out = Annotated[Path, typer.Option("--out", help="Run folder.")]
Data = Annotated[
    Path | None,
    typer.Option(
        help="CF netCDF file or Zarr store, or a pattern in quotes; default: the embedded data set."
    ),
]
ContractName = Annotated[
    str | None, typer.Option("--contract", help="Name of a bundled contract, or a TOML file.")
]
PresetName = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="Host model whose labels and contract to use: a name of 'emufort presets', or a TOML "
        "file.",
    ),
]
Seed = Annotated[int | None, typer.Option(help="Random seed.")]
Workers = Annotated[
    int | None, typer.Option(help="Number of processes; 0 means one per core, or one per GPU.")
]
DeviceName = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda|cuda:N|mps",
        help="Where networks are trained; cuda: all visible GPUs.",
    ),
]
Engine = Annotated[str | None, typer.Option(help="What runs the processes: pool or dask.")]
Scheduler = Annotated[
    str | None, typer.Option(help="Use the workers of this Dask scheduler, tcp://HOST:PORT.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="slurm|pbs|lsf|sge", help="Start Dask workers in batch jobs, see --profile."
    ),
]
Profile = Annotated[
    Path | None,
    typer.Option(help="TOML file for batch jobs with the keys of the section [cluster]."),
]
Log = Annotated[
    list[str] | None,
    typer.Option(
        "--log",
        metavar="tensorboard|mlflow",
        help="Also log trials and networks for TensorBoard (in the folder logs of the run) or to "
        "MLflow; may be repeated.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print the batch script.")]

#: A number or ``auto``; the configuration checks the value.
Top = Annotated[
    str | None,
    typer.Option(
        "--top",
        metavar="N|auto",
        help="Candidates that step 2 chooses along the predicted front, without the control group; "
        "auto: until more would gain little.",
    ),
]
Subset = Annotated[
    str | None,
    typer.Option(
        "--subset",
        metavar="N|auto",
        help="Number of training rows of step 1; auto: as many as the search can use.",
    ),
]

PrecisionName = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="single|double",
        help="Precision in which Fortran and ONNX compute the network; default: single.",
    ),
]
WeightsPlace = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="module|file",
        help="Whether the Fortran module holds the network, or loads weights.bin; default: module.",
    ),
]
TrustSources = Annotated[
    bool,
    typer.Option(
        "--trust-sources",
        help="Use the sources of the bundle even if this version of emufort generates other ones; "
        "only for bundles that you trust.",
    ),
]


def _be_quiet(quiet: bool) -> bool:
    from emufort import screen

    screen.be_quiet(quiet)
    return quiet


Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", callback=_be_quiet, help="Print only errors, without progress and tables."
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print only the result, as JSON, without progress and tables."),
]
