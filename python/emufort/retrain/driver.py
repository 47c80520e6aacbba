"""Step 2: train candidates of a search on all training rows, chosen round by round."""

from __future__ import annotations

import math
import shutil
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from emufort.callbacks.protocol import Callbacks
from emufort.config import Config
from emufort.dataset.dataset import Dataset
from emufort.dataset.targets import Targets, target_contract
from emufort.errors import EmufortError
from emufort.extensions import Extensions
from emufort.files import sweep, write_csv, write_json
from emufort.lock import only_writer
from emufort.progress import Reporter, silent
from emufort.retrain.agreement import agreement, mean_losses
from emufort.retrain.jobs import JOB_NAME, Job, Unit, in_buckets, run_unit, side_by_side
from emufort.retrain.networks import Finisher, adopt
from emufort.retrain.ranking import RANKING_COLUMNS, ranking
from emufort.retrain.rounds import Rounds, on_the_front
from emufort.retrain.table import COLUMNS, PREDICTION_COLUMNS, Retrained, ordered, predictions
from emufort.search.identity import check_same, data_identity, read_results, study_sha256
from emufort.search.result import SearchResult, load_search
from emufort.search.settled import check_use, device_entry, settle
from emufort.search.trials import Trial
from emufort.training import backend_detail
from emufort.training.device import device_detail
from emufort.training.durable import forget_together
from emufort.workers.pool import executor_for
from emufort.workers.shared_arrays import SharedArrays
from emufort.workers.watch import Watch


def retrain(
    search_dir: Path,
    data: Dataset,
    config: Config,
    out: Path,
    report: Reporter = silent,
    extensions: Extensions | None = None,
) -> list[Retrained]:
    """Train candidates of the search in `search_dir` on all training rows.

    The first candidates are a control group that is drawn at random. It shows the errors of step 1
    and calibrates the predicted losses of all candidates. Then candidates are trained round by
    round. Each round trains those that are expected to lower the front of loss against cost most,
    and calibrates the next round. At the end, the candidates on the front are trained again for
    longer (`retrain.longer`), with every seed (`retrain.seeds`).

    After an interruption, the same call continues from the last checkpoint and ends with bitwise
    the same weights; finished trainings are not repeated.

    Parameters
    ----------
    search_dir
        Folder of a finished search of the same data.
    data
        All rows; scalers are fitted to the training rows, skill refers to the validation rows.
    config
        Uses `seed`, `workers` and the section `retrain`.
    out
        Folder of the retrained networks.
    report
        Receives the progress, also within trainings.
    extensions
        Callbacks, which receive the networks; default None: none.

    Returns
    -------
    list
        One entry per candidate and seed, best validation skill first.

    Raises
    ------
    EmufortError
        The search is not finished or used other data, `out` holds other results, all trainings
        diverged, or workers kept dying.
    """
    found = load_search(search_dir)
    only_mlps = all(trial.architecture.family == "mlp" for trial in found.trials)
    typical = statistics.median(trial.architecture.multiply_adds for trial in found.trials)
    config = settle(config, "retrain", out / "retrain.json", only_mlps, typical)
    if not (out / "retrain.json").exists():
        check_use(config, out, {})
    contracts = {
        f"contract of {name}": target_contract(name, data.contract).sha256
        for name in sorted({trial.target for trial in found.trials if trial.target})
    }
    searched = check_same(search_dir / "subset.json", {**data_identity(data), **contracts}) or {}
    identity = {
        **searched.get("identity", {}),
        "search.trials": len(found.trials),
        "seed": config.seed,
        **{f"retrain.{k}": v for k, v in config.retrain.model_dump(mode="json").items()},
    }
    _check_same(out / "retrain.json", identity)
    with only_writer(out):
        _check_same(out / "retrain.json", identity)
        callbacks = (extensions or Extensions()).callbacks
        with _Step2(found, data, config, out, report, identity, callbacks) as step:
            step.note()
            sweep(out)
            done = step.run()
        step.write(done)
        step.remove_others()
        step.note(finished=True)
    return ordered(done)


def _check_same(path: Path, identity: dict[str, Any]) -> None:
    """Check the identity of earlier trainings, which may be those of fewer trials.

    The trials of a search that grows stay the same, and so do their trainings.
    """
    known = read_results(path).get("identity", {}).get("search.trials")
    fewer = isinstance(known, int) and known < identity["search.trials"]
    check_same(path, {**identity, "search.trials": known} if fewer else identity)


def _reported(earlier: dict[str, Any], out: Path) -> set[str]:
    """Return the networks that callbacks have received in earlier runs.

    Earlier versions did not record them; then these are all finished ones.
    """
    names = earlier.get("reported")
    if isinstance(names, list):
        return set(map(str, names))
    return {path.parent.name for path in out.glob("*/metrics.json")}


class _Step2(ExitStack):
    """The trainings of step 2; data and workers are prepared when the first training starts."""

    def __init__(
        self,
        found: SearchResult,
        data: Dataset,
        config: Config,
        out: Path,
        report: Reporter,
        identity: dict[str, Any],
        callbacks: Callbacks,
    ) -> None:
        super().__init__()
        self.callbacks = callbacks
        self.found, self.data, self.config = found, data, config
        self.out, self.report, self.identity = out, report, identity
        self.rounds = Rounds(found.trials, config.retrain, config.seed)
        names = dict.fromkeys(trial.target for trial in found.trials if trial.target)
        self.targets = Targets.of(data, list(names))
        self.train = self.targets.part("train")
        self.control = [trial.number for trial in self.rounds.control()]
        #: Networks trained by the rounds, and networks trained for longer.
        self.done: list[Retrained] = []
        self.long: list[Retrained] = []
        self.planned = self.rounds.most
        #: What an earlier run wrote to retrain.json; empty if there was none.
        self._earlier = read_results(out / "retrain.json")
        self._reported = _reported(self._earlier, out)
        self._study_sha256 = study_sha256(found.folder)
        self._ready = False

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    # ------------------------------------------------------------------ the rounds

    def run(self) -> list[Retrained]:
        """Train the control group, the rounds and the front; return the final rows."""
        options, first = self.config.retrain, self.config.seed
        self.done += self.do([self.job(t, "control", first) for t in self.rounds.control()])
        while chosen := self.rounds.next(self.final()):
            self.done += self.do([self.job(trial, "front", first) for trial in chosen])
        # If the final trainings are as long as those of the rounds, the first seed is done.
        seeds = range(options.longer == 1, options.seeds)
        jobs = [
            self.longer_job(trial, first + i)
            for trial in (self.finalists() if seeds else ())
            for i in seeds
        ]
        more = self.do(jobs)
        if options.longer > 1:
            self.long = more
        else:
            self.done += more
        rows = self.rows()
        if not any(math.isfinite(one.validation_loss) for one in rows):
            raise EmufortError(
                "all trainings of step 2 diverged, with lower learning rates too; check the data"
            )
        self.planned = len(self.done) + len(self.long)
        if self._ready:
            self._watch.at(self.planned, total=self.planned)
        return rows

    def rows(self) -> list[Retrained]:
        """Return the networks of step 2; a longer training replaces the shorter ones."""
        longer = {one.trial for one in self.long if math.isfinite(one.validation_loss)}
        return [one for one in self.done if one.trial not in longer] + self.long

    def note(self, finished: bool = False) -> None:
        """Write the identity of this folder, and what is planned and reported."""
        content = {
            "finished": finished,
            "planned": self.planned,
            "reported": sorted(self._reported),
            "identity": self.identity,
        }
        # A run that trains nothing leaves the device as it is.
        is_new = self._ready or not self._earlier
        device = self.config.device if is_new else self._earlier.get("device", "cpu")
        write_json(self.out / "retrain.json", {**content, **device_entry(device)})

    def job(
        self,
        trial: Trial,
        why: str,
        seed: int,
        times: int = 1,
        begun: Retrained | None = None,
    ) -> Job:
        n_train = len(self.train.judge)
        return Job.of(trial, why, seed, self.config, self.out, n_train, times, begun)

    def longer_job(self, trial: Trial, seed: int) -> Job:
        """Return the final, longer training of a candidate on the front."""
        options = self.config.retrain
        # The rounds train the first seed only; other seeds have no weights to start from.
        of_rounds = [one for one in self.done if (one.trial, one.seed) == (trial.number, seed)]
        begun = of_rounds[0] if options.warm_start and of_rounds else None
        return self.job(trial, self.why(trial), seed, options.longer, begun)

    def why(self, trial: Trial) -> str:
        return "control" if trial.number in self.control else "front"

    def losses(self) -> dict[int, list[float]]:
        """Return the losses of every trained candidate after the rounds, one for each seed.

        Losses of different targets cannot be compared; errors replace them then, as in step 1.
        """
        found: dict[int, list[float]] = {}
        for one in self.done:
            loss = one.rmse if self.targets.named else one.validation_loss
            found.setdefault(one.trial, []).append(loss if math.isfinite(loss) else math.inf)
        return found

    def final(self) -> dict[int, float]:
        """Return the loss of every trained candidate, infinite if all its seeds diverged."""
        means = mean_losses(self.losses())
        return {number: means.get(number, math.inf) for number in self.losses()}

    def finalists(self) -> list[Trial]:
        """Return the trained candidates on the front of loss against cost."""
        trials = {trial.number: trial for trial in self.found.trials}
        final = {number: loss for number, loss in self.final().items() if math.isfinite(loss)}
        cost = {number: trials[number].architecture.relative_cost for number in final}
        return [trials[number] for number in on_the_front(cost, final)]

    # ------------------------------------------------------------------ trainings

    def do(self, jobs: Sequence[Job]) -> list[Retrained]:
        """Carry out the jobs that are not finished; return the rows of all jobs."""
        # Rounds may end before their largest number of trainings; later jobs are added to it.
        self.planned = max(self.rounds.most, len(self.done) + len(jobs))
        for job in jobs:
            sweep(job.folder)
            adopt(job, self._study_sha256)
        groups = side_by_side(jobs, self.config)
        waiting = [group for group in groups if not all(job.finished for job in group)]
        self._reported -= {job.id for group in waiting for job in group}
        if waiting:
            self._make_ready()
        self.note()
        if waiting:
            done = len(jobs) - sum(map(len, waiting))
            self._train(waiting, len(self.done) + done)
        rows = [job.read() for job in jobs]
        new = [row for row in rows if row.id not in self._reported]
        if new:
            self._reported |= {row.id for row in new}
            self.note()
            self.callbacks.trained(new)
        return rows

    def _make_ready(self) -> None:
        if self._ready:
            return
        check_use(self.config, self.out, self._earlier)
        self._ready = True
        validation = self.targets.part("validation")
        self._stored, scalers = SharedArrays.from_targets(self.train, validation, self.out)
        self.callback(self._stored.remove)
        backend = self.config.retrain.backend
        self._finisher = Finisher(
            self.found,
            self._study_sha256,
            self.targets,
            self.train,
            validation,
            scalers,
            backend_detail(backend),
            device_detail(self.config.device),
        )
        watch = Watch(self.report, "retrain", self.planned, self._stored.folder)
        self._watch = self.enter_context(watch)
        self._executor = self.enter_context(
            executor_for(self.config, self._stored, self.out, backend, self.planned)
        )

    def _train(self, groups: list[list[Job]], done: int) -> None:
        groups = sorted(groups, key=lambda group: -sum(job.seconds_estimate for job in group))
        counts = [float(len(group)) for group in groups]
        self._watch.at(done, total=self.planned)
        cells = self._watch.begin(counts)
        units = [
            Unit(
                tuple(job.training for job in group),
                group[0].trial.target,
                cell,
                len(group) > 1 or in_buckets(self.config),
            )
            for group, cell in zip(groups, cells, strict=True)
        ]
        for position, states in self._executor.run(run_unit, units):
            group = groups[position]
            rows = [
                self._finisher.finish(job, state) for job, state in zip(group, states, strict=True)
            ]
            forget_together([job.training for job in group])
            self._watch.finished(cells[position], f"{rows[-1].label}, RMSE {rows[-1].rmse:.2e}")

    def remove_others(self) -> None:
        """Remove trainings that belong to an earlier, smaller search only."""
        names = {one.id for one in (*self.done, *self.long)}
        for folder in self.out.iterdir():
            if JOB_NAME.fullmatch(folder.name) and folder.name not in names:
                shutil.rmtree(folder, ignore_errors=True)
        self._reported &= names

    # ------------------------------------------------------------------ tables

    def write(self, done: Sequence[Retrained]) -> None:
        """Write the tables of all trainings, and how well step 1 predicted them."""
        more = ("target",) if self.targets.named else ()
        rows = [one.row() for one in ordered(done)]
        write_csv(self.out / "candidates.csv", rows, (*COLUMNS, *more))
        write_csv(self.out / "ranking.csv", ranking(done), (*RANKING_COLUMNS, *more))
        final = self.final()
        write_csv(
            self.out / "predictions.csv",
            predictions(self.rounds, final),
            (*PREDICTION_COLUMNS, *more),
        )
        compared = "loss of the network's side"
        if self.targets.named:
            compared = f"RMSE of {', '.join(self.data.contract.skill_variables)}"
        found: dict[str, Any] = agreement(
            self.rounds, self.control, self.losses(), self.config.seed
        )
        write_json(self.out / "agreement.json", {"compares": compared, **found})
