"""The front of loss against time in random draws of losses that are not known exactly."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Number of times at which the front is evaluated. They are evenly spaced in the logarithm, from
#: this percentile of the candidates' times to the longest. The cheapest candidates are excluded
#: because very few are as cheap.
_LIMITS, _CHEAPEST = 40, 5.0


class ExpectedFront:
    """The lowest loss at every time among chosen candidates, in each of many draws of the losses.

    The front is the lowest loss among the chosen candidates that take at most as long, at times
    that are evenly spaced in the logarithm. The gain of a candidate is the amount by which it is
    expected to lower the front: the mean of the logarithm over these times and all draws. Up to a
    factor this is the expected hypervolume that the candidate adds; the reference point is the
    highest loss and the longest time.

    Parameters
    ----------
    drawn
        Logarithm of the losses in every draw (n_draws, n); infinite for candidates that diverged.
    time
        Estimated time of one sample (n,), in any unit.
    highest
        Logarithm of the loss where no candidate is chosen that takes as little time; None for the
        highest loss of all draws.
    """

    def __init__(self, drawn: Array, time: Array, highest: float | None = None) -> None:
        self.drawn = drawn
        limits = np.unique(np.geomspace(np.percentile(time, _CHEAPEST), time.max(), _LIMITS))
        limits[-1] = time.max()  # without the rounding error of geomspace
        #: First limit that allows each candidate.
        self._first = np.searchsorted(limits, time)
        if highest is None:
            finite = drawn[np.isfinite(drawn)]
            highest = float(finite.max()) if finite.size else 0.0
        self._front = np.full((len(drawn), len(limits)), highest)

    def gain(self, i: int) -> float:
        """Return the amount by which candidate `i` is expected to lower the front."""
        lower = self._front[:, self._first[i] :] - self.drawn[:, i, None]
        return float(np.maximum(lower, 0.0).sum() / self._front.size)

    def add(self, i: int) -> None:
        """Add candidate `i` to the chosen candidates."""
        part = self._front[:, self._first[i] :]
        np.minimum(part, self.drawn[:, i, None], out=part)

    def choose(
        self, among: Sequence[int], k: int, least: float = -math.inf
    ) -> list[tuple[int, float]]:
        """Add up to `k` candidates, each time the one that is expected to lower the front most.

        Parameters
        ----------
        among
            Positions of the candidates to choose from.
        k
            Largest number of candidates to add.
        least
            Smallest gain of a candidate that is added.

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
            if gain < least:
                break
            self.add(i)
            chosen.append((i, gain))
        return chosen
