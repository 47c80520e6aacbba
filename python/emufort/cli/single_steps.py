"""Commands that carry out one step of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emufort import signals
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
    PrecisionName,
    PresetName,
    Profile,
    Quiet,
    Scheduler,
    Seed,
    Subset,
    Top,
    TrustSources,
    WeightsPlace,
    Workers,
)
from emufort.cli.running import (
    absolute,
    carry_out,
    configured,
    contract_option,
    json_of,
    opened,
    plain_warnings,
    print_batch_script,
    print_json,
    refuse_with_preset,
    where_to_compute,
)
from emufort.errors import UsageError

if TYPE_CHECKING:
    from emufort.config import Config


def search(
    config: ConfigFile = None,
    out: Out = RUN_FOLDER,
    preset: PresetName = None,
    data: Data = None,
    contract: ContractName = None,
    seed: Seed = None,
    workers: Workers = None,
    device: DeviceName = None,
    engine: Engine = None,
    scheduler: Scheduler = None,
    cluster: Cluster = None,
    profile: Profile = None,
    dry_run: DryRun = False,
    trials: Annotated[int | None, typer.Option(help="Number of candidates.")] = None,
    subset: Subset = None,
    sampler: Annotated[
        str | None, typer.Option(help="parzen, random, qmc, tpe, gp, cmaes, nsga2 or nsga3.")
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="cosine: each rung is a short step 2; constant: continue from rung to rung."
        ),
    ] = None,
    max_ns: Annotated[
        float | None,
        typer.Option("--max-ns", help="Largest predicted inference time, ns per sample."),
    ] = None,
    advise: Annotated[
        bool, typer.Option("--advise", help="Only measure how small the subset may be.")
    ] = False,
    log: Log = None,
    quiet: Quiet = False,
) -> None:
    """Step 1: train many candidates on a small subset of the data."""
    refuse_with_preset(preset, {"--data": data, "--contract": contract})
    overrides = {
        "preset": contract_option(preset),
        "data": absolute(data),
        "contract": contract_option(contract),
        "seed": seed,
        "workers": workers,
        "device": device,
        "search.trials": trials,
        "search.subset": subset,
        "search.sampler": sampler,
        "search.schedule": schedule,
        "search.max_ns": max_ns,
        **where_to_compute(engine, scheduler, cluster, profile),
    }
    options = configured(config, out, overrides)
    if dry_run:
        print_batch_script(options, out)
    elif advise:
        _advise(options, out)
    else:
        carry_out(("search",), options, out, log)


def _advise(config: Config, out: Path) -> None:
    from emufort.checks import check_run
    from emufort.run import display
    from emufort.run.folder import RunFolder
    from emufort.run.step_display import progress
    from emufort.search.advice import advise
    from emufort.steps import titles

    data = opened(RunFolder(out), config).data
    check_run(config, data, ())
    with progress(titles(config, ("search",))) as shown, plain_warnings():
        shown.begin("search")
        found = advise(data, config, out / "advice", signals.checked(shown))
        shown.end("search")
    display.advice(found, out / "advice")


def retrain(
    out: Out = RUN_FOLDER,
    workers: Workers = None,
    device: DeviceName = None,
    engine: Engine = None,
    scheduler: Scheduler = None,
    cluster: Cluster = None,
    profile: Profile = None,
    top: Top = None,
    seeds: Annotated[
        int | None, typer.Option(help="Number of trainings of each candidate on the front.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Length of a training, in steps of 256 samples.")
    ] = None,
    log: Log = None,
    quiet: Quiet = False,
) -> None:
    """Step 2: train candidates on all training data.

    A random control group comes first; it shows how well step 1 ranks the candidates.
    """
    overrides = {
        "workers": workers,
        "device": device,
        "retrain.top": top,
        "retrain.seeds": seeds,
        "retrain.steps": steps,
        **where_to_compute(engine, scheduler, cluster, profile),
    }
    carry_out(("retrain",), configured(None, out, overrides), out, log)


def time(
    out: Out = RUN_FOLDER,
    backend: Annotated[str | None, typer.Option(help="fortran or onnxruntime.")] = None,
    compiler: Annotated[str | None, typer.Option(help="Fortran compiler.")] = None,
    flags: Annotated[str | None, typer.Option(help="Compiler flags.")] = None,
    quiet: Quiet = False,
) -> None:
    """Measure the inference time of each retrained candidate."""
    overrides = {
        "timing.backend": backend,
        "timing.compiler": compiler,
        "timing.flags": flags,
    }
    carry_out(("time",), configured(None, out, overrides), out)


def select(
    out: Out = RUN_FOLDER,
    rule: Annotated[
        str | None,
        typer.Option(help="knee, best, fastest-within=5%, max-ns=100 or faster-than=ARG2000."),
    ] = None,
    ncol: Annotated[
        int | None, typer.Option(help="Columns per call of the times to compare.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Select a network on the Pareto front of skill and measured time."""
    from emufort.run.folder import RunFolder

    overrides = {"select.rule": rule, "select.ncol": ncol}
    with json_of(as_json, RunFolder(out).selection):
        carry_out(("select",), configured(None, out, overrides), out)


def export(
    out: Out = RUN_FOLDER,
    name: Annotated[str | None, typer.Option(help="Name of the Fortran module.")] = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Also write glue for a host model: plain, mom6, or a host of the process."
        ),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Write the glue for this bundle instead of that of a run.")
    ] = None,
    precision: PrecisionName = None,
    weights: WeightsPlace = None,
    trust_sources: TrustSources = False,
    quiet: Quiet = False,
) -> None:
    """Write the bundle: ONNX, Fortran, weights, golden vectors, manifest, model card.

    With --host, also write sources and build files for a host model to the folder host/.
    """
    from emufort.run.folder import RunFolder

    if bundle is not None and host is None:
        raise UsageError("--bundle needs --host, such as --host plain")
    if host is not None:
        from emufort.export.host import check_host, write_host
        from emufort.run.inputs import contract_of
    if bundle is None:
        given = {"name": name, "precision": precision, "weights": weights}
        config = configured(None, out, {f"export.{key}": value for key, value in given.items()})
        if host is not None:
            check_host(contract_of(config), host)
        carry_out(("export",), config, out)
    if host is not None:
        source = RunFolder(out).bundle if bundle is None else bundle
        written = write_host(source, host, trust_sources=trust_sources)
        typer.echo(f"{written.path}: {len(written.files)} files")


def verify(
    out: Out = RUN_FOLDER,
    bundle: Annotated[
        Path | None, typer.Option(help="Verify this bundle instead of that of a run.")
    ] = None,
    rows: Annotated[int | None, typer.Option(help="Number of rows to compare.")] = None,
    trust_sources: TrustSources = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare all forms of the emulator; exit code 3 unless its compiled Fortran agrees."""
    if trust_sources and bundle is None:
        raise UsageError("--trust-sources needs --bundle; it is not for the bundle of a run")
    if bundle is None:
        from emufort.run.folder import RunFolder

        with json_of(as_json, RunFolder(out).verification):
            carry_out(("verify",), configured(None, out, {"verify.rows": rows}), out)
        return
    from emufort import steps
    from emufort.config import Config
    from emufort.run import display
    from emufort.verification import finite

    given = {} if rows is None else {"verify": {"rows": rows}}
    config = Config.from_dict(given, "command line")
    result = steps.verify(
        bundle, None, config.verify, config.timing.compiler, None, trust_sources=trust_sources
    )
    if as_json:
        print_json(finite(result.to_dict()))
    else:
        display.verification(result.to_dict())
    result.raise_if_failed()


def report(
    out: Out = RUN_FOLDER,
    quiet: Quiet = False,
) -> None:
    """Write report.html."""
    carry_out(("report",), configured(None, out, {}), out)
