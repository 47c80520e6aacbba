"""Compiler flags: the one table that build files, timing and verification take theirs from.

`fill_flags` puts them into the text of a build file, where ``@GNU_FAST@`` and the like stand for
them. The CMake files of the checkout repeat some of them; a test compares these with the table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from emufort.errors import EmufortError


@dataclass(frozen=True)
class CompilerFamily:
    """Flags of one family of compilers, each a list of words with blanks between them.

    Attributes
    ----------
    fast
        For the runtime and the generated module on any CPU: what vectorises the kernels. No flag
        reorders sums, so the bits of a column do not depend on its place in a block.
    exact
        For a scheme that is called for blocks of columns, on any CPU. Products and sums are not
        fused: a compiler may fuse them in the body of a loop and not in its remainder, and then the
        bits of a column depend on its place.
    native
        The instructions of the machine that compiles.
    wide
        Vectors as wide as these instructions allow, where the compiler prefers narrower ones.
    """

    fast: str
    exact: str
    native: str
    wide: str = ""

    @property
    def fast_native(self) -> str:
        """The flags `fast` for the CPU of the machine that compiles."""
        level, _, rest = self.fast.partition(" ")
        return " ".join(filter(None, (level, self.native, self.wide, rest)))


FAMILIES: dict[str, CompilerFamily] = {
    "GNU": CompilerFamily(
        fast="-O3 -fno-math-errno -ffp-contract=fast -fno-trapping-math -fopenmp-simd",
        exact="-O3 -ffp-contract=off -fno-math-errno -fno-trapping-math",
        native="-march=native",
        wide="-mprefer-vector-width=512",
    ),
    # flang vectorises the kernels without OpenMP.
    "FLANG": CompilerFamily(
        fast="-O3 -ffp-contract=fast",
        exact="-O3 -ffp-contract=off",
        native="-march=native",
    ),
    "INTEL": CompilerFamily(
        fast="-O3 -qopenmp-simd -fp-model=precise",
        exact="-O2 -fp-model=precise -no-fma",
        native="-xHost",
    ),
}

#: The Fortran compiler where none is named.
DEFAULT_COMPILER = "gfortran"
#: Flags with which the runtime is timed and verified; other compilers are given what they know.
DEFAULT_FLAGS = FAMILIES["GNU"].fast_native
#: Flags with which classical schemes are timed.
BASELINE_FLAGS = f"-O3 {FAMILIES['GNU'].native}"

_PLACEHOLDER = re.compile(r"@([A-Z]+)_(FAST|EXACT|NATIVE)@")


def fill_flags(text: str) -> str:
    """Replace ``@GNU_FAST@``, ``@FLANG_EXACT@``, ``@INTEL_NATIVE@`` and the like by the flags.

    Parameters
    ----------
    text
        A build file.

    Raises
    ------
    EmufortError
        A placeholder names a family of compilers that the table does not have.
    """

    def flags(match: re.Match[str]) -> str:
        family = FAMILIES.get(match[1])
        if family is None:
            raise EmufortError(f"{match[0]}: there are flags of {', '.join(FAMILIES)} only")
        found: str = getattr(family, match[2].lower())
        return found

    return _PLACEHOLDER.sub(flags, text)
