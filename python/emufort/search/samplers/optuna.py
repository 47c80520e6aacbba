"""Optuna's samplers for whole batches of candidates, on the search space of emufort."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from emufort.config import SpaceConfig
from emufort.search.samplers.base import Accept, accepted, best_first
from emufort.search.samplers.options import make_optuna_sampler
from emufort.search.samplers.optuna_quiet import quiet_optuna
from emufort.search.samplers.parzen_densities import MOST_GOOD, good_and_bad
from emufort.search.space import (
    Candidate,
    Dimension,
    candidate_from,
    dimensions,
    parameters_of,
)
from emufort.search.trials import Trial

if TYPE_CHECKING:
    import optuna


class RecreatedSampler:
    """A sampler that is created again for every batch from the finished trials.

    The time that Optuna needs for a candidate grows with the number of trials. The option
    ``history`` therefore limits the trials that the sampler gets, see `good_and_bad`.
    """

    def __init__(
        self, name: str, space: SpaceConfig, seed: int, options: Mapping[str, Any], accept: Accept
    ) -> None:
        self._name, self._space, self._seed = name, space, seed
        self._options = dict(options)
        self._history = int(self._options.pop("history", 0))
        self._accept = accept
        self._finished: list[Trial] = []
        self._told: list[optuna.trial.FrozenTrial] = []
        self._study = quiet_optuna().create_study(direction="minimize")

    def propose(self, size: int, batch: int) -> list[Candidate]:
        """Return the `size` candidates of batch number `batch`."""
        number = int(np.random.SeedSequence([self._seed, batch]).generate_state(1)[0])
        if 0 < self._history < len(self._told):
            self._study = quiet_optuna().create_study(direction="minimize")
            self._study.add_trials([self._told[i] for i in self._worth_telling()])
        self._study.sampler = make_optuna_sampler(self._name, self._options, number)
        asked = []

        def proposals() -> Iterator[Candidate]:
            while True:
                trial = self._study.ask()
                asked.append(trial)
                yield _suggest(trial, self._space, whole=self._name != "tpe")

        found = accepted(proposals(), size, self._accept)
        failed = quiet_optuna().trial.TrialState.FAIL
        for trial in asked:
            # These come back as finished trials by `add`; Optuna ignores failed trials.
            self._study.tell(trial, state=failed)
        return found

    def add(self, trials: Sequence[Trial]) -> None:
        """Add the finished trials of the last batch."""
        new = [frozen(trial, self._space, whole=self._name != "tpe") for trial in trials]
        self._finished.extend(trials)
        self._told.extend(new)
        self._study.add_trials(new)

    def learn(self, trials: Sequence[Trial]) -> None:
        """Add finished trials that the sampler did not propose."""
        self.add(trials)

    def _worth_telling(self) -> list[int]:
        """Return the positions of the trials that the sampler gets, in ascending order."""
        room = self._history - MOST_GOOD
        order = best_first(self._finished)
        told = {int(i) for part in good_and_bad(order, 0.1, room) for i in part}
        # Fill up to `history` trials: with fewer than n_startup_trials, Optuna draws at random.
        others = [int(i) for i in order if int(i) not in told]
        more = max(0, min(self._history - len(told), len(others)))
        evenly = np.linspace(0, len(others) - 1, more).round().astype(int) if more else ()
        return sorted(told | {others[i] for i in evenly})


class ReplayedSampler:
    """A sampler that is created once and gets all trials in their order.

    Parameters
    ----------
    sampler
        A sampler of Optuna in its initial state.
    space
        The search space.
    accept
        Returns whether a candidate may be proposed.
    whole
        Whether every trial has all parameters, also widths of layers that the candidate lacks.
    objectives
        With time as an objective, the sampler gets the predicted time as a second value.
    """

    def __init__(
        self,
        sampler: optuna.samplers.BaseSampler,
        space: SpaceConfig,
        accept: Accept,
        whole: bool = True,
        objectives: Sequence[str] = ("skill",),
    ) -> None:
        self._space, self._accept, self._whole = space, accept, whole
        self._sampler: Any = sampler
        self._study = quiet_optuna().create_study(
            directions=["minimize"] * len(objectives), sampler=self._sampler
        )
        self._asked: list[optuna.Trial] = []

    def propose(self, size: int, batch: int) -> list[Candidate]:
        """Return the `size` candidates of batch number `batch`."""
        self._asked = []
        failed = quiet_optuna().trial.TrialState.FAIL
        if hasattr(self._sampler, "begin_batch"):
            self._sampler.begin_batch()

        def proposals() -> Iterator[Candidate]:
            while True:
                trial = self._study.ask()
                candidate = _suggest(trial, self._space, self._whole)
                if self._accept(candidate):
                    self._asked.append(trial)
                else:
                    self._study.tell(trial, state=failed)
                yield candidate

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return accepted(proposals(), size, self._accept)

    def add(self, trials: Sequence[Trial]) -> None:
        """Add the finished trials of the last batch."""
        states = quiet_optuna().trial.TrialState
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for asked, trial in zip(self._asked, trials, strict=True):
                if not trial.finite:
                    self._study.tell(asked, state=states.FAIL)
                elif trial.pruned_at is None or self._whole:
                    # Complete even if stopped early: Optuna forms populations of complete trials.
                    self._study.tell(asked, list(trial.objective_values))
                else:
                    for epochs, value in trial.rungs:
                        asked.report(value, epochs)
                    self._study.tell(asked, state=states.PRUNED)
        self._asked = []

    def learn(self, trials: Sequence[Trial]) -> None:
        """Ignore the trials, because a population consists of proposals of the sampler."""


@functools.lru_cache(maxsize=4)
def rank_distributions(space: SpaceConfig) -> dict[str, Any]:
    """Return Optuna's distributions of the coordinates.

    Ordered choices are represented by their rank, because 48 is nearer to 64 than 8 is, and
    categories have no distances.
    """
    d = quiet_optuna().distributions
    found: dict[str, Any] = {}
    for dimension in dimensions(space):
        n = len(dimension.choices)
        if dimension.nominal:
            found[dimension.name] = d.CategoricalDistribution(dimension.choices)
        elif dimension.name == "depth":
            found["depth"] = d.IntDistribution(*space.depth)
        elif n:
            found[dimension.name] = d.IntDistribution(0, n - 1)
        else:
            found[dimension.name] = d.FloatDistribution(*space.learning_rate, log=True)
    return found


def _is_used(name: str, depth: int) -> bool:
    return not name.startswith("width_") or int(name.removeprefix("width_")) <= depth


def _suggest(trial: optuna.Trial, space: SpaceConfig, whole: bool) -> Candidate:
    """Ask Optuna for a candidate; if `whole`, also for widths of layers that it does not have."""
    known = {d.name: d for d in dimensions(space)}
    values: dict[str, Any] = {}
    for name, distribution in rank_distributions(space).items():
        if not whole and not _is_used(name, values.get("depth", space.depth[1])):
            continue
        raw = _ask(trial, name, distribution)
        values[name] = known[name].choices[raw] if _is_by_rank(known[name]) else raw
    return candidate_from(space, values)


def _ask(trial: optuna.Trial, name: str, distribution: Any) -> Any:
    d = quiet_optuna().distributions
    if isinstance(distribution, d.CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, d.IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high)
    return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)


def rank_parameters(space: SpaceConfig, candidate: Candidate) -> dict[str, Any]:
    """Return the parameters that a candidate in the space has, as in `rank_distributions`."""
    values = parameters_of(space, candidate)
    return {
        d.name: d.choices.index(values[d.name]) if _is_by_rank(d) else values[d.name]
        for d in dimensions(space)
        if d.name in values
    }


def _is_by_rank(dimension: Dimension) -> bool:
    return bool(dimension.choices) and not dimension.nominal and dimension.name != "depth"


def frozen(trial: Trial, space: SpaceConfig, whole: bool) -> optuna.trial.FrozenTrial:
    """Return a finished trial with the parameters that `_suggest` asks for."""
    optuna = quiet_optuna()
    known = rank_parameters(space, trial.candidate)
    used = {n: d for n, d in rank_distributions(space).items() if whole or n in known}
    # A layer that the candidate does not have gets the middle one of all widths.
    middle = {d.name: len(d.choices) // 2 for d in dimensions(space)}
    params = {name: known.get(name, middle[name]) for name in used}
    complete = trial.pruned_at is None or whole
    state = optuna.trial.TrialState.COMPLETE if complete else optuna.trial.TrialState.PRUNED
    if not math.isfinite(trial.value) and whole:
        state = optuna.trial.TrialState.FAIL
    return optuna.trial.create_trial(  # type: ignore[no-any-return]
        state=state,
        value=None if state is optuna.trial.TrialState.FAIL else trial.value,
        intermediate_values=dict(trial.rungs),
        params=params,
        distributions=used,
    )
