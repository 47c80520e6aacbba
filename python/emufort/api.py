"""The steps of a run as functions, for scripts and notebooks.

>>> import emufort.api as ef
>>> contract = ef.Contract.load("activation")
>>> data = ef.Dataset.open(None, contract)
>>> study = ef.search(data, trials=500, out="runs/a/search")
>>> models = ef.retrain(study, data, top=20, seeds=3, out="runs/a/retrain")
>>> times = ef.time(models, ncol=(1, 16, 1152), out="runs/a/timing.csv")
>>> best = ef.select(models, times, rule="knee")
>>> bundle = ef.export(best, data, "runs/a/bundle")
>>> ef.verify(bundle).raise_if_failed()
>>> fractions = ef.load(bundle).predict(xarray_dataset)
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from emufort.config import Config, TimingConfig
from emufort.contract import Contract, explain
from emufort.dataset import Dataset
from emufort.errors import UsageError
from emufort.export.bundle import Bundle, export
from emufort.network import Architecture, Emulator
from emufort.progress import Reporter, silent
from emufort.runtime import LoadedEmulator, load
from emufort.verification import Verification, verify

if TYPE_CHECKING:
    from emufort.retrain import Retrained
    from emufort.search import SearchResult
    from emufort.timing import Time

__all__ = [
    "Architecture",
    "Bundle",
    "Contract",
    "Dataset",
    "Emulator",
    "LoadedEmulator",
    "Models",
    "Verification",
    "advise",
    "export",
    "load",
    "retrain",
    "search",
    "select",
    "time",
    "verify",
]

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Models:
    """Retrained networks.

    Attributes
    ----------
    folder
        Where they are kept.
    rows
        One entry per network, best validation skill first.
    data
        The data they were trained on.
    """

    folder: Path
    rows: tuple[Retrained, ...]
    data: Dataset

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Retrained]:
        return iter(self.rows)

    @property
    def trained(self) -> tuple[Retrained, ...]:
        """The rows of those that did not diverge."""
        return tuple(row for row in self.rows if math.isfinite(row.rmse))

    def weights(self, identity: str) -> Path:
        """Return the weights file of one network."""
        return self.folder / identity / "weights.safetensors"

    def load(self, identity: str) -> Emulator:
        """Read one network."""
        return Emulator.load(self.weights(identity))


def _timing(options: dict[str, Any]) -> TimingConfig:
    try:
        return TimingConfig.model_validate(options)
    except ValidationError as error:
        raise UsageError(f"arguments: {explain(error, TimingConfig)}") from error


def _config(seed: int, workers: int, **sections: dict[str, Any]) -> Config:
    return Config.from_dict({"seed": seed, "workers": workers, **sections}, "arguments")


def search(
    data: Dataset,
    *,
    out: PathLike,
    seed: int = 1,
    workers: int = 0,
    cluster: dict[str, Any] | None = None,
    report: Reporter = silent,
    **options: Any,
) -> SearchResult:
    """Step 1: train many candidates on a small subset of the training rows.

    Parameters
    ----------
    data
        The data set; candidates are judged on its validation rows.
    out
        Folder of the search. The same call on the same folder continues a killed search.
    seed, workers
        Seed of everything that is drawn; processes (0: one per core).
    cluster
        Options of `emufort.config.ClusterConfig`, such as ``{"scheduler": "tcp://node:8786"}``.
    report
        Told how far the search is.
    **options
        Those of `emufort.config.SearchConfig`: trials, subset, sampler, rungs, space, ...
    """
    from emufort.search import search as run_search

    config = _config(seed, workers, search=options, cluster=cluster or {})
    return run_search(data, config, Path(out), report)


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
    data, seed, workers, report
        As for `search`.
    out
        Folder of the measurements; the same call continues a killed one.
    search
        Options of the search that the advice is for: space, rungs, patience, ...
    **options
        Those of `emufort.config.AdviceConfig`: candidates, seeds, first, largest.

    Returns
    -------
    dict
        What ``advice.json`` holds; ``subset`` is the number of rows.
    """
    from emufort.search.advice import advise as measure

    config = _config(seed, workers, search=search or {}, advice=options)
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
    """Step 2: retrain the best candidates on all training rows.

    Parameters
    ----------
    study
        What `search` returned, or `emufort.search.load_search` of its folder.
    data
        The data set that was searched on.
    out
        Folder of the retrained networks; the same call continues a killed retraining.
    workers, cluster, report
        As for `search`.
    **options
        Those of `emufort.config.RetrainConfig`: top, seeds, steps, batch_size.
    """
    from emufort.retrain import retrain as run_retrain

    given = _config(1, workers, retrain=options, cluster=cluster or {})
    config = study.config.model_copy(
        update={"workers": workers, "retrain": given.retrain, "cluster": given.cluster}
    )
    rows = run_retrain(study.folder, data, config, Path(out), report)
    return Models(Path(out), tuple(rows), data)


def time(
    models: Models, *, out: PathLike, report: Reporter = silent, **options: Any
) -> Sequence[Time]:
    """Measure the inference time of every model in the compiled Fortran runtime.

    Parameters
    ----------
    models
        What `retrain` returned.
    out
        The table to write, CSV; compiled programs are kept in ``work`` beside it.
    report
        Told how far it is.
    **options
        Those of `emufort.config.TimingConfig`: ncol, repeats, compiler, flags, ...
    """
    from emufort.targets import own_inputs
    from emufort.timing import TIMING_ROWS, time_candidates

    train = models.data.part("train")
    sample = train.subset(min(TIMING_ROWS, len(train)), 1)
    weights = {row.id: models.weights(row.id) for row in models.trained}
    return time_candidates(
        weights,
        models.data.contract,
        _timing(options),
        Path(out),
        Path(out).parent / "work",
        sample.x,
        report,
        own_inputs(models.data, sample.rows, weights),
    )


def select(
    models: Models, times: Sequence[Time], *, rule: str = "knee", ncol: int = 16
) -> Emulator:
    """Choose on the Pareto front of skill and measured time; see `emufort.selection.select`."""
    from emufort.selection import select as choose
    from emufort.selection import with_needed_schemes

    rows = [asdict(row) for row in models.trained]
    measured = [asdict(t) for t in times]
    if any(row.target for row in models.trained):
        contracts = {row.id: models.load(row.id).contract for row in models.trained}
        measured = with_needed_schemes(measured, contracts, models.data.contract)
    return models.load(choose(rows, measured, rule, ncol).choice.id)
