"""The front of loss against cost, known and expected, which decides what step 2 trains next."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emufort.search.calibration import Calibration, log_of

Array = NDArray[np.float64]

#: Number of draws of all final losses that compare the candidates.
_DRAWS = 256
#: Number of costs at which the front is evaluated. They are evenly spaced in the logarithm, from
#: this percentile of the candidates' costs to the highest cost. The cheapest candidates are
#: excluded because very few are as cheap.
_LIMITS, _CHEAPEST = 40, 5.0


class Front:
    """The lowest final loss at every cost, in random draws of the losses that are not known.

    The front is the lowest final loss among the trained candidates that cost at most as much, at
    costs that are evenly spaced in the logarithm. The gain of a candidate is the amount by which it
    is expected to lower the front: the mean of the logarithm over these costs.

    Parameters
    ----------
    calibration
        Predicts the final losses of all candidates.
    cost
        Estimated time of one sample (n,).
    final
        Loss after step 2 (n,); NaN where it is not known, infinite where the training diverged.
    seed
        Random seed of the draws.
    """

    def __init__(self, calibration: Calibration, cost: Array, final: Array, seed: int) -> None:
        self.drawn = calibration.draw(_DRAWS, np.random.default_rng([seed, 2]))
        known = ~np.isnan(final)
        self.drawn[:, known] = log_of(final[known])
        limits = np.unique(np.geomspace(np.percentile(cost, _CHEAPEST), cost.max(), _LIMITS))
        limits[-1] = cost.max()  # without the rounding error of geomspace
        #: First limit that allows each candidate.
        self._first = np.searchsorted(limits, cost)
        finite = self.drawn[np.isfinite(self.drawn)]
        # Where no candidate is cheap enough, the front is at the highest loss of all.
        highest = float(finite.max()) if finite.size else 0.0
        self._front = np.full((_DRAWS, len(limits)), highest)
        for i in np.flatnonzero(known):
            self.add(int(i))

    def gain(self, i: int) -> float:
        """Return the amount by which candidate `i` is expected to lower the front."""
        lower = self._front[:, self._first[i] :] - self.drawn[:, i, None]
        return float(np.maximum(lower, 0.0).sum() / self._front.size)

    def add(self, i: int) -> None:
        """Add candidate `i` to the trained candidates."""
        part = self._front[:, self._first[i] :]
        np.minimum(part, self.drawn[:, i, None], out=part)

    def choose(self, among: Sequence[int], k: int) -> list[tuple[int, float]]:
        """Add up to `k` candidates, each time the one that is expected to lower the front most.

        Parameters
        ----------
        among
            Positions of the candidates to choose from.
        k
            Largest number of candidates to add.

        Returns
        -------
        list
            Positions of the chosen candidates, and the gain of each when it was chosen.
        """
        # Gains only decrease as candidates are added, so old gains are upper bounds.
        heap = [(-self.gain(i), i) for i in among]
        heapq.heapify(heap)
        chosen: list[tuple[int, float]] = []
        while heap and len(chosen) < k:
            _, i = heapq.heappop(heap)
            gain = self.gain(i)
            if heap and gain < -heap[0][0]:
                heapq.heappush(heap, (-gain, i))
                continue
            self.add(i)
            chosen.append((i, gain))
        return chosen

    def regrets(self) -> tuple[Array, Array]:
        """Return the regret of training only the added candidates, in every draw (n_draws,).

        Returns
        -------
        best, along_the_front
            Shares by which the lowest trained loss, and the front of the trained candidates, exceed
            those of all candidates (for the front the geometric mean over the costs).
        """
        of_all = self._front.copy()
        for i in np.argsort(self._first, kind="stable"):
            part = of_all[:, self._first[i] :]
            np.minimum(part, self.drawn[:, i, None], out=part)
        lost = self._front - of_all
        return np.expm1(lost[:, -1]), np.expm1(lost.mean(axis=1))
