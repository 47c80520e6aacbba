"""Which candidates to try next: a pure function of the finished trials, the seed and the batch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from emufort.config import SpaceConfig
from emufort.errors import UsageError, did_you_mean
from emufort.search._optuna import quiet_optuna
from emufort.search.space import Candidate, at_point, candidate_from, n_dimensions, width_name
from emufort.search.trials import Trial

if TYPE_CHECKING:
    import optuna

Sampler = Callable[[SpaceConfig, Sequence[Trial], int, int, int], list[Candidate]]


def propose(
    sampler: str,
    space: SpaceConfig,
    finished: Sequence[Trial],
    size: int,
    seed: int,
    batch: int,
) -> list[Candidate]:
    """Return the `size` candidates of batch number `batch`.

    The sampler is made anew for every batch from (seed, batch): a search that was killed proposes
    what it would have proposed.

    Raises
    ------
    UsageError
        There is no such sampler.
    """
    if sampler not in SAMPLERS:
        raise UsageError(
            f"there is no sampler '{sampler}'{did_you_mean(sampler, SAMPLERS)}; there are "
            f"{', '.join(SAMPLERS)}"
        )
    return SAMPLERS[sampler](space, finished, size, seed, batch)


def _random(
    space: SpaceConfig, finished: Sequence[Trial], size: int, seed: int, batch: int
) -> list[Candidate]:
    rng = np.random.default_rng([seed, batch])
    return [
        candidate_from(at_point(space, rng.random(n_dimensions(space)).tolist()))
        for _ in range(size)
    ]


def _qmc(
    space: SpaceConfig, finished: Sequence[Trial], size: int, seed: int, batch: int
) -> list[Candidate]:
    # Optuna's own QMC leaves out categories and parameters that not all candidates have, which are
    # most of this space; and its place in the sequence lives in the study.
    from scipy.stats import qmc

    sequence = qmc.Sobol(n_dimensions(space), scramble=True, rng=np.random.default_rng(seed))
    if finished:
        sequence.fast_forward(len(finished))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a batch need not be a power of two
        points = sequence.random(size)
    return [candidate_from(at_point(space, point.tolist())) for point in points]


def _tpe(
    space: SpaceConfig, finished: Sequence[Trial], size: int, seed: int, batch: int
) -> list[Candidate]:
    optuna = quiet_optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna marks `multivariate` and `group` as experimental
        sampler = optuna.samplers.TPESampler(
            seed=int(np.random.SeedSequence([seed, batch]).generate_state(1)[0]),
            multivariate=True,
            group=True,
            # Candidates of the same batch do not know each other's values: spread them.
            constant_liar=True,
        )
    study = optuna.create_study(sampler=sampler, direction="minimize")
    study.add_trials([_as_ranks(trial, space) for trial in finished])
    return [_ask(study.ask(), space) for _ in range(size)]


def _ask(trial: optuna.Trial, space: SpaceConfig) -> Candidate:
    # Widths and batch sizes are asked for by rank: 48 is nearer to 64 than 8 is, and a category
    # knows no neighbours.
    widths, batch_sizes = sorted(space.width), sorted(space.batch_size)
    depth = trial.suggest_int("depth", *space.depth)
    ranks = [trial.suggest_int(width_name(i), 0, len(widths) - 1) for i in range(depth)]
    activation: Any = trial.suggest_categorical("activation", space.activation)
    low, high = space.learning_rate
    return Candidate(
        tuple(widths[rank] for rank in ranks),
        activation,
        trial.suggest_float("learning_rate", low, high, log=True),
        batch_sizes[trial.suggest_int("batch_size", 0, len(batch_sizes) - 1)],
    )


def _as_ranks(trial: Trial, space: SpaceConfig) -> optuna.trial.FrozenTrial:
    """Return a finished trial as `_ask` would have asked for it."""
    optuna = quiet_optuna()
    widths, batch_sizes = sorted(space.width), sorted(space.batch_size)
    candidate = trial.candidate
    ranks = {width_name(i): widths.index(width) for i, width in enumerate(candidate.hidden)}
    distribution = optuna.distributions
    return optuna.trial.create_trial(  # type: ignore[no-any-return]
        state=optuna.trial.TrialState[trial.optuna_state],
        value=trial.value,
        intermediate_values=dict(trial.rungs),
        params={
            "depth": len(candidate.hidden),
            **ranks,
            "activation": candidate.activation,
            "learning_rate": candidate.learning_rate,
            "batch_size": batch_sizes.index(candidate.batch_size),
        },
        distributions={
            "depth": distribution.IntDistribution(*space.depth),
            **{name: distribution.IntDistribution(0, len(widths) - 1) for name in ranks},
            "activation": distribution.CategoricalDistribution(space.activation),
            "learning_rate": distribution.FloatDistribution(*space.learning_rate, log=True),
            "batch_size": distribution.IntDistribution(0, len(batch_sizes) - 1),
        },
    )


SAMPLERS: dict[str, Sampler] = {"random": _random, "tpe": _tpe, "qmc": _qmc}
