"""Options of the steps after the trainings: timing, selection, export, verification."""

from __future__ import annotations

import shlex
from typing import Literal

from pydantic import Field, field_validator

from emufort.config.section import Line, Section
from emufort.errors import UsageError
from emufort.network.precision import Precision
from emufort.selection.rules import check_rule
from emufort.toolchain.flags import BASELINE_FLAGS, DEFAULT_COMPILER, DEFAULT_FLAGS

#: Where an export puts the network for Fortran: in the generated module, or only in weights.bin.
Placement = Literal["module", "file"]
#: More columns per call than this are a typing error, because no memory holds them.
_MOST_COLUMNS = 1_000_000


class TimingConfig(Section):
    """The measurement of inference time."""

    ncol: tuple[int, ...] = (1, 16, 1152)
    repeats: int = Field(7, ge=1, le=10_000)
    backend: Literal["fortran", "onnxruntime"] = "fortran"
    compiler: Line = DEFAULT_COMPILER
    flags: str = DEFAULT_FLAGS
    baseline_flags: str = BASELINE_FLAGS

    @field_validator("ncol")
    @classmethod
    def _check_ncol(cls, ncol: tuple[int, ...]) -> tuple[int, ...]:
        if not ncol or min(ncol) < 1:
            raise ValueError("give at least one number of columns per call, each at least 1")
        if max(ncol) > _MOST_COLUMNS:
            raise ValueError(f"a call takes up to {_MOST_COLUMNS} columns")
        return tuple(sorted(set(ncol)))

    @field_validator("flags", "baseline_flags")
    @classmethod
    def _check_flags(cls, flags: str) -> str:
        if "\0" in flags:
            raise ValueError(f"{flags!r} holds the control character '\\x00'")
        try:
            shlex.split(flags)
        except ValueError as error:
            raise ValueError(f"{flags!r} is not a list of options: {error}") from error
        return flags


class SelectConfig(Section):
    """The selection on the Pareto front."""

    rule: str = "knee"
    ncol: int = Field(16, ge=1, description="columns per call of the times to compare")

    @field_validator("rule")
    @classmethod
    def _check_rule(cls, rule: str) -> str:
        try:
            check_rule(rule)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return rule


class ExportConfig(Section):
    """The bundle."""

    name: Line | None = None
    golden: int = Field(
        64, ge=1, le=100_000, description="golden vectors that are stored with the weights"
    )
    precision: Precision | None = Field(
        None, description="single or double; default: that of the network, which is single"
    )
    weights: Placement = Field(
        "module", description="whether the generated module holds the network or loads weights.bin"
    )


class VerifyConfig(Section):
    """The comparison of all forms of the emulator."""

    rows: int = Field(10_000, ge=1, le=10_000_000)
    tolerance: float | None = Field(
        None, gt=0, description="default: 1e-5 in single and 1e-12 in double precision"
    )
