"""The protocol of a trainer, which every backend provides to the searches and the retraining."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from emufort.training.schedule import StepPlan
from emufort.training.state import TrainerState

#: Receives the state of a training in progress.
Listener = Callable[[TrainerState], None]


def ignore(state: TrainerState) -> None:
    """Ignore the state."""


class Trainer(Protocol):
    """Advances trainings on the data that it was made for.

    A trainer holds no state of a training: the result of a call depends only on its arguments.
    Several calls that stop and resume give bitwise the same result as one call.
    """

    @property
    def n_train(self) -> int:
        """Number of training rows."""

    def run_epochs(
        self,
        state: TrainerState,
        until_epoch: int,
        patience: int,
        listener: Listener = ignore,
    ) -> TrainerState:
        """Train at a constant learning rate until `until_epoch` epochs are done.

        `listener` receives the state after some epochs and may read only its `epoch`, because the
        weights may still be in the buffers of the trainer.

        Every epoch ends with an evaluation of the validation rows. The training stops permanently
        after `patience` epochs without a lower loss, or when the loss is no longer finite.
        """

    def run_steps(
        self, state: TrainerState, plan: StepPlan, listener: Listener = ignore
    ) -> TrainerState:
        """Train to the end of `plan`; `listener` receives the state after every evaluation.

        The listener may save the state or raise; it must not change it.
        """
