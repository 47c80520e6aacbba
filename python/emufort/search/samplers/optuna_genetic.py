"""Optuna's genetic samplers for whole batches of candidates.

Optuna goes through all finished trials for every candidate to find its generation and the parents.
These are the same for a whole batch, so this module finds them once per batch. The candidates are
identical to those of Optuna.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from emufort.search.samplers.optuna_quiet import quiet_optuna


@cache
def for_batches(name: str) -> Any:
    """Return the class `name` of `optuna.samplers` with a method ``begin_batch``."""
    kind: Any = getattr(quiet_optuna().samplers, name)

    class ForBatches(kind):  # type: ignore[misc]
        _generation: int | None = None
        #: Generation, number of requests for its parents, and the parents.
        _parents: tuple[int, int, list[Any]] = (-1, 0, [])

        def begin_batch(self) -> None:
            """Discard the known generation, because trials have been added."""
            self._generation = None

        def get_trial_generation(self, study: Any, trial: Any) -> int:
            if self._generation is None:
                self._generation = int(super().get_trial_generation(study, trial))
            else:
                study._storage.set_trial_system_attr(
                    trial._trial_id, self._get_generation_key(), self._generation
                )
            return self._generation

        def get_parent_population(self, study: Any, generation: int) -> list[Any]:
            known, times, parents = self._parents
            # The first result has another order than all later ones, which are equal.
            if known != generation or times < 2:
                times = times + 1 if known == generation else 1
                parents = super().get_parent_population(study, generation)
                self._parents = generation, times, parents
            return parents

    return ForBatches
