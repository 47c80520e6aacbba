"""Step 2: the top candidates of a search on all training rows, with several seeds."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from emufort.config import Config
from emufort.dataset import Dataset
from emufort.errors import EmufortError
from emufort.files import read_json, sweep, write_csv, write_json
from emufort.lock import only_writer
from emufort.network import Emulator, Scaler
from emufort.progress import Reporter, silent
from emufort.provenance import file_sha256
from emufort.record import read_record, write_record
from emufort.search.agreement import agreement
from emufort.search.executor import executor_for
from emufort.search.identity import (
    check_same,
    data_identity,
    data_sha256,
    rows_sha256,
    settled_backend,
    study_sha256,
)
from emufort.search.promotion import promote
from emufort.search.result import SearchResult, load_search
from emufort.search.stored import StoredArrays
from emufort.search.trials import Trial
from emufort.search.watch import Cell, Watch
from emufort.search.workbench import Workbench
from emufort.skill import skill_of_emulator
from emufort.targets import Targets, target_contract, with_target
from emufort.training import (
    Layout,
    StepPlan,
    TrainerState,
    TrainingTask,
    backend_detail,
    with_batch_size,
)
from emufort.training.durable import (
    DurableUnit,
    forget_together,
    run_durably,
    run_durably_together,
    tell_nothing,
)

if TYPE_CHECKING:
    from emufort.training.torch_backend import TorchTrainer

COLUMNS = (
    "id", "trial", "seed", "why", "label", "activation", "n_parameters", "multiply_adds",
    "search_loss", "validation_loss", "rmse", "mae", "bias", "r2", "seconds",
)  # fmt: skip
RANKING_COLUMNS = (
    "rank", "trial", "label", "multiply_adds", "seeds", "rmse", "rmse_spread", "validation_loss",
    "validation_loss_spread", "search_loss", "search_rank",
)  # fmt: skip
CURVE_COLUMNS = ("step", "train_loss", "validation_loss", "learning_rate")

#: Seconds between two checkpoints: what a kill costs at most.
CHECKPOINT_SECONDS = 10.0
#: Looks at the validation rows per training.
_LOOKS = 100


@dataclass(frozen=True)
class Retrained:
    """A network of step 2: one row of candidates.csv.

    Attributes
    ----------
    id
        Name of its folder, from the trial and the seed.
    trial
        The trial of step 1 that found it.
    why
        ``"skill"`` or ``"front"``, see `promote`.
    search_loss, validation_loss
        Lowest validation loss of step 1 and of step 2, both on the network's side; where targets
        were searched, the former is the error by which step 1 compared them.
    rmse, mae, bias, r2
        Of the contract's skill variables over the validation rows, physical units.
    target
        What it predicts, see `emufort.targets`; empty for the run's contract.
    """

    id: str
    trial: int
    seed: int
    why: str
    label: str
    activation: str
    n_parameters: int
    multiply_adds: int
    search_loss: float
    validation_loss: float
    rmse: float
    mae: float
    bias: float
    r2: float
    seconds: float
    target: str = ""

    def row(self) -> dict[str, Any]:
        """Return plain data; the target only where there are several."""
        found = asdict(self)
        return found if self.target else {k: v for k, v in found.items() if k != "target"}


@dataclass(frozen=True)
class _Unit:
    """Trainings of one target for a worker; several go side by side."""

    trainings: tuple[DurableUnit, ...]
    target: str
    cell: Cell | None = None


def _run(bench: Workbench, unit: _Unit) -> list[TrainerState]:
    trainer = bench.on(target=unit.target)
    tell = tell_nothing if unit.cell is None else unit.cell.teller()
    if len(unit.trainings) > 1:
        return run_durably_together(cast("TorchTrainer", trainer), unit.trainings, tell)
    return [run_durably(trainer, unit.trainings[0], tell=tell)]


def retrain(
    search_dir: Path, data: Dataset, config: Config, out: Path, report: Reporter = silent
) -> list[Retrained]:
    """Train the top candidates of the search in `search_dir` on all training rows.

    Killed at any moment, the same call goes on from the last checkpoint and ends with bitwise the
    same weights; finished trainings are not repeated.

    Parameters
    ----------
    search_dir
        Folder of a finished search of the same data.
    data
        All rows; scalers are fitted to the training rows, skill is that on the validation rows.
    config
        Uses `seed`, `workers` and the section `retrain`.
    out
        Folder of the retrained networks.
    report
        Told of the progress, also within trainings.

    Returns
    -------
    list
        One entry per candidate and seed, best validation skill first.

    Raises
    ------
    EmufortError
        The search is not finished or is one of other data, `out` holds other results, all
        trainings diverged, or workers kept dying.
    """
    found = load_search(search_dir)
    backend = settled_backend(config.retrain.backend, out / "retrain.json", "retrain.backend")
    options = config.retrain.model_copy(update={"backend": backend})
    config = config.model_copy(update={"retrain": options})
    contracts = {
        f"contract of {name}": target_contract(name, data.contract).sha256
        for name in {trial.target for trial in found.trials if trial.target}
    }
    searched = check_same(search_dir / "subset.json", {**data_identity(data), **contracts}) or {}
    identity = {
        **searched.get("identity", {}),
        "search.trials": len(found.trials),
        "seed": config.seed,
        **{f"retrain.{k}": v for k, v in config.retrain.model_dump(mode="json").items()},
    }
    check_same(out / "retrain.json", identity)
    kept = promote(found.trials, config.retrain.top)
    names = dict.fromkeys(trial.target for trial, _ in kept if trial.target)
    targets = Targets.of(data, list(names))
    train, validation = targets.part("train"), targets.part("validation")
    jobs = _jobs(kept, config, out, len(train.judge))
    with only_writer(out):
        check_same(out / "retrain.json", identity)
        write_json(out / "retrain.json", {"finished": False, "identity": identity})
        for folder in (out, *(job.folder for job in jobs)):
            sweep(folder)
        waiting = [
            group for group in _groups(jobs, backend) if not all(job.finished for job in group)
        ]
        if waiting:
            stored, scalers = StoredArrays.from_targets(train, validation, out)
            try:
                finisher = _Finisher(
                    found,
                    study_sha256(found.folder),
                    targets,
                    train,
                    validation,
                    scalers,
                    backend_detail(backend),
                )
                _train(waiting, stored, finisher, config, out, len(jobs), report)
            finally:
                stored.remove()
        done = [job.read() for job in jobs]
        if not any(math.isfinite(one.validation_loss) for one in done):
            raise EmufortError(
                "all trainings of step 2 diverged, with lower learning rates too; look at the data"
            )
        more = ("target",) if targets.named else ()
        rows = [one.row() for one in _ordered(done)]
        write_csv(out / "candidates.csv", rows, (*COLUMNS, *more))
        write_csv(out / "ranking.csv", ranking(done), (*RANKING_COLUMNS, *more))
        losses: dict[int, list[float]] = {}
        for one in done:
            # Losses of different targets cannot be compared; step 1 compared errors too.
            loss = one.rmse if targets.named else one.validation_loss
            losses.setdefault(one.trial, []).append(loss)
        step1 = {t.number: t.value for t, _ in kept}
        compared = "loss of the network's side"
        if targets.named:
            compared = f"RMSE of {', '.join(data.contract.skill_variables)}"
        write_json(out / "agreement.json", {"compares": compared, **agreement(step1, losses)})
        write_json(out / "retrain.json", {"finished": True, "identity": identity})
    return _ordered(done)


def _ordered(done: Sequence[Retrained]) -> list[Retrained]:
    def key(one: Retrained) -> tuple[float, str]:
        return (one.rmse if math.isfinite(one.rmse) else math.inf, one.id)

    return sorted(done, key=key)


def ranking(done: Sequence[Retrained]) -> list[dict[str, Any]]:
    """Rank trials by their skill averaged over seeds; a spread is a standard deviation over them.

    Differences between neighbours that are smaller than the spread say nothing.
    """
    trials: dict[int, list[Retrained]] = {}
    for one in done:
        if math.isfinite(one.rmse):
            trials.setdefault(one.trial, []).append(one)

    def spread(values: Sequence[float]) -> float | str:
        return statistics.stdev(values) if len(values) > 1 else ""

    order = sorted(trials, key=lambda t: (statistics.fmean(o.rmse for o in trials[t]), t))
    searched = sorted(trials, key=lambda t: (trials[t][0].search_loss, t))
    return [
        {
            "rank": rank,
            "trial": trial,
            "label": trials[trial][0].label,
            "multiply_adds": trials[trial][0].multiply_adds,
            "seeds": len(trials[trial]),
            "rmse": statistics.fmean(o.rmse for o in trials[trial]),
            "rmse_spread": spread([o.rmse for o in trials[trial]]),
            "validation_loss": statistics.fmean(o.validation_loss for o in trials[trial]),
            "validation_loss_spread": spread([o.validation_loss for o in trials[trial]]),
            "search_loss": trials[trial][0].search_loss,
            "search_rank": 1 + searched.index(trial),
            **({"target": trials[trial][0].target} if trials[trial][0].target else {}),
        }
        for rank, trial in enumerate(order, start=1)
    ]


def _groups(jobs: Sequence[_Job], backend: str) -> list[list[_Job]]:
    """Put jobs that are trained side by side together: seeds of a small network, with torch.

    This depends on the jobs alone, for side by side is not bitwise one after the other.
    """
    if backend != "torch":
        return [[job] for job in jobs]
    from emufort.training.torch_ensemble import pays

    groups: list[list[_Job]] = []
    for _, same in itertools.groupby(jobs, key=lambda job: job.trial.number):
        seeds = list(same)
        together = pays([job.training.task for job in seeds])
        groups += [seeds] if together else [[job] for job in seeds]
    return groups


def _train(
    groups: list[list[_Job]],
    stored: StoredArrays,
    finisher: _Finisher,
    config: Config,
    out: Path,
    total: int,
    report: Reporter,
) -> None:
    def seconds(group: list[_Job]) -> float:
        return sum(job.training.task.seconds_estimate(config.retrain.steps) for job in group)

    groups = sorted(groups, key=lambda group: -seconds(group))
    work, counts = list(map(seconds, groups)), list(map(len, groups))
    with (
        Watch(report, "retrain", total, stored.folder, sum(work)) as watch,
        executor_for(config, stored, out, config.retrain.backend, len(groups)) as executor,
    ):
        watch.at(total - sum(counts), work=0.0)
        cells = watch.begin(work, counts)
        units = [
            _Unit(tuple(job.training for job in group), group[0].trial.target, cell)
            for group, cell in zip(groups, cells, strict=True)
        ]
        for position, states in executor.run(_run, units):
            group = groups[position]
            rows = [finisher.finish(job, state) for job, state in zip(group, states, strict=True)]
            forget_together([job.training for job in group])
            watch.finished(cells[position], f"{rows[-1].label}, RMSE {rows[-1].rmse:.2e}")


# ------------------------------------------------------------------------ jobs


@dataclass(frozen=True)
class _Job:
    """One candidate with one seed, and its folder."""

    id: str
    trial: Trial
    why: str
    seed: int
    folder: Path
    training: DurableUnit

    @property
    def finished(self) -> bool:
        # metrics.json is written last, and names what was written before.
        try:
            files = self._metrics["files"]
            return all(file_sha256(self.folder / name) == sha for name, sha in files.items())
        except (EmufortError, OSError, KeyError, TypeError, AttributeError):
            return False

    @property
    def _metrics(self) -> dict[str, Any]:
        path = self.folder / "metrics.json"
        found = read_record(path)
        # Those of earlier versions have no hash of themselves.
        return found if found or "sha256" in read_json(path) else dict(read_json(path))

    def read(self) -> Retrained:
        row: dict[str, Any] = self._metrics["candidate"]
        if row["validation_loss"] is None:  # diverged; JSON has no infinity
            row = {k: math.nan if v is None else v for k, v in row.items()}
            row["validation_loss"] = math.inf
        return Retrained(**row)


def _jobs(kept: Sequence[tuple[Trial, str]], config: Config, out: Path, n_train: int) -> list[_Job]:
    options = config.retrain
    batch_size = min(options.batch_size, n_train)
    plan = StepPlan.annealed(options.steps, _LOOKS)
    jobs = []
    for trial, why in kept:
        for i in range(options.seeds):
            seed = config.seed + i
            name = f"t{trial.number:05d}-s{seed}"
            task = TrainingTask(
                trial.architecture,
                learning_rate_for(trial, batch_size, options.learning_rate),
                batch_size,
                # Apart from the seeds of step 1, and another for every trial.
                seed=((seed + 1) << 32) + trial.number,
                weight_decay=trial.weight_decay,
            )
            checkpoint = out.resolve() / name / "checkpoint.safetensors"
            unit = DurableUnit(task, plan, checkpoint, CHECKPOINT_SECONDS)
            jobs.append(_Job(name, trial, why, seed, out / name, unit))
    return jobs


def learning_rate_for(trial: Trial, batch_size: int, bounds: tuple[float, float]) -> float:
    """Return the peak learning rate of step 2 for another batch size than the trial's.

    Within `bounds`, for the search's rate may be one that was good over few steps.
    """
    return with_batch_size(trial.learning_rate, trial.batch_size, batch_size, bounds)


@dataclass(frozen=True)
class _Finisher:
    """Turns a finished training into the files of its folder."""

    found: SearchResult
    study_sha256: str
    targets: Targets
    train: Targets
    validation: Targets
    scalers: Mapping[str, tuple[Scaler, Scaler]]
    backend: str

    def finish(self, job: _Job, state: TrainerState) -> Retrained:
        """Write weights.safetensors, curve.csv and, last, metrics.json."""
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
            "steps": state.step,
            "warm_up": job.training.plan.warm_up,
            "n_train": len(self.train.judge),
        }
        weights, biases = Layout(task.architecture).split(state.best_weights)
        emulator = Emulator(
            data.contract,
            task.architecture,
            *self.scalers[trial.target],
            weights=weights,
            biases=biases,
            metadata={
                **chain,
                "id": job.id,
                "search_loss": trial.value,
                "validation_loss": _finite(state.value),
                "training": training,
            },
        )
        if emulator.constants:
            # Read by people, in the manifest; what is emitted is in the scaler.
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
            activation=task.architecture.activation,
            n_parameters=task.architecture.n_parameters,
            multiply_adds=task.architecture.multiply_adds,
            search_loss=trial.value,
            validation_loss=state.value,
            rmse=skill.overall.rmse if skill else math.nan,
            mae=skill.overall.mae if skill else math.nan,
            bias=skill.overall.bias if skill else math.nan,
            r2=skill.overall.r2 if skill else math.nan,
            seconds=round(state.seconds, 3),
            target=trial.target,
        )
        emulator.save(job.folder / "weights.safetensors")
        curve = [dict(zip(CURVE_COLUMNS, line, strict=True)) for line in state.curve]
        write_csv(job.folder / "curve.csv", curve, CURVE_COLUMNS)
        metrics = {
            "candidate": {key: _finite(value) for key, value in row.row().items()},
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


def _finite(value: Any) -> Any:
    """JSON has no infinity: such numbers become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
