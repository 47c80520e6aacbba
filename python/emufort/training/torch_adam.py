"""Adam's step on flat buffers: of one network, or of networks with different rates side by side."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

#: Length of a row from which one fused call for each network is faster than operations on all rows,
#: because the fused call passes through memory once. This is an estimate.
_LONG_ROW = 100_000


def _fused_adam(
    flat: torch.Tensor, gradient: torch.Tensor, moment1: torch.Tensor, moment2: torch.Tensor,
    n_steps: torch.Tensor, learning_rate: float | torch.Tensor, epsilon: float,
) -> None:  # fmt: skip
    torch._fused_adam_(
        [flat], [gradient], [moment1], [moment2], [], [n_steps],
        lr=learning_rate, beta1=BETA1, beta2=BETA2, weight_decay=0.0, eps=epsilon,
        amsgrad=False, maximize=False,
    )  # fmt: skip


def _plain_adam(
    flat: torch.Tensor, gradient: torch.Tensor, moment1: torch.Tensor, moment2: torch.Tensor,
    n_steps: torch.Tensor, learning_rate: float | torch.Tensor, epsilon: float,
) -> None:  # fmt: skip
    t = int(n_steps)
    moment1.lerp_(gradient, 1.0 - BETA1)
    moment2.mul_(BETA2).addcmul_(gradient, gradient, value=1.0 - BETA2)
    root = (1.0 - BETA2**t) ** 0.5
    denominator = moment2.sqrt().div_(root).add_(epsilon)
    flat.addcdiv_(moment1, denominator, value=-float(learning_rate) / (1.0 - BETA1**t))


#: torch.optim.Adam(fused=True) calls this function. Its name is not public, so a fallback exists.
HAS_FUSED = hasattr(torch, "_fused_adam_")
adam: Callable[..., None] = _fused_adam if HAS_FUSED else _plain_adam


class AdamRows:
    """Adam (AdamW with weight decay) on m networks, each one a row of flat buffers (m, n).

    Consecutive networks with the same rate, weight decay and number of steps are a run. Few runs,
    or runs of long rows, take one fused call each. Otherwise every operation works on all rows,
    with one coefficient for each.

    Parameters
    ----------
    weights, gradient, moment1, moment2
        Buffers (m, n), which `step` changes in place.
    runs
        First row of each run, ascending from 0.
    decays
        Weight decay of each network (m,).
    epsilon
        Adam's epsilon for the scale of the gradient.
    """

    def __init__(
        self,
        weights: torch.Tensor,
        gradient: torch.Tensor,
        moment1: torch.Tensor,
        moment2: torch.Tensor,
        runs: Sequence[int],
        decays: Sequence[float],
        epsilon: float,
    ) -> None:
        m, length = weights.shape
        self._buffers = weights, gradient, moment1, moment2
        self._decays, self._epsilon = np.array(decays), epsilon
        self.is_fused = HAS_FUSED and (len(runs) == 1 or length >= _LONG_ROW)
        self._spans = [slice(*ends) for ends in itertools.pairwise([*runs, m])]
        if self.is_fused:
            self._runs = [tuple(buffer[span] for buffer in self._buffers) for span in self._spans]
        else:
            self._scratch = torch.empty_like(weights)

    def coefficients(
        self, rates: NDArray[np.float64], counts: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the numbers that `step` needs, for several steps.

        Parameters
        ----------
        rates
            Learning rates (steps, m); 0 for a network that does not change.
        counts
            Number of each step in its training, from 1 (steps, m).

        Returns
        -------
        Array (steps, 3, runs) or (steps, 3, m), double precision.
        """
        if self.is_fused:
            # Networks that do not change any more have smaller numbers than the rest of their run.
            rate, count = (
                np.stack([values[:, span].max(axis=1) for span in self._spans], axis=1)
                for values in (rates, counts)
            )
            decay = 1.0 - rate * [self._decays[span.start] for span in self._spans]
            return np.stack([rate, count, decay], axis=1)
        still = rates == 0.0
        # The step is moment1 / (sqrt(moment2) root + epsilon), with the rate in both coefficients.
        size = np.where(still, 1.0, rates / (1.0 - BETA1**counts))
        root = np.where(still, 0.0, 1.0 / (size * np.sqrt(1.0 - BETA2**counts)))
        epsilon = np.where(still, np.inf, self._epsilon / size)
        return np.stack([root, epsilon, 1.0 - rates * self._decays], axis=1)

    def step(self, row: torch.Tensor) -> None:
        """Take one step with a row of `coefficients`, (3, runs) or (3, m)."""
        if self.is_fused:
            for i, (weights, gradient, moment1, moment2) in enumerate(self._runs):
                if self._decays[self._spans[i].start] > 0:
                    weights.mul_(row[2, i])
                adam(weights, gradient, moment1, moment2, row[1, i], row[0, i], self._epsilon)
            return
        weights, gradient, moment1, moment2 = self._buffers
        moment1.lerp_(gradient, 1.0 - BETA1)
        moment2.mul_(BETA2).addcmul_(gradient, gradient, value=1.0 - BETA2)
        torch.sqrt(moment2, out=self._scratch)
        torch.addcmul(row[1].unsqueeze(1), self._scratch, row[0].unsqueeze(1), out=self._scratch)
        if self._decays.any():
            weights.mul_(row[2].unsqueeze(1))
        weights.addcdiv_(moment1, self._scratch, value=-1.0)
