"""Options of step 2."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from emufort.config.section import OrAuto, Section, TrainingBackend
from emufort.training.schedule import REFERENCE_BATCH


class RetrainConfig(Section):
    """Step 2: the top candidates on all training rows."""

    backend: TrainingBackend = "auto"

    top: Annotated[Annotated[int, Field(ge=1)] | Literal["auto"], OrAuto] = Field(
        "auto", description="candidates chosen along the front, without the control group"
    )
    control: Annotated[Annotated[int, Field(ge=0)] | Literal["auto"], OrAuto] = Field(
        "auto", description="candidates drawn at random; auto: 5 %, at least 16, at most half"
    )
    steps: int = Field(
        20_000,
        ge=1,
        le=1_000_000_000,
        description="steps of 256 samples, unless batch_size is given",
    )
    longer: int = Field(
        3,
        ge=1,
        le=1000,
        description="factor by which the final trainings on the front are longer",
    )
    warm_start: bool = Field(
        False, description="start these longer trainings from the weights of the rounds"
    )
    seeds: int = Field(1, ge=1, le=1000, description="seeds of the candidates on the front")
    batch_size: int | None = Field(
        None, ge=1, description="samples per step; None: that of the candidate"
    )
    learning_rate: tuple[float, float] | None = Field(
        None, description="bounds of the peak learning rate; None: that of the candidate"
    )

    precision: Literal["single", "bfloat16"] = Field(
        "single", description="of products and activation functions; bfloat16 needs torch"
    )
    microbatch: int | None = Field(
        None,
        ge=1,
        description="most samples at once, where a batch needs too much memory; needs torch",
    )

    @property
    def only_torch(self) -> bool:
        """Whether only torch can train with these options."""
        return self.precision != "single" or self.microbatch is not None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.learning_rate and not 0 < self.learning_rate[0] <= self.learning_rate[1]:
            raise ValueError("learning_rate needs 0 < lowest <= highest")
        if self.warm_start and self.longer == 1:
            raise ValueError("warm_start is for longer trainings and needs longer = 2 or more")
        if self.only_torch and self.backend == "native":
            raise ValueError(
                "the native trainer takes whole batches in single precision: leave out precision "
                "and microbatch, or choose backend = 'torch'"
            )
        return self

    @property
    def samples(self) -> int:
        """Number of samples that every network sees, independent of its batch size."""
        return self.steps * (self.batch_size or REFERENCE_BATCH)
