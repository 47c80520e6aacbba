"""The trainings behind `foretell.py`: each is done once, kept in a table, and never repeated."""

from __future__ import annotations

import csv
import math
import multiprocessing
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset import Dataset
from emufort.errors import UsageError
from emufort.network import Architecture
from emufort.scaling import network_sizes
from emufort.search.sampling import propose
from emufort.search.space import Candidate
from emufort.search.workbench import Workbench
from emufort.training import (
    Arrays,
    StepPlan,
    TrainerState,
    TrainingTask,
    make_trainer,
    with_batch_size,
)

COLUMNS = ("candidates", "number", "way", "again", "loss", "seconds")
#: Looks at the validation rows of an annealed training; the best of them counts, as in step 2.
_LOOKS = 20


@dataclass(frozen=True)
class Way:
    """One way to train a candidate in step 1.

    Attributes
    ----------
    schedule
        ``"constant"``: the candidate's learning rate and batch size, as the search does it where
        nothing else is said; ``"cosine"``: the peak rate of step 2, scaled to the batch size.
    epochs, rows
        Passes through so many training rows (0: all of them).
    batch_size
        Samples per step instead of the candidate's own; 0 for its own.
    """

    schedule: str
    epochs: int
    rows: int
    batch_size: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``SCHEDULE:EPOCHS:ROWS[:BATCH]``, such as ``cosine:16:0:32``."""
        schedule, *numbers = text.split(":")
        if schedule not in ("constant", "cosine") or not 2 <= len(numbers) <= 3:
            raise UsageError(f"'{text}' is no way to train: say SCHEDULE:EPOCHS:ROWS[:BATCH]")
        try:
            return cls(schedule, *map(int, numbers))
        except ValueError as error:
            raise UsageError(f"'{text}' is no way to train: {error}") from error

    def __str__(self) -> str:
        batch = f":{self.batch_size}" if self.batch_size else ""
        return f"{self.schedule}:{self.epochs}:{self.rows}{batch}"


#: Name of step 2 in the table of trainings.
FINAL = "final"


@dataclass(frozen=True)
class Unit:
    """One training: of candidate `number` of the sample `candidates`, for the time `again`."""

    candidates: int
    number: int
    way: str
    again: int

    @property
    def key(self) -> tuple[int, int, str, int]:
        return self.candidates, self.number, self.way, self.again


class Trainings:
    """The candidates and their trainings; finished ones are in a table that is only added to.

    Parameters
    ----------
    data, contract
        Data set (None: the embedded one) and name of its contract.
    config
        Its search space, and the plan of step 2.
    n
        Candidates in each sample.
    out
        Folder of the table ``trainings.csv``.
    """

    def __init__(self, data: str | None, contract: str, config: Config, n: int, out: Path) -> None:
        opened = Dataset.open(data, Contract.load(contract))
        train = opened.part("train")
        # Step 1 takes the first rows: in an order of ours, whatever that of the file is.
        train = train.take(np.random.default_rng(config.seed).permutation(len(train)))
        self.arrays, *_ = Arrays.from_datasets(train, opened.part("validation"))
        self.sizes = network_sizes(opened)
        self.config, self.n = config, n
        self._path = out / "trainings.csv"
        out.mkdir(parents=True, exist_ok=True)
        self.done = dict(_read(self._path))

    def candidates(self, sample: int) -> list[Candidate]:
        """Return the random candidates of a sample."""
        return propose("random", self.config.search.space, [], self.n, sample, 0)

    def architectures(self, sample: int) -> list[Architecture]:
        """Return their networks."""
        return [c.architecture(*self.sizes) for c in self.candidates(sample)]

    def do(self, units: Iterable[Unit], workers: int) -> None:
        """Carry out what is not in the table yet, one process per worker."""
        waiting = [unit for unit in units if unit.key not in self.done]
        if not waiting:
            return
        context = multiprocessing.get_context("fork")
        is_new = not self._path.exists()
        with (
            open(self._path, "a", newline="") as stream,
            ProcessPoolExecutor(workers, context, _begin, (self,)) as pool,
        ):
            writer = csv.writer(stream, lineterminator="\n")
            if is_new:
                writer.writerow(COLUMNS)
            for unit, (loss, seconds) in zip(waiting, pool.map(_train, waiting), strict=True):
                self.done[unit.key] = loss, seconds
                writer.writerow([*unit.key, repr(loss), f"{seconds:.4f}"])
                stream.flush()

    def table(self, sample: int, way: str, again: int) -> tuple[np.ndarray, float]:
        """Return the losses (n,) of a way, and its processor time in s."""
        rows = [self.done[sample, number, way, again] for number in range(self.n)]
        return np.array([loss for loss, _ in rows]), sum(seconds for _, seconds in rows)

    # --------------------------------------------------------------- one training

    def train(self, bench: Workbench, unit: Unit) -> float:
        """Return the validation loss of one training."""
        candidate = self.candidates(unit.candidates)[unit.number]
        options, own = self.config.retrain, candidate.batch_size
        peak = with_batch_size(
            candidate.learning_rate, own, options.batch_size, options.learning_rate
        )
        # Apart for every training: a lucky order of the rows is not a good network.
        seed = (unit.candidates << 40) + (unit.again << 32) + unit.number
        task = TrainingTask(
            candidate.architecture(*self.sizes), peak, options.batch_size, seed,
            candidate.weight_decay,
        )  # fmt: skip
        if unit.way == FINAL:
            task = replace(task, seed=task.seed + (1 << 60))
            return self._annealed(bench, task, options.steps, 0)
        way = Way.parse(unit.way)
        if way.schedule == "constant":
            task = replace(task, learning_rate=candidate.learning_rate, batch_size=own)
            patience = self.config.search.patience
            state = bench.on(way.rows).run_epochs(TrainerState.initial(task), way.epochs, patience)
            return state.value
        batch = way.batch_size or own
        rate = with_batch_size(peak, options.batch_size, batch)
        task = replace(task, learning_rate=rate, batch_size=batch)
        n = bench.on(way.rows).n_train
        return self._annealed(bench, task, way.epochs * (n // min(batch, n)), way.rows)

    def _annealed(self, bench: Workbench, task: TrainingTask, steps: int, rows: int) -> float:
        plan = StepPlan.annealed(max(1, steps), min(_LOOKS, max(1, steps)), curve=False)
        return bench.on(rows).run_steps(TrainerState.initial(task), plan).value


def _read(path: Path) -> Iterator[tuple[tuple[int, int, str, int], tuple[float, float]]]:
    """Read the table; a line that was cut when the script was killed is left out."""
    if not path.exists():
        return
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    for row in csv.DictReader(whole.splitlines()):
        key = int(row["candidates"]), int(row["number"]), row["way"], int(row["again"])
        yield key, (float(row["loss"]), float(row["seconds"]))


# ------------------------------------------------------------------------- workers

_worker: tuple[Trainings, Workbench] | None = None


def _begin(trainings: Trainings) -> None:
    global _worker
    # Made once here, so that no training pays for it.
    make_trainer(trainings.arrays, "native")
    _worker = trainings, Workbench({"": trainings.arrays}, "native")


def _train(unit: Unit) -> tuple[float, float]:
    assert _worker is not None
    trainings, bench = _worker
    if unit.way != FINAL:
        bench.on(Way.parse(unit.way).rows)
    begun = time.process_time()
    loss = trainings.train(bench, unit)
    return (loss if math.isfinite(loss) else math.inf), time.process_time() - begun


def units(samples: Sequence[int], n: int, ways: Sequence[Way], seeds: int) -> list[Unit]:
    """Return every training: each way once, step 2 with every seed."""
    found = [
        Unit(sample, number, str(way), 0)
        for sample in samples
        for way in ways
        for number in range(n)
    ]
    found += [
        Unit(sample, number, FINAL, again)
        for sample in samples
        for again in range(seeds)
        for number in range(n)
    ]
    return found
