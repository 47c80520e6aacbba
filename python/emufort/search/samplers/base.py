"""Shared by all samplers: the protocol of a proposer, the constraint, the order of trials."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from emufort.config import SpaceConfig
from emufort.errors import EmufortError
from emufort.search.space import Candidate, at_point, n_dimensions
from emufort.search.trials import Trial

#: Returns whether a candidate may be proposed.
Accept = Callable[[Candidate], bool]

#: Proposals per wanted candidate after which a constraint counts as impossible.
_TRIES = 500


def accept_all(candidate: Candidate) -> bool:
    """Accept any candidate."""
    return True


class Proposer(Protocol):
    """Proposes one batch after the other and gets the trials of each batch before the next."""

    def propose(self, size: int, batch: int) -> list[Candidate]:
        """Return the `size` candidates of batch number `batch`.

        Parameters
        ----------
        size
            Number of candidates.
        batch
            Number of the batch (0, 1, ...), which determines the random draws.
        """

    def add(self, trials: Sequence[Trial]) -> None:
        """Add the finished trials of the last batch to what the proposer knows."""

    def learn(self, trials: Sequence[Trial]) -> None:
        """Add finished trials that the proposer did not propose, before `add` of their batch."""


def best_first(trials: Sequence[Trial]) -> np.ndarray:
    """Return the positions of `trials`, best first.

    A trial that was stopped early comes after all trials that continued, whatever its loss is.
    """
    levels = [-len(t.rungs) for t in trials]
    return np.lexsort(([t.value for t in trials], levels))


def accepted(proposals: Iterator[Candidate], size: int, accept: Accept) -> list[Candidate]:
    """Return the first `size` proposals that `accept` accepts.

    Parameters
    ----------
    proposals
        Endless candidates.
    size
        Number of wanted candidates.
    accept
        Returns whether a candidate may be proposed.

    Raises
    ------
    EmufortError
        Almost all proposals are rejected.
    """
    found = []
    for tried, candidate in enumerate(proposals):
        if accept(candidate):
            found.append(candidate)
            if len(found) == size:
                break
        elif tried >= _TRIES * size:
            raise EmufortError(
                f"only {len(found)} of {tried} proposed candidates satisfy search.max_ns; raise "
                "search.max_ns or make the networks of search.space smaller"
            )
    return found


class CubeProposer:
    """A proposer that draws points of the unit cube; `at_point` maps them to candidates.

    Parameters
    ----------
    space
        Search space.
    seed
        Random seed of the search.
    options
        All options of the sampler.
    accept
        Returns whether a candidate may be proposed.
    """

    def __init__(
        self, space: SpaceConfig, seed: int, options: Mapping[str, Any], accept: Accept
    ) -> None:
        self._space, self._seed, self._accept = space, seed, accept
        self._options = dict(options)
        self._n = n_dimensions(space)

    def add(self, trials: Sequence[Trial]) -> None:
        """Ignore the trials, because proposals do not depend on them."""

    def learn(self, trials: Sequence[Trial]) -> None:
        """Ignore the trials, because only proposals of the sampler itself can direct it."""

    def _uniform(self, rng: np.random.Generator) -> Iterator[Candidate]:
        while True:
            yield at_point(self._space, rng.random(self._n).tolist())
