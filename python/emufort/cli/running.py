"""Functions that several commands share: read options, carry out steps, print results."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from emufort.errors import UsageError, VerificationError

if TYPE_CHECKING:
    from emufort.config import Config
    from emufort.extensions import Extensions
    from emufort.run.folder import RunFolder
    from emufort.run.pipeline import Run


def configured(file: Path | None, out: Path, overrides: dict[str, Any]) -> Config:
    """Return the options of a run; print a warning if those in its folder are damaged.

    Parameters
    ----------
    file
        The configuration that the user gave; None for the configuration in the folder `out`.
    overrides
        ``section.key`` -> value from the command line; None for an option that is not given.
    """
    from emufort.run.configuration import configuration

    def warn(text: str) -> None:
        typer.echo(f"warning: {text}", err=True)

    return configuration(out, file, overrides, warn)


def where_to_compute(
    engine: str | None, scheduler: str | None, cluster: str | None, profile: Path | None
) -> dict[str, Any]:
    """Return the part of the configuration that determines where to compute."""
    keys: dict[str, Any] = {}
    if profile is not None:
        from emufort.config import Config, read_toml

        content = read_toml(profile)
        # The section itself, or a configuration with only this section.
        if list(content) == ["cluster"] and isinstance(content["cluster"], dict):
            content = content["cluster"]
        Config.from_dict(
            {"cluster": content}, str(profile)
        )  # for an error message that names the file
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


def print_batch_script(config: Config, out: Path) -> None:
    """Print the script that would start workers in batch jobs."""
    from emufort.run.folder import RunFolder
    from emufort.workers.cluster_script import job_script

    if config.cluster.kind is None:
        raise UsageError("--dry-run shows the batch script of a cluster; give --cluster")
    host = config.cluster.host or "DRIVER"
    typer.echo(job_script(config.cluster, f"tcp://{host}:PORT", RunFolder(out).search), nl=False)


def carry_out(
    steps: tuple[str, ...], config: Config, out: Path, log: Sequence[str] | None = None
) -> None:
    """Carry out steps of the run in the folder `out`; show their progress and results.

    Parameters
    ----------
    steps
        Names of the steps.
    config
        All options.
    out
        The run folder.
    log
        Names of the callbacks that log trials and networks.

    Raises
    ------
    VerificationError
        The verification is one of the steps and had no compiler.
    """
    from emufort.run import display, pipeline
    from emufort.run.folder import RunFolder
    from emufort.run.inputs import write_preset_glue
    from emufort.run.status import must_hold_a_run
    from emufort.run.step_display import progress
    from emufort.steps import STEP_NAMES, titles

    folder = RunFolder(out)
    if steps[0] != "search":
        must_hold_a_run(folder)
    run = opened(folder, config, logging_to(log or (), folder.path))
    if "search" in steps and not run.is_finished("search"):
        _warn_before_search(config, folder)
    with progress(titles(config, steps)) as shown, plain_warnings():
        pipeline.carry_out(run, steps, shown)
    display.closing(run, steps)
    if "verify" in steps:
        run.require_verified()
    if steps == STEP_NAMES:
        for path in write_preset_glue(run.config, folder.bundle):
            typer.echo(f"glue for the host: {path}")


def logging_to(names: Sequence[str], folder: Path) -> Extensions:
    """Return the callbacks of these names; TensorBoard writes to `folder`.

    Raises
    ------
    UsageError
        There is no such callback, or its package is missing.
    """
    from emufort.callbacks.mlflow import MLflow
    from emufort.callbacks.protocol import Callback, Callbacks
    from emufort.callbacks.tensorboard import TensorBoard
    from emufort.errors import did_you_mean
    from emufort.extensions import Extensions

    known: dict[str, Callable[[], Callback]] = {
        "tensorboard": lambda: TensorBoard(folder / "logs"),
        "mlflow": MLflow,
    }
    for name in names:
        if name not in known:
            raise UsageError(
                f"--log is tensorboard or mlflow, not '{name}'{did_you_mean(name, known)}"
            )
    made = [known[name]() for name in dict.fromkeys(names)]
    return Extensions(None, Callbacks(made, lambda text: typer.echo(f"warning: {text}", err=True)))


def opened(folder: RunFolder, config: Config, extensions: Extensions | None = None) -> Run:
    """Open a run; show the progress of the labels if its preset has to make them."""
    from emufort import signals
    from emufort.run.pipeline import Run
    from emufort.run.step_display import progress

    with progress({"labels": "labels"}) as shown:
        return Run.open(folder, config, signals.checked(shown.following()), extensions)


def refuse_with_preset(preset: str | None, options: Mapping[str, object]) -> None:
    """Refuse a preset together with one of the options that it makes superfluous."""
    given = [name for name, value in options.items() if value is not None]
    if preset is not None and given:
        raise UsageError(
            f"--preset brings its own contract and data; leave out {' and '.join(given)}"
        )


def print_json(content: Any) -> None:
    """Print plain data as JSON."""
    typer.echo(json.dumps(content, indent=2))


@contextmanager
def json_of(wanted: bool, result: Path) -> Iterator[None]:
    """If `wanted`, print the file that the block writes and suppress the output of the block."""
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
        # The file also holds comparisons that do not agree.
        if result.exists() and result.stat().st_mtime_ns != before:
            print_json(read_json(result))
        raise
    finally:
        screen.be_quiet(False)
    print_json(read_json(result))


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print emufort's own warnings as one line; other packages' warnings as Python does."""
    from emufort.search.settled import DeviceWarning

    with warnings.catch_warnings():
        python_prints = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *more: Any) -> None:
            if issubclass(category, DeviceWarning):
                typer.echo(f"warning: {message}", err=True)
            else:
                python_prints(message, category, *more)

        warnings.showwarning = show  # type: ignore[assignment]
        yield


def _warn_before_search(config: Config, folder: RunFolder) -> None:
    from emufort.search.growth import difference_by_growth
    from emufort.search.samplers.options import slowness

    slow = slowness(config.search.sampler, config.search.trials)
    for warning in (slow, difference_by_growth(folder.search, config.search)):
        if warning:
            typer.echo(f"warning: {warning}", err=True)


def absolute(path: Path | None) -> str | None:
    """Return an absolute path, which is valid in every working directory."""
    return None if path is None else str(path.resolve())


def contract_option(name: str | None) -> str | None:
    """Return the option --contract: a name unchanged, a path as an absolute path."""
    from emufort.contract_files import is_path

    return absolute(Path(name)) if name is not None and is_path(name) else name
