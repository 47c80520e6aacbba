"""Options that several commands of ``emufort`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None, typer.Argument(help="Configuration (TOML); without it the defaults.")
]
#: The run folder where none is given.
RUN_FOLDER = Path("runs/latest")

Out = Annotated[Path, typer.Option("--out", help="Run folder.")]
Data = Annotated[
    Path | None, typer.Option(help="CF netCDF file; without it the embedded data set.")
]
ContractName = Annotated[
    str | None, typer.Option("--contract", help="A bundled contract or a TOML file.")
]
Seed = Annotated[int | None, typer.Option(help="Random seed.")]
Workers = Annotated[int | None, typer.Option(help="Processes; 0 means one per core.")]
Engine = Annotated[str | None, typer.Option(help="pool or dask: who runs the processes.")]
Scheduler = Annotated[
    str | None, typer.Option(help="Use the workers of this Dask scheduler, tcp://HOST:PORT.")
]
Cluster = Annotated[
    str | None, typer.Option(help="slurm: start Dask workers in batch jobs, see --profile.")
]
Profile = Annotated[
    Path | None, typer.Option(help="TOML file of batch jobs: the keys of the section [cluster].")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the batch script and do nothing else.")
]

#: A number, or ``auto``; the configuration checks it.
Top = Annotated[
    str | None,
    typer.Option(
        "--top",
        metavar="N|auto",
        help="Candidates that step 2 chooses along the predicted front, the control group not "
        "counted; auto: until more would gain little.",
    ),
]
Subset = Annotated[
    str | None,
    typer.Option(
        "--subset",
        metavar="N|auto",
        help="Training rows of step 1; auto: as many as the search can use.",
    ),
]

TrustSources = Annotated[
    bool,
    typer.Option(
        "--trust-sources",
        help="Use the sources in the bundle though this version of emufort writes others: only "
        "for bundles that you trust.",
    ),
]


def _be_quiet(quiet: bool) -> bool:
    from emufort import screen

    screen.be_quiet(quiet)
    return quiet


Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", callback=_be_quiet, help="Print neither progress nor tables; errors only."
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, and neither progress nor tables.")
]
