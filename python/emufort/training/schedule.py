"""The schedule of the learning rate in a training of known length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

#: Share of the steps over which the learning rate rises.
WARM_UP = 0.02
#: Samples per step with which lengths are expressed where batch sizes differ.
REFERENCE_BATCH = 256
#: Exponent and largest factor with which the learning rate grows as a training gets shorter.
_POWER_OF_LENGTH, _MOST_BY_LENGTH = 2.0 / 3.0, 4.0
#: Fewest samples per step of a short training; steps with fewer samples cost as much.
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
        Steps between two evaluations of the validation rows (and checks whether a checkpoint is
        due).
    curve
        Whether an evaluation also computes the loss of some training rows and is kept in the curve.
    """

    steps: int
    warm_up: int
    evaluate_every: int
    curve: bool = True

    @classmethod
    def annealed(cls, steps: int, looks: int, curve: bool = True) -> Self:
        """Return the plan of step 2 and of annealed rungs of step 1, with `looks` evaluations.

        Parameters
        ----------
        steps
            Length of the training.
        looks
            Number of evaluations of the validation rows, evenly spaced.
        curve
            Whether evaluations are kept in the training curve.
        """
        return cls(steps, max(1, round(WARM_UP * steps)), max(1, steps // looks), curve)

    def factor(self, step: int) -> float:
        """Return the learning rate of step 0, 1, ... as a share of its peak."""
        rise = min(1.0, (step + 1) / max(1, self.warm_up))
        return rise * 0.5 * (1.0 + math.cos(math.pi * min(step, self.steps) / self.steps))


def shortened_batch(batch_size: int, share: float) -> int:
    """Return the batch size of a short training that predicts one 1/`share` times as long.

    The final loss of a network depends more on the number of steps than on the number of samples. A
    short training therefore keeps the number of steps as far as possible, with fewer samples in
    each: `share` times `batch_size`, rounded to a power of two and at least 16. The learning rate
    follows the batch size, see `with_batch_size`.
    """
    wanted = int(2 ** round(math.log2(max(1.0, share * batch_size))))
    return min(batch_size, max(_SMALLEST_BATCH, wanted))


def with_fewer_steps(rate: float, old: float, new: float) -> float:
    """Convert a learning rate for `old` steps to one for `new` steps, never a lower one.

    Adam moves a weight by at most the learning rate per step, so weights move less far in a short
    training. A larger rate compensates most of this: the rate is proportional to the number of
    steps to the power of -2/3, and grows at most by a factor of 4. Both values are measured:
    trainings with a fifth of the steps predict the long ones better at 2 to 4.5 times the rate than
    at the same rate (docs/step1.md).
    """
    factor = float((old / new) ** _POWER_OF_LENGTH)
    return rate * min(max(1.0, factor), _MOST_BY_LENGTH)


def with_batch_size(
    rate: float, old: int, new: int, bounds: tuple[float, float] = (0.0, math.inf)
) -> float:
    """Convert a learning rate for batches of `old` samples to one for batches of `new` samples.

    Adam's noise is proportional to the learning rate divided by the square root of the batch size,
    so the rate is scaled with that root. The result is clipped to `bounds`.
    """
    return min(max(rate * math.sqrt(new / old), bounds[0]), bounds[1])
