"""Log a run for TensorBoard."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from emufort.callbacks.protocol import Callback, Event
from emufort.errors import UsageError
from emufort.paths import PathLike

if TYPE_CHECKING:
    from emufort.retrain.table import Retrained
    from emufort.search.trials import Trial


class TensorBoard(Callback):
    """Write scalars for TensorBoard; the x axis is the number of the trial.

    ``search/value`` and ``search/best`` are the loss of step 1 and the lowest so far since the
    callback was created, ``search/multiply_adds`` is the cost of the network.
    ``retrain/validation_loss``, ``retrain/rmse`` and ``retrain/r2`` are the scores of step 2, with
    one series per random seed. Values that are not finite are left out.

    Parameters
    ----------
    folder
        Folder of the event files, for ``tensorboard --logdir``.

    Raises
    ------
    UsageError
        The package tensorboard is not installed.
    """

    def __init__(self, folder: PathLike) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                "the callback TensorBoard needs tensorboard: pip install 'emufort[tensorboard]'"
            ) from error
        self._kind: Any = SummaryWriter
        self._folder = os.fspath(folder)
        self._writer: Any = None
        self._best = math.inf

    def on_step(self, step: str, event: Event) -> None:
        """Close the file at the end of a step; the next scalar opens another one."""
        if event != "begin" and self._writer is not None:
            self._writer.close()
            self._writer = None

    def on_trials(self, trials: Sequence[Trial]) -> None:
        """Write the scalars of a batch."""
        for trial in trials:
            self._best = min(self._best, trial.value if trial.finite else math.inf)
            self._add("search/value", trial.value, trial.number)
            self._add("search/best", self._best, trial.number)
            self._add("search/multiply_adds", trial.architecture.multiply_adds, trial.number)
        self._flush()

    def on_trained(self, network: Retrained) -> None:
        """Write the scores of a network."""
        for name in ("validation_loss", "rmse", "r2"):
            value = getattr(network, name)
            self._add(f"retrain/{name}/seed {network.seed}", value, network.trial)
        self._flush()

    def _add(self, name: str, value: float, at: int) -> None:
        if math.isfinite(value):
            self._writer = self._writer or self._kind(self._folder)
            self._writer.add_scalar(name, value, at)

    def _flush(self) -> None:
        if self._writer is not None:
            self._writer.flush()
