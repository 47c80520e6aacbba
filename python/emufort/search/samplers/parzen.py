"""The sampler ``parzen``: candidates that are likely among good trials and unlikely among bad."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from emufort.config import SpaceConfig
from emufort.search.calibration import log_of
from emufort.search.halving import USUAL_NOISE, Outlook, along_the_front
from emufort.search.samplers.base import Accept, CubeProposer, accepted, best_first
from emufort.search.samplers.parzen_densities import MOST_GOOD, good_and_bad, propose_parzen
from emufort.search.samplers.qmc import QmcProposer
from emufort.search.space import Candidate, to_point
from emufort.search.trials import Trial

#: When the front is the aim, trials with a loss above this multiple of the lowest loss are not on
#: the front, however cheap the network is: an error of about 3 times the lowest.
_NO_USE = 10.0

#: Two candidates that differ only in the learning rate, by at most this share of its range (in the
#: logarithm), count as the same when the front is the objective.
_SAME_RATE = 0.1


def front_first(trials: Sequence[Trial]) -> np.ndarray:
    """Return the positions of `trials`, those on the front of loss against cost first.

    The front of the remaining trials follows, and so on, until there are enough good trials. The
    rest is ordered by loss. Within a front, trials are ordered so that the first ones are spread
    over all costs. The losses are those at the first rung, which every trial has. Trials with a
    loss far above the lowest one are excluded from the fronts, however cheap the network is.
    """
    losses = np.array([t.rungs[0][1] if t.rungs else t.value for t in trials], dtype=float)
    cost = np.array([t.architecture.relative_cost for t in trials])
    usable = losses <= _NO_USE * losses[np.isfinite(losses)].min(initial=np.inf)
    left = [int(i) for i in np.lexsort((losses, cost)) if usable[i]]
    found: list[int] = []
    while left and len(found) < MOST_GOOD:
        lowest = np.minimum.accumulate(losses[left])
        on_it = np.concatenate([[True], losses[left][1:] < lowest[:-1]])
        front = [i for i, on in zip(left, on_it, strict=True) if on]
        left = [i for i, on in zip(left, on_it, strict=True) if not on]
        spread = np.linspace(0, len(front) - 1, min(len(front), MOST_GOOD - len(found)))
        first = [front[round(at)] for at in spread.tolist()]
        found += [*first, *(i for i in front if i not in first)]
    taken = set(found)
    return np.array([*found, *(int(i) for i in best_first(trials) if int(i) not in taken)])


def objectives_first(trials: Sequence[Trial]) -> np.ndarray:
    """Return the positions of `trials`, those along the front of loss against predicted time first.

    Losses of different rungs cannot be compared. The trials that reached the last rung therefore
    come first, then those that were stopped at the rung before, and so on. Trials of the same rung
    have the order of `along_the_front`, until there are enough good trials.
    """
    found: list[int] = []
    for level in sorted({len(t.rungs) for t in trials}, reverse=True):
        at = [i for i, t in enumerate(trials) if len(t.rungs) == level and t.finite]
        if at and len(found) < MOST_GOOD:
            losses = log_of(np.array([trials[i].value for i in at]))
            times = np.array([trials[i].predicted_ns for i in at], dtype=np.float64)
            k = min(len(at), MOST_GOOD - len(found))
            outlook = Outlook(losses, np.full(len(at), USUAL_NOISE))
            found += [at[i] for i in along_the_front(outlook, times, k)]
    taken = set(found)
    return np.array([*found, *(int(i) for i in best_first(trials) if int(i) not in taken)])


#: Option `aim` -> function that orders finished trials, best first.
_ORDERS: dict[str, Callable[[Sequence[Trial]], np.ndarray]] = {
    "front": front_first,
    "loss": best_first,
    "objectives": objectives_first,
}


class ParzenProposer(CubeProposer):
    """Proposes points of a Sobol sequence at first, then draws from a density of good trials."""

    def __init__(
        self, space: SpaceConfig, seed: int, options: Mapping[str, Any], accept: Accept
    ) -> None:
        super().__init__(space, seed, options, accept)
        self._start = QmcProposer(space, seed, {}, accept)
        self._finished: list[Trial] = []
        self._rates: dict[Candidate, list[float]] = {}
        self._points: list[np.ndarray] = []

    def add(self, trials: Sequence[Trial]) -> None:
        """Add the finished trials of the last batch."""
        self._start.add(trials)
        self.learn(trials)

    def learn(self, trials: Sequence[Trial]) -> None:
        """Add finished trials that the proposer did not propose."""
        self._finished.extend(trials)
        self._points.extend(to_point(self._space, trial.candidate) for trial in trials)
        for trial in trials:
            self._rates.setdefault(_without_rate(trial.candidate), []).append(
                math.log(trial.learning_rate)
            )

    def propose(self, size: int, batch: int) -> list[Candidate]:
        """Return the `size` candidates of batch number `batch`."""
        if len(self._finished) < self._options["startup"]:
            return self._start.propose(size, batch)
        rng = np.random.default_rng([self._seed, batch])
        order = _ORDERS[self._options["aim"]](self._finished)
        good, bad = (
            np.array([self._points[i] for i in part]).reshape(-1, self._n)
            for part in good_and_bad(order, self._options["gamma"], self._options["history"])
        )
        accept = self._is_new if self._options["aim"] == "objectives" else self._accept
        found = propose_parzen(self._space, good, bad, size, rng, self._options, accept)
        if len(found) < size:
            found += accepted(self._uniform(rng), size - len(found), self._accept)
        return found

    def _is_new(self, candidate: Candidate) -> bool:
        """Return whether a candidate may be proposed and is not almost a finished one.

        Good candidates of a front are few and far apart. The density of the good ones is high where
        they are, so that they would be proposed again and again.
        """
        low, high = map(math.log, self._space.learning_rate)
        rate, near = math.log(candidate.learning_rate), _SAME_RATE * (high - low)
        rates = self._rates.get(_without_rate(candidate), ())
        return self._accept(candidate) and all(abs(rate - known) > near for known in rates)


def _without_rate(candidate: Candidate) -> Candidate:
    return replace(candidate, learning_rate=0.0)
