"""What a worker process does: pure functions of a unit of work and the data it was given."""

from __future__ import annotations

from dataclasses import dataclass, replace

from emufort.search.workbench import Workbench
from emufort.training import TrainerState


@dataclass(frozen=True)
class RungUnit:
    """Take one candidate up to a rung.

    Attributes
    ----------
    state
        Where the training stands; the worker gets a copy.
    until_epoch, patience
        See `Trainer.run_epochs`.
    rows, first
        Rows of the subset to train on, from row `first`; 0 rows for all.
    target
        What the network predicts, see `emufort.targets`.
    """

    state: TrainerState
    until_epoch: int
    patience: int
    rows: int = 0
    first: int = 0
    target: str = ""

    def seconds_estimate(self, n_train: int) -> float:
        """Return a rough time, to start the long units first."""
        task = self.state.task
        per_epoch = max(1, (self.rows or n_train) // task.batch_size)
        return task.seconds_estimate((self.until_epoch - self.state.epoch) * per_epoch)


def run_rung(bench: Workbench, unit: RungUnit) -> TrainerState:
    """Do the work of a unit; its own state stays as it is."""
    trainer = bench.on(unit.rows, unit.first, unit.target)
    state = trainer.run_epochs(replace(unit.state), unit.until_epoch, unit.patience)
    judge = bench.judges.get(unit.target)
    if judge is not None:
        state.judged = judge.error(state)
    return state


def with_more_rows(state: TrainerState) -> TrainerState:
    """Return a state that goes on with other rows: patience lost on few rows says nothing."""
    stopped = "" if state.stopped == "patience" else state.stopped
    return replace(state, stopped=stopped, stale=0)
