"""Which candidates to try next: determined by the finished trials, the seed and the batch.

A search that was killed proposes what it would have proposed: a sampler is made anew for every
batch from (seed, batch) and the trials, or, if it keeps what it knows to itself (CMA-ES, NSGA), it
is asked again for all batches before.
"""

from __future__ import annotations

import functools
import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from emufort.config import SpaceConfig
from emufort.errors import EmufortError
from emufort.search.samplers.cmaes_evolution import Evolution, folded, least_population
from emufort.search.samplers.options import OWN, check_options, make_optuna_sampler, sampler_name
from emufort.search.samplers.optuna_quiet import quiet_optuna
from emufort.search.samplers.parzen_densities import MOST_GOOD, good_and_bad, propose_parzen
from emufort.search.space import (
    Candidate,
    at_point,
    candidate_from,
    dimensions,
    n_dimensions,
    parameters_of,
    to_point,
)
from emufort.search.trials import Trial

if TYPE_CHECKING:
    import optuna

Accept = Callable[[Candidate], bool]

#: Proposals per wanted candidate before a constraint is called impossible.
_TRIES = 500
#: Where the front is searched for, a loss above this multiple of the lowest one is of little use
#: however cheap the network: an error three times that of the best.
_NO_USE = 10.0


def everything(candidate: Candidate) -> bool:
    """Accept any candidate."""
    return True


def best_first(trials: Sequence[Trial]) -> np.ndarray:
    """Return the positions of `trials`, best first.

    Who was stopped early comes after all that went on, whatever its loss.
    """
    levels = [-len(t.rungs) for t in trials]
    return np.lexsort(([t.value for t in trials], levels))


def front_first(trials: Sequence[Trial]) -> np.ndarray:
    """Return the positions of `trials`: those on the front of loss against cost come first.

    They are followed by the front of the others, and so on, until there are enough good ones;
    the rest comes by its loss. Within a front trials are ordered such that the first ones are
    spread over all costs. Losses are those at the first rung, which all have. A loss that is far
    above the lowest one is of no use however cheap the network.
    """
    losses = np.array([t.rungs[0][1] if t.rungs else t.value for t in trials], dtype=float)
    cost = np.array([t.architecture.relative_cost for t in trials])
    usable = losses <= _NO_USE * losses[np.isfinite(losses)].min(initial=np.inf)
    left = [int(i) for i in np.lexsort((losses, cost)) if usable[i]]
    found: list[int] = []
    while left and len(found) < MOST_GOOD:
        lowest = np.minimum.accumulate(losses[left])
        on_it = np.concatenate([[True], losses[left][1:] < lowest[:-1]])
        front = [i for i, on in zip(left, on_it, strict=True) if on]
        left = [i for i, on in zip(left, on_it, strict=True) if not on]
        spread = np.linspace(0, len(front) - 1, min(len(front), MOST_GOOD - len(found)))
        first = [front[round(at)] for at in spread.tolist()]
        found += [*first, *(i for i in front if i not in first)]
    taken = set(found)
    return np.array([*found, *(int(i) for i in best_first(trials) if int(i) not in taken)])


class Proposer(Protocol):
    """Proposes batch after batch; is told what became of each before the next."""

    def propose(self, size: int, batch: int) -> list[Candidate]:
        """Return the `size` candidates of batch number `batch`."""

    def add(self, trials: Sequence[Trial]) -> None:
        """Take note of the finished trials of the last batch."""


def make_proposer(
    sampler: str,
    space: SpaceConfig,
    seed: int,
    finished: Sequence[Trial] = (),
    options: Mapping[str, Any] | None = None,
    accept: Accept = everything,
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
    if name in OWN:
        merged = {**OWN[name], **options}
        kinds: dict[str, Callable[..., Proposer]] = {
            "random": _Random,
            "qmc": _Qmc,
            "parzen": _Parzen,
            "cmaes": _Cmaes,
        }
        proposer = kinds[name](space, seed, merged, accept)
    elif name in _KEEPS_TO_ITSELF:
        proposer = _Replayed(name, space, seed, options, accept)
    else:
        proposer = _Renewed(name, space, seed, options, accept)
    if name in _KEEPS_TO_ITSELF:
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


def _wanted(proposals: Iterator[Candidate], size: int, accept: Accept) -> list[Candidate]:
    """Return the first `size` proposals that are accepted."""
    found = []
    for tried, candidate in enumerate(proposals):
        if accept(candidate):
            found.append(candidate)
            if len(found) == size:
                break
        elif tried >= _TRIES * size:
            raise EmufortError(
                f"of {tried} candidates proposed only {len(found)} satisfy search.max_ns; raise "
                "it or make the networks of search.space smaller"
            )
    return found


# ------------------------------------------------------------------ on the cube


class _Cube:
    def __init__(
        self, space: SpaceConfig, seed: int, options: Mapping[str, Any], accept: Accept
    ) -> None:
        self._space, self._seed, self._accept = space, seed, accept
        self._options = dict(options)
        self._n = n_dimensions(space)

    def add(self, trials: Sequence[Trial]) -> None:
        pass

    def _uniform(self, rng: np.random.Generator) -> Iterator[Candidate]:
        while True:
            yield at_point(self._space, rng.random(self._n).tolist())


class _Random(_Cube):
    def propose(self, size: int, batch: int) -> list[Candidate]:
        rng = np.random.default_rng([self._seed, batch])
        return _wanted(self._uniform(rng), size, self._accept)


class _Qmc(_Cube):
    """One Sobol sequence for the whole search.

    Optuna's own leaves out categories and parameters that not all candidates have, which are most
    of this space; and its place in the sequence lives in the study.
    """

    def __init__(
        self, space: SpaceConfig, seed: int, options: Mapping[str, Any], accept: Accept
    ) -> None:
        super().__init__(space, seed, options, accept)
        self._done = 0
        self._given = 0
        self._sequence = self._points()

    def _points(self) -> Iterator[Candidate]:
        from scipy.stats import qmc

        scramble = bool(self._options.get("scramble", True))
        sobol = qmc.Sobol(self._n, scramble=scramble, rng=np.random.default_rng(self._seed))
        while True:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a batch need not be a power of two
                points = sobol.random(64)
            for point in points.tolist():
                yield at_point(self._space, point)

    def add(self, trials: Sequence[Trial]) -> None:
        self._done += len(trials)

    def propose(self, size: int, batch: int) -> list[Candidate]:
        if self._given != self._done:
            self._sequence, self._given = self._points(), 0
            if self._done:
                self._given = len(_wanted(self._sequence, self._done, self._accept))
        self._given += size
        return _wanted(self._sequence, size, self._accept)


class _Parzen(_Cube):
    def __init__(
        self, space: SpaceConfig, seed: int, options: Mapping[str, Any], accept: Accept
    ) -> None:
        super().__init__(space, seed, options, accept)
        self._start = _Qmc(space, seed, {}, accept)
        self._finished: list[Trial] = []
        self._points: list[np.ndarray] = []

    def add(self, trials: Sequence[Trial]) -> None:
        self._start.add(trials)
        self._finished.extend(trials)
        self._points.extend(to_point(self._space, trial.candidate) for trial in trials)

    def propose(self, size: int, batch: int) -> list[Candidate]:
        if len(self._finished) < self._options["startup"]:
            return self._start.propose(size, batch)
        rng = np.random.default_rng([self._seed, batch])
        order = (front_first if self._options["aim"] == "front" else best_first)(self._finished)
        good, bad = (
            np.array([self._points[i] for i in part]).reshape(-1, self._n)
            for part in good_and_bad(order, self._options["gamma"], self._options["history"])
        )
        found = propose_parzen(self._space, good, bad, size, rng, self._options, self._accept)
        if len(found) < size:
            found += _wanted(self._uniform(rng), size - len(found), self._accept)
        return found


class _Cmaes(_Cube):
    """CMA-ES in the coordinates that have an order; the others are drawn at random."""

    def __init__(
        self, space: SpaceConfig, seed: int, options: Mapping[str, Any], accept: Accept
    ) -> None:
        super().__init__(space, seed, options, accept)
        self._ordered = np.array([not d.nominal for d in dimensions(space)])
        self._evolution: Evolution | None = None
        self._asked: list[np.ndarray] = []

    def propose(self, size: int, batch: int) -> list[Candidate]:
        n = int(self._ordered.sum())
        if self._evolution is None:
            population = self._options["popsize"] or max(size, least_population(n))
            self._evolution = Evolution(n, population, self._options)
        evolution = self._evolution
        seeds = np.random.SeedSequence([self._seed, batch])
        evolution.seed(int(seeds.generate_state(1)[0]))
        rng = np.random.default_rng(seeds)
        self._asked = []

        def proposals() -> Iterator[Candidate]:
            while True:
                point, drawn = evolution.ask(), rng.random(self._n)
                drawn[self._ordered] = folded(point)
                candidate = at_point(self._space, drawn.tolist())
                if self._accept(candidate):
                    self._asked.append(point)
                yield candidate

        return _wanted(proposals(), size, self._accept)

    def add(self, trials: Sequence[Trial]) -> None:
        if self._evolution is not None:
            # As `best_first`: who was stopped early comes after all that went on.
            keys = [(-float(len(t.rungs)), t.value) for t in trials]
            self._evolution.tell(self._asked, keys)
        self._asked = []


# --------------------------------------------------------------- Optuna's samplers

#: Samplers that keep their state to themselves, where a table of trials cannot bring it back.
_KEEPS_TO_ITSELF = ("cmaes", "nsga2", "nsga3")


class _Renewed:
    """A sampler that knows what the finished trials say: made anew for every batch.

    With the option ``history`` it is told of so many trials at most, see `good_and_bad`: what
    Optuna spends on a candidate grows with the trials that it knows.
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

        found = _wanted(proposals(), size, self._accept)
        failed = quiet_optuna().trial.TrialState.FAIL
        for trial in asked:
            # They come back as finished trials; Optuna takes no notice of failed ones.
            self._study.tell(trial, state=failed)
        return found

    def add(self, trials: Sequence[Trial]) -> None:
        new = [_frozen(trial, self._space, whole=self._name != "tpe") for trial in trials]
        self._finished.extend(trials)
        self._told.extend(new)
        self._study.add_trials(new)

    def _worth_telling(self) -> list[int]:
        """Return the positions of the trials that the sampler is told of, in their order."""
        room = self._history - MOST_GOOD
        order = best_first(self._finished)
        told = {int(i) for part in good_and_bad(order, 0.1, room) for i in part}
        # Exactly so many: with fewer than it wants to start with, the sampler would draw at random.
        others = [int(i) for i in order if int(i) not in told]
        more = max(0, min(self._history - len(told), len(others)))
        evenly = np.linspace(0, len(others) - 1, more).round().astype(int) if more else ()
        return sorted(told | {others[i] for i in evenly})


class _Replayed:
    """A sampler that is made once and told in order."""

    def __init__(
        self, name: str, space: SpaceConfig, seed: int, options: Mapping[str, Any], accept: Accept
    ) -> None:
        self._space, self._accept = space, accept
        self._sampler = make_optuna_sampler(name, options, seed)
        self._study = quiet_optuna().create_study(direction="minimize", sampler=self._sampler)
        self._asked: list[optuna.Trial] = []

    def propose(self, size: int, batch: int) -> list[Candidate]:
        self._asked = []
        failed = quiet_optuna().trial.TrialState.FAIL
        if hasattr(self._sampler, "begin_batch"):
            self._sampler.begin_batch()

        def proposals() -> Iterator[Candidate]:
            while True:
                trial = self._study.ask()
                candidate = _suggest(trial, self._space, whole=True)
                if self._accept(candidate):
                    self._asked.append(trial)
                else:
                    self._study.tell(trial, state=failed)
                yield candidate

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _wanted(proposals(), size, self._accept)

    def add(self, trials: Sequence[Trial]) -> None:
        states = quiet_optuna().trial.TrialState
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for asked, trial in zip(self._asked, trials, strict=True):
                if trial.finite:
                    # Stopped early or not: populations are made of trials that count.
                    self._study.tell(asked, trial.value)
                else:
                    self._study.tell(asked, state=states.FAIL)
        self._asked = []


@functools.lru_cache(maxsize=4)
def _distributions(space: SpaceConfig) -> dict[str, Any]:
    """Return Optuna's view of the coordinates.

    Choices with an order are asked for by rank: 48 is nearer to 64 than 8 is, and a category knows
    no neighbours.
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
    """Ask for a candidate; if `whole`, also for widths of layers that it does not have."""
    known = {d.name: d for d in dimensions(space)}
    values: dict[str, Any] = {}
    for name, distribution in _distributions(space).items():
        if not whole and not _is_used(name, values.get("depth", space.depth[1])):
            continue
        raw = _ask(trial, name, distribution)
        by_rank = name != "depth" and not known[name].nominal and known[name].choices
        values[name] = known[name].choices[raw] if by_rank else raw
    return candidate_from(space, values)


def _ask(trial: optuna.Trial, name: str, distribution: Any) -> Any:
    d = quiet_optuna().distributions
    if isinstance(distribution, d.CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, d.IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high)
    return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)


def _frozen(trial: Trial, space: SpaceConfig, whole: bool) -> optuna.trial.FrozenTrial:
    """Return a finished trial as `_suggest` would have asked for it."""
    optuna = quiet_optuna()
    values = parameters_of(space, trial.candidate)
    distributions = _distributions(space)
    used = {name: d for name, d in distributions.items() if whole or name in values}
    known = {d.name: d for d in dimensions(space)}
    params: dict[str, Any] = {}
    for name in used:
        dimension = known[name]
        if name not in values:
            params[name] = len(dimension.choices) // 2  # a layer that it does not have
        elif name != "depth" and not dimension.nominal and dimension.choices:
            params[name] = dimension.choices.index(values[name])
        else:
            params[name] = values[name]
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
