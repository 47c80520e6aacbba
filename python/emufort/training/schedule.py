"""The learning rate over a training of known length."""

from __future__ import annotations

import math
from dataclasses import dataclass


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
    """

    steps: int
    warm_up: int
    evaluate_every: int

    def factor(self, step: int) -> float:
        """Return the learning rate of step 0, 1, ... as a share of its peak."""
        rise = min(1.0, (step + 1) / max(1, self.warm_up))
        return rise * 0.5 * (1.0 + math.cos(math.pi * min(step, self.steps) / self.steps))
