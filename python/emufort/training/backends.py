"""The seam between what is trained and what does the arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from emufort.errors import EmufortError, UsageError, did_you_mean
from emufort.training.schedule import StepPlan
from emufort.training.state import TrainerState
from emufort.training.task import Arrays

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


def _torch(arrays: Arrays, device: str) -> Trainer:
    from emufort.training.torch_trainer import TorchTrainer

    return TorchTrainer(arrays, device)


def _native(arrays: Arrays, device: str) -> Trainer:
    from emufort.training.native_trainer import NativeTrainer

    if device != "cpu":
        raise UsageError(f"the native trainer runs on the CPU, not on '{device}'; choose torch")
    return NativeTrainer(arrays)


#: Name -> maker of a trainer; heavy imports happen inside.
BACKENDS: dict[str, Callable[[Arrays, str], Trainer]] = {"native": _native, "torch": _torch}


def resolve_backend(wanted: str, device: str = "cpu", only_mlps: bool = True) -> str:
    """Return the backend that ``"auto"`` stands for here: native where it is built, else torch.

    Other names are returned as they are.

    Parameters
    ----------
    wanted
        ``"auto"`` or a backend.
    device
        Where it is to compute.
    only_mlps
        Whether all networks are multilayer perceptrons; the native trainer trains no others.

    Raises
    ------
    EmufortError
        The native backend is wanted and not built, or cannot train such networks.
    """
    from emufort.training import native_trainer

    if wanted == "auto":
        is_native = device == "cpu" and only_mlps and native_trainer.available()
        return "native" if is_native else "torch"
    if wanted == "native" and not only_mlps:
        raise UsageError(
            "the native trainer trains plain multilayer perceptrons only; choose "
            'backend = "torch" or "auto" for residual networks'
        )
    if wanted == "native" and not native_trainer.available():
        raise EmufortError(
            "the native trainer is not built here; install emufort with gfortran and cmake at "
            'hand, or choose backend = "torch"'
        )
    return wanted


def backend_detail(backend: str) -> str:
    """Return what computes: the kind of CPU that the native trainer is compiled for."""
    from emufort.training import native_trainer

    return f"native ({native_trainer.variant()})" if backend == "native" else backend


def make_trainer(arrays: Arrays, backend: str = "torch", device: str = "cpu") -> Trainer:
    """Return a trainer for `arrays`.

    Raises
    ------
    UsageError
        There is no such backend.
    """
    if backend not in BACKENDS:
        raise UsageError(
            f"there is no training backend '{backend}'{did_you_mean(backend, BACKENDS)}; "
            f"there are {', '.join(BACKENDS)}"
        )
    return BACKENDS[backend](arrays, device)
