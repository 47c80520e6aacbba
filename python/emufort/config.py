"""The configuration of a run: every option with its default, read from TOML and checked."""

from __future__ import annotations

import os
import shlex
import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from emufort.contract import explain
from emufort.errors import UsageError
from emufort.network import Activation
from emufort.selection import check_rule


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SpaceConfig(_Section):
    """Search space: depth, one width per hidden layer, activation, learning rate, batch size."""

    depth: tuple[int, int] = (1, 3)
    width: tuple[int, ...] = (8, 16, 24, 32, 48, 64, 96, 128)
    activation: tuple[Activation, ...] = ("relu", "squared_relu", "tanh", "silu")
    learning_rate: tuple[float, float] = (1e-3, 3e-2)
    batch_size: tuple[int, ...] = (32, 64, 128, 256)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 1 <= self.depth[0] <= self.depth[1]:
            raise ValueError("depth needs 1 <= lowest <= highest")
        if not 0 < self.learning_rate[0] <= self.learning_rate[1]:
            raise ValueError("learning_rate needs 0 < lowest <= highest")
        for name in ("width", "activation", "batch_size"):
            if not getattr(self, name):
                raise ValueError(f"{name} lists no choice")
        if min(self.width) < 1 or min(self.batch_size) < 1:
            raise ValueError("widths and batch sizes are at least 1")
        return self


#: Who trains: the Fortran trainer, torch, or the former where it is built.
TrainingBackend = Literal["auto", "native", "torch"]


class SearchConfig(_Section):
    """Step 1: many candidates on a small subset."""

    backend: TrainingBackend = "auto"

    trials: int = Field(256, ge=1)
    batch: int = Field(32, ge=1, description="candidates asked for at once")
    subset: int = Field(2000, ge=16, description="training rows that step 1 sees")
    validation: int = Field(2000, ge=16, description="validation rows that score step 1, at most")
    sampler: Literal["random", "tpe", "qmc"] = "tpe"
    rungs: tuple[int, ...] = (5, 20, 100)
    eta: int = Field(4, ge=2)
    patience: int = Field(15, ge=1)
    space: SpaceConfig = SpaceConfig()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.rungs or self.rungs[0] < 1 or list(self.rungs) != sorted(set(self.rungs)):
            raise ValueError("rungs are numbers of epochs in ascending order")
        return self


class RetrainConfig(_Section):
    """Step 2: the top candidates on all training rows."""

    backend: TrainingBackend = "auto"

    top: int = Field(12, ge=1)
    seeds: int = Field(2, ge=1)
    steps: int = Field(40_000, ge=1)
    batch_size: int = Field(256, ge=1)
    learning_rate: tuple[float, float] = Field(
        (3e-3, 1e-2), description="bounds of the peak learning rate that the search suggests"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 0 < self.learning_rate[0] <= self.learning_rate[1]:
            raise ValueError("learning_rate needs 0 < lowest <= highest")
        return self


class TimingConfig(_Section):
    """Measured inference time."""

    ncol: tuple[int, ...] = (1, 16, 1152)
    repeats: int = Field(7, ge=1)
    backend: Literal["auto", "fortran", "onnxruntime"] = "auto"
    compiler: str = "gfortran"
    flags: str = (
        "-O3 -march=native -mprefer-vector-width=512 -fno-math-errno -ffp-contract=fast "
        "-fno-trapping-math -fopenmp-simd"
    )
    baseline_flags: str = "-O3 -march=native"

    @field_validator("ncol")
    @classmethod
    def _check_ncol(cls, ncol: tuple[int, ...]) -> tuple[int, ...]:
        if not ncol or min(ncol) < 1:
            raise ValueError(
                "numbers of columns per call are at least 1, and there is one at least"
            )
        return tuple(sorted(set(ncol)))

    @field_validator("flags", "baseline_flags")
    @classmethod
    def _check_flags(cls, flags: str) -> str:
        try:
            shlex.split(flags)
        except ValueError as error:
            raise ValueError(f"{flags!r} is no list of options: {error}") from error
        return flags


class SelectConfig(_Section):
    """The choice on the Pareto front."""

    rule: str = "knee"
    ncol: int = Field(16, ge=1, description="columns per call whose measured time counts")

    @field_validator("rule")
    @classmethod
    def _check_rule(cls, rule: str) -> str:
        try:
            check_rule(rule)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return rule


class ExportConfig(_Section):
    """The bundle."""

    name: str | None = None
    golden: int = Field(64, ge=1, description="golden vectors that travel with the weights")


class VerifyConfig(_Section):
    """Agreement of all forms of the emulator."""

    rows: int = Field(10_000, ge=1)
    tolerance: float = Field(1e-5, gt=0)


class Config(_Section):
    """A whole run; ``Config()`` is the default run on the embedded data set."""

    contract: str = "activation"
    data: str | None = None
    seed: int = Field(1, ge=0)
    workers: int = Field(0, ge=0, description="processes; 0 means one per core")
    search: SearchConfig = SearchConfig()
    retrain: RetrainConfig = RetrainConfig()
    timing: TimingConfig = TimingConfig()
    select: SelectConfig = SelectConfig()
    export: ExportConfig = ExportConfig()
    verify: VerifyConfig = VerifyConfig()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.select.ncol not in self.timing.ncol:
            raise ValueError(
                f"select.ncol = {self.select.ncol} is none of timing.ncol = "
                f"{list(self.timing.ncol)}: nothing is timed there"
            )
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a TOML file; relative paths in it are relative to the file's folder.

        Raises
        ------
        UsageError
            The file is missing or no TOML, a key is unknown or a value is impossible.
        """
        try:
            content = tomllib.loads(path.read_text())
        except OSError as error:
            raise UsageError(f"cannot read the configuration {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} is not valid TOML: {error}") from error
        for key in ("data", "contract"):
            value = content.get(key)
            if isinstance(value, str) and (path.parent / value).is_file():
                content[key] = str((path.parent / value).resolve())
        return cls.from_dict(content, str(path))

    @classmethod
    def from_dict(cls, content: dict[str, Any], source: str = "configuration") -> Self:
        """Build a configuration from plain data; errors as for `load`."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise UsageError(f"{source}: {explain(error, cls)}") from error

    @property
    def n_workers(self) -> int:
        """Number of worker processes."""
        return self.workers or len(os.sched_getaffinity(0))
