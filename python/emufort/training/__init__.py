"""Train networks: tasks, resumable states, and the backends.

A backend is bound to the data once (`make_trainer`) and then advances any number of `TrainerState`
objects. States are plain arrays and numbers, the same for every backend.
"""

from __future__ import annotations

from emufort.training.backends import (
    BACKENDS,
    backend_detail,
    make_trainer,
    resolve_backend,
)
from emufort.training.layout import Layout
from emufort.training.schedule import StepPlan, with_batch_size, with_fewer_steps
from emufort.training.state import TrainerState
from emufort.training.task import Arrays, TrainingTask
from emufort.training.trainer import Trainer

__all__ = [
    "BACKENDS",
    "Arrays",
    "Layout",
    "StepPlan",
    "Trainer",
    "TrainerState",
    "TrainingTask",
    "backend_detail",
    "make_trainer",
    "resolve_backend",
    "with_batch_size",
    "with_fewer_steps",
]
