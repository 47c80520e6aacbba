"""Successive halving: train all a little, the best of them longer; knows nothing of networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

#: Trains the candidates at these positions up to a rung's epochs; returns their values in order.
Rung = Callable[[Sequence[int], int], Sequence[float]]


@dataclass(frozen=True)
class Course:
    """What became of one candidate: (epochs, value) at each rung, and where it was stopped."""

    rungs: tuple[tuple[int, float], ...]
    pruned_at: int | None

    @property
    def value(self) -> float:
        """Value at the last rung that the candidate reached."""
        return self.rungs[-1][1]


def survivors(values: Sequence[float], eta: int) -> list[int]:
    """Return the positions of the best 1/eta of `values` (at least one), in ascending order.

    Of equal values the earlier one survives. Values that are not finite do not survive.
    """
    finite = [i for i, value in enumerate(values) if math.isfinite(value)]
    kept = sorted(finite, key=lambda i: (values[i], i))[: max(1, len(values) // eta)]
    return sorted(kept)


def survivors_among(values: Sequence[float], eta: int, earlier: Sequence[float]) -> list[int]:
    """Return the positions of those of `values` that are among the best 1/eta of all so far.

    `earlier` are the values of other batches at the same rung. That is the rule of ASHA: nobody
    waits for a rung to fill, and a good batch sends on more than a poor one, which may send none.
    """
    if not earlier:
        return survivors(values, eta)
    everyone = [*earlier, *values]
    return [i - len(earlier) for i in survivors(everyone, eta) if i >= len(earlier)]


def successive_halving(
    n: int,
    rungs: Sequence[int],
    eta: int,
    run: Rung,
    earlier: Mapping[int, Sequence[float]] | None = None,
) -> list[Course]:
    """Take `n` candidates through `rungs` (epochs, ascending); keep the best 1/eta at each.

    With `earlier` (epochs -> values of other batches) the best are those of all so far.
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
        others = (earlier or {}).get(epochs, ())
        kept = {active[i] for i in survivors_among(values, eta, others)}
        for position in active:
            if position not in kept:
                pruned_at[position] = epochs
        active = [position for position in active if position in kept]
    return [Course(tuple(s), p) for s, p in zip(seen, pruned_at, strict=True)]
