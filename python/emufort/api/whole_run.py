"""The whole run as one function, and the progress of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emufort.export.bundle import Bundle
from emufort.paths import PathLike
from emufort.progress import Reporter, StepListener, silent
from emufort.run.configuration import configuration
from emufort.run.folder import RunFolder
from emufort.run.pipeline import Run, carry_out
from emufort.run.status import RunStatus
from emufort.steps import STEP_NAMES


def run(
    config: PathLike | dict[str, Any] | None = None,
    *,
    out: PathLike,
    report: Reporter = silent,
) -> Bundle:
    """Carry out all steps: search, retrain, time, select, export, verify, report.

    ``emufort run CONFIG --out OUT`` does the same and writes the same files. The same call
    continues a run that was stopped; finished steps are not repeated.

    Parameters
    ----------
    config : path or dict, default None
        A configuration file (TOML) or its content. None: the configuration in the run folder, or
        the defaults in a new folder.
    out : path
        The run folder.
    report : callable, default `emufort.progress.silent`
        Receives the progress, see `emufort.progress.Reporter`.

    Returns
    -------
    Bundle
        The bundle of the selected network.

    Raises
    ------
    VerificationError
        A form of the emulator does not agree with the trained network.
    EmufortError
        The configuration, the contract or the data are not valid, or a step failed.
    """
    folder = RunFolder(Path(out))
    given = config if config is None or isinstance(config, dict) else Path(config)
    opened = Run.open(folder, configuration(folder.path, given))
    carry_out(opened, STEP_NAMES, StepListener(report))
    opened.require_verified()
    return Bundle.open(folder.bundle)


def status(folder: PathLike) -> RunStatus:
    """Return the progress of the run in a folder, as ``emufort status`` shows it.

    Parameters
    ----------
    folder : path
        The run folder.
    """
    return RunStatus.of(Path(folder))
