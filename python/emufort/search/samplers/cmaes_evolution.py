"""CMA-ES on the unit cube, by the package `cmaes`: one generation after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.errors import UsageError

Array = NDArray[np.float64]


def check_cmaes() -> None:
    """Raise `UsageError` if the package is missing."""
    try:
        import cmaes  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "the sampler 'cmaes' needs the package of that name: pip install 'emufort[samplers]'"
        ) from error


class Evolution:
    """A normal distribution that follows the best points of each generation.

    Optuna's sampler of this name goes through all trials to find its generation, for every
    candidate anew, and knows trials that were stopped early by their last loss alone.

    Parameters
    ----------
    n
        Dimensions of the cube.
    population
        Points of a generation.
    options
        ``sigma0``, ``lr_adapt``; see `BUILT_IN_OPTIONS` in `options`.
    """

    def __init__(self, n: int, population: int, options: Mapping[str, Any]) -> None:
        self._n, self._population, self._options = n, population, options
        self._begin(np.full(n, 0.5))

    def _begin(self, mean: Array) -> None:
        from cmaes import CMA

        # Without bounds: it would draw again and again near a corner, where it often ends.
        self._cma = CMA(
            mean,
            float(self._options["sigma0"]),
            population_size=self._population,
            lr_adapt=bool(self._options["lr_adapt"]),
        )
        self._told: list[tuple[Array, tuple[float, ...]]] = []

    def seed(self, number: int) -> None:
        """Determine the next points, together with what was told."""
        self._cma.reseed_rng(number)

    def ask(self) -> Array:
        """Draw a point (n,) of all space; see `folded`."""
        return np.asarray(self._cma.ask(), dtype=np.float64)

    def tell(self, points: Sequence[Array], keys: Sequence[tuple[float, ...]]) -> None:
        """Say what became of points that were asked for; the least of `keys` is the best.

        When they are a generation, the distribution moves; what is more than one is forgotten, for
        it was drawn where the distribution was before.
        """
        self._told += zip(points, keys, strict=True)
        if len(self._told) < self._population:
            return
        generation = self._told[: self._population]
        self._told = []
        order = sorted(range(len(generation)), key=lambda i: (*generation[i][1], i))
        # Only the order counts.
        self._cma.tell([(generation[i][0], float(rank)) for rank, i in enumerate(order)])
        if self._cma.should_stop():
            # It has nothing more to find here: once more, from elsewhere.
            self._begin(np.random.default_rng(self._cma.generation).random(self._n))


def least_population(n: int) -> int:
    """Return the size of a generation below which CMA-ES is not advised, for `n` dimensions."""
    return 4 + math.floor(3 * math.log(max(n, 1)))


def folded(point: Array) -> Array:
    """Reflect a point of all space into the unit cube: an optimum at its rim stays one."""
    u = np.mod(point, 2.0)
    return np.where(u > 1.0, 2.0 - u, u)
