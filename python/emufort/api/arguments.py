"""Check keyword arguments of the functions in the same way as a configuration."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from emufort.callbacks.protocol import Callback, Callbacks
from emufort.config import DEFAULTS, Config
from emufort.errors import UsageError
from emufort.extensions import Extensions
from emufort.messages import explain
from emufort.search.growth import difference_by_growth
from emufort.search.samplers.objects import describe
from emufort.search.samplers.options import OBJECT

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


def extended(sampler: object, callbacks: Sequence[Callback]) -> tuple[str | None, Extensions]:
    """Return the value of `search.sampler` and the objects that the caller gives.

    Parameters
    ----------
    sampler
        Name of a sampler, a sampler of Optuna, or None.
    callbacks
        Callbacks in the order in which they are called.

    Raises
    ------
    UsageError
        `sampler` is something else.
    """
    called = Callbacks(callbacks)
    if sampler is None or isinstance(sampler, str):
        return sampler, Extensions(None, called)
    return OBJECT + describe(sampler), Extensions(sampler, called)  # type: ignore[arg-type]


def warn_of_growth(folder: Path, config: Config) -> None:
    """Warn the caller of a function of the API if a search in `folder` grows inexactly."""
    words = difference_by_growth(folder, config.search)
    if words:
        warnings.warn(words, stacklevel=3)
