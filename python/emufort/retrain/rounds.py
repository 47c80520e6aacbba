"""The order of trainings in step 2: a random control group, then the front round by round."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emufort.config import RetrainConfig
from emufort.retrain.choice import Front
from emufort.search.calibration import Calibration
from emufort.search.halving import NO_USE
from emufort.search.prediction import features, foretold_losses
from emufort.search.trials import Trial

#: Number of candidates in a round; their final losses calibrate the choice of the next ones.
_ROUND = 6
#: Default number of chosen candidates: the minimum, and the largest share of all candidates.
_FEWEST, _LARGEST_SHARE = 12, 0.125
#: By default, rounds stop when a round is expected to lower the front by less than this share.
_WORTH = 0.01
#: Two losses that differ by less than this share may differ only by the random seed.
_NOISE = 0.1
#: Default size of the control group: share of the candidates, and the minimum.
_CONTROL_SHARE, _CONTROL_FEWEST = 0.05, 16


class Rounds:
    """Chooses candidates for step 2 from those of step 1 and the final losses so far.

    Candidates with the same network (and target) are represented by the one with the lowest
    predicted loss.

    Parameters
    ----------
    trials
        All trials of step 1.
    options
        Uses `top` and `control`.
    seed
        Random seed of the control group and of the draws that compare candidates.

    Attributes
    ----------
    trials
        As given.
    foretold
        Loss that step 1 predicts for each candidate (n,); infinite where it diverged.
    cost
        Estimated time of one sample for each candidate (n,).
    distinct
        Positions of the candidates that may be trained.
    most
        Largest number of candidates to train.
    """

    def __init__(self, trials: Sequence[Trial], options: RetrainConfig, seed: int) -> None:
        self.trials = tuple(trials)
        self.foretold = foretold_losses(self.trials)
        self.cost = np.array([t.architecture.relative_cost for t in self.trials])
        self.distinct = _distinct(self.trials, self.foretold)
        self._features = features(self.trials, self.foretold)
        self._seed = seed
        n = len(self.distinct)
        self._open = options.top == "auto"
        self._n_control = min(_number(options.control, _usual_control(n)), n)
        self.most = min(n, self._n_control + _number(options.top, _usual_most(n)))
        self._positions = {trial.number: i for i, trial in enumerate(self.trials)}

    def control(self) -> list[Trial]:
        """Return the control group: candidates drawn at random, in the order of their numbers."""
        drawn = np.random.default_rng([self._seed, 1]).permutation(len(self.distinct))
        at = sorted(self.distinct[i] for i in drawn[: self._n_control])
        return [self.trials[i] for i in at]

    def calibrate(self, final: Mapping[int, float]) -> Calibration:
        """Return the prediction of all final losses from the known ones (by trial number)."""
        return Calibration.fit(self.foretold, self._features, self.known(final))

    def known(self, final: Mapping[int, float]) -> NDArray[np.float64]:
        """Return the final losses (n,) of all candidates; NaN where they are not known."""
        found = np.full(len(self.trials), np.nan)
        for number, loss in final.items():
            found[self._positions[number]] = loss
        return found

    def front(self, final: Mapping[int, float]) -> Front:
        """Return the front, as known and as expected."""
        return Front(self.calibrate(final), self.cost, self.known(final), self._seed)

    def next(self, final: Mapping[int, float]) -> list[Trial]:
        """Return the candidates to train next; none if the rounds are complete.

        Parameters
        ----------
        final
            Number of a trained candidate -> its loss; infinite where the training diverged.
        """
        size = min(_ROUND, self.most - len(final))
        waiting = [i for i in self.distinct if self.trials[i].number not in final]
        if size <= 0 or not waiting:
            return []
        chosen = self.front(final).choose(waiting, size)
        enough = len(final) >= self._n_control + _FEWEST
        if self._open and enough and sum(gain for _, gain in chosen) < _WORTH:
            return []
        return [self.trials[i] for i, _ in chosen]


def _number(wanted: int | str, usual: int) -> int:
    return wanted if isinstance(wanted, int) else usual


def _usual_control(n: int) -> int:
    return min(max(_CONTROL_FEWEST, math.ceil(_CONTROL_SHARE * n)), n // 2)


def _usual_most(n: int) -> int:
    return max(_FEWEST, round(_LARGEST_SHARE * n))


def _distinct(trials: Sequence[Trial], foretold: NDArray[np.float64]) -> list[int]:
    best: dict[object, int] = {}
    for i in np.lexsort((np.arange(len(trials)), foretold)):
        a = trials[i].architecture
        if np.isfinite(foretold[i]):
            best.setdefault((a, trials[i].target), int(i))
    return sorted(best.values())


def on_the_front(cost: Mapping[int, float], loss: Mapping[int, float]) -> list[int]:
    """Return the numbers of the candidates on the front of loss against cost, cheapest first.

    No other candidate has a lower loss at the same or lower cost, and each lowers the loss of the
    one before by more than the random seed may explain. Losses far above the lowest are left out.

    Parameters
    ----------
    cost
        Trial number -> estimated relative cost.
    loss
        Trial number -> final loss.
    """
    found: list[int] = []
    useful = [number for number in loss if loss[number] <= NO_USE * min(loss.values())]
    lowest = math.inf
    for number in sorted(useful, key=lambda number: (cost[number], loss[number], number)):
        if loss[number] < (1.0 - _NOISE) * lowest:
            found.append(number)
            lowest = loss[number]
    return found
