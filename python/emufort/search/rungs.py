"""What a worker process does: pure functions of a unit of work and the data it was given."""

from __future__ import annotations

from dataclasses import dataclass, replace

from emufort.training import StepPlan, Trainer, TrainerState
from emufort.training.trainer import Listener, ignore
from emufort.workers.trainer_cache import TrainerCache
from emufort.workers.watch import Cell

#: Looks at the validation rows of an annealed rung; the best of them counts, as in step 2.
_LOOKS = 10


@dataclass(frozen=True)
class RungUnit:
    """Take one candidate up to a rung.

    Attributes
    ----------
    state
        Where the training stands; the worker gets a copy.
    until_epoch, patience
        See `Trainer.run_epochs`.
    anneal
        Train anew for `until_epoch` epochs with a learning rate that falls to zero, instead of
        going on at a constant one; there is no patience then.
    rows, first
        Rows of the subset to train on, from row `first`; 0 rows for all.
    target
        What the network predicts, see `emufort.dataset.targets`.
    cell
        Where the worker says how far it is, if anybody listens.
    """

    state: TrainerState
    until_epoch: int
    patience: int
    rows: int = 0
    first: int = 0
    target: str = ""
    anneal: bool = False
    cell: Cell | None = None

    def seconds_estimate(self, n_train: int) -> float:
        """Return a rough time, to start the long units first."""
        task = self.state.task
        per_epoch = max(1, (self.rows or n_train) // task.batch_size)
        done = 0 if self.anneal else self.state.epoch
        return task.seconds_estimate((self.until_epoch - done) * per_epoch)


def run_rung(trainers: TrainerCache, unit: RungUnit) -> TrainerState:
    """Do the work of a unit; its own state stays as it is."""
    trainer = trainers.trainer(unit.rows, unit.first, unit.target)
    if unit.anneal:
        state = annealed(trainer, unit.state, unit.until_epoch, unit.cell)
    else:
        state = trainer.run_epochs(
            replace(unit.state), unit.until_epoch, unit.patience, _listener(unit)
        )
    judge = trainers.judges.get(unit.target)
    if judge is not None:
        state.judged = judge.error(state)
    return state


def _listener(unit: RungUnit) -> Listener:
    """Return what writes the share of the unit that is done into its cell."""
    first = unit.state.epoch
    if unit.cell is None or unit.until_epoch <= first:
        return ignore
    tell = unit.cell.teller()

    def listener(state: TrainerState) -> None:
        tell((state.epoch - first) / (unit.until_epoch - first))

    return listener


def annealed(
    trainer: Trainer, before: TrainerState, epochs: int, cell: Cell | None = None
) -> TrainerState:
    """Train the task of `before` from its first weights by a plan of `epochs` epochs.

    Of `before` only the time that was spent is taken over.
    """
    task = before.task
    steps = epochs * (trainer.n_train // min(task.batch_size, trainer.n_train))
    plan = StepPlan.annealed(steps, min(_LOOKS, steps), curve=False)
    tell = None if cell is None else cell.teller()

    def listener(state: TrainerState) -> None:
        if tell is not None:
            tell(state.step / steps)

    state = trainer.run_steps(TrainerState.initial(task), plan, listener)
    return replace(state, epoch=epochs, seconds=before.seconds + state.seconds)


def with_more_rows(state: TrainerState) -> TrainerState:
    """Return a state that goes on with other rows: patience lost on few rows says nothing."""
    stopped = "" if state.stopped == "patience" else state.stopped
    return replace(state, stopped=stopped, stale=0)
