"""Physical processes: the registry of what a contract may name, and one folder for each process.

A package registers its process by an entry point, see `emufort.processes.registry`.
"""

from emufort.processes.registry import (
    GROUP,
    Head,
    Process,
    Registered,
    TimingSource,
    process,
    registered,
)

__all__ = ["GROUP", "Head", "Process", "Registered", "TimingSource", "process", "registered"]
