"""How far a training goes, and what happens at its evaluations of the validation rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emufort.training.schedule import StepPlan
from emufort.training.state import TrainerState

#: Best weights stay on the device until the state is stored.
_ON_THE_DEVICE = np.zeros(0, dtype=np.float32)


@dataclass(eq=False)
class Course:
    """One training among several that run side by side.

    Attributes
    ----------
    state
        The training; it is modified.
    position, last
        Place in the order of the samples, in steps, now and at the end.
    every
        Steps between two evaluations; the last step is followed by one too.
    steps_per_epoch, n_rows
        Steps in one pass through the data, and number of training rows.
    plan
        Schedule of the learning rate; None: constant.
    patience
        Evaluations without a lower loss after which the training stops; None: it never does.
    """

    state: TrainerState
    position: int
    last: int
    every: int
    steps_per_epoch: int
    n_rows: int
    plan: StepPlan | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        self._order: tuple[int, NDArray[np.int64]] | None = None

    @classmethod
    def of_steps(cls, state: TrainerState, plan: StepPlan, n_rows: int) -> Course:
        """Return the course of `Trainer.run_steps`."""
        per_epoch = _steps_per_epoch(state, n_rows)
        return cls(state, state.step, plan.steps, plan.evaluate_every, per_epoch, n_rows, plan)

    @classmethod
    def of_epochs(cls, state: TrainerState, until_epoch: int, patience: int, n_rows: int) -> Course:
        """Return the course of `Trainer.run_epochs`."""
        n = _steps_per_epoch(state, n_rows)
        return cls(state, state.epoch * n, until_epoch * n, n, n, n_rows, None, patience)

    @property
    def is_active(self) -> bool:
        """Whether further steps follow."""
        return not self.state.stopped and self.position < self.last

    @property
    def batch(self) -> int:
        """Number of samples in a step."""
        return min(self.state.task.batch_size, self.n_rows)

    @property
    def steps_to_evaluation(self) -> int:
        """Steps from here to the next evaluation."""
        return min(self.every - self.position % self.every, self.last - self.position)

    @property
    def is_due(self) -> bool:
        """Whether an evaluation follows the step before."""
        return self.position % self.every == 0 or self.position == self.last

    @property
    def share(self) -> float:
        """Finished share of the steps."""
        return self.position / max(1, self.last)

    def factors(self, steps: int) -> list[float]:
        """Return the learning rates of the next steps as shares of the task's rate."""
        if self.plan is None:
            return [1.0] * steps
        return [self.plan.factor(step) for step in range(self.position, self.position + steps)]

    def samples(self, steps: int) -> NDArray[np.int64]:
        """Return the rows of the next steps, (steps, batch); they depend on (seed, epoch) only."""
        found = np.empty((steps, self.batch), dtype=np.int64)
        done = 0
        while done < steps:
            epoch, first = divmod(self.position + done, self.steps_per_epoch)
            n = min(steps - done, self.steps_per_epoch - first)
            part = self._order_of(epoch)[first * self.batch : (first + n) * self.batch]
            found[done : done + n] = part.reshape(n, self.batch)
            done += n
        return found

    def _order_of(self, epoch: int) -> NDArray[np.int64]:
        if self._order is None or self._order[0] != epoch:
            rng = np.random.default_rng([self.state.task.seed, 1, epoch])
            self._order = epoch, rng.permutation(self.n_rows)
        return self._order[1]

    def advance(self, steps: int) -> None:
        """Record that `steps` steps are done."""
        self.position += steps
        self.state.step += steps

    def look(self, validation: float, training: float | None) -> None:
        """Record an evaluation; `training` is None if it was not computed."""
        state = self.state
        if self.plan is None:
            state.epoch += 1
        state.look(validation, _ON_THE_DEVICE)
        if self.patience is not None and not state.stopped and state.stale >= self.patience:
            state.stopped = "patience"
        if self.plan is not None and self.plan.curve and training is not None:
            rate = state.task.learning_rate * self.plan.factor(self.position - 1)
            state.curve.append((self.position, training, validation, rate))


def _steps_per_epoch(state: TrainerState, n_rows: int) -> int:
    return n_rows // min(state.task.batch_size, n_rows)
