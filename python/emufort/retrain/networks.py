"""The files that a finished training of step 2 writes to its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from emufort.dataset.targets import Targets, with_target
from emufort.errors import EmufortError
from emufort.files import read_json, write_csv
from emufort.network.emulator import Emulator
from emufort.network.scaler import Scaler
from emufort.provenance import file_sha256
from emufort.retrain.jobs import Job
from emufort.retrain.table import Retrained, finite
from emufort.run.record import write_record
from emufort.search.identity import data_sha256, rows_sha256
from emufort.search.result import SearchResult
from emufort.skill import skill_of_emulator
from emufort.training import Layout, TrainerState

CURVE_COLUMNS = ("step", "train_loss", "validation_loss", "learning_rate")


@dataclass(frozen=True)
class Finisher:
    """Writes the files of a finished training."""

    found: SearchResult
    study_sha256: str
    targets: Targets
    train: Targets
    validation: Targets
    scalers: Mapping[str, tuple[Scaler, Scaler]]
    backend: str
    device: str

    def finish(self, job: Job, state: TrainerState) -> Retrained:
        """Write weights.safetensors, curve.csv and, at the end, metrics.json."""
        subset = read_json(self.found.folder / "subset.json")
        trial, task = job.trial, state.task
        data, validation = self.targets.data[trial.target], self.validation.data[trial.target]
        chain = {
            "data_sha256": data_sha256(data),
            "study_sha256": self.study_sha256,
            "contract_sha256": data.contract.sha256,
            "subset_sha256": subset["sha256"],
            "train_rows_sha256": rows_sha256(self.train.judge.rows),
            "trial": trial.number,
            "seed": job.seed,
        }
        training = {
            **task.to_dict(),
            "backend": self.backend,
            "device": self.device,
            "steps": state.step,
            "warm_up": job.training.plan.warm_up,
            "n_train": len(self.train.judge),
            **_warm_start(job),
        }
        emulator = Emulator(
            data.contract,
            task.architecture,
            *self.scalers[trial.target],
            parameters=Layout(task.architecture).parameters(state.best_weights),
            metadata={
                **chain,
                "id": job.id,
                "search_loss": trial.value,
                "validation_loss": finite(state.value),
                "training": training,
            },
        )
        if emulator.constants:
            # For readers of the manifest only; the emitted values are in the scaler.
            constants = [asdict(one) for one in emulator.constants]
            known = {**emulator.metadata, "constant_outputs": constants}
            emulator = replace(emulator, metadata=known)
        diverged = not math.isfinite(state.value)
        skill = None if diverged else skill_of_emulator(emulator, validation, self.validation.judge)
        row = Retrained(
            id=job.id,
            trial=trial.number,
            seed=job.seed,
            why=job.why,
            label=with_target(task.architecture.label, trial.target),
            activation=task.architecture.activation_label,
            n_parameters=task.architecture.n_parameters,
            multiply_adds=task.architecture.multiply_adds,
            search_loss=trial.value,
            validation_loss=state.value,
            rmse=skill.overall.rmse if skill else math.nan,
            mae=skill.overall.mae if skill else math.nan,
            bias=skill.overall.bias if skill else math.nan,
            r2=skill.overall.r2 if skill else math.nan,
            seconds=round(state.seconds, 3),
            steps=state.step,
            target=trial.target,
        )
        emulator.save(job.folder / "weights.safetensors")
        curve = [dict(zip(CURVE_COLUMNS, line, strict=True)) for line in state.curve]
        write_csv(job.folder / "curve.csv", curve, CURVE_COLUMNS)
        metrics = {
            "candidate": {key: finite(value) for key, value in row.row().items()},
            "validation": skill.to_dict() if skill else None,
            "training": training,
            "provenance": chain,
            "files": {
                name: file_sha256(job.folder / name)
                for name in ("weights.safetensors", "curve.csv")
            },
        }
        write_record(job.folder / "metrics.json", metrics)
        return row


def adopt(job: Job, study_sha256: str) -> None:
    """Let the files of a finished training name the present study.

    The study of a training that was done before the search grew had fewer trials. Its trial is the
    same, so the weights are those that the training would give again. On a GPU, where networks are
    trained together, this holds up to rounding. Only a training that is not exactly the one of
    `job` is removed.

    Parameters
    ----------
    job
        The training in the present study.
    study_sha256
        Hash of the present study.
    """
    try:
        metrics = job.metrics
        chain, row, training = (metrics[key] for key in ("provenance", "candidate", "training"))
        if (chain["study_sha256"], row["why"]) == (study_sha256, job.why) or not job.finished:
            return
        # A training that diverged was repeated at a lower learning rate.
        known = {**training, "learning_rate": job.training.task.learning_rate}
        wanted = json.loads(json.dumps(job.training.task.to_dict()))
        same = row["search_loss"] == job.trial.value and wanted.items() <= known.items()
    except (EmufortError, KeyError, TypeError, AttributeError):
        return  # not finished
    if not same:
        (job.folder / "metrics.json").unlink()
        return
    training |= _warm_start(job)
    chain["study_sha256"] = study_sha256
    path = job.folder / "weights.safetensors"
    emulator = Emulator.load(path)
    metadata = {**emulator.metadata, **chain, "training": training}
    replace(emulator, metadata=metadata).save(path)
    row["why"] = job.why
    metrics["files"][path.name] = file_sha256(path)
    write_record(job.folder / "metrics.json", metrics)


def _warm_start(job: Job) -> dict[str, Any]:
    """Return the network whose weights a training started from, for the training record."""
    if job.training.warm_start is None:
        return {}
    weights = job.training.warm_start.weights
    return {"warm_start": {"id": weights.parent.name, "weights_sha256": file_sha256(weights)}}
