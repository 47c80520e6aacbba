"""CMA-ES on the unit cube with the package `cmaes`, one generation after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.errors import UsageError

Array = NDArray[np.float64]


def check_cmaes() -> None:
    """Raise `UsageError` if the package cmaes is not installed."""
    try:
        import cmaes  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "the sampler 'cmaes' needs the package cmaes: pip install 'emufort[samplers]'"
        ) from error


class Evolution:
    """A normal distribution that follows the best points of each generation.

    Optuna's CMA-ES sampler goes through all trials for every candidate to find its generation, and
    it ranks trials that were stopped early by their last loss alone.

    Parameters
    ----------
    n
        Number of dimensions of the cube.
    population
        Number of points of a generation.
    options
        ``sigma0``, ``lr_adapt``; see `BUILT_IN_OPTIONS` in `options`.
    """

    def __init__(self, n: int, population: int, options: Mapping[str, Any]) -> None:
        self._n, self._population, self._options = n, population, options
        self._begin(np.full(n, 0.5))

    def _begin(self, mean: Array) -> None:
        from cmaes import CMA

        # No bounds: near a corner, where the optimum often lies, CMA would draw repeatedly.
        self._cma = CMA(
            mean,
            float(self._options["sigma0"]),
            population_size=self._population,
            lr_adapt=bool(self._options["lr_adapt"]),
        )
        self._told: list[tuple[Array, tuple[float, ...]]] = []

    def enlarge(self, population: int) -> None:
        """Take larger generations from now on, if the distribution has not moved yet.

        Parameters
        ----------
        population
            Number of points of a generation; smaller numbers change nothing.
        """
        if population > self._population and self._cma.generation == 0:
            told, self._population = self._told, population
            self._begin(self._cma.mean)
            self._told = told

    def seed(self, number: int) -> None:
        """Set the random seed of the next points."""
        self._cma.reseed_rng(number)

    def ask(self) -> Array:
        """Draw a point (n,) of the unbounded space; `folded` maps it to the cube."""
        return np.asarray(self._cma.ask(), dtype=np.float64)

    def tell(self, points: Sequence[Array], keys: Sequence[tuple[float, ...]]) -> None:
        """Add the results of drawn points; the lowest of `keys` is the best.

        When the results complete a generation, the distribution moves. Further results are
        discarded, because they were drawn from the distribution before.

        Parameters
        ----------
        points
            Points (n,) that `ask` returned.
        keys
            Sort key of each point.
        """
        self._told += zip(points, keys, strict=True)
        if len(self._told) < self._population:
            return
        generation = self._told[: self._population]
        self._told = []
        order = sorted(range(len(generation)), key=lambda i: (*generation[i][1], i))
        # CMA-ES uses only the order.
        self._cma.tell([(generation[i][0], float(rank)) for rank, i in enumerate(order)])
        if self._cma.should_stop():
            # The distribution has converged: restart from another mean.
            self._begin(np.random.default_rng(self._cma.generation).random(self._n))


def least_population(n: int) -> int:
    """Return the smallest recommended size of a generation for `n` dimensions.

    The formula is 4 + floor(3 ln n), the default of Hansen's tutorial (arXiv:1604.00772).
    """
    return 4 + math.floor(3 * math.log(max(n, 1)))


def folded(point: Array) -> Array:
    """Reflect a point of the unbounded space into the unit cube; optima on its faces are kept."""
    u = np.mod(point, 2.0)
    return np.where(u > 1.0, 2.0 - u, u)
