"""Which candidates to try next: determined by the finished trials, the seed and the batch.

A search that was killed proposes what it would have proposed: a sampler is made anew for every
batch from (seed, batch) and the trials, or, if it keeps what it knows to itself (CMA-ES, NSGA), it
is asked again for all batches before.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from emufort.config import SpaceConfig
from emufort.errors import EmufortError
from emufort.search.samplers.base import Accept, Proposer, accept_all
from emufort.search.samplers.cmaes import CmaesProposer
from emufort.search.samplers.options import BUILT_IN_OPTIONS, check_options, sampler_name
from emufort.search.samplers.optuna import RecreatedSampler, ReplayedSampler
from emufort.search.samplers.parzen import ParzenProposer
from emufort.search.samplers.qmc import QmcProposer
from emufort.search.samplers.uniform import UniformProposer
from emufort.search.space import Candidate
from emufort.search.trials import Trial

#: Samplers that need no Optuna -> their proposer; `options` has their options.
_BUILT_IN: dict[str, Callable[..., Proposer]] = {
    "random": UniformProposer,
    "qmc": QmcProposer,
    "parzen": ParzenProposer,
    "cmaes": CmaesProposer,
}
#: Samplers that keep their state to themselves, where a table of trials cannot bring it back.
_REPLAYED = ("cmaes", "nsga2", "nsga3")


def make_proposer(
    sampler: str,
    space: SpaceConfig,
    seed: int,
    finished: Sequence[Trial] = (),
    options: Mapping[str, Any] | None = None,
    accept: Accept = accept_all,
) -> Proposer:
    """Return a proposer that knows the `finished` trials.

    Raises
    ------
    UsageError
        There is no such sampler or option.
    EmufortError
        The sampler does not propose again what it proposed when `finished` were made.
    """
    name = sampler_name(sampler)
    options = dict(options or {})
    check_options(name, options)
    proposer: Proposer
    if name in BUILT_IN_OPTIONS:
        merged = {**BUILT_IN_OPTIONS[name], **options}
        proposer = _BUILT_IN[name](space, seed, merged, accept)
    elif name in _REPLAYED:
        proposer = ReplayedSampler(name, space, seed, options, accept)
    else:
        proposer = RecreatedSampler(name, space, seed, options, accept)
    if name in _REPLAYED:
        for number, group in itertools.groupby(finished, key=lambda t: t.batch):
            trials = list(group)
            if proposer.propose(len(trials), number) != [t.candidate for t in trials]:
                raise EmufortError(
                    f"the sampler '{name}' does not propose again what it did when this search "
                    "was begun (another version of Optuna or cmaes?); choose another --out"
                )
            proposer.add(trials)
    else:
        proposer.add(finished)
    return proposer


def propose(
    sampler: str,
    space: SpaceConfig,
    finished: Sequence[Trial],
    size: int,
    seed: int,
    batch: int,
) -> list[Candidate]:
    """Return the `size` candidates of batch number `batch` after the `finished` trials.

    Raises
    ------
    UsageError
        There is no such sampler.
    """
    return make_proposer(sampler, space, seed, finished).propose(size, batch)
