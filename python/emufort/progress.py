"""Interfaces through which a long step reports its progress."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Receives the progress of one step, in the driver process.

    During trainings it is called about once a second from a thread, never twice at the same time.
    """

    def __call__(
        self, step: str, done: float, total: int, note: str = "", left: float | None = None
    ) -> None:
        """Receive the progress of a step.

        Parameters
        ----------
        step
            Name of the step.
        done, total
            Number of finished units and of all units; the fraction of `done` represents units in
            progress.
        note
            Note for people, such as the best network so far.
        left
            Estimated time to the end of the step [s]; None if it is not known.
        """


def silent(step: str, done: float, total: int, note: str = "", left: float | None = None) -> None:
    """Ignore progress."""


class StepListener:
    """Receives the start, the end and the progress (as a `Reporter`) of the steps of a run.

    Parameters
    ----------
    report
        Receives the progress within a step.
    """

    def __init__(self, report: Reporter = silent) -> None:
        self._report = report

    def skip(self, step: str) -> None:
        """Receive that a step needs no work."""

    def begin(self, step: str) -> None:
        """Receive that a step starts."""

    def end(self, step: str) -> None:
        """Receive that a step is finished."""

    def __call__(
        self, step: str, done: float, total: int, note: str = "", left: float | None = None
    ) -> None:
        """Receive the progress of a step; see `Reporter`."""
        self._report(step, done, total, note, left)
