"""A training of known length that survives being killed, and diverging."""

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

#: A training that diverges starts again with this share of its learning rate, so many times.
_SLOWER, _RESTARTS = 0.3, 2


@dataclass(frozen=True)
class WarmStart:
    """Trained weights from which a training begins.

    Attributes
    ----------
    weights
        File of the emulator with these weights, of the architecture that is trained.
    loss
        Their validation loss on the network's side.
    """

    weights: Path
    loss: float


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
    warm_start
        Where the training begins, default None: with new random weights.
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
            The weights to begin with cannot be read.
        """
        if self.warm_start is None:
            return TrainerState.initial(task)
        trained = Emulator.load(self.warm_start.weights)
        flat = Layout(task.architecture).join(trained.weights, trained.biases)
        return TrainerState.from_weights(task, flat, self.warm_start.loss)


#: Hears the share of a training that is done.
Teller = Callable[[float], None]


def tell_nothing(share: float) -> None:
    """Hear of no progress."""


def run_durably(
    trainer: Trainer, unit: DurableUnit, restarts: int = 0, tell: Teller = tell_nothing
) -> TrainerState:
    """Train to the end of the plan, from the checkpoint if there is one.

    A training that diverges starts again with a lower learning rate; the task of the returned
    state says with which. `restarts` of them have been used up elsewhere. `tell` hears the share of
    the plan that is done after every look at the validation rows.
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
    """Do what `run_durably` does, to several equals side by side; see `run_steps_together`.

    They are saved at the same step, in files named by it, and the last ones stay: so what is not
    finished goes on with all of them, and becomes what it would have become. Remove the files with
    `forget_together` when all results are kept. Who diverges starts again alone.
    """
    from emufort.training.torch_ensemble import run_steps_together

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
    """Remove the checkpoints of trainings whose results are all kept."""
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
    """Return the states at the latest step at which all were saved."""
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
