"""The trainings of step 2: one candidate with one seed each, in a separate folder."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from emufort.config import Config
from emufort.errors import EmufortError
from emufort.files import read_json
from emufort.provenance import file_sha256
from emufort.retrain.table import Retrained
from emufort.run.record import read_record
from emufort.search.candidate_task import final_plan, final_task
from emufort.search.trials import Trial
from emufort.training import StepPlan, TrainerState
from emufort.training.buckets import buckets, pays
from emufort.training.durable import (
    DurableUnit,
    WarmStart,
    run_durably,
    run_durably_together,
    tell_nothing,
)
from emufort.workers.trainer_cache import TrainerCache
from emufort.workers.watch import Cell

if TYPE_CHECKING:
    from emufort.training.torch_trainer import TorchTrainer

#: Time between two checkpoints, and so the largest loss by an interruption [s].
CHECKPOINT_SECONDS = 10.0
#: Name of the folder of a job, see `Job.of`.
JOB_NAME = re.compile(r"t\d{5,}-s\d+(-x\d+)?")
#: Number of evaluations on the validation rows per training.
_LOOKS = 100


@dataclass(frozen=True)
class Unit:
    """Trainings of one target for a worker, side by side or a single one."""

    trainings: tuple[DurableUnit, ...]
    target: str
    cell: Cell | None = None
    side_by_side: bool = False


def run_unit(trainers: TrainerCache, unit: Unit) -> list[TrainerState]:
    """Carry out a unit."""
    trainer = trainers.trainer(target=unit.target)
    tell = tell_nothing if unit.cell is None else unit.cell.teller()
    if unit.side_by_side:
        return run_durably_together(cast("TorchTrainer", trainer), unit.trainings, tell)
    return [run_durably(trainer, unit.trainings[0], tell=tell)]


@dataclass(frozen=True)
class Job:
    """One candidate with one seed.

    Attributes
    ----------
    id
        Name of its folder.
    trial, why, seed
        See `Retrained`.
    folder
        Folder of its results.
    training
        Training that a worker carries out.
    """

    id: str
    trial: Trial
    why: str
    seed: int
    folder: Path
    training: DurableUnit

    @classmethod
    def of(
        cls,
        trial: Trial,
        why: str,
        seed: int,
        config: Config,
        out: Path,
        n_train: int,
        times: int = 1,
        begun: Retrained | None = None,
    ) -> Job:
        """Return the job of a candidate in the folder `out`, for data of `n_train` rows.

        With `times` above 1, the training is that many times longer. `begun` is a training of the
        usual length with the same seed: the new training starts from its weights and is shorter by
        its length.
        """
        name = f"t{trial.number:05d}-s{seed}" + (f"-x{times}" if times > 1 else "")
        # Different from the seeds of step 1, and different for every trial.
        task = final_task(
            trial.candidate, trial.architecture, config.retrain, ((seed + 1) << 32) + trial.number
        )
        warm_start = None
        if begun is not None:
            times -= 1
            weights = out.resolve() / begun.id / "weights.safetensors"
            warm_start = WarmStart(weights, begun.validation_loss)
        plan = final_plan(task, config.retrain, n_train, _LOOKS, times)
        checkpoint = out.resolve() / name / "checkpoint.safetensors"
        unit = DurableUnit(task, plan, checkpoint, CHECKPOINT_SECONDS, warm_start)
        return cls(name, trial, why, seed, out / name, unit)

    @property
    def seconds_estimate(self) -> float:
        """Rough duration, used to start the long trainings first."""
        return self.training.task.seconds_estimate(self.training.plan.steps)

    @property
    def finished(self) -> bool:
        """Whether the folder holds all results, unchanged since they were written."""
        # metrics.json is written last and lists the files that were written before.
        try:
            files = self.metrics["files"]
            return all(file_sha256(self.folder / name) == sha for name, sha in files.items())
        except (EmufortError, OSError, KeyError, TypeError, AttributeError):
            return False

    @property
    def metrics(self) -> dict[str, Any]:
        """Content of metrics.json."""
        path = self.folder / "metrics.json"
        found = read_record(path)
        # Earlier versions wrote no hash of metrics.json itself.
        return found if found or "sha256" in read_json(path) else dict(read_json(path))

    def read(self) -> Retrained:
        """Return the row of a finished job."""
        row: dict[str, Any] = self.metrics["candidate"]
        if row["validation_loss"] is None:  # diverged; JSON has no infinity
            row = {k: math.nan if v is None else v for k, v in row.items()}
            row["validation_loss"] = math.inf
        return Retrained(**row)


def in_buckets(config: Config) -> bool:
    """Return whether trainings of similar shape run side by side, as they do on a GPU.

    Trainings in bfloat16 or with microbatches are those of large networks and run one by one.
    """
    return config.device != "cpu" and not config.retrain.only_torch


def side_by_side(jobs: Sequence[Job], config: Config) -> list[list[Job]]:
    """Group the jobs that are trained side by side with torch.

    On a CPU these are the seeds of a small network, on a GPU all trainings of one bucket
    (`emufort.training.buckets`). The groups depend on the jobs alone, because trainings side by
    side are not bitwise equal to separate ones.

    Parameters
    ----------
    jobs
        Jobs to group; seeds of the same candidate follow each other.
    config
        Uses `device` and the section `retrain`, both settled.
    """
    if config.retrain.backend != "torch":
        return [[job] for job in jobs]
    groups: list[list[Job]] = []
    if in_buckets(config):
        same_plan: dict[tuple[StepPlan, str], list[Job]] = {}
        for job in jobs:
            same_plan.setdefault((job.training.plan, job.trial.target), []).append(job)
        for members in same_plan.values():
            found = buckets([job.training.task for job in members])
            groups += [[members[i] for i in bucket] for bucket in found]
        return groups
    # A warm start has one seed, and its training is shorter than those of the other seeds.
    for _, same in itertools.groupby(
        jobs, key=lambda job: (job.trial.number, job.training.warm_start)
    ):
        seeds = list(same)
        together = pays([job.training.task for job in seeds])
        groups += [seeds] if together else [[job] for job in seeds]
    return groups
