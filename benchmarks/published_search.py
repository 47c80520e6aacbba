"""The published search in data/yu_climsim_search_v1.csv; data/README.md describes it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emufort.files import read_csv
from emufort.network.architecture import Architecture

TABLE = Path(__file__).parent / "data" / "yu_climsim_search_v1.csv"
HYPERPARAMETERS = ("activation", "batch_size", "optimizer")


@dataclass(frozen=True)
class Published:
    """Trials of a finished search.

    Attributes
    ----------
    loss
        Lowest validation loss up to each epoch, shape (n_trials, n_epochs); infinite from the
        epoch where the training diverged.
    final_rank
        Rank after step 2 (1 is best), shape (n_trials,); 0 for trials that were not retrained.
    architectures
        Networks of the trials. emufort lacks some of the activation functions, so all have relu
        here; in networks this wide, the time of an activation function is negligible.
    hyperparameters
        Name from `HYPERPARAMETERS` -> value for each trial.
    """

    loss: NDArray[np.float64]
    final_rank: NDArray[np.int64]
    architectures: list[Architecture]
    hyperparameters: dict[str, list[str]]

    @classmethod
    def read(cls, path: Path = TABLE) -> Published:
        """Read the table; the trials are in the order of their lots and numbers."""
        rows = sorted(read_csv(path), key=lambda row: (_number(row["lot"]), _number(row["trial"])))
        epochs = sorted((n for n in rows[0] if n.startswith("val_loss_epoch_")), key=_number)
        curves = np.array([[float(row[name]) for name in epochs] for row in rows])
        lowest = np.minimum.accumulate(curves, axis=1)  # keeps NaN
        return cls(
            np.where(np.isnan(lowest), np.inf, lowest),
            np.array([int(row["rank_after_step_2"] or 0) for row in rows]),
            [_network(row["widths"]) for row in rows],
            {name: [row[name] for row in rows] for name in HYPERPARAMETERS},
        )

    def __len__(self) -> int:
        return len(self.loss)

    def groups(self, names: Sequence[str]) -> list[Hashable]:
        """Return the group of each trial: its values of the hyperparameters `names`."""
        if not names:
            return [()] * len(self)
        return list(zip(*(self.hyperparameters[name] for name in names), strict=True))


def _network(widths: str) -> Architecture:
    """Return the network: a layer of 128 is between the searched layers and the outputs."""
    return Architecture(124, (*map(int, widths.split("-")), 128), 128)


def _number(text: str) -> int:
    return int(text.replace("_", "-").rpartition("-")[2])
