"""Fortran programs that time the classical activation schemes."""

from __future__ import annotations

from pathlib import Path

from emufort._sources import fortran_sources


def arg2000_sources() -> list[Path]:
    """Return the sources of the program that times ARG2000, in the order of compilation."""
    return fortran_sources("time_arg2000", also="coupling/activation")
