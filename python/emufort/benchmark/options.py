"""Options of a benchmark."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from emufort.errors import UsageError, did_you_mean
from emufort.toolchain.flags import BASELINE_FLAGS, DEFAULT_COMPILER

#: Networks that represent a small, a medium and a large emulator.
STANDARD_MODELS: dict[str, tuple[int, ...]] = {
    "S": (16, 32, 32, 4),
    "M": (16, 64, 64, 64, 4),
    "L": (16, 256, 256, 256, 256, 4),
}
#: Whole calls of the default contract, from physical inputs to the skill variables: hidden layers
#: and activation function.
STANDARD_CALLS: dict[str, tuple[tuple[int, ...], str]] = {
    "call-64": ((64, 64), "relu"),
    "call-32": ((32, 32), "squared_relu"),
}
#: Name that represents the models of the given bundle.
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
    "onnx2c",
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
    """Options of a benchmark; `checked` validates them.

    Attributes
    ----------
    bundle
        Bundle to measure in addition to the standard models.
    originals
        The network from which an imported bundle was made, which ONNX Runtime (``.onnx``) and torch
        (``.pt2``) run instead of what emufort exports.
    models
        Names from `STANDARD_MODELS`, `STANDARD_CALLS` and `BUNDLE`.
    contenders
        Names from `CONTENDERS`.
    ncol
        Columns per call.
    repeats
        Number of rounds; each measures every contender in every cell once.
    milliseconds
        Shortest duration of one measurement [ms].
    threads
        Numbers of threads; 0 means all cores.
    second_compiler
        Another Fortran compiler, which measures the runtime a second time with our default flags.
    compiler, flags, baseline_flags
        Fortran compiler; flags of the runtime (None: our default flags that the compiler supports,
        which the other contenders always use) and of the classical scheme.
    blas
        Library with sgemm (None: the libopenblas that the compiler finds).
    """

    bundle: Path | None = None
    originals: tuple[Path, ...] = ()
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
        """Return options for tests and a first try: a run of seconds without reliable figures."""
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
        """Return a copy in which each value that is not None replaces the current one."""
        return dataclasses.replace(self, **{k: v for k, v in values.items() if v is not None})

    def checked(self) -> Self:
        """Return the valid options without duplicates.

        Raises
        ------
        UsageError
            A name is unknown or a number is invalid.
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
        if self.originals and self.bundle is None:
            raise UsageError("--original needs --bundle")
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
