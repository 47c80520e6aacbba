"""What the configuration that a run folder keeps may have run: known compilers, harmless flags.

A run folder may come from a stranger. A compiler that only the folder names is a program of his
choice. So is what some flags load (``-fplugin=``, ``-specs=``, ``-B``, ``-wrapper``, ``@file``,
objects and libraries) or put into the sources (``-D``, ``-I``, ``-include``). What users give in
their command, by a configuration of their own or by options, is run as it is.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Collection
from pathlib import Path

from emufort.config import TimingConfig

#: Options of `TimingConfig` that decide what is executed.
EXECUTED = ("compiler", "flags", "baseline_flags")

_COMPILER = re.compile(
    r"(?:[A-Za-z0-9_]+-)*(?:gfortran|flang|flang-new|amdflang|armflang|ifx|ifort|nvfortran|nagfor"
    r"|lfortran|ftn|mpifort|mpif90)(?:-[0-9][0-9.]*)?"
)
#: Optimisation, machine, language, warnings: a word that names no file, folder or macro.
_FLAG = re.compile(
    r"-(?:O[a-z0-9]*|[mfgW][A-Za-z0-9][A-Za-z0-9_+.=-]*|g|std=[a-z0-9]+|x[A-Z][A-Za-z0-9_-]*"
    r"|M[a-z][a-z0-9_=-]*|tp=[a-z0-9_.-]+|q[a-z][a-z0-9_=-]*|pipe)"
)
_LOADING = (
    "-fplugin", "-fpass-plugin", "-fuse-ld", "-fprofile", "-fauto-profile", "-fpre-include",
    "-fc1", "-fcc1", "-mllvm", "-mlink", "-fintrinsic-modules-path", "-fdebug-pass",
)  # fmt: skip


def first_untrusted(timing: TimingConfig, names: Collection[str]) -> str | None:
    """Say what is not run unless the user asks for it, or return None.

    Parameters
    ----------
    names
        Those of `EXECUTED` that come from the run folder alone.
    """
    for name in EXECUTED:
        if name not in names:
            continue
        value = getattr(timing, name)
        if name == "compiler":
            strange = None if _is_known(value) else value
        else:
            strange = next((flag for flag in shlex.split(value) if not _is_harmless(flag)), None)
        if strange is not None:
            return f"timing.{name} asks for {strange!r}"
    return None


def _is_known(compiler: str) -> bool:
    """Whether `compiler` is a Fortran compiler by its name, where the user's PATH has it."""
    name = Path(compiler).name
    if not _COMPILER.fullmatch(name):
        return False
    return compiler == name or shutil.which(name) == compiler


def _is_harmless(flag: str) -> bool:
    return bool(_FLAG.fullmatch(flag)) and not flag.startswith(_LOADING)
