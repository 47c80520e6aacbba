"""The training backends by name, and the choice between them."""

from __future__ import annotations

from collections.abc import Callable

from emufort.errors import EmufortError, UsageError, did_you_mean
from emufort.training import native_trainer
from emufort.training.device import check_native
from emufort.training.task import Arrays
from emufort.training.trainer import Trainer


def _torch(arrays: Arrays, device: str) -> Trainer:
    from emufort.training.torch_trainer import TorchTrainer

    return TorchTrainer(arrays, device)


def _native(arrays: Arrays, device: str) -> Trainer:
    check_native(device)
    return native_trainer.NativeTrainer(arrays)


#: Name -> maker of a trainer; torch is imported when its trainer is made.
BACKENDS: dict[str, Callable[[Arrays, str], Trainer]] = {"native": _native, "torch": _torch}


def resolve_backend(wanted: str, device: str = "cpu", only_mlps: bool = True) -> str:
    """Return the backend that ``"auto"`` selects: native where it is built, else torch.

    Other names are returned as they are.

    Parameters
    ----------
    wanted
        ``"auto"`` or a backend.
    device
        The device of the training, such as ``"cpu"``.
    only_mlps
        Whether all networks are multilayer perceptrons; the native trainer trains no others.

    Raises
    ------
    EmufortError
        The native backend is requested but not built, or cannot train the networks.
    """
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
            "the native trainer is not built here; install gfortran and cmake and then emufort "
            'again, or choose backend = "torch"'
        )
    return wanted


def backend_detail(backend: str) -> str:
    """Return the name of a backend, with the kind of CPU of the native trainer."""
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
