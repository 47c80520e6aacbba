"""Steps 1 and 2 as functions: the search, the advice on its subset, the retraining."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from emufort import steps
from emufort.api.arguments import configuration, section
from emufort.config import DEFAULTS, RetrainConfig
from emufort.dataset.dataset import Dataset
from emufort.paths import PathLike
from emufort.progress import Reporter, silent
from emufort.retrain.models import Models

if TYPE_CHECKING:
    from emufort.search.result import SearchResult


def search(
    data: Dataset,
    *,
    out: PathLike,
    seed: int = DEFAULTS.seed,
    workers: int = DEFAULTS.workers,
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
    config = configuration(seed, workers, **sections)
    return steps.search(data, config, Path(out), report)


def _with_text(options: dict[str, Any]) -> dict[str, Any]:
    table = options.get("cost_table")
    return options if table is None else {**options, "cost_table": str(table)}


def load_search(folder: PathLike) -> SearchResult:
    """Read a finished search from its folder; see `emufort.search.result.load_search`."""
    from emufort.search.result import load_search as load_result

    return load_result(folder)


def advise(
    data: Dataset,
    *,
    out: PathLike,
    seed: int = DEFAULTS.seed,
    workers: int = DEFAULTS.workers,
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

    config = configuration(seed, workers, search=_with_text(search or {}), advice=options)
    return measure(data, config, Path(out), report)


def retrain(
    study: SearchResult,
    data: Dataset,
    *,
    out: PathLike,
    workers: int = DEFAULTS.workers,
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
        Options of step 2. One that is not given is that of ``study.config.retrain``: what `search`
        was told of step 2, or its default:

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
    known = study.config.retrain.model_dump(mode="json")
    where = configuration(study.config.seed, workers, cluster=cluster or {})
    config = study.config.model_copy(
        update={
            "workers": workers,
            "retrain": section(RetrainConfig, **{**known, **options}),
            "cluster": where.cluster,
        }
    )
    return steps.retrain(study.folder, data, config, Path(out), report)
