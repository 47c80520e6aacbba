"""The command ``emufort``; every option is checked before any work begins."""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emufort import signals
from emufort._command_line import OnceTyper
from emufort.cli_options import (
    Cluster,
    ConfigFile,
    ContractName,
    Data,
    DryRun,
    Engine,
    Json,
    Out,
    Profile,
    Quiet,
    Scheduler,
    Seed,
    Subset,
    Top,
    TrustSources,
    Workers,
)
from emufort.errors import EmufortError, UsageError, VerificationError
from emufort.escape import terminal

if TYPE_CHECKING:
    from emufort.config import Config

app = OnceTyper(
    help="Search, train, time, choose and export neural emulators for Fortran climate models.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_DEBUG = False


def _version(wanted: bool) -> None:
    if wanted:
        from emufort import __version__

        typer.echo(f"emufort {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version, and exit."
        ),
    ] = False,
) -> None:
    global _DEBUG
    _DEBUG = debug


def _config(file: Path | None, out: Path, overrides: dict[str, Any]) -> Config:
    from emufort.run.pipeline import configuration

    def warn(text: str) -> None:
        typer.echo(f"warning: {text}", err=True)

    return configuration(out, file, overrides, warn)


def _where(
    engine: str | None, scheduler: str | None, cluster: str | None, profile: Path | None
) -> dict[str, Any]:
    """Return what the options say of where to compute."""
    keys: dict[str, Any] = {}
    if profile is not None:
        from emufort.config import Config, read_toml

        content = read_toml(profile)
        # The section itself, or a configuration that has nothing but it.
        if list(content) == ["cluster"] and isinstance(content["cluster"], dict):
            content = content["cluster"]
        Config.from_dict({"cluster": content}, str(profile))  # says what is wrong in which file
        keys = {f"cluster.{key}": value for key, value in content.items()}
    return keys | {
        key: value
        for key, value in (
            ("cluster.engine", engine),
            ("cluster.scheduler", scheduler),
            ("cluster.kind", cluster),
        )
        if value is not None
    }


def _print_batch_script(config: Config, out: Path) -> None:
    from emufort.workers.dask_cluster import sbatch_script

    if config.cluster.kind is None:
        raise UsageError("--dry-run shows the batch script of a cluster; give --cluster slurm")
    host = config.cluster.host or "DRIVER"
    typer.echo(sbatch_script(config.cluster, f"tcp://{host}:PORT", out / "search"), nl=False)


def _carry_out(steps: tuple[str, ...], config: Config, out: Path) -> None:
    from emufort.run import display
    from emufort.run.folder import RunFolder
    from emufort.run.pipeline import Run, carry_out
    from emufort.run.status import must_hold_a_run

    folder = RunFolder(out)
    if steps[0] != "search":
        must_hold_a_run(folder)
    run = Run.open(folder, config)
    if "search" in steps and not run.is_finished("search"):
        _warn_of_slow_sampler(config)
    with display.progress(steps, display.titles(config)) as shown:
        carry_out(run, steps, shown)
    display.closing(run, steps)
    if "verify" in steps:
        run.require_verified()


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(content, indent=2))


@contextmanager
def _json_of(wanted: bool, result: Path) -> Iterator[None]:
    """If it is `wanted`, print the file that the block writes, and nothing of the block itself."""
    from emufort import screen
    from emufort.files import read_json

    if not wanted:
        yield
        return
    before = result.stat().st_mtime_ns if result.exists() else None
    screen.be_quiet()
    try:
        yield
    except VerificationError:
        # What does not agree is in the file, too.
        if result.exists() and result.stat().st_mtime_ns != before:
            _print_json(read_json(result))
        raise
    finally:
        screen.be_quiet(False)
    _print_json(read_json(result))


def _warn_of_slow_sampler(config: Config) -> None:
    from emufort.search.samplers.options import slowness

    warning = slowness(config.search.sampler, config.search.trials)
    if warning is not None:
        typer.echo(f"warning: {warning}", err=True)


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())


def _contract(name: str | None) -> str | None:
    """Return the option --contract: a name as it is, a path absolute."""
    from emufort.contract import is_path

    return _absolute(Path(name)) if name is not None and is_path(name) else name


@app.command()
def run(
    config: ConfigFile = None,
    out: Out = Path("runs/latest"),
    data: Data = None,
    contract: ContractName = None,
    seed: Seed = None,
    workers: Workers = None,
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
    rule: Annotated[str | None, typer.Option(help="Rule of the choice, such as 'knee'.")] = None,
    quiet: Quiet = False,
) -> None:
    """Do everything: search, retrain, time, select, export, verify, report.

    Killed or stopped, the same command continues where it was.
    """
    from emufort.run.folder import STEPS

    overrides = {
        "data": _absolute(data),
        "contract": _contract(contract),
        "seed": seed,
        "workers": workers,
        "search.trials": trials,
        "retrain.top": top,
        "retrain.steps": steps,
        "select.rule": rule,
        **_where(engine, scheduler, cluster, profile),
    }
    options = _config(config, out, overrides)
    if dry_run:
        _print_batch_script(options, out)
    else:
        _carry_out(STEPS, options, out)


@app.command()
def search(
    config: ConfigFile = None,
    out: Out = Path("runs/latest"),
    data: Data = None,
    contract: ContractName = None,
    seed: Seed = None,
    workers: Workers = None,
    engine: Engine = None,
    scheduler: Scheduler = None,
    cluster: Cluster = None,
    profile: Profile = None,
    dry_run: DryRun = False,
    trials: Annotated[int | None, typer.Option(help="Candidates.")] = None,
    subset: Subset = None,
    sampler: Annotated[
        str | None, typer.Option(help="parzen, random, qmc, tpe, gp, cmaes, nsga2 or nsga3.")
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="cosine: every rung is step 2 in small; constant: train on from rung to rung."
        ),
    ] = None,
    max_ns: Annotated[
        float | None, typer.Option("--max-ns", help="Predicted ns per sample, at most.")
    ] = None,
    advise: Annotated[
        bool, typer.Option("--advise", help="Measure how small the subset may be, and stop.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Step 1: train many candidates on a small subset of the data."""
    overrides = {
        "data": _absolute(data),
        "contract": _contract(contract),
        "seed": seed,
        "workers": workers,
        "search.trials": trials,
        "search.subset": subset,
        "search.sampler": sampler,
        "search.schedule": schedule,
        "search.max_ns": max_ns,
        **_where(engine, scheduler, cluster, profile),
    }
    options = _config(config, out, overrides)
    if dry_run:
        _print_batch_script(options, out)
    elif advise:
        _advise(options, out)
    else:
        _carry_out(("search",), options, out)


def _advise(config: Config, out: Path) -> None:
    from emufort.checks import check_run
    from emufort.contract import Contract
    from emufort.dataset.dataset import Dataset
    from emufort.run import display
    from emufort.search.advice import advise

    opened = Dataset.open(config.data, Contract.load(config.contract))
    check_run(config, opened, ())
    with display.progress(("search",)) as shown:
        shown.begin("search")
        found = advise(opened, config, out / "advice", signals.checked(shown))
        shown.end("search")
    display.advice(found, out / "advice")


@app.command()
def retrain(
    out: Out = Path("runs/latest"),
    workers: Workers = None,
    engine: Engine = None,
    scheduler: Scheduler = None,
    cluster: Cluster = None,
    profile: Profile = None,
    top: Top = None,
    seeds: Annotated[
        int | None, typer.Option(help="Trainings of each candidate on the front.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Length of a training, in steps of 256 samples.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Step 2: train candidates on all training data.

    A random control group comes first; it shows how well step 1 ranks the candidates.
    """
    overrides = {
        "workers": workers,
        "retrain.top": top,
        "retrain.seeds": seeds,
        "retrain.steps": steps,
        **_where(engine, scheduler, cluster, profile),
    }
    _carry_out(("retrain",), _config(None, out, overrides), out)


@app.command()
def time(
    out: Out = Path("runs/latest"),
    backend: Annotated[str | None, typer.Option(help="fortran or onnxruntime.")] = None,
    compiler: Annotated[str | None, typer.Option(help="Fortran compiler.")] = None,
    flags: Annotated[str | None, typer.Option(help="Its flags.")] = None,
    quiet: Quiet = False,
) -> None:
    """Measure the inference time of each retrained candidate."""
    overrides = {
        "timing.backend": backend,
        "timing.compiler": compiler,
        "timing.flags": flags,
    }
    _carry_out(("time",), _config(None, out, overrides), out)


@app.command()
def select(
    out: Out = Path("runs/latest"),
    rule: Annotated[
        str | None, typer.Option(help="knee, best, fastest-within=5% or max-ns=100.")
    ] = None,
    ncol: Annotated[int | None, typer.Option(help="Columns per call that count.")] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Choose on the Pareto front of skill and measured time."""
    overrides = {"select.rule": rule, "select.ncol": ncol}
    with _json_of(as_json, out / "selection.json"):
        _carry_out(("select",), _config(None, out, overrides), out)


@app.command()
def export(
    out: Out = Path("runs/latest"),
    name: Annotated[str | None, typer.Option(help="Name of the Fortran module.")] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Write glue for a host model, too: plain, or one that the process has."),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Write the glue for this bundle instead of a run's.")
    ] = None,
    trust_sources: TrustSources = False,
    quiet: Quiet = False,
) -> None:
    """Write the bundle: ONNX, Fortran, weights, golden vectors, manifest, model card.

    With --host, sources and build files for a host model go to the folder host/ beside it.
    """
    from emufort.run.folder import RunFolder

    if bundle is not None and host is None:
        raise UsageError("--bundle needs --host, such as --host plain")
    if host is not None:
        from emufort.contract import Contract
        from emufort.export.host import check_host, write_host
    if bundle is None:
        config = _config(None, out, {"export.name": name})
        if host is not None:
            check_host(Contract.load(config.contract), host)
        _carry_out(("export",), config, out)
    if host is not None:
        source = RunFolder(out).bundle if bundle is None else bundle
        written = write_host(source, host, trust_sources=trust_sources)
        typer.echo(f"{written.path}: {len(written.files)} files")


@app.command()
def verify(
    out: Out = Path("runs/latest"),
    bundle: Annotated[Path | None, typer.Option(help="Verify this bundle instead.")] = None,
    rows: Annotated[int | None, typer.Option(help="Rows to compare.")] = None,
    trust_sources: TrustSources = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare all forms of the emulator; exit code 3 unless its compiled Fortran agrees."""
    if trust_sources and bundle is None:
        raise UsageError("--trust-sources needs --bundle: the sources of a run are its own")
    if bundle is None:
        with _json_of(as_json, out / "verification.json"):
            _carry_out(("verify",), _config(None, out, {"verify.rows": rows}), out)
        return
    from emufort.config import VerifyConfig
    from emufort.run import display
    from emufort.verification import finite
    from emufort.verification import verify as verify_bundle

    options = VerifyConfig() if rows is None else VerifyConfig(rows=rows)
    result = verify_bundle(
        bundle, rows=options.rows, tolerance=options.tolerance, trust_sources=trust_sources
    )
    if as_json:
        _print_json(finite(result.to_dict()))
    else:
        display.verification(result.to_dict())
    result.raise_if_failed()


@app.command()
def bench(
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path(
        "runs/bench"
    ),
    bundle: Annotated[Path | None, typer.Option(help="Measure this bundle, too.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Seconds; for tests.")] = False,
    models: Annotated[
        str | None, typer.Option(help="Such as S,M,L,call-64,call-32,bundle.")
    ] = None,
    contenders: Annotated[str | None, typer.Option(help="Such as native-network,torch.")] = None,
    ncol: Annotated[str | None, typer.Option(help="Columns per call, such as 1,16,1152.")] = None,
    threads: Annotated[str | None, typer.Option(help="Such as 1,0; 0 is all cores.")] = None,
    repeats: Annotated[int | None, typer.Option(help="Rounds.")] = None,
    compiler: Annotated[str | None, typer.Option(help="Fortran compiler.")] = None,
    second_compiler: Annotated[
        str | None, typer.Option(help="Another one, for comparison.")
    ] = None,
    flags: Annotated[
        str | None, typer.Option(help="Flags of the compiler for the runtime.")
    ] = None,
    blas: Annotated[Path | None, typer.Option(help="Library with sgemm.")] = None,
    update: Annotated[
        list[Path] | None, typer.Option(help="Markdown file whose tables are replaced; repeatable.")
    ] = None,
    from_: Annotated[
        Path | None, typer.Option("--from", help="Measure nothing, show this bench.json.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Compare the inference speed of networks with all other ways to run them."""
    from emufort.benchmark import Options, Result
    from emufort.benchmark import display as tables
    from emufort.benchmark import run as measure
    from emufort.benchmark.markdown import update_document
    from emufort.benchmark.run import STEPS

    if from_ is not None:
        result = Result.read(from_)
    else:
        from emufort.run import display

        signals.advise("the same command measures anew")
        options = (Options.quick() if quick else Options()).changed(
            bundle=bundle,
            models=_words(models),
            contenders=_words(contenders),
            ncol=_integers("--ncol", ncol),
            threads=_integers("--threads", threads),
            repeats=repeats,
            compiler=compiler,
            second_compiler=second_compiler,
            flags=flags,
            blas=blas,
        )
        with display.progress(STEPS) as shown:
            result = measure(options, out, signals.checked(shown.following()))
    tables.show(result)
    if from_ is None:
        typer.echo(f"{out} holds bench.csv, bench.json, bench.md and bench.png")
    for document in update or ():
        update_document(result, document)


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(w.strip() for w in text.split(",") if w.strip())


def _integers(option: str, text: str | None) -> tuple[int, ...] | None:
    try:
        return None if text is None else tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} must be whole numbers between commas, not '{text}'") from error


@app.command()
def report(
    out: Out = Path("runs/latest"),
    quiet: Quiet = False,
) -> None:
    """Write report.html."""
    _carry_out(("report",), _config(None, out, {}), out)


@app.command()
def status(
    out: Out = Path("runs/latest"),
    as_json: Json = False,
) -> None:
    """Say whether a run is at work, killed or finished, and how far each step is."""
    from emufort.run import display
    from emufort.run.status import RunStatus

    found = RunStatus.of(out)
    if as_json:
        _print_json(found.to_dict())
    else:
        display.status(found)


@app.command()
def data(
    file: Annotated[Path | None, typer.Argument(help="CF netCDF file.")] = None,
    contract: ContractName = None,
) -> None:
    """Describe a data set as its contract sees it."""
    from emufort.config import Config
    from emufort.contract import Contract
    from emufort.dataset.dataset import Dataset
    from emufort.run import display

    display.dataset(Dataset.open(file, Contract.load(contract or Config().contract)))


@app.command()
def labels(
    contract: Annotated[str, typer.Argument(help="A contract of a process: PROCESS.CONTRACT.")],
    out: Annotated[Path, typer.Option(help="netCDF file to write.")],
    samples: Annotated[int, typer.Option(min=1, help="Number of training samples.")] = 16384,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same data.")] = 1,
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


@app.command()
def processes() -> None:
    """List the registered processes: what a contract may name, and the package it comes from."""
    from emufort.run import display

    display.processes()


@app.command()
def check(
    config: ConfigFile = None,
    data: Data = None,
    contract: ContractName = None,
    as_json: Json = False,
) -> None:
    """Check configuration, contract and data without doing anything."""
    from emufort.config import Config
    from emufort.dataset.constant_outputs import constant_outputs
    from emufort.run.folder import RunFolder
    from emufort.run.pipeline import Run

    loaded = Config() if config is None else Config.load(config)
    given = {"data": _absolute(data), "contract": _contract(contract)}
    wanted = loaded.model_copy(update={k: v for k, v in given.items() if v is not None})
    with tempfile.TemporaryDirectory(prefix="emufort-") as folder:
        run = Run.open(RunFolder(Path(folder)), wanted)
        run.check()
    opened, rules = run.data, run.data.contract
    if as_json:
        _print_json(
            {
                "contract": rules.name,
                "inputs": len(rules.input_columns),
                "outputs": len(rules.output_columns),
                "data": str(opened.source),
                "rows": len(opened),
                "constant": [column.name for column in opened.constant_columns("train")],
            }
        )
        return
    typer.echo(
        f"contract '{rules.name}': {len(rules.input_columns)} inputs, "
        f"{len(rules.output_columns)} outputs; {opened.source}: {len(opened)} usable rows; all well"
    )
    for column in opened.constant_columns("train"):
        if not column.is_output:
            typer.echo(
                f"note: {column.name} is the same in all training rows: a network cannot see what "
                "it does"
            )
    for output in constant_outputs(rules, opened.constant_outputs):
        typer.echo(
            f"note: {output.name} is the same in all training rows: it is emitted as a constant, "
            f"{output}"
        )
    for column in opened.constant_in_training_only():
        typer.echo(f"note: {column.name} varies in other rows, where the constant will be wrong")


def main() -> None:
    """Run the command; errors are one line on stderr, a traceback only with ``--debug``."""
    signals.watch()
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    try:
        result = app(args=arguments or ["--help"], standalone_mode=False)
    except (Exception, KeyboardInterrupt, signals.StoppedError) as error:
        # A child that died of the same signal, or a library that was stopped in the wrong place,
        # may have failed in its own way. The reason is still the signal.
        if signals.received(settle=signals.SETTLE_SECONDS):
            if _DEBUG:
                traceback.print_exc()
            signals.leave()
        return _explain(error)
    if signals.received():
        signals.leave()
    return result if isinstance(result, int) else 0


def _explain(error: BaseException) -> int:
    """Say in one line what ended the command; return its exit code."""
    if _in_course_of(error, KeyboardInterrupt) or isinstance(error, typer.Abort):
        _complain("interrupted; finished work is kept, the same command continues it")
        return 130
    if isinstance(error, EmufortError):
        _complain(str(error))
        return error.exit_code
    if isinstance(error, typer.TyperException):
        _complain(error.format_message())
        return UsageError.exit_code
    if isinstance(error, typer.Exit):
        return int(error.exit_code)
    if isinstance(error, OSError):
        place = f" ({error.filename})" if error.filename else ""
        _complain(f"{error.strerror or error}{place}")
    elif isinstance(error, MemoryError):
        _complain("out of memory; use fewer --workers or less data")
    else:
        _complain(
            f"internal error, {type(error).__name__}: {error}; 'emufort --debug ...' shows where"
        )
    return 1


def _in_course_of(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether an exception is of a kind, or came up while one of that kind was handled."""
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _complain(text: str) -> None:
    if _DEBUG:
        traceback.print_exc()
    typer.echo("error: " + terminal(" ".join(text.split())), err=True)


if __name__ == "__main__":
    main()
