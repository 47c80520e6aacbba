"""The sampler ``qmc``: points of a Sobol sequence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from emufort.config import SpaceConfig
from emufort.search.samplers.base import Accept, CubeProposer, accepted
from emufort.search.space import Candidate, at_point
from emufort.search.trials import Trial


class QmcProposer(CubeProposer):
    """One Sobol sequence for the whole search.

    Optuna's own QMC sampler omits categories and conditional parameters, which are most of this
    space, and it keeps its place in the sequence in the study.
    """

    def __init__(
        self, space: SpaceConfig, seed: int, options: Mapping[str, Any], accept: Accept
    ) -> None:
        super().__init__(space, seed, options, accept)
        self._done = 0
        self._given = 0
        self._sequence = self._points()

    def _points(self) -> Iterator[Candidate]:
        from scipy.stats import qmc

        scramble = bool(self._options.get("scramble", True))
        sobol = qmc.Sobol(self._n, scramble=scramble, rng=np.random.default_rng(self._seed))
        while True:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the size of a batch need not be a power of two
                points = sobol.random(64)
            for point in points.tolist():
                yield at_point(self._space, point)

    def add(self, trials: Sequence[Trial]) -> None:
        """Advance the sequence by the finished trials of the last batch."""
        self._done += len(trials)

    def propose(self, size: int, batch: int) -> list[Candidate]:
        """Return the `size` candidates of batch number `batch`."""
        if self._given != self._done:
            self._sequence, self._given = self._points(), 0
            if self._done:
                self._given = len(accepted(self._sequence, self._done, self._accept))
        self._given += size
        return accepted(self._sequence, size, self._accept)
