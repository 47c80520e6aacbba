"""What a worker has at hand: trainers for the data, or for the first rows of it."""

from __future__ import annotations

from dataclasses import replace

from emufort.training import Arrays, StepPlan, Trainer, TrainerState, make_trainer
from emufort.training.backend import Listener, ignore


class Workbench:
    """A `Trainer` on all rows that gives others for less rows; each is made on first use."""

    def __init__(self, arrays: Arrays, backend: str = "torch", device: str = "cpu") -> None:
        self._arrays = arrays
        self._backend = backend, device
        self._trainers: dict[tuple[int, int], Trainer] = {}

    def on(self, rows: int = 0, first: int = 0) -> Trainer:
        """Return the trainer for `rows` rows from row `first`; 0 rows stands for all of them."""
        n = len(self._arrays.x_train)
        rows = min(rows or n, n - first)
        if (rows, first) not in self._trainers:
            part = slice(first, first + rows)
            arrays = self._arrays
            arrays = replace(arrays, x_train=arrays.x_train[part], y_train=arrays.y_train[part])
            self._trainers[rows, first] = make_trainer(arrays, *self._backend)
        return self._trainers[rows, first]

    def run_epochs(self, state: TrainerState, until_epoch: int, patience: int) -> TrainerState:
        """See `Trainer.run_epochs`."""
        return self.on().run_epochs(state, until_epoch, patience)

    def run_steps(
        self, state: TrainerState, plan: StepPlan, listener: Listener = ignore
    ) -> TrainerState:
        """See `Trainer.run_steps`."""
        return self.on().run_steps(state, plan, listener)
