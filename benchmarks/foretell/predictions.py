"""Predictors of the order of the candidates, and their quality.

To add a predictor, yield another `Prediction` in `predictions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.foretell.scores import (
    INTERVAL,
    Array,
    bias,
    ranges_of,
    rank_correlation,
    rank_correlation_at_equal_cost,
    regret,
    regret_along_the_front,
    resampled,
)
from benchmarks.foretell.trainings import Trainings, trial
from benchmarks.foretell.ways import Rungs
from emufort.config import RetrainConfig
from emufort.network.architecture import Architecture
from emufort.retrain.rounds import Rounds
from emufort.search.space import Candidate
from emufort.search.trials import Trial

#: Number of random draws of K candidates.
_DRAWS = 200
#: Size of a control group, which is the minimum of `emufort retrain`, and number of groups drawn.
CONTROL, _CONTROL_GROUPS = 16, 10


@dataclass(frozen=True)
class Sample:
    """Random candidates, and the results of all of them in step 2.

    Attributes
    ----------
    number
        Seed of the candidates.
    candidates, architectures
        The n candidates and their networks.
    finals
        Losses for each seed of step 2, shape (n,).
    seconds
        Processor time of the first seed of step 2 [s].
    depths
        Lowest and highest number of hidden layers in the search space.
    """

    number: int
    candidates: Sequence[Candidate]
    architectures: Sequence[Architecture]
    finals: Sequence[Array]
    seconds: float
    depths: tuple[int, int]

    @classmethod
    def of(cls, trainings: Trainings, number: int, seeds: int) -> Sample:
        """Return a sample whose trainings are all finished."""
        losses = [trainings.final(number, again) for again in range(seeds)]
        # A training that diverged gets the highest loss of those that did not.
        finals = [np.where(np.isfinite(f), f, f[np.isfinite(f)].max()) for f, _ in losses]
        return cls(
            number, trainings.candidates(number), trainings.architectures(number), finals,
            losses[0][1], trainings.config.search.space.depth,
        )  # fmt: skip

    def trials(self, losses: Sequence[float] | Array) -> list[Trial]:
        """Return the trials of a search with a single rung that ends with these losses."""
        of_sample = zip(self.candidates, self.architectures, losses, strict=True)
        return [trial(i, c, a, [(1, float(loss))]) for i, (c, a, loss) in enumerate(of_sample)]

    @property
    def final(self) -> Array:
        """Geometric mean of the losses over the seeds, shape (n,)."""
        return np.asarray(np.exp(np.mean(np.log(self.finals), axis=0)))

    @property
    def cost(self) -> Array:
        """Estimated relative cost of the networks, shape (n,)."""
        return np.array([a.relative_cost for a in self.architectures])

    @property
    def groups(self) -> Mapping[str, Sequence[str]]:
        """Kind of a group -> group of each candidate."""
        depths = ranges_of(*self.depths)
        return {
            "activation function": [c.activation for c in self.candidates],
            "batch size": [str(c.batch_size) for c in self.candidates],
            "depth": [depths[len(c.hidden)] for c in self.candidates],
        }


@dataclass(frozen=True)
class Prediction:
    """The prediction of one predictor for the candidates of a sample.

    Attributes
    ----------
    name
        Row of the table.
    scores
        Predicted orders as scores, shape (n,) each, lower is better. There may be none, or several,
        for example from several control groups; numbers are then medians over them.
    kept
        The candidates that step 2 would retrain. There may be several such choices; the regret
        along the front is then the median over them.
    seconds
        Processor time of the prediction [s].
    judge
        Final losses (n,) to compare with; None for the mean over all seeds.
    """

    name: str
    scores: Sequence[Array]
    kept: Sequence[Sequence[int]]
    seconds: float
    judge: Array | None = None


def predictions(
    trainings: Trainings, sample: Sample, ways: Sequence[Rungs], k: int
) -> Iterator[Prediction]:
    """Yield the prediction of each way of step 1, and those to compare with."""
    for way in ways:
        trials, seconds = trainings.trials(sample.number, way)
        yield uncalibrated(str(way), trials, k, seconds)
        if k > CONTROL:
            yield calibrated(f"{way}, calibrated", trials, sample.finals[0], k, seconds)
    of_size = [1.0 / a.multiply_adds for a in sample.architectures]
    yield uncalibrated("multiply-adds alone", sample.trials(of_size), k, 0.0)
    rng = np.random.default_rng(sample.number)
    n = len(sample.candidates)
    draws = [rng.permutation(n)[:k].tolist() for _ in range(_DRAWS)]
    yield Prediction(f"{k} at random", [], draws, 0.0)
    if len(sample.finals) > 1:
        first, second = sample.finals[:2]
        name = "another seed of step 2"
        yield uncalibrated(name, sample.trials(second), k, sample.seconds, first)


def uncalibrated(
    name: str, trials: Sequence[Trial], k: int, seconds: float, judge: Array | None = None
) -> Prediction:
    """Return the order of step 1, and the `k` candidates that step 2 would retrain by it."""
    rounds = Rounds(trials, RetrainConfig(top=k, control=0), seed=1)
    candidates = np.array([t.number for t in trials])
    chosen = rounds.front({}).choose(rounds.distinct, k)
    kept = candidates[[i for i, _ in chosen]].tolist()
    return Prediction(name, [_finite(rounds.foretold)], [kept], seconds, judge)


def calibrated(
    name: str, trials: Sequence[Trial], final: Array, k: int, seconds: float
) -> Prediction:
    """Return the prediction after calibration by several control groups, which count among the `k`.

    The order is the one after the control group, whose members are each predicted from the others.
    `final` holds the losses of one seed, because step 2 has no more when it chooses.
    """
    scores, kept = [], []
    for seed in range(_CONTROL_GROUPS):
        rounds = Rounds(trials, RetrainConfig(top=k - CONTROL, control=CONTROL), seed)
        known = {t.number: float(final[t.number]) for t in rounds.control()}
        scores.append(_finite(np.exp(rounds.calibrate(known).left_out)))
        while chosen := rounds.next(known):
            known |= {t.number: float(final[t.number]) for t in chosen}
        kept.append(sorted(known))
    return Prediction(name, scores, kept, seconds)


def _finite(score: Array) -> Array:
    """Return the scores with infinity for candidates that diverged, so that they rank last."""
    finite = score[np.isfinite(score)]
    return np.where(np.isfinite(score), score, 10 * finite.max() if len(finite) else 1.0)


def measured(prediction: Prediction, sample: Sample, k: int) -> dict[str, Any]:
    """Return all numbers of one prediction, as defined in `scores`.

    ``resampled`` holds the arrays of the bootstrap, for intervals over several samples.
    """
    judge = sample.final if prediction.judge is None else prediction.judge
    cost, scores = sample.cost, prediction.scores
    fronts = [regret_along_the_front(kept, judge, cost) for kept in prediction.kept]
    found: dict[str, Any] = {
        "front": float(np.median(fronts)),
        "seconds": prediction.seconds,
        "share": prediction.seconds / sample.seconds,
    }
    if not scores:
        return found

    def median(of: Callable[[Array], float]) -> float:
        return float(np.median([of(score) for score in scores]))

    draws = [resampled(score, judge, cost, sample.number) for score in scores]
    both = {
        # Each score gets its share of the resamples.
        key: np.concatenate([one[i][j :: len(scores)] for j, one in enumerate(draws)])
        for i, key in enumerate(("all", "equal cost"))
    }
    shifts = {
        kind: [bias(score, judge, groups) for score in scores]
        for kind, groups in sample.groups.items()
    }
    return {
        "all": median(lambda score: rank_correlation(score, judge)),
        "equal cost": median(lambda score: rank_correlation_at_equal_cost(score, judge, cost)),
        "interval": {key: np.percentile(v, INTERVAL).tolist() for key, v in both.items()},
        "regret 1": median(lambda score: regret(score, judge, 1)),
        "regret 5": median(lambda score: regret(score, judge, 5)),
        "regret K": float(np.median([judge[list(kept)].min() for kept in prediction.kept]))
        / judge.min()
        - 1.0,
        **found,
        "bias": {
            kind: {group: float(np.median([one[group] for one in many])) for group in many[0]}
            for kind, many in shifts.items()
        },
        "resampled": both,
    }


def compare(
    trainings: Trainings, number: int, ways: Sequence[Rungs], seeds: int, k: int
) -> dict[str, Any]:
    """Return all numbers of one sample of candidates, by the name of the predictor."""
    sample = Sample.of(trainings, number, seeds)
    return {p.name: measured(p, sample, k) for p in predictions(trainings, sample, ways, k)}
