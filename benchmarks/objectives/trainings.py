"""Every candidate of a small search space, trained at every rung: a table that searches replay.

The table is complete, so a search of any kind needs no training: it looks up the loss of a
candidate at a rung, and the processor time of this training.
"""

from __future__ import annotations

import csv
import math
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.foretell.cases import CASES, Request
from benchmarks.resumable_table import whole_lines
from emufort.config import Config, SearchConfig, SpaceConfig
from emufort.search.candidate_task import rung_task
from emufort.search.rungs import annealed
from emufort.search.space import Candidate, tapered
from emufort.training import Trainer, TrainerState, make_trainer

#: Lengths of the rungs in epochs of all training rows: about 0.6, 2.5 and 10 % of step 2.
RUNGS = (1, 4, 16)
#: Learning rates; those that a search proposes are rounded to the nearest of them.
N_RATES = 5
SPACE = SpaceConfig(family="taper", depth=(1, 2))
CONFIG = Config(search=SearchConfig(space=SPACE, rungs=RUNGS, subset=16))

Key = tuple[tuple[int, ...], str, int]


def rates() -> list[float]:
    """Return the learning rates of the table, evenly spaced in the logarithm."""
    low, high = map(math.log, SPACE.learning_rate)
    return [math.exp(low + (i + 0.5) / N_RATES * (high - low)) for i in range(N_RATES)]


def key_of(candidate: Candidate) -> Key:
    """Return the row of the table that stands for a candidate."""
    assert isinstance(candidate.activation, str)
    nearest = min(range(N_RATES), key=lambda i: abs(math.log(rates()[i] / candidate.learning_rate)))
    return candidate.hidden, candidate.activation, nearest


def all_candidates() -> dict[Key, Candidate]:
    """Return every candidate of the space, with the learning rates of `rates`."""
    found: dict[Key, Candidate] = {}
    for depth in range(SPACE.depth[0], SPACE.depth[1] + 1):
        for first in SPACE.width:
            for ratio in SPACE.taper:
                for activation in SPACE.activation:
                    for i, rate in enumerate(rates()):
                        hidden = tapered(first, ratio, depth)
                        one = Candidate(hidden, activation, rate, SPACE.batch_size[0])
                        found.setdefault((hidden, activation, i), one)
    return found


@dataclass(frozen=True)
class Trained:
    """Losses of a candidate at the rungs, and the processor time of each training [s]."""

    losses: tuple[float, ...]
    seconds: tuple[float, ...]


def table_of(path: Path, seed: int, workers: int) -> dict[Key, Trained]:
    """Return the table of a seed; trainings that it lacks are made and appended to the file.

    Parameters
    ----------
    path
        The CSV file.
    seed
        Seed of the first weights and the order of samples in all trainings.
    workers
        Number of processes.
    """
    done = dict(_read(path))
    candidates = all_candidates()
    waiting = [(i, key) for i, key in enumerate(candidates) if key not in done]
    if waiting:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        context = multiprocessing.get_context("fork")
        with (
            open(path, "a", newline="") as stream,
            ProcessPoolExecutor(workers, context, _begin) as pool,
        ):
            writer = csv.writer(stream, lineterminator="\n")
            if is_new:
                losses = [f"loss_{epochs}" for epochs in RUNGS]
                writer.writerow(
                    ["hidden", "activation", "rate", *losses, *(f"seconds_{e}" for e in RUNGS)]
                )
            units = [(candidates[key], (seed << 20) + i) for i, key in waiting]
            results = track(
                pool.map(_train, units), "trainings", len(units), console=Console(stderr=True)
            )
            for (_, key), one in zip(waiting, results, strict=True):
                done[key] = one
                hidden, activation, rate = key
                losses = [repr(loss) for loss in one.losses]
                seconds = [f"{s:.4f}" for s in one.seconds]
                writer.writerow(["-".join(map(str, hidden)), activation, rate, *losses, *seconds])
                stream.flush()
    return {key: done[key] for key in candidates}


def _read(path: Path) -> Iterator[tuple[Key, Trained]]:
    """Read the table."""
    for row in csv.DictReader(whole_lines(path)):
        hidden = tuple(map(int, row["hidden"].split("-")))
        losses = tuple(float(row[f"loss_{epochs}"]) for epochs in RUNGS)
        seconds = tuple(float(row[f"seconds_{epochs}"]) for epochs in RUNGS)
        yield (hidden, row["activation"], int(row["rate"])), Trained(losses, seconds)


#: Trainer and numbers of inputs and outputs, in a worker process.
_worker: tuple[Trainer, tuple[int, int]] | None = None


def _begin() -> None:
    global _worker
    arrays = CASES["embedded"][1](Request(CONFIG, None, Path()))
    drawn = np.random.default_rng(CONFIG.seed).permutation(len(arrays.x_validation))
    rows = np.sort(drawn[: CONFIG.search.validation])
    arrays = replace(
        arrays, x_validation=arrays.x_validation[rows], y_validation=arrays.y_validation[rows]
    )
    sizes = arrays.x_train.shape[1], arrays.y_train.shape[1]
    _worker = make_trainer(arrays, "native"), sizes


def _train(unit: tuple[Candidate, int]) -> Trained:
    candidate, seed = unit
    assert _worker is not None
    trainer, sizes = _worker
    architecture = candidate.architecture(*sizes)
    losses, seconds = [], []
    for epochs in RUNGS:
        samples = epochs * trainer.n_train
        begun = time.process_time()
        task = rung_task(candidate, architecture, CONFIG, seed, samples)
        loss = annealed(trainer, TrainerState.initial(task), epochs).value
        seconds.append(time.process_time() - begun)
        losses.append(loss if math.isfinite(loss) else math.inf)
    return Trained(tuple(losses), tuple(seconds))
