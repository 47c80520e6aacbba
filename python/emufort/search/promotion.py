"""Which trials step 2 takes: the better ones by skill, and cheap ones worth their cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from emufort.search.trials import Trial, ranked

#: Trials whose loss is above this multiple of the best one's are no use however cheap.
_WORST_RATIO = 100.0


def promote(trials: Sequence[Trial], k: int) -> list[tuple[Trial, str]]:
    """Return at most `k` trials and why each was taken: ``"skill"`` or ``"front"``.

    Half of them (rounded up) have the lowest search loss. The others come from the front of loss
    against cost (multiply-adds and activations), then from the next front, and so on, each time
    the one whose cost is farthest from those already taken: the choice between skill and speed
    needs a spread of both.
    Of trials with the same network (and target) the best one stands for all.
    """
    distinct: dict[tuple[object, ...], Trial] = {}
    for trial in ranked(trials):
        a = trial.architecture
        distinct.setdefault((a.hidden, a.activation, trial.target), trial)
    left = list(distinct.values())
    n_skill = min(-(-k // 2), len(left))
    taken = [(trial, "skill") for trial in left[:n_skill]]
    left = left[n_skill:]
    useful = [t for t in left if t.value <= _WORST_RATIO * taken[0][0].value] if taken else []
    while useful and len(taken) < k:
        front = [useful[i] for i in _first_front(useful, [t for t, _ in taken])]
        chosen = max(front, key=lambda t: (_distance(t, taken), -t.value, -t.number))
        taken.append((chosen, "front"))
        useful.remove(chosen)
    return taken


def _distance(trial: Trial, taken: Sequence[tuple[Trial, str]]) -> float:
    """Distance in the logarithm of the cost to the nearest of `taken`."""
    cost = math.log(trial.architecture.relative_cost)
    return min(abs(cost - math.log(t.architecture.relative_cost)) for t, _ in taken)


def _first_front(trials: Sequence[Trial], taken: Sequence[Trial]) -> list[int]:
    """Return the first front of `trials` that is not empty when `taken` dominate too."""
    everyone = [*trials, *taken]
    points = np.array([(t.value, t.architecture.relative_cost) for t in everyone])
    for front in non_dominated_fronts(points):
        found = [i for i in front if i < len(trials)]
        if found:
            return found
    return []


def non_dominated_fronts(points: np.ndarray) -> list[list[int]]:
    """Sort points (n, m), all to be minimised, into fronts; no point of a front beats another."""
    left = list(range(len(points)))
    fronts = []
    while left:
        block = points[left]
        no_worse = (block[:, None, :] <= block[None, :, :]).all(axis=2)
        better = (block[:, None, :] < block[None, :, :]).any(axis=2)
        dominated = [bool(bad) for bad in np.any(no_worse & better, axis=0)]
        fronts.append([i for i, bad in zip(left, dominated, strict=True) if not bad])
        left = [i for i, bad in zip(left, dominated, strict=True) if bad]
    return fronts
