"""Options of step 1: the search space, the search, and the advice on its subset."""

from __future__ import annotations

import statistics
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, field_validator, model_validator

from emufort.config.section import Line, OrAuto, Section, TrainingBackend
from emufort.errors import EmufortError, UsageError
from emufort.network.activations import parse, text_of
from emufort.network.architecture import MOST_LAYERS
from emufort.network.operations.dense import MOST_NEURONS
from emufort.search.samplers.options import OBJECT, TWO_OBJECTIVES, sampler_name


def _known_activation_function(text: str) -> str:
    """Check the name of an activation function, with or without a parameter; return it."""
    try:
        row, parameter = parse(text)
    except EmufortError as error:
        raise ValueError(str(error)) from error
    if row.name == "linear":
        raise ValueError("a search over networks with linear hidden layers is of no use")
    return text_of(row.name, parameter)


#: Activation function, such as ``relu`` or ``leaky_relu:0.2``.
_ActivationFunction = Annotated[str, AfterValidator(_known_activation_function)]


class SpaceConfig(Section):
    """Search space: shape of the hidden layers, activation function, and how to train.

    ``family = "layers"`` draws a width for every hidden layer. ``"taper"`` draws the width of the
    first layer and the ratio of every layer to the previous one. ``"residual"`` draws one width for
    all hidden layers, each of which except the first adds its input to its output (trained by
    torch).
    """

    family: Literal["layers", "taper", "residual"] = "layers"
    depth: tuple[int, int] = (1, 3)
    width: tuple[int, ...] = (8, 16, 24, 32, 48, 64, 96, 128)
    taper: tuple[float, ...] = (1.0, 0.75, 0.5)
    activation: tuple[_ActivationFunction, ...] = ("relu", "squared_relu", "tanh", "silu")
    learning_rate: tuple[float, float] = Field(
        (1e-3, 4e-3),
        description="bounds of the peak learning rate, for the batch size of the candidate",
    )
    batch_size: tuple[int, ...] = (64,)
    weight_decay: tuple[float, ...] = (0.0,)
    target: tuple[Line, ...] = Field(
        (), description="contracts or 'output=transform'; the run's contract if empty"
    )

    @property
    def typical_multiply_adds(self) -> float:
        """Multiply-adds per sample of a network of middle depth and width."""
        return statistics.mean(self.depth) * statistics.median(self.width) ** 2

    @property
    def only_mlps(self) -> bool:
        """Whether all candidates are plain multilayer perceptrons."""
        return self.family != "residual"

    @field_validator("width", mode="before")
    @classmethod
    def _expand_width(cls, width: Any) -> Any:
        """Expand ``{lowest = 8, highest = 2048, choices = 17}`` to a geometric list."""
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
        # Multiples of 4 or 8 neurons cost the runtime no more than a few neurons less.
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


class EnqueuedConfig(Section):
    """A candidate that the search tries before those of the sampler, see `search.enqueue`."""

    hidden: tuple[int, ...] = Field(description="widths of the hidden layers")
    activation: _ActivationFunction | tuple[_ActivationFunction, ...] = Field(
        description="activation function of all hidden layers, or one for each"
    )
    learning_rate: float | None = Field(
        None, gt=0, description="None: the geometric mean of the bounds of the space"
    )
    batch_size: int | None = Field(None, ge=1, description="None: the first of the space")
    weight_decay: float | None = Field(None, ge=0, description="None: the first of the space")
    target: Line | None = Field(None, description="None: the first of the space")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError("hidden lists the widths of the hidden layers, each at least 1")
        if len(self.hidden) >= MOST_LAYERS or max(self.hidden) > MOST_NEURONS:
            raise ValueError(
                f"the Fortran runtime takes networks of at most {MOST_LAYERS - 1} hidden layers of "
                f"{MOST_NEURONS} neurons"
            )
        if not isinstance(self.activation, str) and len(self.activation) != len(self.hidden):
            raise ValueError("activation is one activation function, or one per hidden layer")
        return self


class SearchConfig(Section):
    """Step 1: many candidates on a small subset."""

    backend: TrainingBackend = "auto"

    trials: int = Field(256, ge=1, le=1_000_000)
    batch: int = Field(32, ge=1, description="candidates that are proposed at once")
    subset: Annotated[Annotated[int, Field(ge=16)] | Literal["auto"], OrAuto] = Field(
        "auto", description="training rows of step 1; auto: as many as the search can use"
    )
    subset_by: Literal["random", "stratified", "space_filling"] = "random"
    validation: int = Field(2000, ge=16, description="largest number of validation rows of step 1")
    sampler: str = "parzen"
    sampler_options: dict[str, bool | int | float | str] = Field({})
    share: tuple[float, ...] = Field(
        (0.05,), description="length of each annealed rung, as a share of step 2's samples"
    )
    rungs: tuple[int, ...] = Field(
        (), description="length of each rung in epochs instead; schedule = 'constant' needs it"
    )
    rung_rows: tuple[int, ...] = Field(
        (), description="rows of the subset at each rung; all rows if empty"
    )
    objectives: tuple[Literal["skill", "time"], ...] = Field(
        ("skill",),
        description="find the lowest loss, or with 'time' the front of loss and predicted time",
    )
    eta: int = Field(4, ge=2)
    halving: Literal["batch", "asha"] = Field(
        "batch", description="candidates to compare with: the same batch, or all earlier ones"
    )
    groups: tuple[Literal["activation", "batch_size", "target"], ...] = Field(
        ("batch_size",),
        description="candidates that share these are compared with each other first; empty: all",
    )
    schedule: Literal["constant", "cosine"] = Field(
        "cosine",
        description="train from the start at each rung as step 2 does, or continue between rungs",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="samples per step of annealed rungs; None: by the length of the rung",
    )
    patience: int = Field(15, ge=1)
    side_by_side: StrictBool | Literal["auto"] = Field(
        "auto", description="train the candidates of a batch together with torch; auto: on a GPU"
    )
    max_ns: float | None = Field(None, gt=0, description="largest predicted ns per sample")
    cost_table: Line | None = Field(None, description="CSV of measured times; else measured")
    enqueue: tuple[EnqueuedConfig, ...] = Field(
        (), description="candidates to try before those that the sampler proposes"
    )
    space: SpaceConfig = SpaceConfig()

    @field_validator("sampler")
    @classmethod
    def _check_sampler(cls, sampler: str) -> str:
        try:
            return sampler_name(sampler)
        except UsageError as error:
            raise ValueError(str(error)) from error

    @field_validator("objectives")
    @classmethod
    def _sort_objectives(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        if "skill" not in objectives:
            raise ValueError("objectives are ['skill'] or ['skill', 'time']")
        return tuple(sorted(set(objectives)))  # their order has no meaning

    @model_validator(mode="before")
    @classmethod
    def _add_rungs(cls, options: Any) -> Any:
        """Add the default rungs and rows of a search at a constant learning rate."""
        if isinstance(options, dict) and options.get("schedule") == "constant":
            return {"rungs": (5, 20, 100), "subset": 2000, **options}
        return options

    @field_validator("groups")
    @classmethod
    def _sort_groups(cls, groups: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(groups)))  # their order has no meaning

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_enqueued()
        rungs, rows = self.rungs, self.rung_rows
        if "time" in self.objectives:
            if self.sampler not in TWO_OBJECTIVES:
                is_object = self.sampler.startswith(OBJECT)
                what = "a sampler object" if is_object else f"the sampler '{self.sampler}'"
                raise ValueError(
                    f"{what} has one objective; with objectives = ['skill', 'time'] choose one of "
                    f"{', '.join(TWO_OBJECTIVES)}"
                )
            if self.sampler_options.get("aim") == "loss":
                raise ValueError("aim = 'loss' contradicts objectives = ['skill', 'time']")
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
            raise ValueError(f"rung_rows needs {rows[-1]} rows of a subset of {self.subset}")
        return self

    def _check_enqueued(self) -> None:
        if len(self.enqueue) > self.trials:
            raise ValueError(
                f"enqueue lists {len(self.enqueue)} candidates, more than trials = {self.trials}"
            )
        for one in self.enqueue:
            if self.space.family == "residual" and len(set(one.hidden)) > 1:
                raise ValueError(
                    "enqueue: all hidden layers of a residual network have the same width"
                )
            if one.target is not None and one.target not in self.space.target:
                known = ", ".join(self.space.target) or "none"
                raise ValueError(
                    f"enqueue: the target '{one.target}' is none of space.target ({known})"
                )


class AdviceConfig(Section):
    """``emufort search --advise``: how small the subset may be."""

    candidates: int = Field(32, ge=8)
    seeds: int = Field(2, ge=2)
    first: int = Field(
        250, ge=16, description="rows of the smallest subset, which is doubled repeatedly"
    )
    largest: int = Field(8000, ge=32, description="most rows of the largest subset")
