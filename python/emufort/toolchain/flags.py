"""The table of compiler flags, from which build files, timing and verification take them.

`fill_flags` inserts them into the text of a build file in place of ``@GNU_FAST@`` and similar
names. The CMake files of the checkout repeat some of them; a test compares these with the table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from emufort.errors import EmufortError


@dataclass(frozen=True)
class CompilerFamily:
    """Flags of one family of compilers, each a list of words separated by blanks.

    Attributes
    ----------
    fast
        Flags with which the kernels of the runtime and the generated module vectorise, on any CPU.
        No flag reorders sums, so the bits of a column do not depend on its position in a block.
    exact
        Flags for a scheme that is called for blocks of columns, on any CPU. Products and sums are
        not fused, because a compiler may fuse them in the body of a loop but not in its remainder,
        and then the bits of a column would depend on its position.
    native
        Flag for the instructions of the machine that compiles.
    wide
        Flag for vectors as wide as these instructions allow, where the compiler prefers narrower
        ones.
    debug
        Flags for a host that is built for debugging: nothing is optimised or fused.
    levels
        x86-64 level -> flags of the kernels for it, in libraries that choose a level at run time.
        Empty for compilers without such flags.
    """

    fast: str
    exact: str
    native: str
    wide: str = ""
    debug: str = ""
    levels: Mapping[int, str] = field(default_factory=dict)

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
        debug="-O0 -g -ffp-contract=off",
        levels={
            2: "-march=x86-64-v2",
            3: "-march=x86-64-v3",
            4: "-march=x86-64-v4 -mprefer-vector-width=512",
        },
    ),
    # flang vectorises the kernels without OpenMP.
    "FLANG": CompilerFamily(
        fast="-O3 -ffp-contract=fast",
        exact="-O3 -ffp-contract=off",
        native="-march=native",
        # Tuned for a CPU with vectors of 512 bits; otherwise flang uses 256 bits on CPUs of Intel,
        # where -mprefer-vector-width has no effect. Other CPUs get no instructions that they lack.
        wide="-mtune=znver4",
        debug="-O0 -g -ffp-contract=off",
        levels={
            2: "-march=x86-64-v2",
            3: "-march=x86-64-v3",
            4: "-march=x86-64-v4 -mtune=znver4",
        },
    ),
    "INTEL": CompilerFamily(
        fast="-O3 -qopenmp-simd -fp-model=precise",
        exact="-O2 -fp-model=precise -no-fma",
        native="-xHost",
        debug="-O0 -g -fp-model=precise -no-fma",
    ),
}

#: Compilers of host models that emufort has not been run with: moderate optimisation and IEEE
#: arithmetic, by their manuals and the build files of E3SM. Kernels may be slower than they could.
CAUTIOUS: dict[str, str] = {
    "NVIDIA": "-O2 -Kieee -Mnofma",
    "CRAY": "-O2 -hfp0",
    "NAG": "-O2 -ieee=full",
}

#: Default Fortran compiler.
DEFAULT_COMPILER = "gfortran"
#: Command of the C compiler, as POSIX names it.
C_COMPILER = "cc"
#: Flags with which the benchmark compiles C code that other translators write.
C_FLAGS = "-O3 -march=native -ffast-math"
#: Flags with which the runtime is timed and verified; other compilers get those that they accept.
DEFAULT_FLAGS = FAMILIES["GNU"].fast_native
#: Flags with which classical schemes are timed.
BASELINE_FLAGS = f"-O3 {FAMILIES['GNU'].native}"
#: Flags of the parcel model that makes labels. Without the alignment, its speed depends on where
#: the linker happens to place its loops.
PARCEL_MODEL_FLAGS = f"{FAMILIES['GNU'].fast} {FAMILIES['GNU'].native} -falign-functions=64"

_PLACEHOLDER = re.compile(r"@([A-Z]+)_(?:(FAST|EXACT|NATIVE|DEBUG|CAUTIOUS)|LEVEL_([234]))@")


def fill_flags(text: str) -> str:
    """Replace ``@GNU_FAST@``, ``@FLANG_LEVEL_3@``, ``@NAG_CAUTIOUS@`` and similar names by flags.

    A level for which a compiler has no flags becomes an empty text.

    Parameters
    ----------
    text
        Text of a build file.

    Raises
    ------
    EmufortError
        A placeholder names a family of compilers that the table does not have.
    """

    def flags(match: re.Match[str]) -> str:
        if match[2] == "CAUTIOUS" and match[1] in CAUTIOUS:
            return CAUTIOUS[match[1]]
        family = FAMILIES.get(match[1])
        if family is None or match[2] == "CAUTIOUS":
            raise EmufortError(f"{match[0]}: there are only flags of {', '.join(FAMILIES)}")
        if match[3]:
            return family.levels.get(int(match[3]), "")
        found: str = getattr(family, match[2].lower())
        return found

    return _PLACEHOLDER.sub(flags, text)
