"""The sampler ``cmaes``: CMA-ES on the unit cube, without Optuna."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from emufort.config import SpaceConfig
from emufort.search.samplers.base import Accept, CubeProposer, accepted
from emufort.search.samplers.cmaes_evolution import Evolution, folded, least_population
from emufort.search.space import Candidate, at_point, dimensions
from emufort.search.trials import Trial


class CmaesProposer(CubeProposer):
    """CMA-ES in the ordered coordinates; the others are drawn at random."""

    def __init__(
        self, space: SpaceConfig, seed: int, options: Mapping[str, Any], accept: Accept
    ) -> None:
        super().__init__(space, seed, options, accept)
        self._ordered = np.array([not d.nominal for d in dimensions(space)])
        self._evolution: Evolution | None = None
        self._asked: list[np.ndarray] = []

    def propose(self, size: int, batch: int) -> list[Candidate]:
        """Return the `size` candidates of batch number `batch`."""
        n = int(self._ordered.sum())
        if self._evolution is None:
            population = self._options["popsize"] or max(size, least_population(n))
            self._evolution = Evolution(n, population, self._options)
        evolution = self._evolution
        if not self._options["popsize"]:
            # The first batch may have few candidates besides those of the user.
            evolution.enlarge(size)
        seeds = np.random.SeedSequence([self._seed, batch])
        evolution.seed(int(seeds.generate_state(1)[0]))
        rng = np.random.default_rng(seeds)
        self._asked = []

        def proposals() -> Iterator[Candidate]:
            while True:
                point, drawn = evolution.ask(), rng.random(self._n)
                drawn[self._ordered] = folded(point)
                candidate = at_point(self._space, drawn.tolist())
                if self._accept(candidate):
                    self._asked.append(point)
                yield candidate

        return accepted(proposals(), size, self._accept)

    def add(self, trials: Sequence[Trial]) -> None:
        """Update the distribution with the finished trials of the last batch."""
        if self._evolution is not None:
            # As in `best_first`, trials that were stopped early rank after all that continued.
            keys = [(-float(len(t.rungs)), t.value) for t in trials]
            self._evolution.tell(self._asked, keys)
        self._asked = []
