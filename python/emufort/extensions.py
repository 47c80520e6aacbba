"""Python objects of the caller that take part in a run and that no configuration can hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from emufort.callbacks.protocol import Callbacks


@dataclass(frozen=True)
class Extensions:
    """Objects of the caller.

    Attributes
    ----------
    sampler
        A sampler of Optuna that proposes the candidates; None for the sampler of the configuration.
    callbacks
        Receive finished trials and networks.
    """

    sampler: Any = None
    callbacks: Callbacks = field(default_factory=Callbacks)
