"""The learning rate over a training of known length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

#: Share of the steps over which the learning rate rises.
WARM_UP = 0.02


@dataclass(frozen=True)
class StepPlan:
    """A training of `steps` steps: linear warm-up, then a cosine down to zero.

    Attributes
    ----------
    steps
        Length of the training.
    warm_up
        Steps over which the learning rate rises to its peak.
    evaluate_every
        Steps between two looks at the validation rows (and at the clock for checkpoints).
    curve
        Whether a look also takes the loss of some training rows, and is kept.
    """

    steps: int
    warm_up: int
    evaluate_every: int
    curve: bool = True

    @classmethod
    def annealed(cls, steps: int, looks: int, curve: bool = True) -> Self:
        """Return the plan of step 2, and of the annealed rungs of step 1, with so many looks."""
        return cls(steps, max(1, round(WARM_UP * steps)), max(1, steps // looks), curve)

    def factor(self, step: int) -> float:
        """Return the learning rate of step 0, 1, ... as a share of its peak."""
        rise = min(1.0, (step + 1) / max(1, self.warm_up))
        return rise * 0.5 * (1.0 + math.cos(math.pi * min(step, self.steps) / self.steps))


def with_batch_size(
    rate: float, old: int, new: int, bounds: tuple[float, float] = (0.0, math.inf)
) -> float:
    """Return what a learning rate for batches of `old` samples is for batches of `new` samples.

    Adam's noise grows as the learning rate over the square root of the batch size, so the rate goes
    with that root. The result is kept within `bounds`.
    """
    return min(max(rate * math.sqrt(new / old), bounds[0]), bounds[1])
