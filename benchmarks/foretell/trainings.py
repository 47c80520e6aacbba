"""The trainings of the comparison, which are kept in a table and never repeated."""

from __future__ import annotations

import csv
import hashlib
import math
import multiprocessing
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.foretell.ways import Rungs, Way
from benchmarks.resumable_table import whole_lines
from emufort.config import Config
from emufort.errors import UsageError
from emufort.files import read_json, write_json
from emufort.network.architecture import Architecture
from emufort.search.candidate_task import final_plan, final_task, rung_task
from emufort.search.halving import survivors
from emufort.search.rungs import annealed
from emufort.search.samplers.registry import propose
from emufort.search.space import Candidate
from emufort.search.trials import Trial
from emufort.training import Arrays, Trainer, TrainerState, make_trainer, with_batch_size
from emufort.workers.trainer_cache import TrainerCache

COLUMNS = ("candidates", "number", "way", "again", "loss", "seconds")
#: Number of evaluations on the validation rows in step 2; the best of them counts.
_LOOKS = 20
#: Version of the trainings. Increase it when `Trainings.train` or the trainer changes the result of
#: a training, so that older trainings are ignored.
RULES = 3
#: Name of step 2 in the table of trainings.
FINAL = "final"


@dataclass(frozen=True)
class Unit:
    """A training of candidate `number` of the sample `candidates`, repetition `again`."""

    candidates: int
    number: int
    way: str
    again: int

    @property
    def key(self) -> tuple[int, int, str, int]:
        return self.candidates, self.number, self.way, self.again


class Trainings:
    """The candidates and their trainings; finished trainings are appended to a table.

    Parameters
    ----------
    arrays
        Scaled data for the network. Step 1 takes the first training rows, and as many random
        validation rows as the search uses. Step 2 takes all rows.
    config
        Its search space, batches and groups, and the plan of step 2.
    n
        Number of candidates in each sample.
    out
        Folder of the table ``trainings.csv``, and of its identity ``settings.json``.

    Raises
    ------
    UsageError
        The trainings in the folder have other data or settings.
    """

    def __init__(self, arrays: Arrays, config: Config, n: int, out: Path) -> None:
        self.arrays, self.config, self.n = arrays, config, n
        n_validation = len(arrays.x_validation)
        drawn = np.random.default_rng(config.seed).permutation(n_validation)
        rows = np.sort(drawn[: config.search.validation])
        self.of_step_1 = replace(
            arrays, x_validation=arrays.x_validation[rows], y_validation=arrays.y_validation[rows]
        )
        self.sizes = arrays.x_train.shape[1], arrays.y_train.shape[1]
        self._candidates: dict[int, list[Candidate]] = {}
        self._path = out / "trainings.csv"
        self._check_settings(out / "settings.json")
        self.done = dict(_read(self._path))

    def _check_settings(self, path: Path) -> None:
        config, digest = self.config, hashlib.sha256()
        for name in ("x_train", "y_train", "x_validation", "y_validation"):
            digest.update(getattr(self.arrays, name).tobytes())
        wanted = {
            "rules": RULES,
            "data": digest.hexdigest(),
            "search.space": config.search.space.model_dump(mode="json"),
            "search.patience": config.search.patience,
            "search.validation": config.search.validation,
            **{
                f"retrain.{name}": value
                for name, value in config.retrain.model_dump(mode="json").items()
                if name in ("steps", "batch_size", "learning_rate")
            },
        }
        if self._path.exists():
            found = read_json(path)
            known = found if isinstance(found, dict) else {}
            other = [name for name in wanted if known.get(name) != wanted[name]]
            if other:
                raise UsageError(
                    f"the trainings in {self._path} were made with other {', '.join(other)}; "
                    "choose another --out"
                )
        else:
            write_json(path, wanted)

    def candidates(self, sample: int) -> list[Candidate]:
        """Return the random candidates of a sample; larger samples start with smaller ones."""
        if sample not in self._candidates:
            space = self.config.search.space
            self._candidates[sample] = propose("random", space, [], self.n, sample, 0)
        return self._candidates[sample]

    def architectures(self, sample: int) -> list[Architecture]:
        """Return the networks of the candidates of a sample."""
        return [c.architecture(*self.sizes) for c in self.candidates(sample)]

    def do_all(
        self, samples: Sequence[int], ways: Sequence[Rungs], seeds: int, workers: int
    ) -> None:
        """Train all candidates by step 2 and by every way, one rung of all ways at a time.

        Raises
        ------
        UsageError
            A way needs more rows than the data have.
        """
        n, n_rows = range(self.n), len(self.arrays.x_train)
        for way in (way for rungs in ways for way in rungs.ways):
            if way.rows > n_rows:
                raise UsageError(f"'{way}' needs {way.rows} of {n_rows} training rows")
        self.do(
            [Unit(s, i, FINAL, seed) for s in samples for seed in range(seeds) for i in n], workers
        )
        for level in range(max(len(rungs.ways) for rungs in ways)):
            units = [
                Unit(sample, number, str(rungs.ways[level]), 0)
                for sample in samples
                for rungs in ways
                if level < len(rungs.ways)
                for number in self.members(sample, rungs, level)
            ]
            self.do(units, workers)

    def do(self, units: Iterable[Unit], workers: int) -> None:
        """Carry out the trainings that are not in the table yet, with one process per worker."""
        waiting = [unit for unit in dict.fromkeys(units) if unit.key not in self.done]
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
            results = track(
                pool.map(_train, waiting), "trainings", len(waiting), console=Console(stderr=True)
            )
            for unit, (loss, seconds) in zip(waiting, results, strict=True):
                self.done[unit.key] = loss, seconds
                writer.writerow([*unit.key, repr(loss), f"{seconds:.4f}"])
                stream.flush()

    # -------------------------------------------------------------------- results

    def members(self, sample: int, rungs: Rungs, level: int) -> list[int]:
        """Return the candidates that a rung trains, which are the best ones of the rung before.

        As in a search, they are compared within batches, and within their group first.
        """
        size = self.config.search.batch
        return [
            number
            for first in range(0, self.n, size)
            for number in self._of_batch(
                sample, rungs, level, list(range(first, min(first + size, self.n)))
            )
        ]

    def _of_batch(self, sample: int, rungs: Rungs, level: int, active: list[int]) -> list[int]:
        candidates, names = self.candidates(sample), self.config.search.groups
        for way, eta in zip(rungs.ways[:level], rungs.etas, strict=False):
            losses, _ = self._results(sample, way, active)
            groups = [tuple(getattr(candidates[i], name) for name in names) for i in active]
            active = [active[i] for i in survivors(losses, eta, groups)]
        return active

    def trials(self, sample: int, rungs: Rungs) -> tuple[list[Trial], float]:
        """Return the trials that a search by this way would write, and its processor time [s].

        Rungs are numbered 1, 2, ... instead of by their epochs, which may be the same on more rows.
        """
        found: list[list[tuple[int, float]]] = [[] for _ in range(self.n)]
        seconds = 0.0
        for level, way in enumerate(rungs.ways):
            members = self.members(sample, rungs, level)
            losses, spent = self._results(sample, way, members)
            seconds += spent
            if level and way.continues(rungs.ways[level - 1]):
                seconds -= self._results(sample, rungs.ways[level - 1], members)[1]
            for number, loss in zip(members, losses, strict=True):
                found[number].append((level + 1, loss))
        of_sample = zip(self.candidates(sample), self.architectures(sample), found, strict=True)
        return [trial(number, *one) for number, one in enumerate(of_sample)], seconds

    def final(self, sample: int, again: int) -> tuple[np.ndarray, float]:
        """Return the losses (n,) of one seed of step 2, and its processor time [s]."""
        losses, seconds = self._results(sample, FINAL, range(self.n), again)
        return np.array(losses), seconds

    def _results(
        self, sample: int, way: Way | str, numbers: Iterable[int], again: int = 0
    ) -> tuple[list[float], float]:
        rows = [self.done[sample, number, str(way), again] for number in numbers]
        return [loss for loss, _ in rows], sum(seconds for _, seconds in rows)

    # --------------------------------------------------------------- one training

    def train(self, trainers: TrainerCache, unit: Unit) -> float:
        """Return the validation loss of one training."""
        candidate = self.candidates(unit.candidates)[unit.number]
        config, architecture = self.config, candidate.architecture(*self.sizes)
        trainer = trainer_of(trainers, unit)
        # Different for every training, because a lucky order of the rows is not a good network.
        seed = (unit.candidates << 40) + (unit.again << 32) + unit.number
        if unit.way == FINAL:
            task = final_task(candidate, architecture, config.retrain, seed + (1 << 60))
            plan = final_plan(task, config.retrain, trainer.n_train, _LOOKS)
            return trainer.run_steps(TrainerState.initial(task), plan).value
        way = Way.parse(unit.way)
        options = config.search.model_copy(
            update={"schedule": way.schedule, "batch_size": way.batch_size or None}
        )
        task = rung_task(
            candidate,
            architecture,
            config.model_copy(update={"search": options}),
            seed,
            way.epochs * trainer.n_train,
        )
        if way.rate:
            final = final_task(candidate, architecture, config.retrain, seed)
            rate = with_batch_size(final.learning_rate, final.batch_size, task.batch_size)
            task = replace(task, learning_rate=way.rate * rate)
        state = TrainerState.initial(task)
        if way.schedule == "constant":
            return trainer.run_epochs(state, way.epochs, options.patience).value
        return annealed(trainer, state, way.epochs).value


def trial(
    number: int,
    candidate: Candidate,
    architecture: Architecture,
    rungs: Sequence[tuple[int, float]],
) -> Trial:
    """Return the trial that a search would write for these (rung, loss) of a candidate."""
    return Trial(
        number=number, architecture=architecture,
        learning_rate=candidate.learning_rate, batch_size=candidate.batch_size,
        value=rungs[-1][1], epochs=rungs[-1][0], pruned_at=None, seconds=0.0, batch=0,
        rungs=tuple(rungs), weight_decay=candidate.weight_decay,
    )  # fmt: skip


def trainer_of(trainers: TrainerCache, unit: Unit) -> Trainer:
    """Return the trainer for the rows of a training."""
    if unit.way == FINAL:
        return trainers.trainer(target=FINAL)
    return trainers.trainer(Way.parse(unit.way).rows)


def _read(path: Path) -> Iterator[tuple[tuple[int, int, str, int], tuple[float, float]]]:
    """Read the table."""
    for row in csv.DictReader(whole_lines(path)):
        key = int(row["candidates"]), int(row["number"]), row["way"], int(row["again"])
        yield key, (float(row["loss"]), float(row["seconds"]))


# ------------------------------------------------------------------------- workers

_worker: tuple[Trainings, TrainerCache] | None = None


def _begin(trainings: Trainings) -> None:
    global _worker
    # Created once here, so that no measured training includes this time.
    make_trainer(trainings.arrays, "native")
    arrays = {"": trainings.of_step_1, FINAL: trainings.arrays}
    _worker = trainings, TrainerCache(arrays, "native")


def _train(unit: Unit) -> tuple[float, float]:
    assert _worker is not None
    trainings, trainers = _worker
    # The time of work that is done once per worker must not count for its first candidate.
    trainer_of(trainers, unit)
    trainings.candidates(unit.candidates)
    begun = time.process_time()
    loss = trainings.train(trainers, unit)
    return (loss if math.isfinite(loss) else math.inf), time.process_time() - begun
