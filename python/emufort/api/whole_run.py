"""The whole run as one function, and how far a run is."""

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
    """Do everything: search, retrain, time, select, export, verify, report.

    This is what ``emufort run CONFIG --out OUT`` does, with the same files in the same folder. The
    same call continues a run that was stopped; finished steps are not repeated.

    Parameters
    ----------
    config : path or dict, default None
        A configuration file (TOML) or its content. None stands for the configuration that the run
        folder keeps, and for the defaults in a new folder.
    out : path
        The run folder.
    report : callable, default `emufort.progress.silent`
        Told of the progress, see `emufort.progress.Reporter`.

    Returns
    -------
    Bundle
        The bundle of the chosen network.

    Raises
    ------
    VerificationError
        A form of the emulator does not agree with the trained network.
    EmufortError
        Configuration, contract or data are wrong, or a step failed.
    """
    folder = RunFolder(Path(out))
    given = config if config is None or isinstance(config, dict) else Path(config)
    opened = Run.open(folder, configuration(folder.path, given))
    carry_out(opened, STEP_NAMES, StepListener(report))
    opened.require_verified()
    return Bundle.open(folder.bundle)


def status(folder: PathLike) -> RunStatus:
    """Say how far the run in a folder is, as ``emufort status`` does.

    Parameters
    ----------
    folder : path
        The run folder.
    """
    return RunStatus.of(Path(folder))
