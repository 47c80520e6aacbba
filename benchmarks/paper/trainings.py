"""All trainings of the experiments; each is stored when it ends and is never repeated."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paper.problem import EPOCHS, PATIENCE, SEED, SPACE, VALIDATION_SHARE, Problem
from benchmarks.resumable_table import whole_lines
from emufort.errors import UsageError
from emufort.files import make_directory, read_json, write_json
from emufort.training import Layout, TrainerState, TrainingTask

#: Version of the trainings. Increase it when a change of `Trainings.train` or of the trainer
#: changes the results.
RULES = 1


class OutOfTimeError(Exception):
    """The time of this call is over."""


@dataclass(frozen=True)
class Unit:
    """A training of the network `hidden` on a share of the set.

    Attributes
    ----------
    hidden
        Widths of the hidden layers.
    share
        Share of the set; 1 for all rows.
    draw
        Number of the random draw of the rows.
    again
        Number of the repetition with other initial weights and another order of the rows.
    """

    hidden: tuple[int, ...]
    share: float
    draw: int = 0
    again: int = 0

    @property
    def seed(self) -> int:
        """Random seed, which differs between networks, draws and repetitions.

        Step 1 and training on all rows do not share it, because a network with lucky initial
        weights is not a good candidate.
        """
        words = [SEED, int(self.share < 1), self.draw, self.again, *self.hidden]
        return int(np.random.SeedSequence(words).generate_state(1)[0])


@dataclass(frozen=True)
class Result:
    """The end of a training.

    Attributes
    ----------
    loss
        Lowest mean square error over the validation rows of the subset; infinite if diverged.
    rmse
        Root-mean-square error of the fractions over the test rows, with the weights of the lowest
        validation loss; infinite if diverged.
    epochs
        Epochs until the end.
    seconds
        Processor time [s].
    """

    loss: float
    rmse: float
    epochs: int
    seconds: float


class Trainings:
    """The table ``trainings.jsonl`` of a folder, which grows line by line.

    Parameters
    ----------
    problem
        Data and space.
    out
        Folder of the table and of its identity ``settings.json``.
    minutes
        Wall time after which no training is started.

    Raises
    ------
    UsageError
        The trainings in the folder have other data or settings.
    """

    def __init__(self, problem: Problem, out: Path, minutes: float = math.inf) -> None:
        self.problem = problem
        self._path = make_directory(out) / "trainings.jsonl"
        self._end = time.monotonic() + 60 * minutes
        self._check_settings(out / "settings.json")
        self.done = dict(_read(self._path))

    def _check_settings(self, path: Path) -> None:
        wanted = {
            "rules": RULES,
            "data": self.problem.data.sha256,
            "rows": self.problem.n_rows,
            "space": SPACE.model_dump(mode="json"),
            "epochs": EPOCHS,
            "patience": PATIENCE,
            "validation share": VALIDATION_SHARE,
        }
        if not self._path.exists():
            write_json(path, wanted)
            return
        found = read_json(path)
        other = [name for name in wanted if found.get(name) != wanted[name]]
        if other:
            raise UsageError(
                f"the trainings in {self._path} were made with other {', '.join(other)}; choose "
                "another --out"
            )

    def result(self, unit: Unit) -> Result:
        """Return the result of a training, which is done now unless the table has it.

        Raises
        ------
        OutOfTimeError
            The table does not have it, and the time of this call is over.
        """
        if unit not in self.done:
            if time.monotonic() >= self._end:
                raise OutOfTimeError
            result = self.train(unit)
            with open(self._path, "a") as stream:
                stream.write(json.dumps(_line(unit, result)) + "\n")
            self.done[unit] = result
        return self.done[unit]

    def only_read(self) -> Trainings:
        """Return the same table, which does no further training."""
        other = copy.copy(self)
        other._end = -math.inf
        return other

    def train(self, unit: Unit) -> Result:
        """Train a network."""
        trainer = self.problem.trainer(unit.share, unit.draw)
        architecture = self.problem.architecture(unit.hidden)
        batch_size = even_batch_size(trainer.n_train, SPACE.batch_size[0])
        task = TrainingTask(architecture, SPACE.learning_rate[0], batch_size, unit.seed)
        state = TrainerState.initial(task)
        begun = time.thread_time()
        state = trainer.run_epochs(state, EPOCHS, PATIENCE)
        seconds = time.thread_time() - begun
        if not math.isfinite(state.value):
            return Result(math.inf, math.inf, state.epoch, seconds)
        error = predicted(state, self.problem.test_rows[0]) - self.problem.test_rows[1]
        return Result(state.value, float(np.sqrt(np.mean(error**2))), state.epoch, seconds)


def even_batch_size(rows: int, most: int) -> int:
    """Return the size of the batches when `rows` are divided into as few as possible.

    Keras trains on a smaller last batch, which the trainers of emufort leave out. Batches of nearly
    one size give the same number of steps and leave out a few rows at most.
    """
    return rows // -(-rows // most)


def predicted(state: TrainerState, x: np.ndarray) -> np.ndarray:
    """Return the fractions (n, 4) that the best weights of a training give for inputs (n, 16)."""
    architecture = state.task.architecture
    parameters = Layout(architecture).parameters(state.best_weights)
    z = architecture.plan.evaluate(x.astype(np.float64), parameters)
    return np.asarray(1.0 / (1.0 + np.exp(-z)))


def _line(unit: Unit, result: Result) -> dict[str, Any]:
    plain = {
        key: value if math.isfinite(value) else None  # JSON has no infinity
        for key, value in vars(result).items()
    }
    return {**vars(unit), "hidden": list(unit.hidden), **plain}


def _read(path: Path) -> Iterator[tuple[Unit, Result]]:
    """Read the table."""
    for line in map(json.loads, whole_lines(path)):
        numbers = {k: math.inf if line[k] is None else line[k] for k in ("loss", "rmse")}
        yield (
            Unit(tuple(line["hidden"]), line["share"], line["draw"], line["again"]),
            Result(**numbers, epochs=line["epochs"], seconds=line["seconds"]),
        )
