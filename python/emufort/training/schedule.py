"""The learning rate over a training of known length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

#: Share of the steps over which the learning rate rises.
WARM_UP = 0.02
#: Samples per step by which lengths are given where batch sizes differ.
REFERENCE_BATCH = 256
#: How the learning rate grows as a training gets shorter, and by how much at most.
_POWER_OF_LENGTH, _MOST_BY_LENGTH = 2.0 / 3.0, 4.0
#: A short training has no fewer samples per step than this: steps of fewer cost as much.
_SMALLEST_BATCH = 16


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


def shortened_batch(batch_size: int, share: float) -> int:
    """Return the batch size of a training that foretells one of 1/`share` times its length.

    Where a network ends is a matter of the number of steps more than of that of samples. So a
    short training keeps the number of steps as far as possible, with fewer samples in each:
    `share` times `batch_size`, rounded to a power of two and at least 16. The learning rate
    goes with the batch size, see `with_batch_size`.
    """
    wanted = int(2 ** round(math.log2(max(1.0, share * batch_size))))
    return min(batch_size, max(_SMALLEST_BATCH, wanted))


def with_fewer_steps(rate: float, old: float, new: float) -> float:
    """Return what a learning rate for `old` steps is for `new` steps, no less than before.

    Adam moves a weight by at most the learning rate per step, so a short training gets less far. A
    larger rate makes up for most of it: the rate goes with the number of steps to the power of
    -2/3, and at most by a factor of 4. Both are measured: trainings of a fifth of the steps
    foretell the long ones better at 2 to 4.5 times the rate than at the same (docs/search.md).
    """
    factor = float((old / new) ** _POWER_OF_LENGTH)
    return rate * min(max(1.0, factor), _MOST_BY_LENGTH)


def with_batch_size(
    rate: float, old: int, new: int, bounds: tuple[float, float] = (0.0, math.inf)
) -> float:
    """Return what a learning rate for batches of `old` samples is for batches of `new` samples.

    Adam's noise grows as the learning rate over the square root of the batch size, so the rate goes
    with that root. The result is kept within `bounds`.
    """
    return min(max(rate * math.sqrt(new / old), bounds[0]), bounds[1])
