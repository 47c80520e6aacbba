"""Work of the batch that a search is in: a kill then costs seconds, not the batch."""

from __future__ import annotations

import shutil
from pathlib import Path

from emufort.errors import EmufortError
from emufort.training import TrainerState, TrainingTask

#: Shorter trainings are sooner done again than written.
WORTH_KEEPING_SECONDS = 1.0


class UnfinishedBatch:
    """Trainings that have reached a rung of a batch that is not told yet."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder
        self._number = number

    def _path(self, position: int, epochs: int) -> Path:
        return self._folder / f"b{self._number:05d}-c{position:04d}-e{epochs:05d}.safetensors"

    def keep(self, state: TrainerState, position: int, epochs: int, spent: float) -> None:
        """Write the training of the candidate at `position` if it took long enough."""
        if spent >= WORTH_KEEPING_SECONDS:
            state.save(self._path(position, epochs))

    def find(self, task: TrainingTask, position: int, epochs: int) -> TrainerState | None:
        """Return what was kept for this very task, or None."""
        path = self._path(position, epochs)
        if not path.exists():
            return None
        try:
            state = TrainerState.load(path)
        except EmufortError:
            return None
        return state if state.task == task else None

    def clear(self) -> None:
        """Forget the batch."""
        shutil.rmtree(self._folder, ignore_errors=True)
