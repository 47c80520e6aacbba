"""The configuration of a run: every option with its default, read from TOML and checked."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from emufort.contract import explain, is_path, one_line
from emufort.contract_rules import check_text
from emufort.errors import EmufortError, UsageError
from emufort.network.activations import parse, text_of
from emufort.network.architecture import MOST_LAYERS
from emufort.network.plan import MOST_NEURONS
from emufort.paths import PathLike
from emufort.selection.select import check_rule
from emufort.training.schedule import REFERENCE_BATCH


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    UsageError
        It is missing or no TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also numbers of very many digits
        raise UsageError(f"{path} is not valid TOML: {one_line(error)}") from error


#: A text of one line, such as a path.
Line = Annotated[str, AfterValidator(check_text)]
#: More columns per call than this are a slip of the pen: no memory holds them.
_MOST_COLUMNS = 1_000_000


def _number_or_auto(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Say in one line what an option may be that is a number or left open."""
    try:
        return handler(value)
    except ValidationError as error:
        bounds = (e.get("ctx", {}).get("ge") for e in error.errors())
        least = next((bound for bound in bounds if bound is not None), None)
        what = "a whole number" if least is None else f"a whole number from {least}"
        raise ValueError(f"Input should be {what}, or 'auto', not {value!r}") from error


#: Makes the complaint about such an option one line.
_OrAuto = WrapValidator(_number_or_auto)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _known_activation_function(text: str) -> str:
    """Return the name of an activation function, perhaps with a parameter, if there is such."""
    try:
        row, parameter = parse(text)
    except EmufortError as error:
        raise ValueError(str(error)) from error
    if row.name == "linear":
        raise ValueError("a search over networks with linear hidden layers is of no use")
    return text_of(row.name, parameter)


#: Such as ``relu`` or ``leaky_relu:0.2``.
_ActivationFunction = Annotated[str, AfterValidator(_known_activation_function)]


class SpaceConfig(_Section):
    """Search space: shape of the hidden layers, activation function, and how to train.

    ``family = "layers"`` gives every hidden layer a width of its own; ``"taper"`` draws the first
    width and a ratio, and every layer is that much narrower than the one before it; ``"residual"``
    draws one width for all, and every hidden layer but the first adds its input to what it computes
    (trained by torch).
    """

    family: Literal["layers", "taper", "residual"] = "layers"
    depth: tuple[int, int] = (1, 3)
    width: tuple[int, ...] = (8, 16, 24, 32, 48, 64, 96, 128)
    taper: tuple[float, ...] = (1.0, 0.75, 0.5)
    activation: tuple[_ActivationFunction, ...] = ("relu", "squared_relu", "tanh", "silu")
    learning_rate: tuple[float, float] = Field(
        (1e-3, 4e-3),
        description="bounds of the peak learning rate, for the batch size that it is drawn with",
    )
    batch_size: tuple[int, ...] = (64,)
    weight_decay: tuple[float, ...] = (0.0,)
    target: tuple[Line, ...] = Field(
        (), description="contracts or 'output=transform'; the run's contract if there are none"
    )

    @property
    def only_mlps(self) -> bool:
        """Whether all candidates are plain multilayer perceptrons."""
        return self.family != "residual"

    @field_validator("width", mode="before")
    @classmethod
    def _expand_width(cls, width: Any) -> Any:
        """Let ``{lowest = 8, highest = 2048, choices = 17}`` stand for a geometric list."""
        if not isinstance(width, dict):
            return width
        try:
            lowest, highest = int(width["lowest"]), int(width["highest"])
            choices = int(width.get("choices", 17))
            if set(width) - {"lowest", "highest", "choices"}:
                raise KeyError
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                "a list of widths, or {lowest = 8, highest = 2048, choices = 17}"
            ) from error
        if not (1 <= lowest <= highest and choices >= 1):
            raise ValueError("width needs 1 <= lowest <= highest and at least one choice")
        ratio = (highest / lowest) ** (1.0 / max(1, choices - 1))
        steps = (lowest * ratio**i for i in range(choices))
        # Whole vectors of 4 or 8 neurons cost the runtime no more than a few less.
        rounded = (w if w < 8 else 4 * round(w / 4) if w < 64 else 8 * round(w / 8) for w in steps)
        return sorted({lowest, highest, *(min(max(round(w), lowest), highest) for w in rounded)})

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 1 <= self.depth[0] <= self.depth[1]:
            raise ValueError("depth needs 1 <= lowest <= highest")
        if not 0 < self.learning_rate[0] <= self.learning_rate[1]:
            raise ValueError("learning_rate needs 0 < lowest <= highest")
        for name in ("width", "taper", "activation", "batch_size", "weight_decay"):
            choices = getattr(self, name)
            if not choices:
                raise ValueError(f"{name} lists no choice")
            if len(set(choices)) < len(choices):
                raise ValueError(f"{name} lists a choice twice")
        if max(self.width) > MOST_NEURONS or self.depth[1] >= MOST_LAYERS:
            raise ValueError(
                f"the Fortran runtime takes networks of at most {MOST_LAYERS - 1} hidden layers of "
                f"{MOST_NEURONS} neurons: lower the largest width or depth"
            )
        if min(self.width) < 1 or min(self.batch_size) < 1:
            raise ValueError("widths and batch sizes are at least 1")
        if min(self.taper) <= 0 or max(self.taper) > 1:
            raise ValueError("taper lists ratios above 0 and up to 1")
        if min(self.weight_decay) < 0:
            raise ValueError("weight_decay is not negative")
        if len(set(self.target)) < len(self.target) or not all(map(str.strip, self.target)):
            raise ValueError("target lists contracts or 'output=transform', each once")
        return self


#: Who trains: the Fortran trainer, torch, or the former where it is built.
TrainingBackend = Literal["auto", "native", "torch"]


class SearchConfig(_Section):
    """Step 1: many candidates on a small subset."""

    backend: TrainingBackend = "auto"

    trials: int = Field(256, ge=1, le=1_000_000)
    batch: int = Field(32, ge=1, description="candidates asked for at once")
    subset: Annotated[Annotated[int, Field(ge=16)] | Literal["auto"], _OrAuto] = Field(
        "auto", description="training rows that step 1 sees; auto: as many as the search can use"
    )
    subset_by: Literal["random", "stratified", "space_filling"] = "random"
    validation: int = Field(2000, ge=16, description="validation rows that score step 1, at most")
    sampler: str = "parzen"
    sampler_options: dict[str, bool | int | float | str] = {}
    share: tuple[float, ...] = Field(
        (0.05,), description="length of each annealed rung, as a share of step 2's samples"
    )
    rungs: tuple[int, ...] = Field(
        (), description="length of each rung in epochs instead; needed for schedule = 'constant'"
    )
    rung_rows: tuple[int, ...] = Field(
        (), description="rows of the subset at each rung; all of them if empty"
    )
    eta: int = Field(4, ge=2)
    halving: Literal["batch", "asha"] = Field(
        "batch", description="a candidate is compared with its batch, or with all before it"
    )
    groups: tuple[Literal["activation", "batch_size", "target"], ...] = Field(
        ("batch_size",),
        description="candidates that share these are compared with each other first; empty: all",
    )
    schedule: Literal["constant", "cosine"] = Field(
        "cosine",
        description="train anew at each rung as step 2 does, or go on from rung to rung",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="samples per step of annealed rungs; by the length of the rung if None",
    )
    patience: int = Field(15, ge=1)
    max_ns: float | None = Field(None, gt=0, description="predicted ns per sample, at most")
    cost_table: Line | None = Field(None, description="CSV of measured times; else they are taken")
    space: SpaceConfig = SpaceConfig()

    @field_validator("sampler")
    @classmethod
    def _check_sampler(cls, sampler: str) -> str:
        from emufort.search.samplers.options import sampler_name

        try:
            return sampler_name(sampler)
        except UsageError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="before")
    @classmethod
    def _add_rungs(cls, options: Any) -> Any:
        """Give a search at a constant rate its usual rungs and rows, where none are given."""
        if isinstance(options, dict) and options.get("schedule") == "constant":
            return {"rungs": (5, 20, 100), "subset": 2000, **options}
        return options

    @field_validator("groups")
    @classmethod
    def _sort_groups(cls, groups: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(groups)))  # their order means nothing

    @model_validator(mode="after")
    def _check(self) -> Self:
        rungs, rows = self.rungs, self.rung_rows
        if rungs and (rungs[0] < 1 or list(rungs) != sorted(set(rungs))):
            raise ValueError("rungs are numbers of epochs in ascending order")
        if rungs and rungs[-1] > 1_000_000:
            raise ValueError("rungs go up to 1000000 epochs")
        if not rungs and self.schedule == "constant":
            raise ValueError("schedule = 'constant' needs rungs: numbers of epochs")
        shares = self.share
        if not shares or min(shares) <= 0 or max(shares) > 1 or list(shares) != sorted(set(shares)):
            raise ValueError("share lists parts of step 2 in ascending order, above 0 and up to 1")
        n = len(rungs or shares)
        if rows and (len(rows) != n or rows[0] < 16 or list(rows) != sorted(rows)):
            raise ValueError("rung_rows has a number of rows for each of rungs, ascending, from 16")
        if rows and not rungs:
            raise ValueError(
                "rung_rows needs rungs: numbers of epochs, one for each number of rows"
            )
        if rows and self.subset == "auto":
            raise ValueError("rung_rows needs a number of rows as subset")
        if rows and rows[-1] > int(self.subset):
            raise ValueError(f"rung_rows asks for {rows[-1]} rows of a subset of {self.subset}")
        return self


class AdviceConfig(_Section):
    """``emufort search --advise``: how small the subset may be."""

    candidates: int = Field(32, ge=8)
    seeds: int = Field(2, ge=2)
    first: int = Field(250, ge=16, description="rows of the smallest subset; doubled on and on")
    largest: int = Field(8000, ge=32, description="rows of the largest subset, at most")


class RetrainConfig(_Section):
    """Step 2: the top candidates on all training rows."""

    backend: TrainingBackend = "auto"

    top: Annotated[Annotated[int, Field(ge=1)] | Literal["auto"], _OrAuto] = Field(
        "auto", description="candidates chosen along the front, the control group not counted"
    )
    control: Annotated[Annotated[int, Field(ge=0)] | Literal["auto"], _OrAuto] = Field(
        "auto", description="candidates drawn at random; auto: 5 %, at least 16, at most half"
    )
    steps: int = Field(
        20_000, ge=1, le=1_000_000_000, description="of 256 samples, unless batch_size is given"
    )
    longer: int = Field(
        3,
        ge=1,
        le=1000,
        description="how much longer the candidates on the front are trained at last",
    )
    warm_start: bool = Field(
        False, description="begin these longer trainings with the weights of the rounds"
    )
    seeds: int = Field(1, ge=1, le=1000, description="seeds of the candidates on the front")
    batch_size: int | None = Field(
        None, ge=1, description="samples per step; the searched one if None"
    )
    learning_rate: tuple[float, float] | None = Field(
        None, description="bounds of the peak learning rate; the searched one if None"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.learning_rate and not 0 < self.learning_rate[0] <= self.learning_rate[1]:
            raise ValueError("learning_rate needs 0 < lowest <= highest")
        if self.warm_start and self.longer == 1:
            raise ValueError("warm_start is for longer trainings: it needs longer = 2 or more")
        return self

    @property
    def samples(self) -> int:
        """Number of samples that every network sees, whatever its batch size."""
        return self.steps * (self.batch_size or REFERENCE_BATCH)


#: Flags of the runtime where it is timed and verified.
DEFAULT_FLAGS = (
    "-O3 -march=native -mprefer-vector-width=512 -fno-math-errno -ffp-contract=fast "
    "-fno-trapping-math -fopenmp-simd"
)


class TimingConfig(_Section):
    """Measured inference time."""

    ncol: tuple[int, ...] = (1, 16, 1152)
    repeats: int = Field(7, ge=1, le=10_000)
    backend: Literal["fortran", "onnxruntime"] = "fortran"
    compiler: Line = "gfortran"
    flags: str = DEFAULT_FLAGS
    baseline_flags: str = "-O3 -march=native"

    @field_validator("ncol")
    @classmethod
    def _check_ncol(cls, ncol: tuple[int, ...]) -> tuple[int, ...]:
        if not ncol or min(ncol) < 1:
            raise ValueError(
                "numbers of columns per call are at least 1, and there is one at least"
            )
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

    name: Line | None = None
    golden: int = Field(
        64, ge=1, le=100_000, description="golden vectors that travel with the weights"
    )


class VerifyConfig(_Section):
    """Agreement of all forms of the emulator."""

    rows: int = Field(10_000, ge=1, le=10_000_000)
    tolerance: float = Field(1e-5, gt=0)


class ClusterConfig(_Section):
    """Where steps 1 and 2 are computed; no part of what they compute."""

    engine: Literal["auto", "pool", "dask"] = Field(
        "auto", description="processes of this machine; auto takes Dask for a cluster only"
    )
    scheduler: str | None = Field(None, description="a Dask scheduler, such as tcp://node:8786")
    kind: Literal["slurm"] | None = Field(None, description="a batch system to start workers with")
    jobs: int = Field(1, ge=1, description="batch jobs")
    workers_per_job: int = Field(1, ge=1, description="worker processes in each, one core each")
    time: str = Field("01:00:00", description="time limit of a job")
    partition: str | None = None
    account: str | None = None
    memory: str | None = Field(None, description="of a job, such as 8G")
    options: tuple[str, ...] = Field(
        (), description="more #SBATCH options, each as sbatch reads it: --gres=gpu:1"
    )
    setup: tuple[str, ...] = Field((), description="shell lines before the worker, module load ...")
    python: str | None = Field(
        None, description="interpreter on the nodes: a command or path; this one if not given"
    )
    host: str | None = Field(None, description="name or address by which nodes reach the driver")

    @field_validator("scheduler", "time", "partition", "account", "memory", "python", "host")
    @classmethod
    def _check_text(cls, text: str | None) -> str | None:
        if text is not None and (not text.strip() or not text.isprintable()):
            raise ValueError(f"{text!r} is empty or has a line break or another control character")
        return text

    @field_validator("host")
    @classmethod
    def _check_host(cls, host: str | None) -> str | None:
        if host is not None and not re.fullmatch(r"[A-Za-z0-9._:%\[\]-]+", host):
            raise ValueError(f"{host!r} is no name or address of a machine")
        return host

    @field_validator("python")
    @classmethod
    def _check_python(cls, python: str | None) -> str | None:
        if python is not None and (python.startswith(("~", "-")) or "$" in python):
            raise ValueError(
                f"{python!r} is taken as it is, without a shell: give the whole path, or a command "
                "that lines of 'setup' put on the PATH"
            )
        return python

    @field_validator("options")
    @classmethod
    def _check_options(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        for option in options:
            if not option.startswith("-") or not option.isprintable():
                raise ValueError(
                    f"{option!r} is no option of sbatch: it begins with '-' and is one line"
                )
        return options

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.scheduler is not None and self.kind is not None:
            raise ValueError("give a scheduler or a kind of cluster, not both")
        if self.engine == "pool" and (self.scheduler or self.kind):
            raise ValueError("engine = 'pool' knows this machine only; leave it out")
        return self


class Config(_Section):
    """A whole run; ``Config()`` is the default run on the embedded data set."""

    contract: Line = "activation"
    data: Line | None = None
    seed: int = Field(1, ge=0, le=2_000_000_000)
    workers: int = Field(0, ge=0, le=65_536, description="processes; 0 means one per core")
    search: SearchConfig = SearchConfig()
    advice: AdviceConfig = AdviceConfig()
    retrain: RetrainConfig = RetrainConfig()
    timing: TimingConfig = TimingConfig()
    select: SelectConfig = SelectConfig()
    export: ExportConfig = ExportConfig()
    verify: VerifyConfig = VerifyConfig()
    cluster: ClusterConfig = ClusterConfig()

    _recorded: frozenset[str] = PrivateAttr(frozenset())

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.select.ncol not in self.timing.ncol:
            raise ValueError(
                f"select.ncol = {self.select.ncol} is none of timing.ncol = "
                f"{list(self.timing.ncol)}: nothing is timed there"
            )
        return self

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read a TOML file; relative paths in it are relative to the file's folder.

        Raises
        ------
        UsageError
            The file is missing or no TOML, a key is unknown or a value is impossible.
        """
        path = Path(path)
        content = read_toml(path)
        if "input" in content and "output" in content:
            raise UsageError(f"{path} is a contract, not a configuration; give it by --contract")

        def resolved(name: Any, is_name: bool = False) -> Any:
            """Return a relative path absolute; what can be a registered name stays one."""
            if not isinstance(name, str) or (is_name and not is_path(name)):
                return name
            file = path.parent / name
            return str(file.resolve()) if file.is_file() else name

        if "data" in content:
            content["data"] = resolved(content["data"])
        if "contract" in content:
            content["contract"] = resolved(content["contract"], is_name=True)
        search = content.get("search", {})
        if isinstance(search, dict) and "cost_table" in search:
            search["cost_table"] = resolved(search["cost_table"])
        space = search.get("space", {}) if isinstance(search, dict) else {}
        if isinstance(space, dict) and isinstance(space.get("target"), list):
            space["target"] = [resolved(name, is_name=True) for name in space["target"]]
        return cls.from_dict(content, str(path))

    @classmethod
    def from_dict(cls, content: dict[str, Any], source: str = "configuration") -> Self:
        """Build a configuration from plain data; errors as for `load`."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise UsageError(f"{source}: {explain(error, cls)}") from error

    @property
    def recorded(self) -> frozenset[str]:
        """Options of `timing` that a run folder alone gives, see `emufort.run.recorded`."""
        return self._recorded

    def as_recorded(self, names: Iterable[str]) -> Self:
        """Return this configuration with `names` as what only a run folder gives."""
        copy = self.model_copy()
        copy._recorded = frozenset(names)
        return copy

    @property
    def n_workers(self) -> int:
        """Number of worker processes."""
        return self.workers or len(os.sched_getaffinity(0))
