"""The state of a training, which can be saved and resumed at any step with the same result."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emufort.errors import EmufortError
from emufort.files import write_bytes
from emufort.training.layout import Layout
from emufort.training.task import TrainingTask

Float32 = NDArray[np.float32]

_FORMAT = "emufort-trainer-state-1"
_TENSORS = ("weights", "moment1", "moment2", "best_weights")


@dataclass
class TrainerState:
    """Everything that the next step of a training depends on.

    Attributes
    ----------
    task
        What is trained.
    weights, moment1, moment2, best_weights
        Flat buffers in the order of `Layout`; Adam's moments; the weights of the best validation
        loss so far.
    step, epoch
        Optimiser steps done; whole passes through the data done (`run_epochs` only).
    best_loss
        Lowest validation loss so far, in scaled outputs. Infinite before the first evaluation and
        for a training that diverged before it.
    stale
        Evaluations of the validation rows since the best one.
    stopped
        Empty, ``"patience"`` or ``"diverged"``: the reason why further calls do nothing.
    curve
        Rows (step, training loss, validation loss, learning rate); `run_steps` only.
    seconds
        Time spent training; informative, not reproducible.
    judged
        Error of the best weights, where losses of different targets cannot be compared; else None.
    """

    task: TrainingTask
    weights: Float32
    moment1: Float32
    moment2: Float32
    best_weights: Float32
    step: int = 0
    epoch: int = 0
    best_loss: float = math.inf
    stale: int = 0
    stopped: str = ""
    curve: list[tuple[int, float, float, float]] = field(default_factory=list)
    seconds: float = 0.0
    judged: float | None = None

    @classmethod
    def initial(cls, task: TrainingTask) -> Self:
        """Return the state before the first step."""
        weights = Layout(task.architecture).initial(task.seed)
        return cls(task, weights, np.zeros_like(weights), np.zeros_like(weights), np.copy(weights))

    @classmethod
    def undrawn(cls, task: TrainingTask) -> Self:
        """Return the state before the first step without its arrays, which a trainer draws."""
        none = np.zeros(0, dtype=np.float32)
        return cls(task, none, none, none, none)

    def without_arrays(self) -> Self:
        """Return what a search needs of a training that does not continue: all but its arrays."""
        none = np.zeros(0, dtype=np.float32)
        return replace(self, weights=none, moment1=none, moment2=none, best_weights=none)

    @classmethod
    def from_weights(cls, task: TrainingTask, weights: Float32, loss: float) -> Self:
        """Return the state before the first step of a training that starts from trained weights.

        Parameters
        ----------
        task
            What is trained; its seed determines only the order of the samples.
        weights
            Flat buffer in the order of `Layout`.
        loss
            Validation loss of `weights`. The training ends with these weights if it finds no lower
            loss.
        """
        zeros = np.zeros_like(weights)
        return cls(task, weights, zeros, zeros.copy(), weights.copy(), best_loss=loss)

    def look(self, loss: float, weights: Float32) -> None:
        """Record a validation loss and keep `weights` if the loss is the lowest so far."""
        if not math.isfinite(loss):
            self.stopped = "diverged"
        elif loss < self.best_loss:
            self.best_loss = loss
            self.best_weights = np.array(weights, dtype=np.float32)
            self.stale = 0
        else:
            self.stale += 1

    @property
    def value(self) -> float:
        """Objective of the search: best loss or `judged`; infinite for a diverged training."""
        if self.stopped == "diverged":
            return math.inf
        return self.best_loss if self.judged is None else self.judged

    # ------------------------------------------------------------------ files

    def to_bytes(self) -> bytes:
        """Return the state as a safetensors file; exact, no pickle."""
        from safetensors.numpy import save

        tensors = {name: getattr(self, name) for name in _TENSORS}
        tensors["curve"] = np.array(self.curve, dtype=np.float64).reshape(-1, 4)
        numbers = {
            name: getattr(self, name)
            for name in ("step", "epoch", "best_loss", "stale", "stopped", "seconds", "judged")
        }
        header = {
            "format": _FORMAT,
            "task": json.dumps(self.task.to_dict()),
            "numbers": json.dumps(numbers),
        }
        return bytes(save(tensors, metadata=header))

    def save(self, path: Path) -> None:
        """Write a safetensors file atomically."""
        write_bytes(path, self.to_bytes())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        EmufortError
            The file is missing, damaged or not a state.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as stream:
                header = stream.metadata() or {}
                if header.get("format") != _FORMAT:
                    raise EmufortError(f"{path} does not hold a training of the format {_FORMAT}")
                tensors = {name: stream.get_tensor(name) for name in (*_TENSORS, "curve")}
                numbers, task = json.loads(header["numbers"]), json.loads(header["task"])
            curve = [(int(s), float(t), float(v), float(r)) for s, t, v, r in tensors.pop("curve")]
            state = cls(TrainingTask.from_dict(task), **tensors, **numbers, curve=curve)
            if not state._is_whole:
                raise ValueError("its arrays do not fit its network")
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise EmufortError(f"cannot read the training {path}: {error}; remove it") from error
        return state

    @property
    def _is_whole(self) -> bool:
        """Whether the arrays are those of the network, or there are none."""
        sizes = 0, Layout(self.task.architecture).size
        shapes = {getattr(self, name).shape for name in _TENSORS}
        are_single = all(getattr(self, name).dtype == np.float32 for name in _TENSORS)
        return are_single and len(shapes) == 1 and shapes.pop() in [(size,) for size in sizes]
