"""The steps of a run as functions, for scripts and notebooks.

>>> import emufort.api as ef
>>> contract = ef.Contract.load("activation")
>>> data = ef.Dataset.open(None, contract)
>>> study = ef.search(data, trials=500, out="runs/a/search")
>>> models = ef.retrain(study, data, top=20, seeds=3, out="runs/a/retrain")
>>> times = ef.time(models, ncol=(1, 16, 1152), out="runs/a/timing.csv")
>>> selection = ef.select(models, times, rule="knee")
>>> bundle = ef.export(selection, data, "runs/a/bundle")
>>> ef.verify(bundle, selection).raise_if_failed()
>>> fractions = ef.load(bundle).predict(xarray_dataset)

`run` does all of this, as ``emufort run`` does. The functions give what the commands of the same
names give. Every path may be text or a `pathlib.Path`. A call with an unknown option raises
`emufort.errors.UsageError`, which names the nearest known option.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from emufort import steps
from emufort.config import Config, ExportConfig, SelectConfig, TimingConfig, VerifyConfig
from emufort.contract import Contract, explain
from emufort.dataset.dataset import Dataset
from emufort.errors import UsageError
from emufort.export.bundle import Bundle
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator
from emufort.paths import PathLike
from emufort.progress import Reporter, StepListener, silent
from emufort.retrain.agreement_words import Agreement
from emufort.retrain.models import Models
from emufort.run.status import RunStatus
from emufort.runtime.loaded import LoadedEmulator, load
from emufort.selection.select import Selection
from emufort.verification import Origin, Verification

if TYPE_CHECKING:
    from emufort.search import SearchResult
    from emufort.timing.measure import Time

__all__ = [
    "Architecture",
    "Bundle",
    "Contract",
    "Dataset",
    "Emulator",
    "LoadedEmulator",
    "Models",
    "RunStatus",
    "Selection",
    "Verification",
    "advise",
    "export",
    "load",
    "load_search",
    "report",
    "retrain",
    "run",
    "search",
    "select",
    "status",
    "time",
    "verify",
]

Section = TypeVar("Section", bound=BaseModel)


def _section(kind: type[Section], **options: Any) -> Section:
    try:
        return kind.model_validate(options)
    except ValidationError as error:
        raise UsageError(f"arguments: {explain(error, kind)}") from error


def _config(seed: int, workers: int, **sections: dict[str, Any]) -> Config:
    return Config.from_dict({"seed": seed, "workers": workers, **sections}, "arguments")


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
    from emufort.run.folder import STEPS, RunFolder
    from emufort.run.pipeline import Run, carry_out, configuration

    folder = RunFolder(Path(out))
    given = config if config is None or isinstance(config, dict) else Path(config)
    opened = Run.open(folder, configuration(folder.path, given))
    carry_out(opened, STEPS, StepListener(report))
    opened.require_verified()
    return Bundle.open(folder.bundle)


def search(
    data: Dataset,
    *,
    out: PathLike,
    seed: int = 1,
    workers: int = 0,
    cluster: dict[str, Any] | None = None,
    retrain: dict[str, Any] | None = None,
    report: Reporter = silent,
    **options: Any,
) -> SearchResult:
    """Step 1: train many candidates on a small subset of the training rows.

    Parameters
    ----------
    data : Dataset
        The data set. Candidates are compared on its validation rows.
    out : path
        Folder of the search. The same call on the same folder continues a search that was stopped.
    seed : int, default 1
        Random seed of the subset, of the candidates and of their trainings.
    workers : int, default 0
        Number of processes; 0 stands for one per core.
    cluster : dict, default None
        Where to compute: the keys of the section ``[cluster]``, see `emufort.config.ClusterConfig`,
        such as ``{"scheduler": "tcp://node:8786"}``. None stands for this machine.
    retrain : dict, default None
        Options of step 2 that the search is for, as for `retrain`: the length and learning rate of
        annealed rungs follow from ``steps``, ``batch_size`` and ``learning_rate``. None stands for
        the defaults.
    report : callable, default `emufort.progress.silent`
        Told of the progress, see `emufort.progress.Reporter`.
    **options
        Options of the search:

        backend : str, default "auto"
            What trains: ``"native"`` (the Fortran trainer), ``"torch"``, or ``"auto"`` for the
            former where it is built.
        trials : int, default 256
            Number of candidates.
        batch : int, default 32
            Candidates that are proposed at once and compared with each other.
        subset : int or "auto", default "auto"
            Training rows that are used. ``"auto"``: as many as the last rung sees once, at most
            65536; the first 16 candidates show whether the first rung needs all of them.
        subset_by : str, default "random"
            How they are chosen: ``"random"``, ``"stratified"`` or ``"space_filling"``.
        validation : int, default 2000
            Validation rows that candidates are compared on, at most.
        sampler : str, default "parzen"
            What proposes candidates: parzen, random, qmc, tpe, gp, cmaes, nsga2 or nsga3.
        sampler_options : dict, default {}
            Options of the sampler; docs/search.md lists them.
        share : sequence of float, default (0.05,)
            Length of each rung, as a share of the samples that a training of step 2 sees
            (``steps`` of `retrain` times 256). Between rungs the worst candidates are stopped.
        rungs : sequence of int, default ()
            Length of each rung in epochs, instead of `share`; ``schedule="constant"`` needs it.
        rung_rows : sequence of int, default ()
            Rows of the subset that each rung trains on; all of them if empty.
        eta : int, default 4
            One in `eta` candidates goes on from each rung to the next.
        halving : str, default "batch"
            What a candidate is compared with: its batch, or all before it (``"asha"``).
        groups : sequence of str, default ("batch_size",)
            Candidates that have these in common (``"activation"``, ``"batch_size"``,
            ``"target"``) are compared with each other first; none: all are compared together.
        schedule : str, default "cosine"
            ``"cosine"``: a candidate is trained anew for each rung, with warm-up and decay as in
            step 2. ``"constant"``: it is trained on from rung to rung at a constant learning rate.
        batch_size : int, default None
            Samples per training step of the rungs. None: those of the candidate, made smaller as
            the rung is shorter than step 2. The learning rate is scaled with its root.
        patience : int, default 15
            Epochs without a lower validation loss after which a training stops.
        max_ns : float, default None
            Predicted inference time in ns per sample that a candidate may take; None: no limit.
        cost_table : path, default None
            CSV table of measured times for `max_ns`; None: networks are measured here.
        space : dict, default {}
            The search space:

            family : str, default "layers"
                ``"layers"`` gives each hidden layer a width of its own, ``"taper"`` draws the
                first width and a ratio of each layer to the one before it. ``"residual"`` draws
                one width for all hidden layers, and each but the first adds its input to its
                output; such networks are trained with torch.
            depth : (int, int), default (1, 3)
                Smallest and largest number of hidden layers.
            width : sequence of int, default (8, 16, 24, 32, 48, 64, 96, 128)
                Widths of hidden layers, or a dict of lowest, highest and choices.
            taper : sequence of float, default (1.0, 0.75, 0.5)
                Ratios for the family ``"taper"``.
            activation : sequence of str, default ("relu", "squared_relu", "tanh", "silu")
                Activation functions: ``relu``, ``squared_relu``, ``leaky_relu``, ``hardswish``,
                ``tanh``, ``sigmoid``, ``silu``, ``gelu``, ``softplus`` or ``elu``. A parameter
                may follow ``leaky_relu`` (the slope, 0.01) and ``elu`` (the scale, 1), such as
                ``"leaky_relu:0.2"``.
            learning_rate : (float, float), default (0.001, 0.004)
                Smallest and largest peak learning rate, for the batch size of the candidate.
            batch_size : sequence of int, default (64,)
                Samples per training step of step 2.
            weight_decay : sequence of float, default (0.0,)
                Decoupled weight decay per unit of learning rate.
            target : sequence of str, default ()
                Contracts, or ``"output=transform"``, that networks may predict instead of the
                contract of `data`; see docs/search.md.

    Returns
    -------
    SearchResult
        The trials in the order in which they were proposed.

    Raises
    ------
    UsageError
        An option is unknown or impossible.
    EmufortError
        `out` holds another search, all trainings diverged, or workers kept dying.
    """
    sections = {"search": _with_text(options), "retrain": retrain or {}, "cluster": cluster or {}}
    config = _config(seed, workers, **sections)
    return steps.search(data, config, Path(out), report)


def _with_text(options: dict[str, Any]) -> dict[str, Any]:
    table = options.get("cost_table")
    return options if table is None else {**options, "cost_table": str(table)}


def load_search(folder: PathLike) -> SearchResult:
    """Read a finished search from its folder; see `emufort.search.load_search`."""
    from emufort.search import load_search as load_result

    return load_result(folder)


def advise(
    data: Dataset,
    *,
    out: PathLike,
    seed: int = 1,
    workers: int = 0,
    search: dict[str, Any] | None = None,
    report: Reporter = silent,
    **options: Any,
) -> dict[str, Any]:
    """Measure how small the subset of step 1 may be.

    Parameters
    ----------
    data : Dataset
        The data set.
    out : path
        Folder of the measurements. The same call continues one that was stopped.
    seed : int, default 1
        Random seed of the subsets, of the candidates and of their trainings.
    workers : int, default 0
        Number of processes; 0 stands for one per core.
    search : dict, default None
        Options of the search that the advice is for, as for `search`: space, rungs, patience, ...
        None stands for the defaults.
    report : callable, default `emufort.progress.silent`
        Told of the progress, see `emufort.progress.Reporter`.
    **options
        Options of the measurement:

        candidates : int, default 32
            Number of candidates that are trained on every subset.
        seeds : int, default 2
            Trainings of each candidate.
        first : int, default 250
            Rows of the smallest subset; each further subset has twice as many.
        largest : int, default 8000
            Rows of the largest subset, at most.

    Returns
    -------
    dict
        What ``advice.json`` holds; ``subset`` is the number of rows.
    """
    from emufort.search.advice import advise as measure

    config = _config(seed, workers, search=_with_text(search or {}), advice=options)
    return measure(data, config, Path(out), report)


def retrain(
    study: SearchResult,
    data: Dataset,
    *,
    out: PathLike,
    workers: int = 0,
    cluster: dict[str, Any] | None = None,
    report: Reporter = silent,
    **options: Any,
) -> Models:
    """Step 2: train candidates on all training rows.

    A control group that is drawn at random shows how well step 1 ranks the candidates, and
    calibrates their predicted losses. Then candidates are chosen along the predicted front of loss
    against cost, round by round. ``agreement.json`` in `out` says how well step 1 foretold step 2.

    Parameters
    ----------
    study : SearchResult
        What `search` returned, or `load_search` of its folder. Its random seed is used.
    data : Dataset
        The data set that was searched on.
    out : path
        Folder of the retrained networks. The same call continues a retraining that was stopped.
    workers : int, default 0
        Number of processes; 0 stands for one per core.
    cluster : dict, default None
        Where to compute, as for `search`.
    report : callable, default `emufort.progress.silent`
        Told of the progress, see `emufort.progress.Reporter`.
    **options
        Options of step 2:

        backend : str, default "auto"
            What trains: ``"native"`` (the Fortran trainer), ``"torch"``, or ``"auto"`` for the
            former where it is built.
        top : int or "auto", default "auto"
            Number of candidates that are chosen along the predicted front of loss against cost,
            the control group not counted. ``"auto"``: until more of them would gain little, at
            least 12 and at most an eighth of all candidates.
        control : int or "auto", default "auto"
            Number of candidates in the control group, which is drawn at random. ``"auto"``: 5 % of
            all, at least 16, at most half.
        steps : int, default 20000
            Length of a training: every network sees this times 256 samples (times `batch_size`, if
            that is given).
        longer : int, default 3
            How many times longer the candidates on the front are trained at last. 1: they are
            trained with the other seeds only.
        warm_start : bool, default False
            Whether these longer trainings begin with the weights that the rounds trained with the
            same seed, instead of new random weights. The steps of the rounds count: with
            ``longer=3`` twice as many follow.
        seeds : int, default 1
            Trainings of each candidate on the front; the others have one.
        batch_size : int, default None
            Samples per training step; None: that of the candidate.
        learning_rate : (float, float), default None
            Bounds that the peak learning rate is brought into; None: that of the candidate.

    Returns
    -------
    Models
        The networks, best validation skill first.
    """
    given = _config(1, workers, retrain=options, cluster=cluster or {})
    config = study.config.model_copy(
        update={"workers": workers, "retrain": given.retrain, "cluster": given.cluster}
    )
    return steps.retrain(study.folder, data, config, Path(out), report)


def time(
    models: Models, *, out: PathLike, report: Reporter = silent, **options: Any
) -> Sequence[Time]:
    """Measure the inference time of every network in the compiled Fortran runtime.

    Parameters
    ----------
    models : Models
        What `retrain` returned, or `Models.load` of its folder.
    out : path
        The table to write, CSV. Compiled programs are kept in the folder ``work`` next to it.
    report : callable, default `emufort.progress.silent`
        Told of the progress, see `emufort.progress.Reporter`.
    **options
        Options of the timing:

        ncol : sequence of int, default (1, 16, 1152)
            Columns per call at which times are measured.
        repeats : int, default 7
            Rounds; the time is the median over them.
        backend : str, default "fortran"
            What runs the networks: ``"fortran"``, or ``"onnxruntime"`` where there is no compiler.
        compiler : str, default "gfortran"
            The Fortran compiler.
        flags : str, default `emufort.config.DEFAULT_FLAGS`
            Its flags for the runtime.
        baseline_flags : str, default "-O3 -march=native"
            Its flags for the classical schemes.

    Returns
    -------
    list of Time
        One entry per network and number of columns, then those of the baselines.
    """
    table, config = Path(out), _section(TimingConfig, **options)
    return steps.time(models, config, table, table.parent / "work", report)


def select(
    models: Models,
    times: Sequence[Time],
    *,
    rule: str = "knee",
    ncol: int = 16,
    out: PathLike | None = None,
) -> Selection:
    """Choose a network on the Pareto front of skill and measured time.

    Parameters
    ----------
    models : Models
        What `retrain` returned, or `Models.load` of its folder.
    times : sequence of Time
        What `time` returned.
    rule : str, default "knee"
        How to choose: ``"knee"``, ``"best"``, ``"fastest-within=5%"`` or ``"max-ns=200"``; see
        `emufort.selection.select.select`.
    ncol : int, default 16
        Columns per call of the times that count.
    out : path, default None
        File for the selection, JSON; none is written without it.

    Returns
    -------
    Selection
        The choice with its reason, the front, all candidates and the baselines. `export` and
        `verify` take it; its method `emulator` reads the chosen network.
    """
    options = _section(SelectConfig, rule=rule, ncol=ncol)
    return steps.select(models, times, options, None if out is None else Path(out))


def export(
    choice: Selection | Emulator,
    data: Dataset,
    out: PathLike,
    name: str | None = None,
    golden: int = 64,
) -> Bundle:
    """Write a bundle; one that is there already is replaced as a whole.

    Parameters
    ----------
    choice : Selection or Emulator
        What `select` returned, or a network, such as `Models.emulator` returns it.
    data : Dataset
        The data set of the run: gives the golden inputs and the skill on the test split. Where
        targets were searched it is read again as the network's own contract says.
    out : path
        Folder of the bundle.
    name : str, default None
        Name of the emulator; None: that of its contract. The module is ``<name>_emulator``.
    golden : int, default 64
        Number of golden vectors.

    Raises
    ------
    UsageError
        `name` cannot name a Fortran module, or `golden` is not positive.
    EmufortError
        `out` is not writable or holds something else.
    """
    options = _section(ExportConfig, name=name, golden=golden)
    caveat, models = (choice.caveat, choice.models) if isinstance(choice, Selection) else ("", None)
    agreement = None if models is None else Agreement.read(models.folder)
    return steps.export(_network(choice), data, options, Path(out), caveat, agreement)


def verify(
    bundle: Bundle | PathLike,
    choice: Selection | Emulator | None = None,
    *,
    rows: int = 10_000,
    tolerance: float = 1e-5,
    out: PathLike | None = None,
    compiler: str = "gfortran",
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
        The trained network, as reference and for its torch form. With a Selection the hashes of
        its data, study and network are compared, too. None: what ``weights.bin`` holds is the
        reference.
    rows : int, default 10000
        Rows over the range of the inputs that are compared, on top of the golden vectors.
    tolerance : float, default 1e-05
        Largest difference that counts as agreement.
    out : path, default None
        File for the result, JSON; none is written without it.
    compiler : str, default "gfortran"
        The Fortran compiler.
    flags : str, default None
        Its flags; None: those of the timing.
    work : path, default None
        Folder that keeps compiled programs; None: a temporary one.
    report : callable, default `emufort.progress.silent`
        Told of the progress, see `emufort.progress.Reporter`.
    trust_sources : bool, default False
        Compile the sources in the bundle though this version of emufort writes others: only for
        bundles that you trust.

    Returns
    -------
    Verification
        Its method `raise_if_failed` raises `VerificationError` where a form does not agree.
    """
    return steps.verify(
        Path(bundle),
        None if choice is None else _network(choice),
        _section(VerifyConfig, rows=rows, tolerance=tolerance),
        compiler,
        flags,
        None if out is None else Path(out),
        None if work is None else Path(work),
        report,
        _origin(choice),
        trust_sources,
    )


def _origin(choice: Selection | Emulator | None) -> Origin | None:
    if isinstance(choice, Selection) and choice.models is not None:
        return steps.origin_of(choice.models, choice.choice.id)
    return None


def _network(choice: Selection | Emulator) -> Emulator:
    return choice.emulator() if isinstance(choice, Selection) else choice


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


def status(folder: PathLike) -> RunStatus:
    """Say how far the run in a folder is, as ``emufort status`` does.

    Parameters
    ----------
    folder : path
        The run folder.
    """
    return RunStatus.of(Path(folder))
