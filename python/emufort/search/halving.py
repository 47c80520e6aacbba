"""Successive halving: train all candidates briefly and the best of them longer.

The best are those with the lowest values or, where the candidates have times, those along the front
of value against time. This module works on numbers and positions only and does not depend on
networks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emufort.search.calibration import log_of
from emufort.search.expected_front import Array, ExpectedFront

#: Trains the candidates at these positions up to a rung's epochs; returns their values in order.
Rung = Callable[[Sequence[int], int], Sequence[float]]

#: Largest effect of the level of a whole group, in ranks within the group; see `places`.
_PRIOR_MEMBERS = 4.0
#: Usual error of a loss at a rung as a prediction of the loss after the last rung: the standard
#: deviation of the logarithm.
USUAL_NOISE = 0.5
#: Number of draws of all losses, and their random seed, where candidates have times.
_DRAWS, _SEED = 128, 17
#: A loss above this multiple of the lowest loss is useless, however cheap the network is.
NO_USE = 100.0
#: Largest number of candidates of earlier batches that a batch is compared with along a front; an
#: evenly spaced sample represents more of them.
_MOST_EARLIER = 480
#: A front is complete when no candidate is expected to lower it by this share or more.
_WORTH = 1e-3


class Reached(NamedTuple):
    """Value, group and time of a candidate of an earlier batch at a rung."""

    value: float
    group: Hashable = None
    time: float | None = None


class Outlook(NamedTuple):
    """What is known of the losses after the last rung.

    Attributes
    ----------
    mean, spread
        Mean and standard deviation of the logarithm of the loss of each candidate (n,).
    front
        Logarithm of the loss and time of candidates of earlier batches that are finished.
    """

    mean: Array
    spread: Array
    front: Sequence[tuple[float, float]] = ()


#: Returns the outlook of the candidates at these positions from the length of their rung in epochs
#: and the logarithms of their losses there.
Foretell = Callable[[Sequence[int], int, Array], Outlook]


@dataclass(frozen=True)
class Course:
    """Result of one candidate: (epochs, value) at each rung, and the rung where it was stopped."""

    rungs: tuple[tuple[int, float], ...]
    pruned_at: int | None

    @property
    def value(self) -> float:
        """Value at the last rung that the candidate reached."""
        return self.rungs[-1][1]


def places(
    values: Sequence[float], groups: Sequence[Hashable] | None = None
) -> NDArray[np.float64]:
    """Return the place of each candidate within its group, between 0 (best) and 1 (worst).

    Losses of different groups, such as activation functions, cannot be compared after a short
    training, because some groups learn early and others late. Each candidate is therefore compared
    with its own group first. Of n candidates the one of rank r has the quantile (r - 1/2)/n, and
    equal values share the mean of their ranks. With q_group and n_group of the group and q_all over
    all candidates, the place is

        (n_group q_group + 4 q_all) / (n_group + 4).

    This is the quantile in a group with 4 further members that are distributed as all candidates
    are. In a large group the place is the quantile within the group. In a small group, whose
    quantiles are coarse and depend on chance, the place is close to the quantile among all. However
    far the values of a group lie above or below those of the others, its candidates gain or lose
    less than 4 ranks of their group.

    The weight 4 follows from an estimate of errors. A quantile q of n drawn candidates has the
    variance q (1 - q)/n, 0.19/n at q = 1/4. If the quantiles of a group among all are shifted by t
    (root mean square over the groups), the weight n/(n + 0.19/t^2) has the least expected square
    error. ``benchmarks/foretell`` finds shifts up to 0.3 after a short training, which corresponds
    to t = 0.2 or so, and 0.19/0.04 is 4 to 5.

    Parameters
    ----------
    values
        Values of the candidates (n,); lower is better, and values that are not finite rank last.
    groups
        Group of each candidate (n,); None compares all together.

    Returns
    -------
    Places, shape (n,).
    """
    ordered = np.where(np.isfinite(values), values, np.inf)
    overall = _quantiles(ordered)
    if groups is None:
        return overall
    members: dict[Hashable, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    found = np.empty(len(ordered))
    for at in members.values():
        n = len(at)
        within = n * _quantiles(ordered[at])
        found[at] = (within + _PRIOR_MEMBERS * overall[at]) / (n + _PRIOR_MEMBERS)
    return found


def _quantiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (rank - 1/2)/n of each value; equal values share the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray((ranks[which] - 0.5) / max(1, len(values)))


def survivors(
    values: Sequence[float],
    eta: int,
    groups: Sequence[Hashable] | None = None,
    earlier: Sequence[Reached] = (),
    times: Sequence[float] | None = None,
    foretell: Callable[[Array], Outlook] | None = None,
) -> list[int]:
    """Return the positions of the `values` that continue, in ascending order.

    These are the best 1/eta by `places` or, with `times`, the first 1/eta of `along_the_front`; at
    least one. Of equal places the lower value continues, of equal values the earlier one. Values
    that are not finite never continue.

    Parameters
    ----------
    values
        Values of one batch (n,); lower is better.
    eta
        One candidate in `eta` continues.
    groups
        Group of each of `values` (n,); None compares all together.
    earlier
        Candidates of other batches at the same rung. With them, the best 1/eta are those of all
        candidates so far. This is the rule of ASHA: a batch does not wait for a rung to fill, a
        good batch promotes more candidates than a poor one, and a poor one may promote none. With
        `times`, an evenly spaced sample represents more than 480 of them.
    times
        Time of one sample of each candidate (n,), in the unit of the times in `earlier`; None
        compares the values only.
    foretell
        Returns the outlook of all candidates from the logarithms of their losses; None for the
        usual noise around these. It is used with `times` only, and not with `earlier`.
    """
    if times is not None and len(earlier) > _MOST_EARLIER:
        at = np.linspace(0, len(earlier) - 1, _MOST_EARLIER).round().astype(int)
        earlier = [earlier[i] for i in at.tolist()]
    first = len(earlier)
    everyone = [*(one.value for one in earlier), *values]
    teams = None if groups is None else [*(one.group for one in earlier), *groups]
    place = places(everyone, teams)
    finite = [i for i, value in enumerate(everyone) if math.isfinite(value)]
    k = max(1, len(everyone) // eta)
    if times is None:
        best = sorted(finite, key=lambda i: (place[i], everyone[i], i))[:k]
    else:
        every_time = np.array([*(one.time for one in earlier), *times], dtype=np.float64)
        losses = _levelled(np.array(everyone, dtype=np.float64), place)
        if foretell is None:
            outlook = Outlook(losses, np.full(len(losses), USUAL_NOISE))
        else:
            outlook = foretell(losses)
        usable = Outlook(outlook.mean[finite], outlook.spread[finite], outlook.front)
        best = [finite[i] for i in along_the_front(usable, every_time[finite], k)]
    return sorted(i - first for i in best if i >= first)


def _levelled(values: Array, place: Array) -> Array:
    """Return the logarithm (n,) of the loss that has the `place` of each candidate among all.

    This removes the differences between groups: of equal places in two groups, the losses are
    equal. If all candidates are compared together, it is the logarithm of the values.
    """
    ordered = np.where(np.isfinite(values), values, np.inf)
    lowest_first = np.argsort(ordered, kind="stable")[: int(np.isfinite(values).sum())]
    if not len(lowest_first):
        return np.full(len(values), np.inf)
    quantiles = _quantiles(ordered)[lowest_first]
    return np.asarray(np.interp(place, quantiles, log_of(values[lowest_first])))


def along_the_front(outlook: Outlook, times: Array, k: int) -> list[int]:
    """Return `k` candidates along the front of loss against time, best first.

    The losses after the last rung are drawn many times from the Gaussians of the outlook.
    Candidates are chosen one after the other, each time the one that is expected to lower the front
    of the finished and the chosen ones most, see `ExpectedFront`. Of candidates with equal times,
    the better one is therefore chosen, and with it others that may turn out better within the
    noise. When no candidate is expected to lower the front any more, the front of the remaining
    candidates follows, and so on.

    The result does not depend on the order of the candidates, except between equal ones.

    Parameters
    ----------
    outlook
        Outlook of the candidates (n,), finite.
    times
        Times of one sample (n,), positive.
    k
        Number of candidates to return, at most n.
    """
    order = np.lexsort((np.arange(len(times)), outlook.spread, outlook.mean, times))
    normal = np.random.default_rng(_SEED).standard_normal((_DRAWS, len(order)))
    finished = np.array([loss for loss, _ in outlook.front], dtype=np.float64)
    drawn = np.hstack(
        [outlook.mean[order] + outlook.spread[order] * normal, np.tile(finished, (_DRAWS, 1))]
    )
    highest = float(drawn.min(initial=np.inf)) + math.log(NO_USE)
    every_time = np.array([*times[order], *(time for _, time in outlook.front)], dtype=np.float64)
    left, chosen = np.arange(len(order)), list[int]()
    while len(left) and len(chosen) < k:
        at = left if chosen else np.arange(len(every_time))
        front = ExpectedFront(drawn[:, at], every_time[at], highest)
        for i in range(len(left), len(at)):
            front.add(i)
        useful = [i for i, _ in front.choose(range(len(left)), k - len(chosen), _WORTH)] or [0]
        chosen += [int(left[i]) for i in useful]
        left = np.delete(left, useful)
    return [int(order[i]) for i in chosen]


def successive_halving(
    n: int,
    rungs: Sequence[int],
    eta: int,
    run: Rung,
    earlier: Mapping[int, Sequence[Reached]] | None = None,
    groups: Sequence[Hashable] | None = None,
    times: Sequence[float] | None = None,
    foretell: Foretell | None = None,
) -> list[Course]:
    """Take `n` candidates through `rungs`; keep the best 1/eta at each rung except the last.

    Parameters
    ----------
    n
        Number of candidates.
    rungs
        Lengths of the rungs in epochs, ascending.
    eta
        One candidate in `eta` continues from each rung, see `survivors`.
    run
        Trains candidates up to a rung and returns their values.
    earlier
        Epochs of a rung -> candidates of other batches that reached it. With them, the best are
        chosen among all candidates so far; without them, among these `n`.
    groups
        Group of each of the `n` candidates, such as (activation function, batch size); candidates
        are compared within their group first, see `places`. None compares all together.
    times
        Time of one sample of each of the `n` candidates. With them, the candidates along the front
        of value against time continue, see `survivors`.
    foretell
        Predicts the losses after the last rung, with `times`. Where `earlier` candidates are
        compared, leave it out, because they take their share of 1/eta already.

    Returns
    -------
    The course of each candidate.
    """
    active = list(range(n))
    seen: list[list[tuple[int, float]]] = [[] for _ in range(n)]
    pruned_at: list[int | None] = [None] * n
    for level, epochs in enumerate(rungs):
        if not active:
            break
        values = run(active, epochs)
        for position, value in zip(active, values, strict=True):
            seen[position].append((epochs, value))
        if level == len(rungs) - 1:
            break
        teams = None if groups is None else [groups[position] for position in active]
        others = (earlier or {}).get(epochs, ())
        costs = None if times is None else [times[position] for position in active]
        outlook = None if foretell is None else functools.partial(foretell, active, epochs)
        kept = {active[i] for i in survivors(values, eta, teams, others, costs, outlook)}
        for position in active:
            if position not in kept:
                pruned_at[position] = epochs
        active = [position for position in active if position in kept]
    return [Course(tuple(s), p) for s, p in zip(seen, pruned_at, strict=True)]
