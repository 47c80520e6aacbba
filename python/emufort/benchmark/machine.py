"""Describe the machine that runs a benchmark."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from emufort import provenance


def describe() -> dict[str, Any]:
    """Return the known properties of the CPU, and the load."""
    fields = _cpuinfo()
    return {
        "cpu": provenance.cpu_model(),
        "family": fields.get("cpu family"),
        "model": fields.get("model"),
        "stepping": fields.get("stepping"),
        "vectors": vectors(),
        "cores": cores(),
        "caches": _caches(),
        "load_average": load_average(),
    }


def title(machine: dict[str, Any]) -> str:
    """Return a line that names the CPU."""
    name = str(machine["cpu"])
    if machine.get("family") and "family" not in name:
        name += f" (family {machine['family']}, model {machine['model']})"
    return f"{name}, {machine['cores']} cores, {machine['vectors']}"


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def load_average() -> float:
    """Return the number of busy processes over the last minute."""
    return round(os.getloadavg()[0], 2)


def has_avx512() -> bool:
    """Return whether the CPU reports AVX-512."""
    return "avx512f" in _cpuinfo().get("flags", "").split()


def vectors() -> str:
    """Return the widest vector instructions that the CPU reports, of those known here."""
    flags = _cpuinfo().get("flags", "").split()
    if "avx512f" in flags:
        return "AVX-512"
    return "AVX2" if "avx2" in flags else "unknown vectors"


def _cpuinfo() -> dict[str, str]:
    """Return the fields of the first core in /proc/cpuinfo."""
    fields: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if not line.strip():
                break
            name, _, value = line.partition(":")
            fields[name.strip()] = value.strip()
    except OSError:
        pass
    return fields


def _caches() -> dict[str, str]:
    """Return the caches of the first core, such as ``{"L1d": "48K"}``."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = (
                (folder / name).read_text().strip() for name in ("level", "type", "size")
            )
        except OSError:
            continue
        found[f"L{level}{'d' if kind == 'Data' else 'i' if kind == 'Instruction' else ''}"] = size
    return found
