"""The device of a training: its name in the configuration and what it stands for on this machine.

torch is imported only where a GPU is requested or may be present.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from emufort.errors import UsageError

#: Names of the configuration: ``cuda`` stands for all visible GPUs, ``cuda:1`` for the second one.
_NAME = re.compile(r"auto|cpu|cuda(:\d{1,3})?|mps")
#: ``auto`` chooses a GPU for networks from this size on, in multiply-adds per sample. A CPU core
#: trains smaller ones in the time in which a GPU starts a few of its kernels. This is an estimate.
WORTH_A_GPU = 100_000
#: One of these exists where a driver for GPUs is loaded: NVIDIA, NVIDIA under WSL, AMD.
_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def device_name(text: str) -> str:
    """Check the name of a device and return it.

    Raises
    ------
    ValueError
        There is no such name.
    """
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"there is no device '{text}'; there are auto, cpu, cuda (all GPUs), cuda:0, cuda:1, "
            "... and mps"
        )
    return text


def kind_of(device: str) -> str:
    """Return ``"cpu"``, ``"cuda"`` or ``"mps"`` for a device such as ``"cuda:1"``."""
    return device.partition(":")[0]


def resolve_device(wanted: str, backend: str, multiply_adds: float, is_here: bool = True) -> str:
    """Return the device that a name of the configuration stands for; it may not exist here.

    ``"auto"`` is a CUDA GPU if torch sees one, the backend may be torch, and the networks are large
    enough to gain (`WORTH_A_GPU`); otherwise it is the CPU.

    Parameters
    ----------
    wanted
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.
    backend
        ``"auto"`` or a training backend.
    multiply_adds
        Multiply-adds per sample of a typical network.
    is_here
        Whether the trainings run on this machine; elsewhere ``"auto"`` is the CPU.

    Returns
    -------
    str
        ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.

    Raises
    ------
    UsageError
        The backend cannot use the device.
    """
    if wanted == "auto":
        may_gain = is_here and backend != "native" and multiply_adds >= WORTH_A_GPU
        return "cuda" if may_gain and _sees_a_gpu() else "cpu"
    if backend == "native":
        check_native(wanted)
    return wanted


def check_native(device: str) -> None:
    """Raise `UsageError` unless the native trainer can use `device`."""
    if device != "cpu":
        raise UsageError(
            f"the native trainer runs on the CPU, not on '{device}'; choose "
            'backend = "torch" or "auto", or device = "cpu"'
        )


def _sees_a_gpu() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    if not any(Path(name).exists() for name in _DRIVERS):
        return False
    import torch

    return torch.cuda.is_available()


def check_device(device: str) -> None:
    """Raise `UsageError` unless torch can use `device` on this machine."""
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return
    import torch

    if kind == "mps":
        if not torch.backends.mps.is_available():
            raise UsageError(
                "the device 'mps' is a GPU of Apple, and torch cannot use one on this machine; "
                'choose device = "cpu"'
            )
        return
    if torch.version.cuda is None and torch.version.hip is None:
        raise UsageError(
            f"the torch of this Python ({torch.__version__}) was built without CUDA and cannot use "
            f"the device '{device}'; install torch with CUDA (https://pytorch.org) or choose "
            'device = "cpu"'
        )
    n = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if n == 0:
        raise UsageError(
            f"torch sees no GPU on this machine and cannot use the device '{device}'; check the "
            'driver (nvidia-smi) and CUDA_VISIBLE_DEVICES, or choose device = "cpu"'
        )
    if index and int(index) >= n:
        last = f" to cuda:{n - 1}" if n > 1 else ""
        raise UsageError(
            f"there is no device '{device}' on this machine; torch sees cuda:0{last}, in the order "
            "of CUDA_VISIBLE_DEVICES"
        )


def count_of(device: str) -> int:
    """Return the number of GPUs that `device` stands for on this machine; 1 for a CPU."""
    if device != "cuda":
        return 1
    import torch

    return max(1, torch.cuda.device_count())


def device_of_worker(device: str, worker: int) -> str:
    """Return the one device of a worker: all workers take the visible GPUs in turn.

    Parameters
    ----------
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.
    worker
        Number of the worker on its machine, from 0.
    """
    return f"cuda:{worker % count_of(device)}" if device == "cuda" else device


def device_of_named_worker(device: str, name: str) -> str:
    """Return the one device of a worker whose name ends with its number, such as ``local-1-3``."""
    number = re.search(r"-(\d{1,9})$", name)
    return device_of_worker(device, int(number[1]) if number else 0)


def device_detail(device: str) -> str:
    """Return a device of this machine with the name of its hardware, for records."""
    if kind_of(device) != "cuda":
        return device
    import torch

    if not torch.cuda.is_available():  # the workers are elsewhere
        return device
    first = int(device.partition(":")[2] or 0)
    n = count_of(device)
    name = torch.cuda.get_device_name(first)
    return f"{device} ({f'{n} x ' if n > 1 else ''}{name})"
