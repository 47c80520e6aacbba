"""Export a trained emulator for host models: one bundle with ONNX, weights and Fortran.

bundle = export(emulator, data, "runs/a/bundle")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emufort.export.bundle import Bundle, export

__all__ = ["Bundle", "export"]


def __getattr__(name: str) -> Any:
    # Imported on first use, because writing only weights.bin needs neither templates nor ONNX.
    if name in __all__:
        return getattr(import_module("emufort.export.bundle"), name)
    raise AttributeError(f"module 'emufort.export' has no attribute '{name}'")
