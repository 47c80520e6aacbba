"""Work of a worker process in step 1: pure functions of a unit of work and the training data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from emufort.training import StepPlan, Trainer, TrainerState
from emufort.training.trainer import Listener, ignore
from emufort.workers.trainer_cache import TrainerCache
from emufort.workers.watch import Cell

#: Evaluations on the validation rows in an annealed rung; the best one counts, as in step 2.
_LOOKS = 10


@dataclass(frozen=True)
class RungUnit:
    """Train one candidate up to a rung.

    Attributes
    ----------
    state
        The training so far; the worker gets a copy.
    until_epoch, patience
        See `Trainer.run_epochs`.
    anneal
        Train from the first weights for `until_epoch` epochs with a learning rate that falls to
        zero, instead of continuing at a constant rate; there is no patience then.
    rows, first
        Rows of the subset to train on, from row `first`; 0 rows means all.
    target
        Target that the network predicts, see `emufort.dataset.targets`.
    cell
        Cell where the worker writes its progress, or None.
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
        """Return a rough time in arbitrary units, used to start the long units first."""
        task = self.state.task
        per_epoch = max(1, (self.rows or n_train) // task.batch_size)
        done = 0 if self.anneal else self.state.epoch
        return task.seconds_estimate((self.until_epoch - done) * per_epoch)


def run_rung(trainers: TrainerCache, unit: RungUnit) -> TrainerState:
    """Carry out a unit; the state in the unit is not changed."""
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
    """Return a listener that writes the finished share of the unit into its cell."""
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
    """Train the task of `before` from its first weights with a plan of `epochs` epochs.

    Only the time spent is carried over from `before`.

    Parameters
    ----------
    trainer
        Trainer on the rows of the rung.
    before
        State whose task is trained.
    epochs
        Length of the training.
    cell
        Cell where the worker writes its progress, or None.
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
    """Return a state without lost patience, because patience lost on few rows means nothing."""
    stopped = "" if state.stopped == "patience" else state.stopped
    return replace(state, stopped=stopped, stale=0)
