"""Physical processes: the class `Process`, the registry, and one folder for each process.

A package registers its process by an entry point, see `emufort.processes.registry`.
"""

from emufort.processes.process import (
    GlueFile,
    Head,
    HostGlue,
    LabelMaker,
    Preset,
    Presets,
    Process,
    TimingSource,
)
from emufort.processes.registry import GROUP, Registered, process, registered

__all__ = [
    "GROUP",
    "GlueFile",
    "Head",
    "HostGlue",
    "LabelMaker",
    "Preset",
    "Presets",
    "Process",
    "Registered",
    "TimingSource",
    "process",
    "registered",
]
