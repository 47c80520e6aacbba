"""What a worker process does: pure functions of a unit of work and the data it was given."""

from __future__ import annotations

from dataclasses import dataclass, replace

from emufort.training import Trainer, TrainerState


@dataclass(frozen=True)
class RungUnit:
    """Take one candidate up to a rung.

    Attributes
    ----------
    state
        Where the training stands; the worker gets a copy.
    until_epoch, patience
        See `Trainer.run_epochs`.
    """

    state: TrainerState
    until_epoch: int
    patience: int

    def seconds_estimate(self, n_train: int) -> float:
        """Return a rough time, to start the long units first."""
        task = self.state.task
        per_epoch = max(1, n_train // task.batch_size)
        return task.seconds_estimate((self.until_epoch - self.state.epoch) * per_epoch)


def run_rung(trainer: Trainer, unit: RungUnit) -> TrainerState:
    """Do the work of a unit; its own state stays as it is."""
    return trainer.run_epochs(replace(unit.state), unit.until_epoch, unit.patience)
