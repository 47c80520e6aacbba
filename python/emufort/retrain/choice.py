"""The front of loss against cost, as it is known and as it is expected: what step 2 trains next."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emufort.search.calibration import Calibration, log_of

Array = NDArray[np.float64]

#: Draws of all final losses by which candidates are compared.
_DRAWS = 256
#: Number of costs at which the best affordable loss counts: evenly spaced in the logarithm, from
#: this percentile of the candidates' costs to the highest. Hardly anything is as cheap as the
#: cheapest twentieth.
_LIMITS, _CHEAPEST = 40, 5.0


class Front:
    """The lowest final loss that every cost allows, in draws of what is not known.

    The front is the lowest final loss among the trained candidates that cost at most as much, at
    costs that are evenly spaced in the logarithm. What a candidate is worth is by how much it is
    expected to lower the front, as the mean of the logarithm over these costs.

    Parameters
    ----------
    calibration
        Predicts the final losses of all candidates.
    cost
        Estimated time of one sample (n,).
    final
        Loss after step 2 (n,); NaN where it is not known, infinite where the training diverged.
    seed
        Of the draws.
    """

    def __init__(self, calibration: Calibration, cost: Array, final: Array, seed: int) -> None:
        self.drawn = calibration.draw(_DRAWS, np.random.default_rng([seed, 2]))
        known = ~np.isnan(final)
        self.drawn[:, known] = log_of(final[known])
        limits = np.unique(np.geomspace(np.percentile(cost, _CHEAPEST), cost.max(), _LIMITS))
        limits[-1] = cost.max()  # exactly
        #: First limit that allows each candidate.
        self._first = np.searchsorted(limits, cost)
        finite = self.drawn[np.isfinite(self.drawn)]
        # Where nothing is cheap enough, the front is at the highest loss of all.
        highest = float(finite.max()) if finite.size else 0.0
        self._front = np.full((_DRAWS, len(limits)), highest)
        for i in np.flatnonzero(known):
            self.add(int(i))

    def gain(self, i: int) -> float:
        """Return by how much candidate `i` is expected to lower the front."""
        lower = self._front[:, self._first[i] :] - self.drawn[:, i, None]
        return float(np.maximum(lower, 0.0).sum() / self._front.size)

    def add(self, i: int) -> None:
        """Take candidate `i` as trained."""
        part = self._front[:, self._first[i] :]
        np.minimum(part, self.drawn[:, i, None], out=part)

    def choose(self, among: Sequence[int], k: int) -> list[tuple[int, float]]:
        """Take up to `k` candidates, each time the one that is expected to lower the front most.

        Returns
        -------
        list
            Candidates, and the gain of each when it was chosen.
        """
        # Gains only fall as others are taken, so a gain that is still the largest is the largest.
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
        """Return what is lost by training only what was added, in every draw (n_draws,).

        Returns
        -------
        best, along_the_front
            How much the lowest trained loss, and the front of what was trained, exceed those of
            all candidates, as a share (for the front the geometric mean over the costs).
        """
        of_all = self._front.copy()
        for i in np.argsort(self._first, kind="stable"):
            part = of_all[:, self._first[i] :]
            np.minimum(part, self.drawn[:, i, None], out=part)
        lost = self._front - of_all
        return np.expm1(lost[:, -1]), np.expm1(lost.mean(axis=1))
