"""What all sections of the configuration share."""

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

#: A text of one line, such as a path.
Line = Annotated[str, AfterValidator(check_text)]


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
OrAuto = WrapValidator(_number_or_auto)


class Section(BaseModel):
    """A section of the configuration: an unknown key is refused, and no value changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


#: Who trains: the Fortran trainer, torch, or the former where it is built.
TrainingBackend = Literal["auto", "native", "torch"]
