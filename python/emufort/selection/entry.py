"""What takes part in the choice: emulators and classical schemes with their error and time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One emulator with what counts for the choice.

    Attributes
    ----------
    id
        Identity of the candidate (architecture, trial and seed).
    label
        Its architecture in words; entries with the same label differ in their seed or training.
    rmse
        Root mean square error of the skill variables on the validation split.
    ns_per_sample
        Measured median inference time in ns.
    """

    id: str
    label: str
    rmse: float
    ns_per_sample: float

    def __str__(self) -> str:
        return f"{self.id} ({self.label})"


@dataclass(frozen=True)
class BaselineEntry:
    """A classical scheme to compare with; its time in ns is None where it was not measured."""

    name: str
    rmse: float
    ns_per_sample: float | None
