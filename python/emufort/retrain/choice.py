"""The front of loss against cost, known and expected, which decides what step 2 trains next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emufort.search.calibration import Calibration, log_of
from emufort.search.expected_front import ExpectedFront

Array = NDArray[np.float64]

#: Number of draws of all final losses that compare the candidates.
_DRAWS = 256


class Front(ExpectedFront):
    """The lowest final loss at every cost, in random draws of the losses that are not known.

    The chosen candidates of the front are those that were trained.

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
        drawn = calibration.draw(_DRAWS, np.random.default_rng([seed, 2]))
        known = ~np.isnan(final)
        drawn[:, known] = log_of(final[known])
        super().__init__(drawn, cost)
        for i in np.flatnonzero(known):
            self.add(int(i))

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
