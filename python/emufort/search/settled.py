"""What a step trains with: backend, device, and whether networks are trained side by side.

The configuration may leave all three open. Results that are already in the folder of the step
decide then, because a search or a retraining should not change any of them half way.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from emufort.config import Config
from emufort.config.section import TrainingBackend
from emufort.errors import UsageError
from emufort.search.identity import damaged, read_results
from emufort.training.backends import resolve_backend
from emufort.training.device import check_device, count_of, kind_of, resolve_device


class DeviceWarning(UserWarning):
    """A step continues on another kind of device than it started on."""


def settle(config: Config, step: str, path: Path, only_mlps: bool, multiply_adds: float) -> Config:
    """Return the configuration with a definite backend and device of a step.

    On a GPU, ``workers = 0`` becomes one process for each GPU.

    Parameters
    ----------
    config
        The configuration.
    step
        ``"search"`` or ``"retrain"``: the section with the backend.
    path
        The JSON file with the identity of earlier results of the step; it may be missing.
    only_mlps
        Whether all networks are multilayer perceptrons.
    multiply_adds
        Multiply-adds per sample of a typical network, on which ``device = "auto"`` depends.

    Raises
    ------
    UsageError
        The backend cannot train these networks or cannot use the device.
    EmufortError
        The file is damaged.
    """
    known = _known(path, step)
    identity = known.get("identity", {})
    backend = getattr(config, step).backend
    if backend == "auto":
        backend = identity.get(f"{step}.backend", "auto")
        _check_known_backend(backend, config.device, path)
    asked = config.search.side_by_side if step == "search" else False
    if asked == "auto":
        asked = identity.get("search.side_by_side", "auto" if not known else False)
    if backend == "auto" and (asked is True or (step == "retrain" and config.retrain.only_torch)):
        backend = "torch"
    is_here = config.cluster.is_here
    if config.device == "auto" and known:
        device = known.get("device", "cpu")
    else:
        device = resolve_device(config.device, backend, multiply_adds, is_here)
    if backend == "auto" or not only_mlps:
        backend = resolve_backend(backend, kind_of(device), only_mlps)
    if asked is True and backend == "native":
        raise UsageError(
            "the native trainer trains one network at a time; choose search.side_by_side = false "
            'or search.backend = "torch"'
        )
    options: dict[str, Any] = {"backend": backend}
    if step == "search":
        options["side_by_side"] = device != "cpu" if asked == "auto" else asked
    section = getattr(config, step).model_copy(update=options)
    on_gpus = device != "cpu" and is_here and config.workers == 0
    workers = count_of(device) if on_gpus else config.workers
    return config.model_copy(update={step: section, "device": device, "workers": workers})


def check_use(config: Config, folder: Path, known: Mapping[str, Any]) -> None:
    """Check the device before a step trains with it.

    Parameters
    ----------
    config
        A settled configuration.
    folder
        Folder of the step.
    known
        Content of the file with the identity of earlier results; empty if there are none.

    Raises
    ------
    UsageError
        The device does not exist on this machine, where the trainings run.

    Warns
    -----
    DeviceWarning
        The earlier results were made on another kind of device.
    """
    if config.cluster.is_here:
        check_device(config.device)
    before = known.get("device", "cpu")
    if known and before != kind_of(config.device):
        warnings.warn(
            f"the results in {folder} were begun on the device '{before}' and continue on "
            f"'{config.device}': they differ by rounding from those of one device",
            DeviceWarning,
            stacklevel=3,
        )


def _known(path: Path, step: str) -> dict[str, Any]:
    """Return the content of the file with the identity; raise `EmufortError` if it is damaged."""
    known = read_results(path)
    identity = known.get("identity", {})
    allowed: dict[str, tuple[object, ...]] = {
        f"{step}.backend": get_args(TrainingBackend),
        "search.side_by_side": (True, False),
    }
    is_known = all(identity.get(key, values[0]) in values for key, values in allowed.items())
    if not is_known or known.get("device", "cpu") not in ("cpu", "cuda", "mps"):
        raise damaged(path)
    return known


def _check_known_backend(backend: str, device: str, path: Path) -> None:
    """Raise `UsageError` if earlier results of the native trainer rule out a requested device."""
    if backend == "native" and device not in ("auto", "cpu"):
        raise UsageError(
            f"the native trainer runs on the CPU, not on '{device}', and made the results in "
            f'{path.parent}; choose device = "cpu" or another --out'
        )


def device_entry(device: str) -> dict[str, str]:
    """Return the entry for the file of the identity; a CPU has none."""
    return {} if device == "cpu" else {"device": kind_of(device)}
