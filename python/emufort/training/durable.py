"""Run trainings of known length so that they survive being killed and diverging."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from emufort.errors import EmufortError
from emufort.network.emulator import Emulator
from emufort.training.layout import Layout
from emufort.training.schedule import StepPlan
from emufort.training.state import TrainerState
from emufort.training.task import TrainingTask
from emufort.training.trainer import Trainer

if TYPE_CHECKING:
    from emufort.training.torch_trainer import TorchTrainer

#: A training that diverges is restarted with this share of its learning rate, at most this often.
_SLOWER, _RESTARTS = 0.3, 2


@dataclass(frozen=True)
class WarmStart:
    """Trained weights from which a training begins.

    Attributes
    ----------
    weights
        File of an emulator with these weights; its architecture is that of the training.
    loss
        Validation loss of these weights, in scaled outputs.
    """

    weights: Path
    loss: float


@dataclass(frozen=True)
class DurableUnit:
    """One training for a worker; the checkpoint file, if it exists, holds its progress.

    Attributes
    ----------
    task, plan
        What to train and for how long.
    checkpoint
        safetensors file of the state, replaced atomically.
    checkpoint_seconds
        Time between two checkpoints [s], which is the most that a kill can cost.
    warm_start
        Weights from which the training starts. Default None: new random weights.
    """

    task: TrainingTask
    plan: StepPlan
    checkpoint: Path
    checkpoint_seconds: float
    warm_start: WarmStart | None = None

    def first_state(self, task: TrainingTask) -> TrainerState:
        """Return the state before the first step of `task`.

        Raises
        ------
        EmufortError
            The weights of the warm start cannot be read.
        """
        if self.warm_start is None:
            return TrainerState.initial(task)
        trained = Emulator.load(self.warm_start.weights)
        flat = Layout(task.architecture).join(trained.weights, trained.biases)
        return TrainerState.from_weights(task, flat, self.warm_start.loss)


#: Receives the completed share of a training.
Teller = Callable[[float], None]


def tell_nothing(share: float) -> None:
    """Ignore the progress."""


def run_durably(
    trainer: Trainer, unit: DurableUnit, restarts: int = 0, tell: Teller = tell_nothing
) -> TrainerState:
    """Train to the end of the plan, starting from the checkpoint if there is one.

    A training that diverges is restarted with a lower learning rate, which the task of the returned
    state records. `restarts` is the number of restarts that were used elsewhere. `tell` receives
    the completed share of the plan after every evaluation of the validation rows.

    Parameters
    ----------
    trainer
        Trainer of the data.
    unit
        The training.
    restarts
        Number of restarts that were used before.
    tell
        Receives the completed share of the plan, 0 to 1.
    """
    saved = time.monotonic()

    def listener(state: TrainerState) -> None:
        nonlocal saved
        tell(state.step / unit.plan.steps)
        if time.monotonic() - saved >= unit.checkpoint_seconds and not state.stopped:
            state.save(unit.checkpoint)
            saved = time.monotonic()

    rates = [unit.task.learning_rate * _SLOWER**i for i in range(_RESTARTS + 1)]
    tasks = [replace(unit.task, learning_rate=rate) for rate in rates[restarts:]]
    state = _from_checkpoint(unit.checkpoint, tasks) or unit.first_state(tasks[0])
    for task in tasks[tasks.index(state.task) :]:
        if task != state.task:
            state = unit.first_state(task)
        state = trainer.run_steps(state, unit.plan, listener)
        if state.stopped != "diverged":
            break
    return state


def run_durably_together(
    trainer: TorchTrainer, units: Sequence[DurableUnit], tell: Teller = tell_nothing
) -> list[TrainerState]:
    """Do what `run_durably` does for several trainings of one bucket and one plan at once.

    All trainings are saved at the same step, in files named after this step. The last files stay,
    so that an interrupted group resumes as a whole and gives the same results as without the
    interruption. Remove the files with `forget_together` when all results are stored. A training
    that diverges is restarted alone.
    """
    from emufort.training.torch_together import run_steps_together

    plan = units[0].plan
    states = _common_step(units) or [unit.first_state(unit.task) for unit in units]
    saved = time.monotonic()

    def save() -> None:
        nonlocal saved
        old = [path for unit in units for path in _files_together(unit)]
        new = [_path_together(unit, states[0].step) for unit in units]
        for state, path in zip(states, new, strict=True):
            state.save(path)
        for path in old:
            if path not in new:
                path.unlink(missing_ok=True)
        saved = time.monotonic()

    def listener(state: TrainerState) -> None:
        tell(state.step / plan.steps)
        if state is states[-1] and time.monotonic() - saved >= units[0].checkpoint_seconds:
            save()

    run_steps_together(trainer, states, plan, listener)
    save()
    return [
        run_durably(trainer, unit, restarts=1) if state.stopped == "diverged" else state
        for unit, state in zip(units, states, strict=True)
    ]


def forget_together(units: Sequence[DurableUnit]) -> None:
    """Remove the checkpoints of trainings whose results are all stored."""
    for unit in units:
        unit.checkpoint.unlink(missing_ok=True)
        for path in _files_together(unit):
            path.unlink(missing_ok=True)


def _path_together(unit: DurableUnit, step: int) -> Path:
    return unit.checkpoint.with_suffix(f".{step:09d}{unit.checkpoint.suffix}")


def _files_together(unit: DurableUnit) -> list[Path]:
    name = f"{unit.checkpoint.stem}.?????????{unit.checkpoint.suffix}"
    return sorted(unit.checkpoint.parent.glob(name))


def _common_step(units: Sequence[DurableUnit]) -> list[TrainerState] | None:
    """Return the states at the latest step at which all trainings were saved."""
    names = set.intersection(*({p.name for p in _files_together(unit)} for unit in units))
    for name in sorted(names, reverse=True):
        paths = [unit.checkpoint.with_name(name) for unit in units]
        states = [_from_checkpoint(p, [u.task]) for p, u in zip(paths, units, strict=True)]
        found = [state for state in states if state is not None]
        if len(found) == len(units):
            return found
    return None


def _from_checkpoint(path: Path, tasks: list[TrainingTask]) -> TrainerState | None:
    if not path.exists():
        return None
    try:
        state = TrainerState.load(path)
    except EmufortError:
        return None
    return state if state.task in tasks else None
