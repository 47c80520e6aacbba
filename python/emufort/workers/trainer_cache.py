"""The trainers that a worker keeps, one for each target and range of rows that it has used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from emufort.training import Arrays, StepPlan, Trainer, TrainerState, make_trainer
from emufort.training.trainer import Listener, ignore

if TYPE_CHECKING:
    from emufort.workers.judge import Judge


class TrainerCache:
    """A `Trainer` on all rows, and trainers for fewer rows or other targets, made on first use.

    Parameters
    ----------
    arrays
        Target -> data, see `emufort.dataset.targets`.
    judges
        Target -> judge of its networks, where there are several targets.
    """

    def __init__(
        self,
        arrays: Mapping[str, Arrays],
        backend: str = "torch",
        device: str = "cpu",
        judges: Mapping[str, Judge] | None = None,
    ) -> None:
        self._arrays = arrays
        self._backend = backend, device
        self._trainers: dict[tuple[int, int, str], Trainer] = {}
        self.judges = judges or {}

    def trainer(self, rows: int = 0, first: int = 0, target: str = "") -> Trainer:
        """Return the trainer for `rows` rows from row `first`; 0 rows means all rows.

        Parameters
        ----------
        rows
            Number of training rows.
        first
            First training row.
        target
            Name of the target; empty if there is only one.
        """
        arrays = self._arrays[target]
        n = len(arrays.x_train)
        rows = min(rows or n, n - first)
        key = rows, first, target
        if key not in self._trainers:
            part = slice(first, first + rows)
            arrays = replace(arrays, x_train=arrays.x_train[part], y_train=arrays.y_train[part])
            self._trainers[key] = make_trainer(arrays, *self._backend)
        return self._trainers[key]

    def run_epochs(
        self,
        state: TrainerState,
        until_epoch: int,
        patience: int,
        listener: Listener = ignore,
    ) -> TrainerState:
        """See `Trainer.run_epochs`."""
        return self.trainer().run_epochs(state, until_epoch, patience, listener)

    def run_steps(
        self, state: TrainerState, plan: StepPlan, listener: Listener = ignore
    ) -> TrainerState:
        """See `Trainer.run_steps`."""
        return self.trainer().run_steps(state, plan, listener)
