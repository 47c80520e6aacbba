"""The base class of all sections of the configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from emufort.contract_rules import check_text
from emufort.training.device import device_name

#: Where networks are trained, such as ``cpu`` or ``cuda:1``.
Device = Annotated[str, AfterValidator(device_name)]
#: A text of one line, such as a path.
Line = Annotated[str, AfterValidator(check_text)]


def _number_or_auto(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Check an option that is a number or ``auto``; the error is one line."""
    try:
        return handler(value)
    except ValidationError as error:
        bounds = (e.get("ctx", {}).get("ge") for e in error.errors())
        least = next((bound for bound in bounds if bound is not None), None)
        what = "a whole number" if least is None else f"a whole number from {least}"
        raise ValueError(f"Input should be {what}, or 'auto', not {value!r}") from error


#: Validator that gives one line for an invalid option.
OrAuto = WrapValidator(_number_or_auto)


class Section(BaseModel):
    """A section of the configuration; unknown keys are refused and values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


#: Trainer: the Fortran trainer, torch, or auto (native where it is built, else torch).
TrainingBackend = Literal["auto", "native", "torch"]
