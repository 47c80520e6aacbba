"""Samplers of Optuna that the caller gives as objects.

An object is never written to a file. A search that continues takes an equal object in its initial
state, lets it propose all earlier batches again and compares the candidates.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from emufort.config import SpaceConfig
from emufort.errors import EmufortError, UsageError
from emufort.messages import one_line
from emufort.search.samplers.base import Accept
from emufort.search.samplers.optuna import ReplayedSampler, frozen
from emufort.search.samplers.optuna_quiet import quiet_optuna
from emufort.search.space import Candidate
from emufort.search.trials import Trial

if TYPE_CHECKING:
    import optuna

#: Longest description; a hash represents the rest of a longer one.
_LONGEST = 1000
#: Levels of nested objects that are described and seeded.
_DEEPEST = 6


def describe(sampler: optuna.samplers.BaseSampler) -> str:
    """Return class and arguments of a sampler as one line, such as ``RandomSampler()``.

    The arguments are those that the object keeps as attributes of their names. Seeds are left out,
    because the search sets them.

    Raises
    ------
    UsageError
        `sampler` is no sampler of Optuna.
    """
    if not isinstance(sampler, quiet_optuna().samplers.BaseSampler):
        raise UsageError(
            f"sampler is the name of a sampler or an object of optuna.samplers, not {sampler!r}"
        )
    text = " ".join(_described(sampler).split())
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}... {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _described(value: Any, depth: int = 0) -> str:
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return f"array{value.shape} {digest[:12]}"
    if isinstance(value, type) or inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    if depth < _DEEPEST:
        if isinstance(value, Mapping):
            pairs = (f"{k!r}: {_described(v, depth + 1)}" for k, v in value.items())
            return f"{{{', '.join(pairs)}}}"
        if isinstance(value, list | tuple):
            return f"[{', '.join(_described(v, depth + 1) for v in value)}]"
    kind = type(value)
    public = getattr(quiet_optuna().samplers, kind.__name__, None) is kind
    name = f"{'optuna.samplers' if public else kind.__module__}.{kind.__qualname__}"
    if depth >= _DEEPEST:
        return name
    known = _attributes(value)
    pairs = (f"{k}={_described(v, depth + 1)}" for k, v in known.items())
    return f"{name}({', '.join(pairs)})"


def _attributes(value: Any) -> dict[str, Any]:
    """Return the arguments of the class of `value` that the object keeps under their names."""
    kept = dict(getattr(value, "__dict__", {}))
    for part in list(kept.values()):
        if isinstance(part, tuple) and hasattr(part, "_asdict"):
            kept = {**part._asdict(), **kept}
    try:
        names = inspect.signature(type(value)).parameters
    except (TypeError, ValueError):  # a class of C has none
        return {}
    found = {}
    for name in names:
        if name == "seed":
            continue
        for key in (f"_{name}", name):
            if key in kept:
                found[name] = kept[key]
                break
    return found


def seed(value: Any, seeds: np.random.SeedSequence) -> None:
    """Seed every random number generator that `value` and the objects in it hold.

    Parameters
    ----------
    value
        An object, such as a sampler.
    seeds
        Determines all seeds.
    """
    kinds = (np.random.Generator, np.random.RandomState, random.Random)
    generators = [part for part in _held_objects(value, set(), 0) if isinstance(part, kinds)]
    for generator, own in zip(generators, seeds.spawn(len(generators)), strict=True):
        number = _number(own)
        if isinstance(generator, np.random.Generator):
            generator.bit_generator.state = type(generator.bit_generator)(number).state
        else:
            generator.seed(number)


def _number(seeds: np.random.SeedSequence) -> int:
    return int(seeds.generate_state(1)[0])


def _held_objects(value: Any, seen: set[int], depth: int) -> Iterator[Any]:
    """Yield `value` and the objects in it in the order of its attributes, each once."""
    if id(value) in seen or depth > _DEEPEST or isinstance(value, type) or inspect.isroutine(value):
        return
    seen.add(id(value))
    if type(value).__name__ == "LazyRandomState":
        value = value.rng  # created on first use
    yield value
    parts: Sequence[Any] = ()
    if isinstance(value, Mapping):
        parts = list(value.values())
    elif isinstance(value, list | tuple):
        parts = value
    elif hasattr(value, "__dict__"):
        parts = list(vars(value).values())
    for part in parts:
        yield from _held_objects(part, seen, depth + 1)


class ObjectSampler(ReplayedSampler):
    """A sampler object of the caller, which is copied and seeded for every batch.

    Parameters
    ----------
    sampler
        The object; it is not changed.
    space
        The search space.
    number
        Random seed of the search.
    accept
        Returns whether a candidate may be proposed.

    Raises
    ------
    UsageError
        The object cannot be copied.
    """

    def __init__(
        self,
        sampler: optuna.samplers.BaseSampler,
        space: SpaceConfig,
        number: int,
        accept: Accept,
    ) -> None:
        self._name, self._seed = describe(sampler), number
        try:
            copied = copy.deepcopy(sampler)
        except Exception as error:
            raise UsageError(
                f"the sampler object {self._name} cannot be copied: {one_line(error)}"
            ) from error
        # A sequence, such as that of QMCSampler, has one seed for the whole study.
        for part in _held_objects(copied, set(), 0):
            if isinstance(getattr(part, "_seed", None), int):
                part._seed = _number(np.random.SeedSequence(number))
        # TPE ignores parameters that a trial lacks; other samplers need the same ones in all.
        whole = not isinstance(sampler, quiet_optuna().samplers.TPESampler)
        super().__init__(copied, space, accept, whole)

    def propose(self, size: int, batch: int) -> list[Candidate]:
        """Return the `size` candidates of batch number `batch`."""
        seed(self._sampler, np.random.SeedSequence([self._seed, batch]))
        try:
            return super().propose(size, batch)
        except EmufortError:
            raise
        except Exception as error:
            raise EmufortError(
                f"the sampler object {self._name} failed: {type(error).__name__}: {one_line(error)}"
            ) from error

    def learn(self, trials: Sequence[Trial]) -> None:
        """Add finished trials that the sampler did not propose."""
        self._study.add_trials([frozen(trial, self._space, self._whole) for trial in trials])
