"""The methods of a callback, and how they are called."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from emufort.messages import one_line

if TYPE_CHECKING:
    from emufort.retrain.table import Retrained
    from emufort.search.trials import Trial

#: What happens to a step: it begins, ends, or is stopped by an error or by the user.
Event = Literal["begin", "end", "stopped"]


class Callback:
    """Receives what a run has finished; every method may be overridden, and does nothing here.

    All methods are called in the driver process, after the results are on disk. The order of calls
    and their arguments depend only on the run, except for the seconds of trainings. A continued
    run reports only what is finished from then on, and a network once, also if the search grows.
    """

    def on_step(self, step: str, event: Event) -> None:
        """Receive that a step begins, ends or was stopped.

        Parameters
        ----------
        step
            Name of the step, such as ``"search"``. A run leaves out finished steps.
        event
            ``"begin"``, ``"end"`` or ``"stopped"``.
        """

    def on_trials(self, trials: Sequence[Trial]) -> None:
        """Receive the finished trials of one batch of step 1, in the order of their numbers."""

    def on_trained(self, network: Retrained) -> None:
        """Receive a network of step 2.

        Networks are reported when all trainings of a round are finished, in the order in which
        they were planned, so that the order does not depend on the speed of workers.
        """


class Callbacks:
    """Calls several callbacks in their order.

    A callback that raises an exception is reported and switched off, and the run continues:
    neither a full disk of a log nor an unreachable server can lose trainings. Exceptions that are
    no `Exception`, such as KeyboardInterrupt, end the run like an interruption, which can be
    continued.

    Parameters
    ----------
    callbacks
        The callbacks; any object with some methods of `Callback`.
    warn
        Receives one line for a callback that is switched off.
    """

    def __init__(
        self, callbacks: Sequence[Any] = (), warn: Callable[[str], None] = warnings.warn
    ) -> None:
        self._active = list(callbacks)
        self._warn = warn

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Report the begin and the end of a step around the work of a block."""
        self._call("on_step", name, "begin")
        try:
            yield
        except BaseException:
            self._call("on_step", name, "stopped")
            raise
        self._call("on_step", name, "end")

    def trials(self, trials: Sequence[Trial]) -> None:
        """Report the finished trials of a batch."""
        self._call("on_trials", tuple(trials))

    def trained(self, networks: Sequence[Retrained]) -> None:
        """Report the networks of a round, one after the other."""
        for network in networks:
            self._call("on_trained", network)

    def _call(self, method: str, *arguments: Any) -> None:
        for callback in list(self._active):
            function = getattr(callback, method, None)
            if function is None:
                continue
            try:
                function(*arguments)
            except Exception as error:
                self._active.remove(callback)
                self._warn(
                    f"the callback {type(callback).__name__} is switched off, because {method} "
                    f"failed: {type(error).__name__}: {one_line(error)}"
                )
