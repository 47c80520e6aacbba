"""A finished search as later steps read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emufort.brief import brief
from emufort.config import Config
from emufort.dataset.targets import with_target
from emufort.errors import EmufortError
from emufort.files import read_json
from emufort.paths import PathLike
from emufort.results.table import Table
from emufort.search.prediction import predicted_ranks
from emufort.search.trials import Trial, is_as_written, ranked, read_trials

if TYPE_CHECKING:
    import pandas
    import xarray


@dataclass(frozen=True)
class SearchResult:
    """Trials of a search, in the order in which they were proposed.

    Attributes
    ----------
    folder
        Folder of the search.
    trials
        All trials, pruned and diverged ones too.
    summary
        Content of search.json.
    """

    folder: Path
    trials: tuple[Trial, ...]
    summary: dict[str, Any]

    def __repr__(self) -> str:
        best = self.top(1)
        measure = "error" if best and best[0].target else "loss"
        label = with_target(best[0].architecture.label, best[0].target) if best else ""
        return brief(
            self,
            str(self.folder),
            f"{len(self.trials)} trials",
            f"best {label}, {measure} {best[0].value:.3g}" if best else "all diverged",
        )

    @property
    def config(self) -> Config:
        """The configuration that the search was run with."""
        return Config.from_dict(self.summary["config"], str(self.folder / "search.json"))

    def table(self) -> Table:
        """Return the trials as a table, with the loss at every rung and the hidden layers."""
        trials = self.trials
        rungs = sorted({epochs for t in trials for epochs, _ in t.rungs})
        deepest = max((len(t.architecture.hidden) for t in trials), default=0)
        losses = np.full((len(trials), len(rungs)), np.nan)
        widths = np.zeros((len(trials), deepest), dtype=np.int64)
        for i, trial in enumerate(trials):
            widths[i, : len(trial.architecture.hidden)] = trial.architecture.hidden
            for epochs, value in trial.rungs:
                losses[i, rungs.index(epochs)] = value
        columns: dict[str, list[Any]] = {
            "trial": [t.number for t in trials],
            "value": [t.value for t in trials],
            "finite": [t.finite for t in trials],
            "pruned": [t.pruned_at is not None for t in trials],
            "epochs": [t.epochs for t in trials],
            "label": [t.architecture.label for t in trials],
            "depth": [len(t.architecture.hidden) for t in trials],
            "activation": [t.architecture.activation_label for t in trials],
            "learning_rate": [t.learning_rate for t in trials],
            "batch_size": [t.batch_size for t in trials],
            "weight_decay": [t.weight_decay for t in trials],
            "n_parameters": [t.architecture.n_parameters for t in trials],
            "multiply_adds": [t.architecture.multiply_adds for t in trials],
            "seconds": [t.seconds for t in trials],
            "batch": [t.batch for t in trials],
            "enqueued": [t.enqueued for t in trials],
            "predicted_rank": predicted_ranks(trials),
        }
        meanings: dict[str, str] = {}
        if any(t.target for t in trials):
            columns["target"] = [t.target for t in trials]
            # Losses of different targets cannot be compared, so the search compares errors.
            error = str(self.summary.get("value", "error of the skill variables"))
            meanings = {"value": error, "loss": f"{error} at each rung"}
        if any(t.predicted_ns is not None for t in trials):
            columns["predicted_ns"] = [t.predicted_ns for t in trials]
        names = ("sampler", "backend", "subset", "data_sha256", "contract_sha256")
        return Table(
            "trial",
            columns,
            {"loss": ("rung", losses), "width": ("layer", widths)},
            {"rung": rungs, "layer": range(1, deepest + 1)},
            attrs={name: self.summary[name] for name in names if name in self.summary},
            meanings=meanings,
        )

    def to_pandas(self) -> pandas.DataFrame:
        """Return the trials as a DataFrame, see `Table.to_pandas`."""
        return self.table().to_pandas()

    def to_xarray(self) -> xarray.Dataset:
        """Return the trials as a Dataset with the coordinates trial, rung and layer."""
        return self.table().to_xarray()

    def top(self, k: int) -> list[Trial]:
        """Return the `k` trials of the lowest search loss, or all of them if there are fewer."""
        return ranked(self.trials)[:k]


def load_search(folder: PathLike) -> SearchResult:
    """Read a finished search.

    Parameters
    ----------
    folder
        The folder of the search, such as ``runs/a/search``.

    Raises
    ------
    EmufortError
        `folder` has no search, or the search was interrupted.
    """
    folder = Path(folder)
    if not (folder / "search.json").exists():
        raise EmufortError(f"there is no search in {folder}; run 'emufort search' first")
    summary: dict[str, Any] = read_json(folder / "search.json")
    try:
        sizes = summary["n_inputs"], summary["n_outputs"]
        done, wanted, sha256 = summary["trials"], summary["trials_wanted"], summary["trials_sha256"]
        finished = summary["finished"]
    except (KeyError, TypeError) as error:
        raise EmufortError(
            f"{folder / 'search.json'} is damaged; run the same 'emufort search' command again"
        ) from error
    if not finished:
        raise EmufortError(
            f"the search in {folder} has done {done} of {wanted} "
            "trials; run the same 'emufort search' command again to finish it"
        )
    if not is_as_written(folder / "trials.csv", sha256):
        raise EmufortError(
            f"{folder / 'trials.csv'} is damaged; run the same 'emufort search' command again"
        )
    trials = read_trials(folder / "trials.csv", *sizes)
    return SearchResult(folder, tuple(trials), summary)
