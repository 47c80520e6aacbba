"""How a long step tells its caller how far it is, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Receives the progress of one step, in the driver process.

    While trainings are under way it is called about once a second from a thread, never twice at
    the same time.
    """

    def __call__(
        self, step: str, done: float, total: int, note: str = "", left: float | None = None
    ) -> None:
        """Hear how far a step is.

        Parameters
        ----------
        step
            Name of the step.
        done, total
            Units that are finished, and all of them; the fraction of `done` stands for the units
            that are under way.
        note
            Something for a person, such as the best network so far.
        left
            Estimated time to the end of the step in s; None where it is not known.
        """


def silent(step: str, done: float, total: int, note: str = "", left: float | None = None) -> None:
    """Ignore progress."""


class StepListener:
    """Hears which step of a run begins and ends, and the progress within a step (a `Reporter`).

    Parameters
    ----------
    report
        Told of the progress within a step.
    """

    def __init__(self, report: Reporter = silent) -> None:
        self._report = report

    def skip(self, step: str) -> None:
        """Hear that a step needs no work."""

    def begin(self, step: str) -> None:
        """Hear that a step begins."""

    def end(self, step: str) -> None:
        """Hear that a step is finished."""

    def __call__(
        self, step: str, done: float, total: int, note: str = "", left: float | None = None
    ) -> None:
        """Be a `Reporter`."""
        self._report(step, done, total, note, left)
