"""Train several networks side by side with torch: the flow of trainings through ensembles.

Between two evaluations the host only gives work to the device. On a GPU, several buckets take turns
on streams of their own, so that the device always has work while the host looks at losses.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from enum import Enum

from emufort.errors import EmufortError
from emufort.training.buckets import buckets, shape_of
from emufort.training.courses import Course
from emufort.training.schedule import StepPlan
from emufort.training.start import start
from emufort.training.state import TrainerState
from emufort.training.torch_ensemble import Ensemble
from emufort.training.torch_rows import lean_torch
from emufort.training.torch_trainer import TorchTrainer
from emufort.training.trainer import Listener, ignore

#: Buckets of a GPU that take turns.
_AT_ONCE = 8


def run_steps_together(
    trainer: TorchTrainer,
    states: Sequence[TrainerState],
    plan: StepPlan,
    listener: Listener = ignore,
) -> list[TrainerState]:
    """Do what `TorchTrainer.run_steps` does for several states of one bucket at once.

    Parameters
    ----------
    states
        States of tasks of one shape (`emufort.training.buckets.shape_of`) at the same step; they
        are modified.
    listener
        Receives every state after every evaluation.

    Raises
    ------
    EmufortError
        The tasks do not have one shape, or the states are not at the same step.
    """
    if len({shape_of(s.task) for s in states}) > 1 or len({s.step for s in states}) > 1:
        raise EmufortError(
            "only trainings of one depth, activation function and batch size that are at the same "
            "step can run together"
        )
    courses = [Course.of_steps(_started(trainer, s), plan, trainer.n_train) for s in states]
    _run(trainer, [courses], lambda course: listener(course.state), _Keep.ALWAYS)
    return list(states)


def train_together(
    trainer: TorchTrainer,
    states: Sequence[TrainerState],
    length: Callable[[TrainerState], StepPlan] | tuple[int, int],
    tell: Callable[[int, float], None] = lambda position, share: None,
    keep_arrays: bool = True,
) -> list[TrainerState]:
    """Train any states to the end of their plans, in buckets of similar shape.

    Parameters
    ----------
    trainer
        Trainer with the data.
    states
        States of any tasks; they are modified.
    length
        The number of epochs and the patience of `Trainer.run_epochs`, or a function that returns
        the plan of a state for `Trainer.run_steps`.
    tell
        Receives the position of a state and its finished share after its evaluations.
    keep_arrays
        Whether the states get their weights and moments in the end. Copying them takes longer than
        a short training of a large network; the losses do not need them.
    """
    courses = []
    for state in states:
        _started(trainer, state)
        if isinstance(length, tuple):
            courses.append(Course.of_epochs(state, *length, trainer.n_train))
        else:
            courses.append(Course.of_steps(state, length(state), trainer.n_train))
    numbers = {id(course): i for i, course in enumerate(courses)}
    groups = [[courses[i] for i in one] for one in buckets([state.task for state in states])]
    _run(
        trainer, groups, lambda course: tell(numbers[id(course)], course.share), _Keep(keep_arrays)
    )
    return list(states)


def _started(trainer: TorchTrainer, state: TrainerState) -> TrainerState:
    start(state, trainer.biases)
    return state


def _run(
    trainer: TorchTrainer,
    groups: Sequence[Sequence[Course]],
    told: Callable[[Course], None],
    keep: _Keep,
) -> None:
    """Carry out all trainings; `told` receives each one after its evaluations."""
    at_once = _AT_ONCE if trainer.device.type == "cuda" else 1
    waiting = deque(groups)
    running: deque[tuple[Sequence[Course], Iterator[None]]] = deque()
    with lean_torch():
        while waiting or running:
            while waiting and len(running) < at_once:
                group = waiting.popleft()
                running.append((group, _trainings(trainer, group, told, keep)))
            group, trainings = running.popleft()
            begun = time.perf_counter()
            is_running = next(trainings, _FINISHED) is not _FINISHED
            spent = time.perf_counter() - begun
            for course in group:
                course.state.seconds += spent / len(group)
            if is_running:
                running.append((group, trainings))


_FINISHED = object()


class _Keep(Enum):
    """When weights and moments are copied into the states.

    ``ALWAYS`` is after every evaluation, so that a state then holds all that a resume needs.
    """

    NEVER = False
    AT_THE_END = True
    ALWAYS = "always"


def _trainings(
    trainer: TorchTrainer,
    group: Sequence[Course],
    told: Callable[[Course], None],
    keep: _Keep,
) -> Iterator[None]:
    """Carry out the trainings of one bucket; yield whenever the device has work for a while."""
    are_complete = keep is _Keep.ALWAYS
    while any(course.is_active for course in group):
        courses = [course for course in group if are_complete or course.is_active]
        ensemble = Ensemble(trainer, courses)
        while any(course.is_active for course in group):
            active = [course.is_active for course in courses]
            ensemble.advance(min(c.steps_to_evaluation for c in courses if c.is_active))
            due = [moves and c.is_due for c, moves in zip(courses, active, strict=True)]
            curve = any(course.plan is not None and course.plan.curve for course in courses)
            evaluation = ensemble.look(due, curve)
            yield
            losses = evaluation.read()
            at = [i for i, is_due in enumerate(due) if is_due]
            for i in at:
                courses[i].look(float(losses[0, i]), float(losses[1, i]) if curve else None)
            ended = [i for i in at if not courses[i].is_active]
            ensemble.store(at if are_complete else ended if keep is _Keep.AT_THE_END else [])
            if are_complete:
                _keep_together(group)
            for course in group if are_complete else [courses[i] for i in at]:
                told(course)
            if not are_complete and 2 * sum(course.is_active for course in courses) <= len(courses):
                break  # the rest goes on in a smaller ensemble
        ensemble.store([i for i, course in enumerate(courses) if course.is_active])


def _keep_together(group: Sequence[Course]) -> None:
    """Give diverged trainings the step of the others, at which all of them are saved."""
    step = max(course.position for course in group)
    for course in group:
        if not course.is_active:
            course.state.step = step
