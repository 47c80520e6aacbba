"""Two-step searches with each sampler, on one size of the subset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.foretell.trainings import trial
from benchmarks.paper.plan import Plan, whole
from benchmarks.paper.problem import EPOCHS, SPACE, Problem
from benchmarks.paper.trainings import Result, Trainings, Unit
from emufort.search.samplers.registry import make_proposer
from emufort.search.trials import Trial, ranked

#: Only the lowest loss counts here, not the front of loss and cost.
OPTIONS: dict[str, dict[str, Any]] = {"parzen": {"aim": "loss"}}


@dataclass(frozen=True)
class Search:
    """A finished search.

    Attributes
    ----------
    step_1
        Results on the subset, in the order of the proposals.
    kept
        Networks that step 2 trained on all rows, best first by step 1.
    step_2
        Their results.
    """

    step_1: list[Result]
    kept: list[tuple[int, ...]]
    step_2: list[Result]

    @property
    def best(self) -> tuple[tuple[int, ...], Result]:
        """The network with the lowest validation loss after step 2, and its result."""
        return min(zip(self.kept, self.step_2, strict=True), key=lambda pair: pair[1].loss)

    @property
    def seconds(self) -> float:
        """Processor time of both steps [s]."""
        return sum(result.seconds for result in [*self.step_1, *self.step_2])


def search(sampler: str, draw: int, plan: Plan, problem: Problem, trainings: Trainings) -> Search:
    """Search with a sampler; trainings that the table has are not repeated.

    Raises
    ------
    OutOfTimeError
        The time of this call is over.
    """
    seed = draw + 1
    proposer = make_proposer(
        sampler, SPACE, seed, options=OPTIONS.get(sampler), accept=problem.accept
    )
    trials: list[Trial] = []
    results: list[Result] = []
    for batch in range(plan.search_candidates // plan.search_batch):
        of_batch: list[Trial] = []
        for candidate in proposer.propose(plan.search_batch, batch):
            result = trainings.result(Unit(candidate.hidden, plan.search_share, draw))
            results.append(result)
            network = problem.architecture(candidate.hidden)
            number = len(trials) + len(of_batch)
            of_batch.append(trial(number, candidate, network, [(EPOCHS, result.loss)]))
        proposer.add(of_batch)
        trials += of_batch
    distinct = dict.fromkeys(one.architecture.hidden for one in ranked(trials))
    kept = list(distinct)[: plan.search_top]
    return Search(results, kept, [trainings.result(whole(hidden)) for hidden in kept])
