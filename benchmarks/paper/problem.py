"""Search space, rows and trainers of the paper's experiments.

The procedure is that of the code that Yu et al. published: a subset is divided into 80 % training
and 20 % validation rows; Adam trains at a constant rate of 0.001 in batches of 1,024 for at most
100 epochs, and stops after 5 epochs without a lower validation loss. Candidates differ in their
layers only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmarks.paper_inputs import with_noise_input
from emufort.config import SpaceConfig
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.network.architecture import Architecture
from emufort.paths import PathLike
from emufort.search.samplers.registry import make_proposer
from emufort.search.space import Candidate
from emufort.training import Arrays, Trainer, make_trainer

CONTRACT = "activation_fractions"
#: Inputs with the one that is noise, and fractions.
N_INPUTS, N_OUTPUTS = 16, 4
EPOCHS, PATIENCE, VALIDATION_SHARE = 100, 5, 0.2
SPACE = SpaceConfig(
    depth=(1, 20),
    width=(8, 16, 32, 64, 128, 256, 512, 1024, 2048),
    activation=("relu",),
    learning_rate=(1e-3, 1e-3),
    batch_size=(1024,),
)
#: Random seed of the candidates, of the order of the set, and of the input that is noise.
SEED = 1


@dataclass
class Problem:
    """The data and the space.

    Attributes
    ----------
    data
        The data set. Its training rows are "the set" of which a subset is a share; its test rows
        are used for the skill of the networks only.
    most
        Largest number of multiply-adds of a candidate. It is the only restriction of the paper's
        space.
    rows
        Number of rows of the set; 0 for all training rows of the data.
    """

    data: Dataset
    most: int
    rows: int = 0

    @classmethod
    def open(cls, path: PathLike | None, most: int, rows: int = 0) -> Problem:
        """Read the data; None for the embedded data."""
        return cls(Dataset.open(path, Contract.load(CONTRACT)), most, rows)

    def __post_init__(self) -> None:
        self._trainers: dict[tuple[float, int], Trainer] = {}

    @cached_property
    def set(self) -> Dataset:
        """The rows of which a subset is a share."""
        train = self.data.part("train")
        return train.subset(self.rows, SEED) if self.rows else train

    @cached_property
    def _arrays(self) -> Arrays:
        """All rows of the set (as training rows) and all test rows (as validation rows)."""
        arrays, _, _ = Arrays.from_datasets(self.set, self.data.part("test"))
        return with_noise_input(arrays, SEED)

    @property
    def n_rows(self) -> int:
        """Number of rows of the set."""
        return len(self._arrays.x_train)

    @property
    def test_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, 16) and fractions (n, 4) of the test rows."""
        return self._arrays.x_validation, self._arrays.y_validation

    def architecture(self, hidden: Iterable[int]) -> Architecture:
        """Return the network of a candidate."""
        return Architecture(N_INPUTS, tuple(hidden), N_OUTPUTS, "relu")

    def accept(self, candidate: Candidate) -> bool:
        """Return whether a candidate is small enough.

        Most candidates of the space are not, so their networks are not built to find out.
        """
        sizes = N_INPUTS, *candidate.hidden, N_OUTPUTS
        return sum(i * o for i, o in itertools.pairwise(sizes)) <= self.most

    def candidates(self, n: int) -> list[Candidate]:
        """Return `n` random candidates without repetition; longer lists begin with shorter ones."""
        proposer = make_proposer("random", SPACE, SEED, accept=self.accept)
        found: dict[tuple[int, ...], Candidate] = {}
        batch = 0
        while len(found) < n:
            for candidate in proposer.propose(64, batch):
                found.setdefault(candidate.hidden, candidate)
            batch += 1
        return list(found.values())[:n]

    def sizes(self, share: float) -> tuple[int, int]:
        """Return the number of training and of validation rows of a subset."""
        rows = max(2, round(share * self.n_rows))
        validation = max(1, int(VALIDATION_SHARE * rows))
        return rows - validation, validation

    def subset(self, share: float, draw: int) -> Arrays:
        """Return the training and validation rows of a subset.

        Parameters
        ----------
        share
            Share of the set; 1 means all rows.
        draw
            Number of the random draw of the rows.
        """
        training, validation = self.sizes(share)
        order = np.random.default_rng([SEED, draw]).permutation(self.n_rows)
        held, used = order[:validation], order[validation : validation + training]
        whole = self._arrays
        x, y = whole.x_train, whole.y_train
        return Arrays(x[used], y[used], x[held], y[held], whole.sigmoid)

    def trainer(self, share: float, draw: int) -> Trainer:
        """Return the trainer for a subset."""
        key = share, draw
        if key not in self._trainers:
            self._trainers[key] = make_trainer(self.subset(share, draw), "native")
        return self._trainers[key]
