"""Trainings of the current batch on disk, so that an interruption costs seconds, not a batch."""

from __future__ import annotations

import shutil
from pathlib import Path

from emufort.errors import EmufortError
from emufort.training import TrainerState, TrainingTask

#: Shorter trainings are repeated faster than written.
WORTH_KEEPING_SECONDS = 1.0


class UnfinishedBatch:
    """Trainings that have reached a rung, of a batch whose trials are not recorded yet."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder
        self._number = number

    def _path(self, position: int, epochs: int, rows: int) -> Path:
        rung = f"e{epochs:05d}-r{rows:05d}"
        return self._folder / f"b{self._number:05d}-c{position:04d}-{rung}.safetensors"

    def keep(
        self, state: TrainerState, position: int, epochs: int, rows: int, spent: float
    ) -> None:
        """Write the training of the candidate at `position` if it took long enough.

        Parameters
        ----------
        epochs, rows
            Epochs and rows of the rung; two rungs that compare numbers of rows may differ only in
            the rows.
        spent
            Training time in this rung [s].
        """
        if spent >= WORTH_KEEPING_SECONDS:
            state.save(self._path(position, epochs, rows))

    def find(
        self, task: TrainingTask, position: int, epochs: int, rows: int
    ) -> TrainerState | None:
        """Return the kept training of exactly this task and rung, or None.

        Parameters
        ----------
        task
            The training task of the candidate in this rung.
        position
            Position of the candidate in the batch.
        epochs, rows
            Epochs and rows of the rung.
        """
        path = self._path(position, epochs, rows)
        if not path.exists():
            return None
        try:
            state = TrainerState.load(path)
        except EmufortError:
            return None
        return state if state.task == task else None

    def clear(self) -> None:
        """Remove all files of the batch."""
        shutil.rmtree(self._folder, ignore_errors=True)
