"""Programs that the configuration of a run folder may start: known compilers, harmless flags.

A run folder is untrusted. A compiler that only the folder names could be any program. Some flags
also load code (``-fplugin=``, ``-specs=``, ``-B``, ``-wrapper``, ``@file``, objects and libraries)
or change the sources (``-D``, ``-I``, ``-include``). Compilers and flags that users give
themselves, in a configuration or by options, are used without this check.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Collection
from pathlib import Path

from emufort.config import TimingConfig

#: Options of `TimingConfig` that determine which programs are executed.
EXECUTED = ("compiler", "flags", "baseline_flags")

_COMPILER = re.compile(
    r"(?:[A-Za-z0-9_]+-)*(?:gfortran|flang|flang-new|amdflang|armflang|ifx|ifort|nvfortran|nagfor"
    r"|lfortran|ftn|mpifort|mpif90)(?:-[0-9][0-9.]*)?"
)
#: Flags for optimisation, machine, language and warnings that name no file, folder or macro.
_FLAG = re.compile(
    r"-(?:O[a-z0-9]*|[mfgW][A-Za-z0-9][A-Za-z0-9_+.=-]*|g|std=[a-z0-9]+|x[A-Z][A-Za-z0-9_-]*"
    r"|M[a-z][a-z0-9_=-]*|tp=[a-z0-9_.-]+|q[a-z][a-z0-9_=-]*|pipe)"
)
_LOADING = (
    "-fplugin", "-fpass-plugin", "-fuse-ld", "-fprofile", "-fauto-profile", "-fpre-include",
    "-fc1", "-fcc1", "-mllvm", "-mlink", "-fintrinsic-modules-path", "-fdebug-pass",
)  # fmt: skip


def first_untrusted(timing: TimingConfig, names: Collection[str]) -> str | None:
    """Describe the first option that is refused unless the user gives it; None if there is none.

    Parameters
    ----------
    names
        Names from `EXECUTED` whose values come only from the run folder.
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
            return f"timing.{name} requests {strange!r}"
    return None


def _is_known(compiler: str) -> bool:
    """Return whether `compiler` is the name of a Fortran compiler, or its path in the PATH."""
    name = Path(compiler).name
    if not _COMPILER.fullmatch(name):
        return False
    return compiler == name or shutil.which(name) == compiler


def _is_harmless(flag: str) -> bool:
    return bool(_FLAG.fullmatch(flag)) and not flag.startswith(_LOADING)
