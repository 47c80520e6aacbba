"""Work of a worker process in step 1: pure functions of a unit of work and the training data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from emufort.training import StepPlan, Trainer, TrainerState, TrainingTask
from emufort.training.buckets import buckets
from emufort.training.trainer import Listener, ignore
from emufort.workers.trainer_cache import TrainerCache
from emufort.workers.watch import Cell

if TYPE_CHECKING:
    from emufort.training.torch_trainer import TorchTrainer
    from emufort.workers.pool import Executor

#: Evaluations on the validation rows in an annealed rung; the best one counts, as in step 2.
_LOOKS = 10
#: Most buckets of a group; on a GPU this many take turns.
_BUCKETS = 8


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
    return state.without_arrays() if unit.anneal else state


def run_rungs(trainers: TrainerCache, units: Sequence[RungUnit]) -> list[TrainerState]:
    """Carry out units side by side; all have the same length, rows and target."""
    from emufort.training.torch_together import train_together

    one = units[0]
    trainer = cast("TorchTrainer", trainers.trainer(one.rows, one.first, one.target))
    tellers = [None if unit.cell is None else unit.cell.teller() for unit in units]

    def tell(position: int, share: float) -> None:
        teller = tellers[position]
        if teller is not None:
            teller(share)

    judge = trainers.judges.get(one.target)
    if one.anneal:
        states = train_together(
            trainer,
            [TrainerState.undrawn(unit.state.task) for unit in units],
            lambda state: _plan(trainer, state.task, one.until_epoch),
            tell,
            keep_arrays=judge is not None,
        )
        states = [
            replace(state, epoch=one.until_epoch, seconds=unit.state.seconds + state.seconds)
            for unit, state in zip(units, states, strict=True)
        ]
    else:
        begun = [replace(unit.state) for unit in units]
        states = train_together(trainer, begun, (one.until_epoch, one.patience), tell)
    if judge is not None:
        for state in states:
            state.judged = judge.error(state)
    return [state.without_arrays() for state in states] if one.anneal else states


def groups_of(units: Sequence[RungUnit]) -> list[list[int]]:
    """Divide units into groups that workers train side by side.

    A group has whole buckets (`emufort.training.buckets`) of one length, number of rows and target.
    The result depends on the units alone, not on the workers.

    Parameters
    ----------
    units
        Units in any order.

    Returns
    -------
    list
        Positions of the units of each group, the group with the most work first.
    """
    alike: dict[tuple[object, ...], list[int]] = {}
    for position, unit in enumerate(units):
        key = unit.rows, unit.first, unit.target, unit.until_epoch
        alike.setdefault(key, []).append(position)
    groups: list[list[int]] = []
    for positions in alike.values():
        found = buckets([units[position].state.task for position in positions])
        # The buckets come with the most work first, so this gives every group about the same.
        n = -(-len(found) // _BUCKETS)
        for i in range(n):
            groups.append(sorted(positions[j] for bucket in found[i::n] for j in bucket))
    return groups


def carry_out(
    executor: Executor,
    units: Sequence[RungUnit],
    missing: Sequence[int],
    side_by_side: bool,
    n_train: int,
) -> Iterator[tuple[int, TrainerState, float]]:
    """Let workers carry out units, one by one or side by side, the longest first.

    Parameters
    ----------
    executor
        The workers.
    units
        All units of a rung.
    missing
        Positions of the units whose results are not known. Side by side, a group is carried out as
        a whole if any of its units is missing, so that the groups do not depend on interruptions.
    side_by_side
        Whether to train candidates of similar shape together.
    n_train
        Number of training rows of a unit that names none.

    Yields
    ------
    position
        Position of the unit.
    state
        Its training.
    spent
        Time that it takes to repeat the training, with its group [s].
    """
    if side_by_side:
        wanted = set(missing)
        groups = [group for group in groups_of(units) if not wanted.isdisjoint(group)]
        for i, states in executor.run(run_rungs, [[units[j] for j in group] for group in groups]):
            pairs = list(zip(groups[i], states, strict=True))
            spent = sum(state.seconds - units[j].state.seconds for j, state in pairs)
            yield from ((j, state, spent) for j, state in pairs)
        return
    order = sorted(missing, key=lambda i: -units[i].seconds_estimate(n_train))
    for i, state in executor.run(run_rung, [units[j] for j in order]):
        yield order[i], state, state.seconds - units[order[i]].state.seconds


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
    plan = _plan(trainer, task, epochs)
    tell = None if cell is None else cell.teller()

    def listener(state: TrainerState) -> None:
        if tell is not None:
            tell(state.step / plan.steps)

    state = trainer.run_steps(TrainerState.undrawn(task), plan, listener)
    return replace(state, epoch=epochs, seconds=before.seconds + state.seconds)


def _plan(trainer: Trainer, task: TrainingTask, epochs: int) -> StepPlan:
    """Return the plan of an annealed training of `epochs` epochs."""
    steps = epochs * (trainer.n_train // min(task.batch_size, trainer.n_train))
    return StepPlan.annealed(steps, min(_LOOKS, steps), curve=False)


def with_more_rows(state: TrainerState) -> TrainerState:
    """Return a state without lost patience, because patience lost on few rows means nothing."""
    stopped = "" if state.stopped == "patience" else state.stopped
    return replace(state, stopped=stopped, stale=0)
