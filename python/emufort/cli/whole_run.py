"""Commands for a whole run: run, status, check."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from emufort.cli.options import (
    RUN_FOLDER,
    Cluster,
    ConfigFile,
    ContractName,
    Data,
    DeviceName,
    DryRun,
    Engine,
    Json,
    Log,
    Out,
    PresetName,
    Profile,
    Quiet,
    Scheduler,
    Seed,
    Top,
    Workers,
)
from emufort.cli.running import (
    absolute,
    carry_out,
    configured,
    contract_option,
    opened,
    print_batch_script,
    print_json,
    refuse_with_preset,
    where_to_compute,
)
from emufort.errors import UsageError


def run(
    config: ConfigFile = None,
    out: Out = RUN_FOLDER,
    preset: PresetName = None,
    data: Data = None,
    contract: ContractName = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Training samples that a preset labels.")
    ] = None,
    seed: Seed = None,
    workers: Workers = None,
    device: DeviceName = None,
    engine: Engine = None,
    scheduler: Scheduler = None,
    cluster: Cluster = None,
    profile: Profile = None,
    dry_run: DryRun = False,
    trials: Annotated[int | None, typer.Option(help="Candidates of step 1.")] = None,
    top: Top = None,
    steps: Annotated[
        int | None, typer.Option(help="Length of a training of step 2, in steps of 256 samples.")
    ] = None,
    rule: Annotated[str | None, typer.Option(help="Rule of the selection, such as 'knee'.")] = None,
    log: Log = None,
    quiet: Quiet = False,
) -> None:
    """Carry out all steps: search, retrain, time, select, export, verify, report.

    With --preset, the run first makes labels with the constants of a host model, which later runs
    use again, and finally writes the glue for that host. If the run is stopped or killed, the same
    command continues it.
    """
    from emufort.steps import STEP_NAMES

    refuse_with_preset(preset, {"--data": data, "--contract": contract})

    overrides = {
        "preset": contract_option(preset),
        "data": absolute(data),
        "contract": contract_option(contract),
        "labels.samples": samples,
        "seed": seed,
        "workers": workers,
        "device": device,
        "search.trials": trials,
        "retrain.top": top,
        "retrain.steps": steps,
        "select.rule": rule,
        **where_to_compute(engine, scheduler, cluster, profile),
    }
    options = configured(config, out, overrides)
    if samples is not None and options.preset is None:
        raise UsageError("--samples is the number of samples that a preset labels; give --preset")
    if dry_run:
        print_batch_script(options, out)
    else:
        carry_out(STEP_NAMES, options, out, log)


def status(
    out: Out = RUN_FOLDER,
    as_json: Json = False,
) -> None:
    """Show whether a run is running, killed or finished, and the progress of each step."""
    from emufort.run import display
    from emufort.run.status import RunStatus

    found = RunStatus.of(out)
    if as_json:
        print_json(found.to_dict())
    else:
        display.status(found)


def check(
    config: ConfigFile = None,
    data: Data = None,
    contract: ContractName = None,
    as_json: Json = False,
) -> None:
    """Check configuration, contract and data without starting a run.

    A preset in the configuration makes its labels, unless they were made before.
    """
    from emufort import screen
    from emufort.config import Config
    from emufort.dataset.constant_outputs import constant_outputs
    from emufort.run.folder import RunFolder

    loaded = Config() if config is None else Config.load(config)
    given = {"data": absolute(data), "contract": contract_option(contract)}
    refuse_with_preset(loaded.preset, {"--data": data, "--contract": contract})
    wanted = loaded.model_copy(update={k: v for k, v in given.items() if v is not None})
    screen.be_quiet(as_json)
    with tempfile.TemporaryDirectory(prefix="emufort-") as folder:
        run = opened(RunFolder(Path(folder)), wanted)
        run.check()
    found, rules = run.data, run.data.contract
    if as_json:
        print_json(
            {
                "contract": rules.name,
                "inputs": len(rules.input_columns),
                "outputs": len(rules.output_columns),
                "data": str(found.source),
                "rows": len(found),
                "constant": [column.name for column in found.constant_columns("train")],
            }
        )
        return
    n_in, n_out = len(rules.input_columns), len(rules.output_columns)
    typer.echo(
        f"contract '{rules.name}': {n_in} input{'s' * (n_in != 1)}, "
        f"{n_out} output{'s' * (n_out != 1)}; {found.source}: {len(found)} usable rows; all well"
    )
    for column in found.constant_columns("train"):
        if not column.is_output:
            typer.echo(
                f"note: {column.name} is the same in all training rows: it has no effect on the "
                "emulator"
            )
    for output in constant_outputs(rules, found.constant_outputs):
        typer.echo(
            f"note: {output.name} is the same in all training rows: it is emitted as a constant, "
            f"{output}"
        )
    for column in found.constant_in_training_only():
        typer.echo(f"note: {column.name} varies in other rows, where the constant will be wrong")
