"""The steps after training as functions: timing, selection, export, verification, report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emufort import steps
from emufort.api.arguments import section
from emufort.config import DEFAULTS, ExportConfig, SelectConfig, TimingConfig, VerifyConfig
from emufort.config.deployment import Placement
from emufort.dataset.dataset import Dataset
from emufort.export.bundle import Bundle
from emufort.network.emulator import Emulator
from emufort.network.precision import Precision
from emufort.paths import PathLike
from emufort.progress import Reporter, silent
from emufort.retrain.models import Models
from emufort.selection.select import Selection
from emufort.verification import Verification

if TYPE_CHECKING:
    from emufort.timing.measure import Time


def time(
    models: Models, *, out: PathLike, report: Reporter = silent, **options: Any
) -> Sequence[Time]:
    """Measure the inference time of every network in the compiled Fortran runtime.

    Parameters
    ----------
    models : Models
        What `retrain` returned, or `Models.load` of its folder.
    out : path
        The CSV table to write. Compiled programs are kept in the folder ``work`` next to it.
    report : callable, default `emufort.progress.silent`
        Receives the progress, see `emufort.progress.Reporter`.
    **options
        Options of the timing:

        ncol : sequence of int, default (1, 16, 1152)
            Numbers of columns per call for which times are measured.
        repeats : int, default 7
            Number of rounds; the time is the median over them.
        backend : str, default "fortran"
            Backend that runs the networks: ``"fortran"``, or ``"onnxruntime"`` without a compiler.
        compiler : str, default "gfortran"
            The Fortran compiler.
        flags : str, default `emufort.toolchain.flags.DEFAULT_FLAGS`
            Compiler flags for the runtime.
        baseline_flags : str, default `emufort.toolchain.flags.BASELINE_FLAGS`
            Compiler flags for the classical schemes.

    Returns
    -------
    list of Time
        One entry per network and number of columns, then the entries of the baselines.
    """
    table, config = Path(out), section(TimingConfig, **options)
    return steps.time(models, config, table, table.parent / "work", report)


def select(
    models: Models,
    times: Sequence[Time],
    *,
    rule: str = DEFAULTS.select.rule,
    ncol: int = DEFAULTS.select.ncol,
    out: PathLike | None = None,
) -> Selection:
    """Select a network on the Pareto front of skill and measured time.

    Parameters
    ----------
    models : Models
        What `retrain` returned, or `Models.load` of its folder.
    times : sequence of Time
        What `time` returned.
    rule : str, default "knee"
        Rule of the selection: ``"knee"``, ``"best"``, ``"fastest-within=5%"``, ``"max-ns=200"``
        or ``"faster-than=ARG2000"``; see `emufort.selection.select.select`.
    ncol : int, default 16
        Columns per call of the times to compare.
    out : path, default None
        JSON file for the selection; None: no file is written.

    Returns
    -------
    Selection
        The selected network with the reason, the front, all candidates and the baselines. `export`
        and `verify` take it; its method `emulator` reads the selected network.
    """
    options = section(SelectConfig, rule=rule, ncol=ncol)
    return steps.select(models, times, options, None if out is None else Path(out))


def export(
    choice: Selection | Emulator,
    data: Dataset,
    out: PathLike,
    name: str | None = DEFAULTS.export.name,
    golden: int = DEFAULTS.export.golden,
    precision: Precision | None = DEFAULTS.export.precision,
    weights: Placement = DEFAULTS.export.weights,
) -> Bundle:
    """Write a bundle; an existing bundle is replaced as a whole.

    Parameters
    ----------
    choice : Selection or Emulator
        Result of `select`, or a network, such as the result of `Models.emulator`.
    data : Dataset
        The data set of the run, for the golden inputs and the skill on the test split. If the
        network has the contract of a target, the data are read again by this contract.
    out : path
        Folder of the bundle.
    name : str, default None
        Name of the emulator; None: the name of its contract. The module is ``<name>_emulator``.
    golden : int, default 64
        Number of golden vectors.
    precision : {"single", "double"}, default None
        Precision in which Fortran and ONNX compute the network; None: that of the network, which is
        single unless it was imported in double precision.
    weights : {"module", "file"}, default "module"
        Whether the generated Fortran module holds the network, or loads ``weights.bin``.

    Returns
    -------
    Bundle
        The bundle.

    Raises
    ------
    UsageError
        `name` cannot name a Fortran module, or `golden` is not positive.
    EmufortError
        `out` is not writable or holds other files.
    """
    options = section(ExportConfig, name=name, golden=golden, precision=precision, weights=weights)
    return steps.export(choice, data, options, Path(out))


def verify(
    bundle: Bundle | PathLike,
    choice: Selection | Emulator | None = None,
    *,
    rows: int = DEFAULTS.verify.rows,
    tolerance: float | None = DEFAULTS.verify.tolerance,
    out: PathLike | None = None,
    compiler: str = DEFAULTS.timing.compiler,
    flags: str | None = None,
    work: PathLike | None = None,
    report: Reporter = silent,
    trust_sources: bool = False,
) -> Verification:
    """Compare every form of a bundle with the reference.

    Parameters
    ----------
    bundle : Bundle or path
        The bundle or its folder.
    choice : Selection or Emulator, default None
        The trained network, as reference and for its torch form. With a Selection, the hashes of
        its data, study and network are also compared. None: the network of ``weights.bin`` is the
        reference.
    rows : int, default 10000
        Number of rows over the range of the inputs that are compared, in addition to the golden
        vectors.
    tolerance : float, default None
        Largest difference that counts as agreement; None: 1e-5 in single and 1e-12 in double
        precision. The rounding error of a deep network may allow more, see docs/bundle.md.
    out : path, default None
        JSON file for the result; None: no file is written.
    compiler : str, default "gfortran"
        The Fortran compiler.
    flags : str, default None
        Compiler flags; None: those of the timing.
    work : path, default None
        Folder that keeps compiled programs; None: a temporary folder.
    report : callable, default `emufort.progress.silent`
        Receives the progress, see `emufort.progress.Reporter`.
    trust_sources : bool, default False
        Compile the sources of the bundle even if this version of emufort generates other ones. Set
        it only for bundles that you trust.

    Returns
    -------
    Verification
        Its method `raise_if_failed` raises `VerificationError` if a form does not agree.
    """
    return steps.verify(
        Path(bundle),
        choice,
        section(VerifyConfig, rows=rows, tolerance=tolerance),
        compiler,
        flags,
        None if out is None else Path(out),
        None if work is None else Path(work),
        report,
        trust_sources,
    )


def report(folder: PathLike, data: Dataset) -> Path:
    """Write ``report.html`` into a run folder, and return its path.

    Parameters
    ----------
    folder : path
        The folder that holds ``search``, ``retrain``, ``timing.csv`` and ``selection.json``.
    data : Dataset
        The data set of the run.
    """
    return steps.report(Path(folder), data)
