"""The command ``emufort``; every option is checked before any work begins."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emufort.errors import EmufortError, UsageError

if TYPE_CHECKING:
    from emufort.config import Config

app = typer.Typer(
    help="Search, train, time, choose and export neural emulators for Fortran climate models.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_DEBUG = False

ConfigFile = Annotated[
    Path | None, typer.Argument(help="Configuration (TOML); without it the defaults.")
]
Out = Annotated[Path, typer.Option("--out", help="Run folder.")]
Data = Annotated[
    Path | None, typer.Option(help="CF netCDF file; without it the embedded data set.")
]
ContractName = Annotated[
    str | None, typer.Option("--contract", help="A bundled contract or a TOML file.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of everything that is drawn.")]
Workers = Annotated[int | None, typer.Option(help="Processes; 0 means one per core.")]


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    global _DEBUG
    _DEBUG = debug


def _config(file: Path | None, out: Path, overrides: dict[str, Any]) -> Config:
    """Combine the file (or the run folder's own configuration) with options of the command line."""
    from emufort.config import Config
    from emufort.run_folder import RunFolder

    kept = RunFolder(out).config
    if file is not None:
        config = Config.load(file)
    elif kept.exists():
        config = Config.load(kept)
    else:
        config = Config()
    content = config.model_dump(mode="json", exclude_none=True)
    for key, value in overrides.items():
        if value is None:
            continue
        section, _, name = key.rpartition(".")
        (content[section] if section else content)[name] = value
    return Config.from_dict(content, "command line")


def _carry_out(steps: tuple[str, ...], config: Config, out: Path) -> None:
    from emufort import display
    from emufort.pipeline import Run
    from emufort.run_folder import RunFolder

    folder = RunFolder(out)
    run = Run.open(folder, config)
    with folder.driver():
        run.prepare()
        with display.progress(steps) as shown:
            for step in steps:
                if run.is_finished(step):
                    shown.skip(step)
                    continue
                shown.begin(step)
                run.do(step, shown)
                shown.end(step)
        display.closing(run, steps)


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())


@app.command()
def run(
    config: ConfigFile = None,
    out: Out = Path("runs/latest"),
    data: Data = None,
    contract: ContractName = None,
    seed: Seed = None,
    workers: Workers = None,
    trials: Annotated[int | None, typer.Option(help="Candidates of step 1.")] = None,
    top: Annotated[int | None, typer.Option(help="Candidates of step 2.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps of step 2.")] = None,
    rule: Annotated[str | None, typer.Option(help="Rule of the choice, such as 'knee'.")] = None,
) -> None:
    """Do everything: search, retrain, time, select, export, verify, report.

    Killed or stopped, the same command continues where it was.
    """
    from emufort.run_folder import STEPS

    overrides = {
        "data": _absolute(data),
        "contract": contract,
        "seed": seed,
        "workers": workers,
        "search.trials": trials,
        "retrain.top": top,
        "retrain.steps": steps,
        "select.rule": rule,
    }
    _carry_out(STEPS, _config(config, out, overrides), out)


@app.command()
def search(
    config: ConfigFile = None,
    out: Out = Path("runs/latest"),
    data: Data = None,
    contract: ContractName = None,
    seed: Seed = None,
    workers: Workers = None,
    trials: Annotated[int | None, typer.Option(help="Candidates.")] = None,
    subset: Annotated[int | None, typer.Option(help="Training rows used.")] = None,
    sampler: Annotated[str | None, typer.Option(help="random, tpe or qmc.")] = None,
) -> None:
    """Step 1: train many candidates on a small subset of the data."""
    overrides = {
        "data": _absolute(data),
        "contract": contract,
        "seed": seed,
        "workers": workers,
        "search.trials": trials,
        "search.subset": subset,
        "search.sampler": sampler,
    }
    _carry_out(("search",), _config(config, out, overrides), out)


@app.command()
def retrain(
    out: Out = Path("runs/latest"),
    workers: Workers = None,
    top: Annotated[int | None, typer.Option(help="Candidates to retrain.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each candidate.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps of each.")] = None,
) -> None:
    """Step 2: retrain the best candidates on all training data."""
    overrides = {
        "workers": workers,
        "retrain.top": top,
        "retrain.seeds": seeds,
        "retrain.steps": steps,
    }
    _carry_out(("retrain",), _config(None, out, overrides), out)


@app.command()
def time(
    out: Out = Path("runs/latest"),
    backend: Annotated[str | None, typer.Option(help="auto, fortran or onnxruntime.")] = None,
    compiler: Annotated[str | None, typer.Option(help="Fortran compiler.")] = None,
    flags: Annotated[str | None, typer.Option(help="Its flags.")] = None,
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
) -> None:
    """Choose on the Pareto front of skill and measured time."""
    overrides = {"select.rule": rule, "select.ncol": ncol}
    _carry_out(("select",), _config(None, out, overrides), out)


@app.command()
def export(
    out: Out = Path("runs/latest"),
    name: Annotated[str | None, typer.Option(help="Name of the Fortran module.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Write glue for a host model, too: plain, ccpp or cime.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Write the glue for this bundle instead of a run's.")
    ] = None,
) -> None:
    """Write the bundle: ONNX, Fortran, weights, golden vectors, manifest, model card.

    With --host, sources and build files for a host model go to the folder host/ beside it.
    """
    from emufort.run_folder import RunFolder

    if bundle is not None and host is None:
        raise UsageError("--bundle needs --host: plain, ccpp or cime")
    if host is not None:
        from emufort.export.host import HOSTS

        if host not in HOSTS:
            raise UsageError(f"there is no host '{host}'; choose of {', '.join(HOSTS)}")
    if bundle is None:
        _carry_out(("export",), _config(None, out, {"export.name": name}), out)
    if host is not None:
        from emufort.export.host import write_host

        written = write_host(RunFolder(out).bundle if bundle is None else bundle, host)
        typer.echo(f"{written.path}: {len(written.files)} files")


@app.command()
def verify(
    out: Out = Path("runs/latest"),
    bundle: Annotated[Path | None, typer.Option(help="Verify this bundle instead.")] = None,
    rows: Annotated[int | None, typer.Option(help="Rows to compare.")] = None,
) -> None:
    """Compare all forms of the emulator; exit code 3 when they disagree."""
    if bundle is None:
        _carry_out(("verify",), _config(None, out, {"verify.rows": rows}), out)
        return
    from emufort import display
    from emufort.config import VerifyConfig
    from emufort.verification import verify as verify_bundle

    options = VerifyConfig() if rows is None else VerifyConfig(rows=rows)
    result = verify_bundle(bundle, rows=options.rows, tolerance=options.tolerance)
    display.verification(result.to_dict())
    result.raise_if_failed()


@app.command()
def report(out: Out = Path("runs/latest")) -> None:
    """Write report.html."""
    _carry_out(("report",), _config(None, out, {}), out)


@app.command()
def status(out: Out = Path("runs/latest")) -> None:
    """Say which steps of a run are finished."""
    from emufort import display
    from emufort.pipeline import Run
    from emufort.run_folder import RunFolder

    folder = RunFolder(out)
    if not folder.config.exists():
        raise UsageError(f"{out} holds no run; 'emufort run --out {out}' begins one")
    display.status(Run.open(folder, _config(None, out, {})))


@app.command()
def data(
    file: Annotated[Path | None, typer.Argument(help="CF netCDF file.")] = None,
    contract: ContractName = None,
) -> None:
    """Describe a data set as its contract sees it."""
    from emufort import display
    from emufort.contract import Contract
    from emufort.dataset import Dataset

    display.dataset(Dataset.open(file, Contract.load(contract or "activation")))


@app.command()
def check(
    config: ConfigFile = None,
    data: Data = None,
    contract: ContractName = None,
) -> None:
    """Check configuration, contract and data without doing anything."""
    from emufort.config import Config
    from emufort.contract import Contract
    from emufort.dataset import Dataset

    loaded = Config() if config is None else Config.load(config)
    rules = Contract.load(contract or loaded.contract)
    opened = Dataset.open(data or loaded.data, rules)
    typer.echo(
        f"contract '{rules.name}': {len(rules.input_columns)} inputs, "
        f"{len(rules.output_columns)} outputs; {opened.source}: {len(opened)} usable rows; all well"
    )


def main() -> None:
    """Run the command; errors are one line on stderr, a traceback only with ``--debug``."""
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    try:
        result = app(args=arguments or ["--help"], standalone_mode=False)
    except EmufortError as error:
        _complain(str(error))
        return error.exit_code
    except typer.TyperException as error:
        _complain(error.format_message())
        return UsageError.exit_code
    except typer.Exit as error:
        return int(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _complain("stopped; the same command continues where this one was")
        return 130
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        _complain(f"{error.strerror or error}{place}")
        return 1
    except MemoryError:
        _complain("out of memory; use fewer --workers or less data")
        return 1
    except Exception as error:
        _complain(
            f"internal error, {type(error).__name__}: {error}; 'emufort --debug ...' shows where"
        )
        return 1
    return result if isinstance(result, int) else 0


def _complain(text: str) -> None:
    if _DEBUG:
        traceback.print_exc()
    typer.echo("error: " + " ".join(text.split()), err=True)


if __name__ == "__main__":
    main()
