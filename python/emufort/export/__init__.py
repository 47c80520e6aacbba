"""Turn a trained emulator into what a host model takes: ONNX, weights, Fortran, one bundle.

bundle = export(emulator, data, "runs/a/bundle")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emufort.export.bundle import Bundle, export

__all__ = ["Bundle", "export"]


def __getattr__(name: str) -> Any:
    # On first use: who only writes weights.bin needs neither templates nor ONNX.
    if name in __all__:
        return getattr(import_module("emufort.export.bundle"), name)
    raise AttributeError(f"module 'emufort.export' has no attribute '{name}'")
