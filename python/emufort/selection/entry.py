"""The entries of a selection: emulators and classical schemes with their error and time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One emulator with the numbers that decide the selection.

    Attributes
    ----------
    id
        Identity of the network (trial and seed).
    label
        Description of its architecture; entries with the same label differ in seed or training.
    rmse
        Root mean square error of the skill variables on the validation split.
    ns_per_sample
        Measured median inference time [ns].
    """

    id: str
    label: str
    rmse: float
    ns_per_sample: float

    def __str__(self) -> str:
        return f"{self.id} ({self.label})"


@dataclass(frozen=True)
class BaselineEntry:
    """A classical scheme for comparison; its time [ns] is None if it was not measured."""

    name: str
    rmse: float
    ns_per_sample: float | None
