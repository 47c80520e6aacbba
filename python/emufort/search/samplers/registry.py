"""Create the proposer of a search; proposals depend on finished trials, seed and batch alone.

An interrupted search proposes the same candidates as an uninterrupted one. A sampler is created
for every batch from (seed, batch) and the trials. A sampler with internal state (CMA-ES, NSGA) is
replayed: it proposes all earlier batches again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emufort.config import SpaceConfig
from emufort.errors import EmufortError
from emufort.search.samplers.base import Accept, Proposer, accept_all
from emufort.search.samplers.cmaes import CmaesProposer
from emufort.search.samplers.enqueued import EnqueuedFirst
from emufort.search.samplers.objects import ObjectSampler, describe
from emufort.search.samplers.options import (
    BUILT_IN_OPTIONS,
    OPTIONS_OF_TWO,
    check_options,
    make_optuna_sampler,
    sampler_name,
)
from emufort.search.samplers.optuna import RecreatedSampler, ReplayedSampler
from emufort.search.samplers.parzen import ParzenProposer
from emufort.search.samplers.qmc import QmcProposer
from emufort.search.samplers.uniform import UniformProposer
from emufort.search.space import Candidate
from emufort.search.trials import Trial

if TYPE_CHECKING:
    import optuna

#: Samplers that need no Optuna -> their proposer; `options` has their options.
_BUILT_IN: dict[str, Callable[..., Proposer]] = {
    "random": UniformProposer,
    "qmc": QmcProposer,
    "parzen": ParzenProposer,
    "cmaes": CmaesProposer,
}
#: Samplers with internal state that the table of trials cannot restore.
_REPLAYED = ("cmaes", "nsga2", "nsga3")


def make_proposer(
    sampler: str | optuna.samplers.BaseSampler,
    space: SpaceConfig,
    seed: int,
    finished: Sequence[Trial] = (),
    options: Mapping[str, Any] | None = None,
    accept: Accept = accept_all,
    enqueued: Sequence[Candidate] = (),
    objectives: Sequence[str] = ("skill",),
) -> Proposer:
    """Return a proposer that has the `finished` trials.

    Parameters
    ----------
    sampler
        Name of a sampler, or a sampler of Optuna as an object, see `ObjectSampler`.
    space
        The search space.
    seed
        Random seed of the search.
    finished
        Trials that the search already has, in order.
    options
        Options of the sampler; defaults replace missing ones.
    accept
        Returns whether a candidate may be proposed.
    enqueued
        Candidates to propose first, see `EnqueuedFirst`.
    objectives
        ``("skill",)``, or ``("skill", "time")`` for the front of loss against predicted time.

    Raises
    ------
    UsageError
        There is no such sampler or option.
    EmufortError
        A replayed sampler does not propose the candidates of `finished` again.
    """
    if isinstance(sampler, str):
        name = sampler_name(sampler)
        what, why = f"sampler '{name}'", "another version of Optuna or cmaes?"
        proposer = _named(name, space, seed, dict(options or {}), accept, objectives)
    else:
        what = f"sampler object {describe(sampler)}"
        why = "it was used before, is another one, or draws numbers that the search cannot seed"
        proposer = ObjectSampler(sampler, space, seed, accept)
    if enqueued:
        proposer = EnqueuedFirst(enqueued, proposer, space)
    if isinstance(sampler, str) and name not in _REPLAYED:
        if finished:
            proposer.add(finished)
        return proposer
    for number, group in itertools.groupby(finished, key=lambda t: t.batch):
        trials = list(group)
        if proposer.propose(len(trials), number) != [t.candidate for t in trials]:
            raise EmufortError(
                f"the {what} does not propose again what it proposed when this search started "
                f"({why}); choose another --out"
            )
        proposer.add(trials)
    return proposer


def _named(
    name: str,
    space: SpaceConfig,
    seed: int,
    options: dict[str, Any],
    accept: Accept,
    objectives: Sequence[str],
) -> Proposer:
    check_options(name, options)
    if name in BUILT_IN_OPTIONS:
        two = OPTIONS_OF_TWO.get(name, {}) if "time" in objectives else {}
        merged = {**BUILT_IN_OPTIONS[name], **two, **options}
        if "aim" in two:
            merged["aim"] = two["aim"]
        return _BUILT_IN[name](space, seed, merged, accept)
    if name in _REPLAYED:
        sampler = make_optuna_sampler(name, options, seed)
        return ReplayedSampler(sampler, space, accept, objectives=objectives)
    return RecreatedSampler(name, space, seed, options, accept)


def propose(
    sampler: str,
    space: SpaceConfig,
    finished: Sequence[Trial],
    size: int,
    seed: int,
    batch: int,
) -> list[Candidate]:
    """Return the `size` candidates of batch number `batch` after the `finished` trials.

    Parameters
    ----------
    sampler
        Name of a sampler.
    space
        The search space.
    finished
        Trials that the search already has, in order.
    size
        Number of candidates.
    seed
        Random seed of the search.
    batch
        Number of the batch.

    Raises
    ------
    UsageError
        There is no such sampler.
    """
    return make_proposer(sampler, space, seed, finished).propose(size, batch)
