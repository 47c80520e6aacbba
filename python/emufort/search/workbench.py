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
        self._trainers: dict[int, Trainer] = {}

    def on(self, rows: int = 0) -> Trainer:
        """Return the trainer for the first `rows` rows; 0 stands for all of them."""
        n = len(self._arrays.x_train)
        rows = min(rows or n, n)
        if rows not in self._trainers:
            arrays = self._arrays
            head = replace(arrays, x_train=arrays.x_train[:rows], y_train=arrays.y_train[:rows])
            self._trainers[rows] = make_trainer(head, *self._backend)
        return self._trainers[rows]

    def run_epochs(self, state: TrainerState, until_epoch: int, patience: int) -> TrainerState:
        """See `Trainer.run_epochs`."""
        return self.on().run_epochs(state, until_epoch, patience)

    def run_steps(
        self, state: TrainerState, plan: StepPlan, listener: Listener = ignore
    ) -> TrainerState:
        """See `Trainer.run_steps`."""
        return self.on().run_steps(state, plan, listener)
