"""The command ``emufort``; every option is checked before any work starts."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from emufort import signals
from emufort.cli.bench import bench
from emufort.cli.data import data, init, labels, presets, processes
from emufort.cli.importing import import_model
from emufort.cli.single_steps import export, report, retrain, search, select, time, verify
from emufort.cli.single_values import OnceTyper
from emufort.cli.whole_run import check, run, status
from emufort.errors import EmufortError, UsageError
from emufort.escape import terminal

app = OnceTyper(
    help="Search, train, time, select and export neural emulators for Fortran climate models.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_debug = False


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
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    global _debug
    _debug = debug


# The order is that of the help.
for _command in (
    run, search, retrain, time, select, export, verify, bench, report, status, init, data, labels,
    presets, processes, check,
):  # fmt: skip
    app.command()(_command)
app.command("import")(import_model)


def main() -> None:
    """Run the command; errors are one line on stderr, with a traceback only under ``--debug``."""
    signals.watch()
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: list[str]) -> int:
    """Carry out the `arguments` of the command ``emufort``; return its exit code."""
    try:
        result = app(args=arguments or ["--help"], standalone_mode=False)
    except (Exception, KeyboardInterrupt, signals.StoppedError) as error:
        # A child that died of the same signal, or a library that it interrupted, may report another
        # error. The reason is still the signal.
        if signals.received(settle=signals.SETTLE_SECONDS):
            if _debug:
                traceback.print_exc()
            signals.leave()
        return _explain(error)
    if signals.received():
        signals.leave()
    return result if isinstance(result, int) else 0


def _explain(error: BaseException) -> int:
    """Print the reason why the command ended, in one line; return its exit code."""
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
    """Return whether an exception, or one during whose handling it was raised, is of `kind`."""
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _complain(text: str) -> None:
    if _debug:
        traceback.print_exc()
    typer.echo("error: " + terminal(" ".join(text.split())), err=True)
