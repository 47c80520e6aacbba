"""Check keyword arguments of the functions in the same way as a configuration."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from emufort.config import DEFAULTS, Config
from emufort.errors import UsageError
from emufort.messages import explain

Section = TypeVar("Section", bound=BaseModel)


def section(kind: type[Section], **options: Any) -> Section:
    """Return a section of the configuration; the errors are those of `Config.from_dict`."""
    try:
        return kind.model_validate(options)
    except ValidationError as error:
        raise UsageError(f"arguments: {explain(error, kind)}") from error


def configuration(
    seed: int, workers: int, device: str = DEFAULTS.device, **sections: dict[str, Any]
) -> Config:
    """Return a configuration with the given sections; raises the errors of `Config.from_dict`."""
    content = {"seed": seed, "workers": workers, "device": device, **sections}
    return Config.from_dict(content, "arguments")
