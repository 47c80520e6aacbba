"""Searches that look trainings up in the complete table instead of making them."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks.objectives.trainings import RUNGS, SPACE, Key, Trained, key_of
from emufort.network.architecture import Architecture
from emufort.search.cost import usual_cost_model
from emufort.search.halving import NO_USE, Outlook, successive_halving
from emufort.search.outlook import draft, outlook
from emufort.search.samplers.registry import make_proposer
from emufort.search.space import Candidate
from emufort.search.trials import Trial

#: Numbers of inputs and outputs of the networks: the embedded data.
SIZES = 15, 1
#: Candidates in a batch, and one candidate in so many continues; the defaults of a search.
BATCH, ETA = 32, 4


@dataclass(frozen=True)
class Method:
    """A way to search.

    Attributes
    ----------
    name
        Name in the table.
    sampler, options
        Sampler and its options.
    objectives
        Objectives of the sampler.
    promotion
        ``"none"``: every candidate is trained at the last rung only. ``"loss"``: the best quarter
        by loss continues. ``"front"``: the quarter along the front of loss against time continues.
    """

    name: str
    sampler: str
    promotion: str
    objectives: tuple[str, ...] = ("skill",)
    options: Mapping[str, Any] = field(default_factory=dict)


@functools.cache
def predicted_ns(hidden: tuple[int, ...], activation: str) -> float:
    """Return the predicted time of a network [ns per sample]."""
    return usual_cost_model().predict(Architecture(SIZES[0], hidden, SIZES[1], activation))


class Table:
    """The complete table of trainings.

    Parameters
    ----------
    rows
        Trainings of every candidate.

    Attributes
    ----------
    reference
        Reference point of the hypervolume: the logarithms of `NO_USE` times the lowest loss at the
        last rung, above which a search counts networks as useless, and of the longest predicted
        time.
    """

    def __init__(self, rows: Mapping[Key, Trained]) -> None:
        self.rows = rows
        lowest = min(one.losses[-1] for one in rows.values())
        longest = max(predicted_ns(hidden, activation) for hidden, activation, _ in rows)
        self.reference = math.log(NO_USE * lowest), math.log(longest)

    def point(self, key: Key) -> tuple[float, float]:
        """Return the logarithms of the loss at the last rung and of the predicted time."""
        hidden, activation, _ = key
        loss = self.rows[key].losses[-1]
        return math.log(loss), math.log(predicted_ns(hidden, activation))


def hypervolume(points: np.ndarray, reference: tuple[float, float]) -> float:
    """Return the area that `points` (n, 2) dominate, up to the reference point."""
    area, lowest = 0.0, reference[0]
    for loss, time in sorted(map(tuple, points), key=lambda p: (p[1], p[0])):
        if loss < lowest and time < reference[1]:
            area += (lowest - loss) * (reference[1] - time)
            lowest = loss
    return float(area)


def replay(
    table: Table, method: Method, seed: int, seconds: float = math.inf, trials: float = math.inf
) -> np.ndarray:
    """Search until the trainings have taken `seconds` of processor time, or for `trials` trials.

    Returns
    -------
    ndarray
        Processor time so far [s] and hypervolume of the candidates that reached the last rung,
        after every training at the last rung (n, 2).
    """
    two = method.objectives != ("skill",)
    proposer = make_proposer(
        method.sampler, SPACE, seed, options=method.options, objectives=method.objectives
    )
    halves = method.promotion != "none"
    rungs = RUNGS if halves else RUNGS[-1:]
    spent, batch, number = 0.0, 0, 0
    finished: list[Trial] = []
    points: list[tuple[float, float]] = []
    progress: list[tuple[float, float]] = []
    while spent < seconds and number < trials:
        candidates = proposer.propose(BATCH, batch)
        keys = [key_of(candidate) for candidate in candidates]
        times = [predicted_ns(hidden, activation) for hidden, activation, _ in keys]

        def train(positions: Any, epochs: int, keys: list[Key] = keys) -> list[float]:
            nonlocal spent
            found = []
            for position in positions:
                one, level = table.rows[keys[position]], RUNGS.index(epochs)
                spent += one.seconds[level]
                found.append(one.losses[level])
                if epochs == RUNGS[-1]:
                    points.append(table.point(keys[position]))
                    progress.append((spent, hypervolume(np.array(points), table.reference)))
            return found

        drafts = [draft(candidate, candidate.architecture(*SIZES)) for candidate in candidates]

        def foretell(
            at: Sequence[int],
            epochs: int,
            losses: np.ndarray,
            drafts: list[Trial] = drafts,
            finished: list[Trial] = finished,
        ) -> Outlook:
            return outlook(finished, [drafts[i] for i in at], epochs, losses)

        front = method.promotion == "front"
        courses = successive_halving(
            BATCH,
            rungs,
            ETA,
            train,
            times=times if front else None,
            foretell=foretell if front else None,
        )
        new = [
            _trial(number + i, batch, candidate, course, time if two else None)
            for i, (candidate, course, time) in enumerate(
                zip(candidates, courses, times, strict=True)
            )
        ]
        proposer.add(new)
        finished += [
            replace(trial, predicted_ns=time)
            for trial, time in zip(new, times, strict=True)
            if trial.pruned_at is None and trial.finite
        ]
        number, batch = number + BATCH, batch + 1
    return np.array(progress)


def _trial(number: int, batch: int, candidate: Candidate, course: Any, ns: float | None) -> Trial:
    return Trial(
        number=number,
        architecture=candidate.architecture(*SIZES),
        learning_rate=candidate.learning_rate,
        batch_size=candidate.batch_size,
        value=course.value,
        epochs=course.rungs[-1][0],
        pruned_at=course.pruned_at,
        seconds=0.0,
        batch=batch,
        rungs=course.rungs,
        predicted_ns=ns,
    )
