"""Train networks with the Fortran trainer, one network at a time on one thread.

This module makes the order of the samples and the learning rates, and keeps all state between
calls. A call of Fortran releases Python's global lock and keeps no state.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import time
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.errors import EmufortError, UsageError
from emufort.native import bindings as native_bindings
from emufort.network.activations import parse
from emufort.training.schedule import StepPlan
from emufort.training.start import output_biases, start
from emufort.training.state import TrainerState
from emufort.training.task import Arrays, TrainingTask
from emufort.training.trainer import Listener, ignore

#: Prefix that f90wrap gives to the name of a procedure.
_PREFIX = "f90wrap_emufort_trainer__"
#: x86-64 level -> extension that needs this level; see coupling/python/CMakeLists.txt.
_MODULES = {4: "_trainer_v4", 3: "_trainer_v3", 0: "_trainer"}
#: Environment variable that limits training to an x86-64 level below that of the CPU.
LEVEL_VARIABLE = "EMUFORT_CPU_LEVEL"
_STOPPED = {0: "", 1: "patience", 2: "diverged"}
_COMPLAINTS = {
    1: "the sizes of network, data and state do not fit together",
    2: "it does not support an activation function",
    3: "the order of samples names a row that does not exist",
    4: "there is not enough memory",
}
#: Rows whose order is passed per call. Shorter calls would mostly pass arguments; longer ones would
#: draw samples in vain if the training stops early.
_ROWS_PER_CALL = 8192
#: Training rows whose loss the training curve records.
_CURVE_ROWS = 2048

Real = NDArray[np.floating[Any]]


def _highest_level() -> int:
    """Return the level of the CPU, or the limit that `LEVEL_VARIABLE` sets if that is lower."""
    wanted = os.environ.get(LEVEL_VARIABLE) or "4"
    if wanted not in ("1", "2", "3", "4"):
        raise UsageError(
            f"the environment variable {LEVEL_VARIABLE} is '{wanted}': it must be 1, 2, 3 or 4, "
            "the highest x86-64 level that training may use"
        )
    return min(int(wanted), native_bindings.cpu_level())


@cache
def _levels() -> tuple[int, ...]:
    """Return the levels of `_MODULES` that this machine can run, the highest first."""
    if not native_bindings.available():
        return ()
    here = _highest_level()
    return tuple(
        level
        for level, name in _MODULES.items()
        if level <= here and importlib.util.find_spec(f"emufort.{name}") is not None
    )


def available() -> bool:
    """Return whether the trainer is built."""
    return bool(_levels())


def variant() -> str:
    """Return the kind of CPU for which the trainer was compiled, such as ``x86-64-v4``."""
    level = _levels()[0] if _levels() else 0
    return f"x86-64-v{level}" if level else "generic"


class NativeTrainer:
    """A `Trainer` on one CPU thread; threads may share it.

    Parameters
    ----------
    arrays
        The data.
    level
        Level of `_MODULES`; None for the highest that this machine can run.
    """

    #: Precision of the extension; states are always single precision.
    _dtype: type[np.floating[Any]] = np.float32

    def __init__(self, arrays: Arrays, level: int | None = None) -> None:
        self._module = self._extension(level)
        # Rows of a C array are columns of a Fortran array: nothing is copied on a call.
        self._x, self._y, self._x_validation, self._y_validation = (
            np.ascontiguousarray(a, dtype=self._dtype).T
            for a in (arrays.x_train, arrays.y_train, arrays.x_validation, arrays.y_validation)
        )
        self._sigmoid = np.array(arrays.sigmoid, dtype=np.int32)
        self._biases = output_biases(arrays)

    def _extension(self, level: int | None) -> Any:
        """Return the trainer that was compiled for CPUs of `level`."""
        if not available():
            raise EmufortError(
                "the native trainer is not built; install gfortran and cmake and then emufort "
                'again, or choose backend = "torch"'
            )
        if level is None:
            level = _levels()[0]
        return importlib.import_module(f"emufort.{_MODULES[level]}")

    @property
    def n_train(self) -> int:
        """Number of training rows."""
        return int(self._x.shape[1])

    def run_epochs(
        self,
        state: TrainerState,
        until_epoch: int,
        patience: int,
        listener: Listener = ignore,
    ) -> TrainerState:
        """See `Trainer.run_epochs`."""
        begun = time.perf_counter()
        start(state, self._biases)
        run = _Run(self, state)
        at_once = max(1, _ROWS_PER_CALL // self.n_train)
        while state.epoch < until_epoch and not state.stopped:
            epochs = range(state.epoch, min(state.epoch + at_once, until_epoch))
            order = np.concatenate([run.order(epoch) for epoch in epochs])
            rates = np.full(len(order), state.task.learning_rate)
            state.epoch += len(run.train(order, rates, len(epochs), patience))
            listener(state)
        run.store()
        state.seconds += time.perf_counter() - begun
        return state

    def run_steps(
        self, state: TrainerState, plan: StepPlan, listener: Listener = ignore
    ) -> TrainerState:
        """See `Trainer.run_steps`."""
        begun = time.perf_counter()
        start(state, self._biases)
        run = _Run(self, state)
        every = plan.evaluate_every
        while state.step < plan.steps and not state.stopped:
            until = min((state.step // every + 1) * every, plan.steps)
            steps = range(state.step, until)
            rates = np.array([state.task.learning_rate * plan.factor(s) for s in steps])
            (validation,) = run.train(run.orders(steps), rates, 1, sys.maxsize)
            if plan.curve:
                point = (state.step, run.sample_loss(), validation, float(rates[-1]))
                state.curve.append(point)
            run.store()
            now = time.perf_counter()
            state.seconds += now - begun
            begun = now
            listener(state)
        return state

    def call(self, procedure: str, task: TrainingTask, *arguments: Any) -> list[Any]:
        """Call a Fortran procedure; return its results without the error code.

        Raises
        ------
        EmufortError
            The procedure returns an error code.
        """
        architecture = task.architecture
        if architecture.family != "mlp":
            raise EmufortError(
                f"the native trainer trains plain multilayer perceptrons, not "
                f'{architecture.label}; choose backend = "torch"'
            )
        if not task.is_plain:
            raise EmufortError(
                "the native trainer takes whole batches in single precision; choose "
                'backend = "torch" for bfloat16 and microbatches'
            )
        functions = [parse(text) for text in architecture.activations]
        codes = np.array([row.code for row, _ in functions], dtype=np.int32)
        parameters = np.array([parameter for _, parameter in functions])
        sizes = np.array(architecture.sizes, dtype=np.int32)
        results: list[Any]
        *results, code = getattr(self._module, _PREFIX + procedure)(
            sizes, codes, parameters, self._sigmoid, *arguments
        )
        if code:
            why = _COMPLAINTS.get(code, f"error {code}")
            raise EmufortError(f"the native trainer refuses {architecture.label}: {why}")
        return results


class _Run:
    """Buffers of one training in the precision of the Fortran trainer."""

    def __init__(self, trainer: NativeTrainer, state: TrainerState) -> None:
        self.trainer = trainer
        self.state = state
        self.batch = min(state.task.batch_size, trainer.n_train)
        self.steps_per_epoch = trainer.n_train // self.batch
        self._cached: tuple[int, NDArray[np.int32]] | None = None
        # Copies, because the caller may use the arrays of the given state elsewhere.
        dtype = trainer._dtype
        self.weights, self.moment1, self.moment2, self.best = (
            np.array(a, dtype=dtype)
            for a in (state.weights, state.moment1, state.moment2, state.best_weights)
        )

    def order(self, epoch: int) -> NDArray[np.int32]:
        """Return the rows of each step of an epoch, (step, sample).

        The order depends on (seed, epoch) only and equals that of the torch backend. An incomplete
        last batch is left out; its rows differ from epoch to epoch.
        """
        if self._cached is None or self._cached[0] != epoch:
            rng = np.random.default_rng([self.state.task.seed, 1, epoch])
            used = self.steps_per_epoch * self.batch
            rows = rng.permutation(self.trainer.n_train)[:used]
            self._cached = epoch, rows.astype(np.int32).reshape(self.steps_per_epoch, self.batch)
        return self._cached[1]

    def orders(self, steps: range) -> NDArray[np.int32]:
        """Return the rows of each of `steps`, (step, sample)."""
        parts = []
        step = steps.start
        while step < steps.stop:
            epoch, first = divmod(step, self.steps_per_epoch)
            part = self.order(epoch)[first : first + steps.stop - step]
            parts.append(part)
            step += len(part)
        return np.concatenate(parts)

    def train(
        self, order: NDArray[np.int32], rates: NDArray[np.float64], looks: int, patience: int
    ) -> list[float]:
        """Train with evenly spaced evaluations of the validation rows; return the loss at each."""
        state, trainer = self.state, self.trainer
        losses = np.zeros(looks)
        steps = np.array(state.step, dtype=np.int64)
        best_loss = np.array(state.best_loss)
        stale = np.array(state.stale, dtype=np.int32)
        looks_done, stopped = trainer.call(
            "train", state.task, trainer._x, trainer._y, trainer._x_validation,
            trainer._y_validation, order.T, rates, state.task.weight_decay, looks,
            min(patience, 2**31 - 1), self.weights, self.moment1, self.moment2, self.best, steps,
            best_loss, stale, losses,
        )  # fmt: skip
        state.step = int(steps)
        state.best_loss = float(best_loss)
        state.stale = int(stale)
        state.stopped = _STOPPED[stopped]
        return [float(loss) for loss in losses[:looks_done]]

    def sample_loss(self) -> float:
        """Return the loss over the first training rows."""
        trainer = self.trainer
        x, y = trainer._x[:, :_CURVE_ROWS], trainer._y[:, :_CURVE_ROWS]
        (loss,) = trainer.call("mean_squared_error", self.state.task, x, y, self.weights)
        return float(loss)

    def store(self) -> None:
        """Copy everything that a resume needs into the state."""
        state = self.state
        state.weights, state.moment1, state.moment2, state.best_weights = (
            np.array(a, dtype=np.float32)
            for a in (self.weights, self.moment1, self.moment2, self.best)
        )
