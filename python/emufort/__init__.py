"""Neural emulators of physical processes for Fortran climate models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emufort.contract import Contract
    from emufort.dataset.dataset import Dataset
    from emufort.network.architecture import Architecture
    from emufort.network.emulator import Emulator
    from emufort.runtime.loaded import load

__version__ = "0.1.0"

#: Public name -> its module, which is imported on first use so that `import emufort` stays fast.
_HOMES = {
    "Architecture": "emufort.network.architecture",
    "Contract": "emufort.contract",
    "Dataset": "emufort.dataset.dataset",
    "Emulator": "emufort.network.emulator",
    "load": "emufort.runtime.loaded",
}

__all__ = ["Architecture", "Contract", "Dataset", "Emulator", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'emufort' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
