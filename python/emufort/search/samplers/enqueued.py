"""Candidates of the user, which a search tries before those of its sampler."""

from __future__ import annotations

import math
from collections.abc import Sequence

from emufort.config import SearchConfig, SpaceConfig
from emufort.search.samplers.base import Proposer
from emufort.search.space import Candidate, contains
from emufort.search.trials import Trial


def enqueued_candidates(options: SearchConfig) -> list[Candidate]:
    """Return the candidates of `search.enqueue`; the space gives the values that are left out."""
    space = options.space
    return [
        Candidate(
            one.hidden,
            _merged(one.activation),
            one.learning_rate or math.sqrt(math.prod(space.learning_rate)),
            one.batch_size or space.batch_size[0],
            space.weight_decay[0] if one.weight_decay is None else one.weight_decay,
            one.target or (space.target[0] if space.target else ""),
            "residual_mlp" if space.family == "residual" and len(one.hidden) > 1 else "mlp",
        )
        for one in options.enqueue
    ]


def _merged(activation: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Return one activation function instead of equal ones, as `Architecture` does."""
    is_one = not isinstance(activation, str) and len(set(activation)) == 1
    return activation[0] if is_one else activation


class EnqueuedFirst:
    """A proposer that proposes given candidates first and then those of another proposer.

    The limit of the cost does not apply to the given candidates, and they may lie outside the
    space. The other proposer gets the trials of those that lie in the space, see `Proposer.learn`.

    Parameters
    ----------
    candidates
        The candidates to propose first.
    proposer
        Proposes all others.
    space
        The search space.
    """

    def __init__(
        self, candidates: Sequence[Candidate], proposer: Proposer, space: SpaceConfig
    ) -> None:
        self._waiting = list(candidates)
        self._proposer, self._space = proposer, space

    def propose(self, size: int, batch: int) -> list[Candidate]:
        """Return the `size` candidates of batch number `batch`."""
        given = self._waiting[:size]
        if len(given) == size:
            return given
        return given + self._proposer.propose(size - len(given), batch)

    def add(self, trials: Sequence[Trial]) -> None:
        """Add the finished trials of the last batch."""
        given = [trial for trial in trials if trial.enqueued]
        del self._waiting[: len(given)]
        self.learn(given)
        if len(given) < len(trials):
            self._proposer.add([trial for trial in trials if not trial.enqueued])

    def learn(self, trials: Sequence[Trial]) -> None:
        """Add trials that this proposer did not propose."""
        inside = [trial for trial in trials if contains(self._space, trial.candidate)]
        if inside:
            self._proposer.learn(inside)
