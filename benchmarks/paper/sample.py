"""The candidates of which all trainings are done, and their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.foretell.scores import Array
from benchmarks.paper.plan import Plan, whole
from benchmarks.paper.problem import Problem
from benchmarks.paper.trainings import Result, Trainings, Unit


@dataclass(frozen=True)
class Sample:
    """The candidates whose trainings on subsets and on all rows are all done.

    Attributes
    ----------
    hidden
        Widths of the hidden layers of the n candidates.
    whole
        Results on all rows.
    step_1
        Share -> for each draw of the subset the results of the candidates.
    multiply_adds, parameters
        Sizes of the networks, shape (n,).
    cost
        Relative cost with the activation functions, shape (n,).
    """

    hidden: list[tuple[int, ...]]
    whole: list[Result]
    step_1: dict[float, list[list[Result]]]
    multiply_adds: Array
    parameters: Array
    cost: Array

    @classmethod
    def of(cls, problem: Problem, trainings: Trainings, plan: Plan) -> Sample:
        """Return the candidates of which no training is missing."""
        done = trainings.done
        hidden = [
            c.hidden
            for c in problem.candidates(plan.candidates)
            if all(unit in done for unit in [*plan.step_1(c.hidden), whole(c.hidden)])
        ]
        networks = [problem.architecture(h) for h in hidden]
        return cls(
            hidden,
            [done[whole(h)] for h in hidden],
            {
                share: [
                    [done[Unit(h, share, draw)] for h in hidden]
                    for draw in range(plan.draws_of(share))
                ]
                for share in plan.shares
            },
            np.array([n.multiply_adds for n in networks], dtype=float),
            np.array([n.n_parameters for n in networks], dtype=float),
            np.array([n.relative_cost for n in networks]),
        )

    def __len__(self) -> int:
        return len(self.hidden)

    @property
    def final(self) -> Array:
        """Validation losses after training on all rows, shape (n,)."""
        return losses(self.whole)

    @property
    def rmse(self) -> Array:
        """Test RMSE after training on all rows, shape (n,)."""
        return np.array([result.rmse for result in self.whole])


def losses(results: Sequence[Result]) -> Array:
    """Return the losses; a training that diverged gets ten times the highest loss."""
    found = np.array([result.loss for result in results])
    finite = found[np.isfinite(found)]
    return np.where(np.isfinite(found), found, 10 * finite.max() if len(finite) else 1.0)


def seconds(results: Sequence[Result]) -> float:
    """Return the processor time of trainings [s]."""
    return float(sum(result.seconds for result in results))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, lowest and highest."""
    return {"median": float(np.median(values)), "low": min(values), "high": max(values)}
