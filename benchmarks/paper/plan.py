"""What is trained, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.paper.trainings import Unit

#: Subsets above this share are drawn only once, because they cost as much as the set itself.
SEVERAL_DRAWS = 0.05
SAMPLERS = ("random", "qmc", "parzen", "tpe", "cmaes", "nsga2")


@dataclass(frozen=True)
class Plan:
    """Sizes of the experiments.

    Attributes
    ----------
    rows
        Rows of the set, drawn from the training rows of the data; 0 for all.
    candidates
        Random candidates that are trained on every subset and on all rows.
    shares
        Sizes of the subsets as shares of the set, ascending.
    draws
        Random draws of each subset up to `SEVERAL_DRAWS`.
    again
        Candidates that are trained on all rows once more, the first of `candidates`.
    search_candidates, search_batch
        Candidates of each search with a sampler, and how many it proposes at once.
    search_share
        Share of the set in step 1 of these searches.
    search_draws
        Searches with each sampler, each on another draw of the rows and with another seed.
    search_top
        Candidates of each search that step 2 trains on all rows.
    """

    rows: int
    candidates: int
    shares: tuple[float, ...]
    draws: int
    again: int
    search_candidates: int
    search_batch: int
    search_share: float
    search_draws: int
    search_top: int

    def draws_of(self, share: float) -> int:
        """Return the number of draws of a subset."""
        return self.draws if share <= SEVERAL_DRAWS else 1

    def step_1(self, hidden: Sequence[int]) -> Iterator[Unit]:
        """Yield the trainings of a candidate on subsets."""
        for share in self.shares:
            for draw in range(self.draws_of(share)):
                yield Unit(tuple(hidden), share, draw)

    def blocks(self) -> list[range]:
        """Return the candidates in as many blocks as there are searches with each sampler."""
        n, parts = self.candidates, self.search_draws
        return [range(n * i // parts, n * (i + 1) // parts) for i in range(parts)]


FULL = Plan(
    rows=0,
    candidates=200,
    shares=(2.5e-5, 2.5e-4, 2.5e-3, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    draws=3,
    again=30,
    search_candidates=64,
    search_batch=16,
    search_share=0.01,
    search_draws=3,
    search_top=2,
)
#: Enough to try every part in seconds.
SMALL = Plan(
    rows=2000,
    candidates=6,
    shares=(0.01, 0.05, 0.25),
    draws=2,
    again=3,
    search_candidates=8,
    search_batch=4,
    search_share=0.05,
    search_draws=1,
    search_top=1,
)


def whole(hidden: Sequence[int], again: int = 0) -> Unit:
    """Return the training of a candidate on all rows, which is also its step 2."""
    return Unit(tuple(hidden), 1.0, 0, again)
