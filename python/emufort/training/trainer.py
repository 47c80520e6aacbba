"""The protocol of a trainer: what every backend offers to the searches and the retraining."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from emufort.training.schedule import StepPlan
from emufort.training.state import TrainerState

#: Gets the state of a training while it goes on.
Listener = Callable[[TrainerState], None]


def ignore(state: TrainerState) -> None:
    """Listen to nothing."""


class Trainer(Protocol):
    """Advances trainings on the data that it was made for.

    A trainer holds no state of any one training: a call depends on its arguments alone, and calls
    that stop half way and go on later give bitwise what one call gives.
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
        """Train until `until_epoch` epochs are done at a constant learning rate.

        `listener` gets the state after some epochs, only to read its `epoch`: the weights may still
        be with the trainer.

        Every epoch ends with a look at the validation rows. The training stops for good after
        `patience` epochs without a lower loss, or when the loss is no longer finite.
        """

    def run_steps(
        self, state: TrainerState, plan: StepPlan, listener: Listener = ignore
    ) -> TrainerState:
        """Train to the end of `plan`; `listener` gets the state after every look.

        The listener may save the state or raise; it must not change it.
        """
