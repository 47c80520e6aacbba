"""Densities of good and bad candidates, estimated once per batch.

The method is that of TPE: draw from the density of the good candidates and keep those that are
likely there and unlikely among the bad ones. Optuna's TPE estimates both densities again for every
candidate, which takes 3 to 10 ms each. This module estimates them once per batch with a few array
operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.config import SpaceConfig
from emufort.search.space import Candidate, Dimension, at_point, dimensions

Array = NDArray[np.float64]

#: Share of a nominal kernel that is spread over all choices, and weight of the uniform prior.
_FLAT, _PRIOR = 0.4, 1.0


#: Largest number of good candidates.
MOST_GOOD = 25


def good_and_bad(
    order: NDArray[np.int64], gamma: float, history: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split trials, which are ordered best first, into at most `MOST_GOOD` good ones and bad ones.

    If there are more than `history` bad trials, an evenly spaced sample of at most `history`
    represents them: they show where the search has been, and more of them add no information.

    Parameters
    ----------
    order
        Positions of the trials (n,), best first.
    gamma
        Share of good trials.
    history
        Largest number of bad trials.
    """
    n_good = min(MOST_GOOD, max(1, int(np.ceil(gamma * len(order)))))
    bad = order[n_good:]
    return order[:n_good], bad[:: max(1, -(-len(bad) // history))]


class Densities:
    """Sums of kernels around good and bad candidates in the unit cube."""

    def __init__(self, dims: Sequence[Dimension], good: Array, bad: Array) -> None:
        self._nominal = np.array([d.nominal for d in dims])
        self._choices = np.array([len(d.choices) for d in dims])
        self.good, self.bad = good, bad
        self._widths = {id(x): self._bandwidth(len(x)) for x in (good, bad)}

    def _bandwidth(self, n: int) -> Array:
        # Scott's exponent with the spread of a uniform variable, at least the share of one choice.
        wide = 0.29 * max(n, 1) ** (-1.0 / (4 + min(len(self._choices), 8)))
        least = np.where(self._choices > 0, 0.5 / np.maximum(self._choices, 1), 0.02)
        return np.asarray(np.maximum(wide, least))

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """Draw `n` points from the density of the good candidates."""
        width = self._widths[id(self.good)]
        uniform = rng.random((n, len(self._choices)))
        which = rng.integers(0, len(self.good) + 1, n)  # the last one is the prior
        noise = rng.normal(size=uniform.shape) * width
        flat = rng.random(uniform.shape) < _FLAT
        centres = np.vstack([self.good, np.full(len(self._choices), np.nan)])[which]
        moved = np.where(self._nominal, np.where(flat, uniform, centres), centres + noise)
        moved = np.abs(moved)  # reflected at both ends
        moved = np.where(moved > 1, 2 - moved, moved)
        return np.clip(np.where(np.isnan(moved), uniform, moved), 0.0, 1.0)

    def kernels(self, points: Array, centres: Array, width: Array) -> NDArray[np.float32]:
        """Return the kernel of every centre at every point (n_points, n_centres).

        Parameters
        ----------
        points
            Points of the cube (n_points, d).
        centres
            Centres of the kernels (n_centres, d); NaN in coordinates that a centre does not use.
        width
            Bandwidth of each coordinate (d,).
        """
        log = np.zeros((len(points), len(centres)), dtype=np.float32)
        for j, n in enumerate(self._choices):
            c = centres[None, :, j]
            # Points in the same cell have the same kernel, so a table of the few cells suffices.
            cell = np.minimum((points[:, j] * n).astype(int), max(n - 1, 0))
            p = ((np.arange(n) + 0.5) / n if n else points[:, j])[:, None]
            if self._nominal[j]:
                same = np.arange(n)[:, None] == np.where(np.isnan(c), -1.0, np.floor(c * n))
                term = np.log(np.where(same, _FLAT + (1 - _FLAT) * n, _FLAT))
            else:
                term = -0.5 * ((p - c) / width[j]) ** 2 - np.log(width[j] * np.sqrt(2 * np.pi))
            # A centre without this layer carries no information about its width.
            term = np.where(np.isnan(c), 0.0, term).astype(np.float32)
            log += term[cell] if n else term
        return np.exp(log)

    def choose(self, points: Array) -> list[int]:
        """Return the chosen member of each group of `points` (n_groups, m, d).

        A chosen point counts as bad for the later groups, so that a batch spreads.
        """
        n_groups, m, d = points.shape
        flat = points.reshape(-1, d)
        likely = _PRIOR + self.kernels(flat, self.good, self._widths[id(self.good)]).sum(
            axis=1, dtype=np.float64
        )
        width = self._widths[id(self.bad)]
        unlikely = _PRIOR + self.kernels(flat, self.bad, width).sum(axis=1, dtype=np.float64)
        taken = []
        for group in range(n_groups):
            block = slice(group * m, (group + 1) * m)
            score = likely[block] / unlikely[block]
            best = int(np.argmax(score))
            taken.append(best)
            after = slice((group + 1) * m, None)
            if group + 1 < n_groups:
                liar = self.kernels(flat[after], points[group, best][None], width)[:, 0]
                unlikely[after] += liar
        return taken


def propose_parzen(
    space: SpaceConfig,
    good: Array,
    bad: Array,
    size: int,
    rng: np.random.Generator,
    options: dict[str, Any],
    accept: Callable[[Candidate], bool],
) -> list[Candidate]:
    """Return up to `size` acceptable candidates.

    Parameters
    ----------
    good, bad
        Finished candidates as points of the cube (n, d); see `to_point`.
    accept
        Returns whether a candidate may be proposed; the best acceptable member of a group is taken.
    """
    dims = dimensions(space)
    densities = Densities(dims, good, bad)
    m = int(options["candidates"])
    drawn = densities.draw(size * m, rng)
    # Snap every point to the value that it represents before it is scored.
    counts = np.array([len(d.choices) for d in dims], dtype=float)
    cells = np.minimum(np.floor(drawn * np.maximum(counts, 1)), np.maximum(counts, 1) - 1)
    snapped = np.where(counts > 0, (cells + 0.5) / np.maximum(counts, 1), drawn)
    candidates = [at_point(space, p) for p in snapped.tolist()]
    wanted = [i for i, c in enumerate(candidates) if accept(c)]
    usable = len(wanted) // size
    if usable == 0:
        return [candidates[i] for i in wanted]
    chosen = np.array(wanted[: usable * size]).reshape(size, usable)
    taken = densities.choose(snapped[chosen])
    return [candidates[chosen[group, best]] for group, best in enumerate(taken)]
