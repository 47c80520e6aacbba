"""What a benchmark is asked to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from emufort.errors import UsageError, did_you_mean
from emufort.toolchain.flags import BASELINE_FLAGS, DEFAULT_COMPILER

#: Networks that stand for a small, a medium and a large emulator.
STANDARD_MODELS: dict[str, tuple[int, ...]] = {
    "S": (16, 32, 32, 4),
    "M": (16, 64, 64, 64, 4),
    "L": (16, 256, 256, 256, 256, 4),
}
#: Whole calls of the default contract, from physical inputs to what emulators are judged by: hidden
#: layers and activation.
STANDARD_CALLS: dict[str, tuple[tuple[int, ...], str]] = {
    "call-64": ((64, 64), "relu"),
    "call-32": ((32, 32), "squared_relu"),
}
#: Stands for the models of the bundle that was given.
BUNDLE = "bundle"
MODELS = (*STANDARD_MODELS, *STANDARD_CALLS, BUNDLE)

CONTENDERS = (
    "native-layers",
    "native-network",
    "native-embedded",
    "native-loaded",
    "second-layers",
    "second-network",
    "second-embedded",
    "onnxruntime-fortran",
    "onnxruntime-python",
    "openblas-plain",
    "openblas",
    "openblas-avx512",
    "torch",
    "torch-compile",
    "baseline",
    "baseline-call",
)


@dataclass(frozen=True)
class Options:
    """Options of a benchmark; `checked` refuses what makes no sense.

    Attributes
    ----------
    bundle
        Bundle to measure beside the standard models.
    models
        Of `STANDARD_MODELS`, `STANDARD_CALLS` and `BUNDLE`.
    contenders
        Of `CONTENDERS`.
    ncol
        Columns per call.
    repeats
        Rounds; each measures every contender in every cell once.
    milliseconds
        Least duration of one measurement.
    threads
        Numbers of threads; 0 stands for all cores.
    second_compiler
        Another Fortran compiler, with which the runtime is measured as well, with our own flags.
    compiler, flags, baseline_flags
        Fortran compiler; flags of the runtime (None: our own, as far as the compiler knows them,
        which the other contenders always have) and of the classical scheme.
    blas
        Library with sgemm (None: the compiler's libopenblas).
    """

    bundle: Path | None = None
    models: tuple[str, ...] = MODELS
    contenders: tuple[str, ...] = CONTENDERS
    ncol: tuple[int, ...] = (1, 16, 128, 1152, 16384)
    repeats: int = 9
    milliseconds: float = 20.0
    threads: tuple[int, ...] = (1, 0)
    compiler: str = DEFAULT_COMPILER
    second_compiler: str = "flang-22"
    flags: str | None = None
    baseline_flags: str = BASELINE_FLAGS
    blas: Path | None = None

    @classmethod
    def quick(cls) -> Self:
        """Return options for tests and a first look: seconds, and figures of no value."""
        return cls(
            models=("S", "call-32", BUNDLE),
            contenders=tuple(
                c for c in CONTENDERS if c != "torch-compile" and not c.startswith("second-")
            ),
            ncol=(1, 16, 128),
            repeats=3,
            milliseconds=1.0,
            threads=(1,),
        )

    def changed(self, **values: Any) -> Self:
        """Return a copy in which every value that is not None replaces the old one."""
        return dataclasses.replace(self, **{k: v for k, v in values.items() if v is not None})

    def checked(self) -> Self:
        """Return the options without repetitions.

        Raises
        ------
        UsageError
            An unknown name, or a number that makes no sense.
        """
        for name in ("models", "contenders", "ncol", "threads"):
            if not getattr(self, name):
                raise UsageError(f"--{name} is empty")
        _known("--models", self.models, MODELS)
        _known("--contenders", self.contenders, CONTENDERS)
        if min(self.ncol) < 1:
            raise UsageError("--ncol must be positive integers")
        if min(self.threads) < 0:
            raise UsageError("--threads must be positive integers, or 0 for all cores")
        if self.repeats < 1 or not self.milliseconds > 0:
            raise UsageError("--repeats and --milliseconds must be positive")
        if self.models == (BUNDLE,) and self.bundle is None:
            raise UsageError("--models bundle needs --bundle")
        return dataclasses.replace(
            self,
            models=tuple(dict.fromkeys(self.models)),
            contenders=tuple(dict.fromkeys(self.contenders)),
            ncol=tuple(sorted(set(self.ncol))),
        )


def _known(option: str, words: Sequence[str], known: Sequence[str]) -> None:
    for word in words:
        if word not in known:
            raise UsageError(
                f"{option} has no '{word}'{did_you_mean(word, known)}: use {', '.join(known)}"
            )
