"""Steps 1 and 2 as functions: search, advice on the subset, retraining."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emufort import steps
from emufort.api.arguments import configuration, extended, section, warn_of_growth
from emufort.callbacks.protocol import Callback
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
    device: str = DEFAULTS.device,
    cluster: dict[str, Any] | None = None,
    retrain: dict[str, Any] | None = None,
    report: Reporter = silent,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> SearchResult:
    """Step 1: train many candidates on a small subset of the training rows.

    Parameters
    ----------
    data : Dataset
        The data set. Candidates are compared on its validation rows.
    out : path
        Folder of the search. The same call on the same folder continues a search that was stopped.
        A call with more `trials` continues a finished search with the same first trials; one with
        fewer is refused.
    seed : int, default 1
        Random seed of the subset, of the candidates and of their trainings.
    workers : int, default 0
        Number of processes; 0 means one per core, or one per GPU.
    device : str, default "auto"
        Where networks are trained: ``"cpu"``, ``"cuda"`` (all visible GPUs, in turn), ``"cuda:N"``,
        ``"mps"``, or ``"auto"``, see docs/gpu.md.
    cluster : dict, default None
        Where to compute: the keys of the section ``[cluster]``, see `emufort.config.ClusterConfig`,
        such as ``{"scheduler": "tcp://node:8786"}``. None means this machine.
    retrain : dict, default None
        Options of the later step 2, as for `retrain`. ``steps``, ``batch_size`` and
        ``learning_rate`` determine the length and learning rate of annealed rungs. None means the
        defaults.
    report : callable, default `emufort.progress.silent`
        Receives the progress, see `emufort.progress.Reporter`.
    callbacks : sequence of Callback, default ()
        Receive the finished trials of each batch, see `emufort.callbacks.Callback`.
    **options
        Options of the search:

        backend : str, default "auto"
            Trainer: ``"native"`` (the Fortran trainer), ``"torch"``, or ``"auto"`` (native on the
            CPU where it is built and can train the networks, else torch).
        trials : int, default 256
            Number of candidates.
        batch : int, default 32
            Number of candidates that are proposed at once and compared with each other.
        subset : int or "auto", default "auto"
            Number of training rows. ``"auto"``: as many as the last rung sees once, at most 65536;
            the first 16 candidates show whether the first rung needs all of them.
        subset_by : str, default "random"
            Choice of these rows: ``"random"``, ``"stratified"`` or ``"space_filling"``.
        validation : int, default 2000
            Largest number of validation rows on which candidates are compared.
        sampler : str or optuna.samplers.BaseSampler, default "parzen"
            Sampler that proposes candidates: parzen, random, qmc, tpe, gp, cmaes, nsga2 or nsga3,
            or a sampler of Optuna as an object. The search seeds a copy of the object. A search
            that is continued needs an equal object again.
        sampler_options : dict, default {}
            Options of the sampler; docs/search.md lists them.
        share : sequence of float, default (0.05,)
            Length of each rung, as a share of the samples that a training of step 2 sees
            (``steps`` of `retrain` times 256). Between rungs the worst candidates are stopped.
        rungs : sequence of int, default ()
            Length of each rung in epochs, instead of `share`; ``schedule="constant"`` needs it.
        rung_rows : sequence of int, default ()
            Number of rows of the subset on which each rung trains; all rows if empty.
        objectives : sequence of str, default ("skill",)
            ``("skill",)`` looks for the lowest loss. ``("skill", "time")`` looks for the front of
            loss against predicted inference time: candidates along the front continue from rung to
            rung, and the sampler (``"parzen"``, ``"nsga2"`` or ``"nsga3"``) proposes more of them.
        eta : int, default 4
            One in `eta` candidates continues from each rung to the next.
        halving : str, default "batch"
            Candidates to compare with: those of the same batch, or all earlier ones (``"asha"``).
        groups : sequence of str, default ("batch_size",)
            Candidates that share these properties (``"activation"``, ``"batch_size"``,
            ``"target"``) are compared with each other first. Empty: all are compared together.
        schedule : str, default "cosine"
            ``"cosine"``: every rung trains a candidate from the start, with warm-up and decay as in
            step 2. ``"constant"``: training continues from rung to rung at a constant learning
            rate.
        batch_size : int, default None
            Samples per training step of the rungs. None: the batch size of the candidate, reduced
            because a rung is shorter than step 2. The learning rate is scaled with the square root
            of the batch size.
        patience : int, default 15
            Epochs without a lower validation loss after which a training stops.
        side_by_side : bool or "auto", default "auto"
            Whether to train candidates of similar shape together with torch. ``"auto"``: on a GPU.
        max_ns : float, default None
            Largest predicted inference time of a candidate [ns per sample]; None: no limit.
        cost_table : path, default None
            CSV table of measured times for `max_ns` and for time as an objective. None: networks
            are measured on this machine for `max_ns`; without this limit, times are predicted with
            fixed coefficients.
        enqueue : sequence of dict, default ()
            Candidates to try before those of the sampler, such as the network that is in use. They
            count as trials, may lie outside the space, and `max_ns` does not apply to them:

            hidden : sequence of int
                Widths of the hidden layers.
            activation : str or sequence of str
                Activation function of all hidden layers, or one for each.
            learning_rate : float, default None
                Peak learning rate; None: the geometric mean of the bounds of the space.
            batch_size : int, default None
                Samples per training step of step 2; None: the first of the space.
            weight_decay : float, default None
                Decoupled weight decay; None: the first of the space.
            target : str, default None
                One of the targets of the space; None: the first.
        space : dict, default {}
            The search space:

            family : str, default "layers"
                ``"layers"`` draws a width for each hidden layer. ``"taper"`` draws the width of the
                first layer and the ratio of each layer to the previous one. ``"residual"`` draws
                one width for all hidden layers, each of which except the first adds its input to
                its output; such networks are trained with torch.
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
                Contracts, or ``"output=transform"``, whose outputs networks may predict instead of
                those of the contract of `data`; see docs/search.md.

    Returns
    -------
    SearchResult
        The trials in the order of their proposal.

    Raises
    ------
    UsageError
        An option is unknown or its value is not valid.
    EmufortError
        `out` holds another search, all trainings diverged, or workers died repeatedly.
    """
    sampler, extensions = extended(options.get("sampler"), callbacks)
    given = _with_text({**options, **({"sampler": sampler} if "sampler" in options else {})})
    sections = {"search": given, "retrain": retrain or {}, "cluster": cluster or {}}
    config = configuration(seed, workers, device, **sections)
    warn_of_growth(Path(out), config)
    with extensions.callbacks.step("search"):
        return steps.search(data, config, Path(out), report, extensions)


def _with_text(options: dict[str, Any]) -> dict[str, Any]:
    table = options.get("cost_table")
    return options if table is None else {**options, "cost_table": str(table)}


def load_search(folder: PathLike) -> SearchResult:
    """Read a finished search from its folder.

    Parameters
    ----------
    folder : path
        The folder that `search` wrote, such as ``search`` in a run folder.

    Returns
    -------
    SearchResult
        The trials in the order of their proposal.

    Raises
    ------
    EmufortError
        `folder` holds no search, the search was interrupted, or a file of it is damaged.
    """
    from emufort.search.result import load_search as load_result

    return load_result(folder)


def advise(
    data: Dataset,
    *,
    out: PathLike,
    seed: int = DEFAULTS.seed,
    workers: int = DEFAULTS.workers,
    device: str = DEFAULTS.device,
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
        Folder of the measurements. The same call continues a measurement that was stopped.
    seed : int, default 1
        Random seed of the subsets, of the candidates and of their trainings.
    workers : int, default 0
        Number of processes; 0 means one per core, or one per GPU.
    device : str, default "auto"
        Where networks are trained: ``"cpu"``, ``"cuda"`` (all visible GPUs, in turn), ``"cuda:N"``,
        ``"mps"``, or ``"auto"``, see docs/gpu.md.
    search : dict, default None
        Options of the search for which the advice is given, as for `search`: space, rungs,
        patience, ... None means the defaults.
    report : callable, default `emufort.progress.silent`
        Receives the progress, see `emufort.progress.Reporter`.
    **options
        Options of the measurement:

        candidates : int, default 32
            Number of candidates that are trained on every subset.
        seeds : int, default 2
            Trainings of each candidate.
        first : int, default 250
            Number of rows of the smallest subset; each further subset has twice as many.
        largest : int, default 8000
            Most rows of the largest subset.

    Returns
    -------
    dict
        Content of ``advice.json``; ``subset`` is the recommended number of rows.
    """
    from emufort.search.advice import advise as measure

    config = configuration(seed, workers, device, search=_with_text(search or {}), advice=options)
    return measure(data, config, Path(out), report)


def retrain(
    study: SearchResult,
    data: Dataset,
    *,
    out: PathLike,
    workers: int = DEFAULTS.workers,
    device: str = DEFAULTS.device,
    cluster: dict[str, Any] | None = None,
    report: Reporter = silent,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> Models:
    """Step 2: train candidates on all training rows.

    A control group that is drawn at random shows how well step 1 ranks the candidates, and
    calibrates their predicted losses. Then candidates are chosen along the predicted front of loss
    and cost, round by round. ``agreement.json`` in `out` records how well step 1 predicted step 2.

    Parameters
    ----------
    study : SearchResult
        Result of `search`, or of `load_search` for its folder. Its random seed is used.
    data : Dataset
        The data set of the search.
    out : path
        Folder of the retrained networks. The same call continues a retraining that was stopped.
    workers : int, default 0
        Number of processes; 0 means one per core, or one per GPU.
    device : str, default "auto"
        Where networks are trained: ``"cpu"``, ``"cuda"`` (all visible GPUs, in turn), ``"cuda:N"``,
        ``"mps"``, or ``"auto"``, see docs/gpu.md.
    cluster : dict, default None
        Where to compute, as for `search`.
    report : callable, default `emufort.progress.silent`
        Receives the progress, see `emufort.progress.Reporter`.
    callbacks : sequence of Callback, default ()
        Receive the trained networks, see `emufort.callbacks.Callback`.
    **options
        Options of step 2. The default of each option is its value in ``study.config.retrain``: the
        value that `search` received for step 2, or the following default:

        backend : str, default "auto"
            Trainer: ``"native"`` (the Fortran trainer), ``"torch"``, or ``"auto"`` (native on the
            CPU where it is built and can train the networks, else torch).
        top : int or "auto", default "auto"
            Number of candidates that are chosen along the predicted front of loss and cost, without
            the control group. ``"auto"``: until more candidates would gain little, at least 12 and
            at most an eighth of all candidates.
        control : int or "auto", default "auto"
            Number of candidates in the control group, which is drawn at random. ``"auto"``: 5 % of
            all candidates, at least 16 and at most half of them.
        steps : int, default 20000
            Length of a training: every network sees this number times 256 samples (times
            `batch_size`, if that is given).
        longer : int, default 3
            Factor by which the final trainings of the candidates on the front are longer. 1: they
            are only trained with the other seeds.
        warm_start : bool, default False
            Whether these longer trainings start from the weights that the rounds trained with the
            same seed, instead of new random weights. The steps of the rounds count: with
            ``longer=3`` twice as many steps follow.
        seeds : int, default 1
            Number of trainings of each candidate on the front; other candidates have one.
        batch_size : int, default None
            Samples per training step; None: the batch size of the candidate.
        precision : str, default "single"
            Precision of products and activation functions: ``"single"`` or ``"bfloat16"`` (with
            weights in single precision; needs torch).
        microbatch : int, default None
            Most samples that pass through a network at once, where a batch of a large network needs
            too much memory (needs torch). None: the whole batch.
        learning_rate : (float, float), default None
            Bounds to which the peak learning rate is clipped; None: no bounds.

    Returns
    -------
    Models
        The networks, sorted by validation skill, the best first.
    """
    known = study.config.retrain.model_dump(mode="json")
    where = configuration(study.config.seed, workers, device, cluster=cluster or {})
    config = study.config.model_copy(
        update={
            "workers": workers,
            "device": where.device,
            "retrain": section(RetrainConfig, **{**known, **options}),
            "cluster": where.cluster,
        }
    )
    _, extensions = extended(None, callbacks)
    with extensions.callbacks.step("retrain"):
        return steps.retrain(study.folder, data, config, Path(out), report, extensions)
