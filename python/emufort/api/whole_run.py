"""The whole run as one function, and the progress of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emufort.api.arguments import extended, warn_of_growth
from emufort.callbacks.protocol import Callback
from emufort.contract_files import is_path
from emufort.export.bundle import Bundle
from emufort.paths import PathLike
from emufort.progress import Reporter, StepListener, silent
from emufort.run.configuration import configuration
from emufort.run.folder import RunFolder
from emufort.run.inputs import write_preset_glue
from emufort.run.pipeline import Run, carry_out
from emufort.run.status import RunStatus
from emufort.steps import STEP_NAMES

if TYPE_CHECKING:
    import optuna


def run(
    config: PathLike | dict[str, Any] | None = None,
    *,
    out: PathLike,
    preset: PathLike | None = None,
    samples: int | None = None,
    device: str | None = None,
    report: Reporter = silent,
    sampler: str | optuna.samplers.BaseSampler | None = None,
    callbacks: Sequence[Callback] = (),
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
    preset : str or path, default None
        Name of a preset, or a TOML file: the run makes labels with the constants of a host model
        and finally writes the glue for that host, see docs/presets.md. None: the preset of the
        configuration, if it names one.
    samples : int, default None
        Number of training samples that a preset labels; None: the number in the configuration,
        32768 unless it says otherwise.
    device : str, default None
        Where networks are trained, see docs/gpu.md; None: as in the configuration.
    report : callable, default `emufort.progress.silent`
        Receives the progress, see `emufort.progress.Reporter`.
    sampler : str or optuna.samplers.BaseSampler, default None
        Sampler of the search, also as an object, see `search`; None: that of the configuration. A
        run with an object cannot be continued by a command before its search is finished.
    callbacks : sequence of Callback, default ()
        Receive finished trials and networks, see `emufort.callbacks.Callback`.

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
    named = None if preset is None else os.fspath(preset)
    if named is not None and (is_path(named) or not isinstance(preset, str)):
        named = str(Path(named).resolve())
    name, extensions = extended(sampler, callbacks)
    overrides = {
        "preset": named,
        "labels.samples": samples,
        "device": device,
        "search.sampler": name,
    }
    opened = Run.open(folder, configuration(folder.path, given, overrides), report, extensions)
    warn_of_growth(folder.search, opened.config)
    carry_out(opened, STEP_NAMES, StepListener(report))
    opened.require_verified()
    write_preset_glue(opened.config, folder.bundle)
    return Bundle.open(folder.bundle)


def status(folder: PathLike) -> RunStatus:
    """Return the progress of the run in a folder, as ``emufort status`` shows it.

    Parameters
    ----------
    folder : path
        The run folder.

    Returns
    -------
    RunStatus
        State of the run and progress of each step.
    """
    return RunStatus.of(Path(folder))
