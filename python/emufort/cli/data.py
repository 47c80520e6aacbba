"""Commands about data sets, processes and presets."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from emufort.cli.options import ContractName, Json, PresetName
from emufort.cli.running import print_json
from emufort.errors import UsageError


def data(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="CF netCDF file or Zarr store, or a pattern in quotes; default: the data of the "
            "contract."
        ),
    ] = None,
    contract: ContractName = None,
) -> None:
    """Describe a data set as read by its contract."""
    from emufort.config import DEFAULTS
    from emufort.contract import Contract
    from emufort.dataset.dataset import Dataset
    from emufort.run import display

    display.dataset(Dataset.open(file, Contract.load(contract or DEFAULTS.contract)))


def init(
    file: Annotated[
        Path, typer.Argument(help="CF netCDF file or Zarr store, or a pattern in quotes.")
    ],
    outputs: Annotated[
        str, typer.Option(help="Variables that the emulator should predict, separated by commas.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the drafts.")] = Path(),
) -> None:
    """Draft a contract and a configuration from data, with comments on what to complete."""
    from emufort.draft import write_draft

    names = [name.strip() for name in outputs.split(",")]
    contract, configuration = write_draft(file, names, out)
    typer.echo(f"{contract}: complete it, then run: emufort check {configuration}")


def labels(
    out: Annotated[Path, typer.Option(help="netCDF file to write.")],
    contract: Annotated[
        str | None, typer.Argument(help="Contract of a process, as PROCESS.CONTRACT.")
    ] = None,
    preset: PresetName = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Number of training samples; default 16384, of a preset 32768."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed; the same seed gives the same data.")
    ] = 1,
) -> None:
    """Make the data set of a contract or of a preset with the label maker of its process."""
    from emufort.processes.labels import write_labels

    if (contract is None) == (preset is None):
        raise UsageError("give either a contract of a process or --preset")
    if preset is not None:
        _labels_of_preset(preset, samples, seed, out)
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.completed:.0f} samples"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("labels", total=None)
        advance = functools.partial(bar.advance, task)
        made = write_labels(str(contract), samples or 16_384, seed, out, advance)
    sizes = ", ".join(f"{name} {size}" for name, size in made.sizes.items())
    typer.echo(f"{out}: {sizes}")


def _labels_of_preset(name: str, samples: int | None, seed: int, out: Path) -> None:
    """Copy the data set of a preset, which is made if the process has not kept it."""
    import shutil

    from emufort import signals
    from emufort.config import DEFAULTS
    from emufort.files import replacing
    from emufort.processes.labels import check_out
    from emufort.processes.presets import load_preset
    from emufort.run.step_display import progress

    check_out(out)
    found = load_preset(name)
    wanted = DEFAULTS.labels.samples if samples is None else samples
    with progress({"labels": "labels"}) as shown:
        report = signals.checked(shown.following())
        made = found.labels(wanted, seed, functools.partial(report, "labels"))
    with replacing(out) as temporary:
        shutil.copyfile(made, temporary)
    typer.echo(f"{out}: labels of {found.name} for {wanted} training samples")


def presets(
    name: Annotated[
        str | None, typer.Argument(help="Print the file of this preset, to start from.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the presets of host models: what they serve, their modes and constants."""
    from emufort.processes.presets import every_preset, preset_file
    from emufort.run import display

    if name is not None:
        if as_json:
            raise UsageError("--json lists all presets; leave out the name")
        typer.echo(preset_file(name).read_text(encoding="utf-8"), nl=False)
        return
    found = dict(every_preset())
    if as_json:
        print_json(
            [
                {
                    "name": name,
                    "title": preset.title,
                    "serves": preset.serves,
                    "contract": preset.contract.name,
                    "glue": preset.glue,
                    **preset.facts,
                }
                for name, preset in found.items()
            ]
        )
    else:
        display.presets(found)


def processes() -> None:
    """List the registered processes with their package, contracts, heads and timing sources."""
    from emufort.run import display

    display.processes()
