"""A training of known length that survives being killed, and diverging."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from emufort.errors import EmufortError
from emufort.training.backend import Trainer
from emufort.training.schedule import StepPlan
from emufort.training.state import TrainerState
from emufort.training.task import TrainingTask

#: A training that diverges starts again with this share of its learning rate, so many times.
_SLOWER, _RESTARTS = 0.3, 2


@dataclass(frozen=True)
class DurableUnit:
    """One training for a worker; where it stands is in the checkpoint file, if there is one.

    Attributes
    ----------
    task, plan
        What to train and for how long.
    checkpoint
        safetensors file of the state, replaced atomically.
    checkpoint_seconds
        Time between two checkpoints: what a kill costs at most.
    """

    task: TrainingTask
    plan: StepPlan
    checkpoint: Path
    checkpoint_seconds: float


def run_durably(trainer: Trainer, unit: DurableUnit) -> TrainerState:
    """Train to the end of the plan, from the checkpoint if there is one.

    A training that diverges starts again with a lower learning rate; the task of the returned
    state says with which.
    """
    saved = time.monotonic()

    def listener(state: TrainerState) -> None:
        nonlocal saved
        if time.monotonic() - saved >= unit.checkpoint_seconds and not state.stopped:
            state.save(unit.checkpoint)
            saved = time.monotonic()

    rates = [unit.task.learning_rate * _SLOWER**i for i in range(_RESTARTS + 1)]
    tasks = [replace(unit.task, learning_rate=rate) for rate in rates]
    state = _from_checkpoint(unit.checkpoint, tasks) or TrainerState.initial(tasks[0])
    for task in tasks[tasks.index(state.task) :]:
        if task != state.task:
            state = TrainerState.initial(task)
        state = trainer.run_steps(state, unit.plan, listener)
        if state.stopped != "diverged":
            break
    return state


def _from_checkpoint(path: Path, tasks: list[TrainingTask]) -> TrainerState | None:
    if not path.exists():
        return None
    try:
        state = TrainerState.load(path)
    except EmufortError:
        return None
    return state if state.task in tasks else None
