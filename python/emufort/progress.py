"""How a long step tells its caller how far it is, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Receives the progress of one step; called from the driver process only."""

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:
        """Say that `done` of `total` units of `step` are finished; `note` is for a person."""


def silent(step: str, done: int, total: int, note: str = "") -> None:
    """Ignore progress."""
