"""Step 1: the loop over batches of candidates. Only the driver process writes files."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emufort.config import Config
from emufort.dataset.dataset import Dataset
from emufort.dataset.targets import Targets, with_target
from emufort.errors import EmufortError
from emufort.extensions import Extensions
from emufort.files import read_json, sweep, write_json
from emufort.lock import only_writer
from emufort.network.architecture import Architecture
from emufort.progress import Reporter, silent
from emufort.search.batch import Batch
from emufort.search.cost import CostModel, cost_model
from emufort.search.expected_front import Array
from emufort.search.growth import check_not_fewer
from emufort.search.halving import Foretell, Outlook, Reached, successive_halving
from emufort.search.identity import (
    check_same,
    data_sha256,
    rows_sha256,
    search_identity,
)
from emufort.search.importances import importances
from emufort.search.optuna_mirror import FILE_NAME, Mirror, mirrored_rows
from emufort.search.outlook import draft, outlook
from emufort.search.plan import TRIED, Plan, fewest_rows
from emufort.search.prediction import foretold_losses, predicted_ranks
from emufort.search.result import SearchResult, load_search
from emufort.search.samplers.base import accept_all
from emufort.search.samplers.enqueued import enqueued_candidates
from emufort.search.samplers.options import check_object, check_options
from emufort.search.samplers.registry import make_proposer
from emufort.search.settled import check_use, device_entry, settle
from emufort.search.space import Candidate
from emufort.search.subset import draw_subset
from emufort.search.summary import search_summary
from emufort.search.trials import (
    FURTHER_COLUMNS,
    Trial,
    TrialsFile,
    best_of,
    read_trials,
    restore_table,
)
from emufort.workers.pool import Executor, executor_for
from emufort.workers.shared_arrays import SharedArrays
from emufort.workers.watch import Watch


def search(
    data: Dataset,
    config: Config,
    out: Path,
    report: Reporter = silent,
    extensions: Extensions | None = None,
) -> SearchResult:
    """Search for good networks on a small subset of the training rows.

    After an interruption, the same call continues and ends with the same trials, values and
    ranking. For a finished search it returns at once. With a larger ``config.search.trials`` it
    adds trials to a finished search, see `emufort.search.growth`.

    Parameters
    ----------
    data
        All rows; the subset is drawn from its training rows, the score from its validation rows.
    config
        Uses `seed`, `workers` and the section `search`.
    out
        Folder of the search; the study, the table of trials and a summary are written there.
    report
        Receives the progress, also within trainings.
    extensions
        The sampler if it is an object of the caller, and callbacks; default None: none.

    Raises
    ------
    UsageError
        `out` holds a search of more trials, or the sampler object is missing.
    EmufortError
        `out` holds a search of another configuration or other data, all trainings diverged, or
        workers kept dying.
    DataError
        The subset is larger than the data, or a transform is impossible.
    """
    space = config.search.space
    config = settle(
        config, "search", out / "subset.json", space.only_mlps, space.typical_multiply_adds
    )
    identity = search_identity(data, config)
    known = check_same(out / "subset.json", identity)
    check_not_fewer(out, config.search.trials)
    if known is not None and (finished := _finished(out, config)) is not None:
        return finished
    check_use(config, out, known or {})
    options, extensions = config.search, extensions or Extensions()
    check_options(options.sampler, options.sampler_options)
    check_object(options.sampler, extensions.sampler)
    targets = Targets.of(data, options.space.target)
    train, validation = targets.part("train"), targets.part("validation")
    plan = Plan.of(config, len(train.judge))
    subset = draw_subset(train.judge, plan.subset, options.subset_by, config.seed)
    n = min(options.validation, len(validation.judge))
    validation = validation.at(validation.judge.subset(n, config.seed).rows)
    with only_writer(out):
        sweep(out)
        sweep(out / "unfinished")
        model = cost_model(data, config, out, report)
        # Read again, because no other process can write from here on.
        known = check_same(out / "subset.json", identity)
        settled = None if known is None else _known_plan(known, plan, out)
        if settled is None:
            # Whatever an interrupted comparison of row numbers leaves behind has this identity.
            _keep_subset(out, subset, data, identity, config, None)
            rows = train.at(subset.rows), validation
            first = _Run(targets, config, out, plan, model, extensions)
            settled = _tried(plan, first, rows, report)
            _keep_subset(out, subset, data, identity, config, settled)
        plan = settled
        run = _Run(targets, config, out, plan, model, extensions)
        if len(run.trials) < options.trials:
            stored, _ = SharedArrays.from_targets(
                train.at(subset.rows), validation, out, judged=True
            )
            try:
                with (
                    Watch(report, "search", options.trials, stored.folder) as watch,
                    executor_for(config, stored, out, options.backend) as executor,
                ):
                    run.open_study()
                    watch.at(len(run.trials), run.note())
                    while len(run.trials) < options.trials:
                        run.next_batch(executor, watch)
                        watch.at(len(run.trials), run.note())
            finally:
                stored.remove()
        else:
            run.open_study()
            report("search", len(run.trials), options.trials, run.note())
        run.finish()
    if best_of(run.trials) is None:
        raise EmufortError(
            f"all {len(run.trials)} trainings of the search diverged; lower "
            "search.space.learning_rate or check the data"
        )
    return load_search(out)


def _known_plan(known: dict[str, Any], usual: Plan, out: Path) -> Plan | None:
    """Return the plan of an interrupted search, None if it was interrupted before it had a plan.

    Earlier versions did not write the plan; it is then the usual one. Some wrote it without a hash.
    """
    if "plan" not in known:
        return usual
    try:
        plan = None if known["plan"] is None else Plan.from_dict(known["plan"])
        if plan is not None and known.get("plan_sha256", plan.sha256) != plan.sha256:
            raise ValueError("the plan has another hash")
    except (KeyError, TypeError, ValueError) as error:
        raise EmufortError(
            f"{out / 'subset.json'} is damaged; remove the folder {out} and search again"
        ) from error
    return plan


def _tried(plan: Plan, run: _Run, rows: tuple[Targets, Targets], report: Reporter) -> Plan:
    """Choose how many rows the first rung sees, where the configuration leaves the number open.

    The first candidates of the search are trained on fewer rows and on the whole subset. The
    trainings on the chosen number of rows are kept, so the search does not repeat them.
    """
    plans = plan.to_try(run.config)
    if len(plans) == 1:
        return plan
    config, out = run.config, run.out
    size = min(config.search.batch, config.search.trials)
    candidates = run.proposer.propose(size, 0)[:TRIED]
    stored, _ = SharedArrays.from_targets(*rows, out, judged=True)
    batches = [run.batch(0, candidates, one) for one in plans]
    at = range(len(candidates))
    try:
        total = len(plans) * len(candidates)
        with (
            Watch(report, "search", total, stored.folder) as watch,
            executor_for(config, stored, out, config.search.backend) as executor,
        ):
            values = []
            for i, batch in enumerate(batches):
                note = f"trying {plans[i].rung_rows[0]} rows"
                watch.at(i * len(candidates), note)
                values.append(batch.run(executor, at, plans[i].rungs[0], watch))
    finally:
        stored.remove()
    chosen = fewest_rows(plans, values)
    batch = batches[[one.rung_rows for one in plans].index(chosen.rung_rows)]
    for position in at:
        state, rows_seen = batch.states[position], chosen.rung_rows[0]
        batch.unfinished.keep(state, position, chosen.rungs[0], rows_seen, math.inf)
    return chosen


def _keep_subset(
    out: Path,
    subset: Dataset,
    data: Dataset,
    identity: dict[str, Any],
    config: Config,
    plan: Plan | None,
) -> None:
    write_json(
        out / "subset.json",
        {
            "seed": config.seed,
            "method": config.search.subset_by,
            "size": len(subset),
            "rows": subset.rows.tolist(),
            "sha256": rows_sha256(subset.rows),
            "data_sha256": data_sha256(data),
            "plan": plan and plan.to_dict(),
            "plan_sha256": plan and plan.sha256,
            "identity": identity,
            **device_entry(config.device),
        },
    )


def _finished(out: Path, config: Config) -> SearchResult | None:
    try:
        result = load_search(out)
    except EmufortError:
        return None
    enough = len(result.trials) == config.search.trials and result.top(1)
    return result if enough and (out / FILE_NAME).exists() else None


@dataclass
class _Run:
    """The state of a search in this process; after every batch, the essential part is on disk."""

    targets: Targets
    config: Config
    out: Path
    plan: Plan
    cost: CostModel | None = None
    extensions: Extensions = field(default_factory=Extensions)

    def __post_init__(self) -> None:
        self.data = self.targets.judge
        self.trials: list[Trial] = []
        self.seconds = 0.0
        table = self.out / "trials.csv"
        with suppress(EmufortError, KeyError, TypeError, ValueError):
            summary = read_json(self.out / "search.json")
            self.seconds = float(summary["seconds"])
            n, sha256 = int(summary["trials"]), str(summary["trials_sha256"])
            restore_table(table, n, sha256, mirrored_rows(self.out))
        if table.exists():
            sizes = self.targets.sizes(next(iter(self.targets.data)))
            self.trials = read_trials(table, *sizes)
            # The summary, which was checked before, may have been lost.
            check_not_fewer(self.out, self.config.search.trials, len(self.trials))
        self.started = time.perf_counter()
        self.enqueued = enqueued_candidates(self.config.search)
        used = {
            "target": self.targets.named,
            "predicted_ns": self.has_times,
            "enqueued": bool(self.enqueued),
        }
        self.table = TrialsFile(table, [name for name in FURTHER_COLUMNS if used[name]])
        if self.trials:
            self.table.write(self.trials)
        self.data_sha256 = data_sha256(self.data)
        options = self.config.search
        self.proposer = make_proposer(
            self.extensions.sampler or options.sampler,
            options.space,
            self.config.seed,
            self.trials,
            options.sampler_options,
            accept_all if options.max_ns is None else self.is_cheap_enough,
            self.enqueued,
            options.objectives,
        )

    @property
    def has_times(self) -> bool:
        """Whether the predicted time is an objective."""
        return "time" in self.config.search.objectives

    def predicted_ns(self, architecture: Architecture) -> float | None:
        """Return the predicted time of a network if it is an objective, else None."""
        if not self.has_times:
            return None
        assert self.cost is not None
        return self.cost.predict(architecture)

    def is_cheap_enough(self, candidate: Candidate) -> bool:
        limit = self.config.search.max_ns
        assert self.cost is not None
        assert limit is not None
        return self.cost.predict(self.architecture(candidate)) <= limit

    def architecture(self, candidate: Candidate) -> Architecture:
        return candidate.architecture(*self.targets.sizes(candidate.target))

    def open_study(self) -> None:
        options = self.config.search
        self.mirror = Mirror(self.out, options.space, self.trials, options.objectives)

    def note(self) -> str:
        best = best_of(self.trials)
        if best is None:
            return ""
        measure = "error" if self.targets.named else "loss"
        label = with_target(best.architecture.label, best.target)
        return f"best {label}, {measure} {best.value:.2e}"

    # ------------------------------------------------------------------ batch

    def next_batch(self, executor: Executor, watch: Watch) -> None:
        """Propose a batch, train it through the rungs, and add its trials to the tables."""
        options = self.config.search
        number = self.trials[-1].batch + 1 if self.trials else 0
        size = min(options.batch, options.trials - len(self.trials))
        candidates = self.proposer.propose(size, number)
        batch = self.batch(number, candidates, self.plan)
        architectures = [self.architecture(candidate) for candidate in candidates]
        times = [self.predicted_ns(architecture) for architecture in architectures]
        courses = successive_halving(
            size,
            self.plan.rungs,
            options.eta,
            lambda at, epochs: batch.run(executor, at, epochs, watch),
            self.earlier() if options.halving == "asha" else None,
            [self.group(candidate) for candidate in candidates],
            [time for time in times if time is not None] or None,
            self.foretell(candidates) if self.has_times and options.halving == "batch" else None,
        )
        new = [
            Trial(
                number=len(self.trials) + i,
                architecture=architectures[i],
                learning_rate=candidate.learning_rate,
                batch_size=candidate.batch_size,
                value=course.value,
                epochs=state.epoch,
                pruned_at=course.pruned_at,
                seconds=state.seconds,
                batch=number,
                rungs=course.rungs,
                weight_decay=candidate.weight_decay,
                target=candidate.target,
                enqueued=len(self.trials) + i < len(self.enqueued),
                predicted_ns=times[i],
            )
            for i, (candidate, course, state) in enumerate(
                zip(candidates, courses, batch.states, strict=True)
            )
        ]
        self.trials.extend(new)
        # The table comes first because it is authoritative; the study is a copy.
        self.table.write(self.trials)
        self.mirror.add(new)
        self.proposer.add(new)
        self.write_summary()
        batch.unfinished.clear()
        self.extensions.callbacks.trials(new)

    def batch(self, number: int, candidates: Sequence[Candidate], plan: Plan) -> Batch:
        """Return the trainings of the candidates of batch `number`."""
        architectures = [self.architecture(candidate) for candidate in candidates]
        return Batch(
            self.config, plan, self.out, number, len(self.trials), candidates, architectures
        )

    def earlier(self) -> dict[int, list[Reached]]:
        """Return the values of all earlier batches at every rung, by the epochs of the rung."""
        found: dict[int, list[Reached]] = {}
        for trial in self.trials:
            group = self.group(trial.candidate)
            for epochs, value in trial.rungs:
                found.setdefault(epochs, []).append(Reached(value, group, trial.predicted_ns))
        return found

    def foretell(self, candidates: Sequence[Candidate]) -> Foretell:
        """Return a function that predicts losses of a batch after the last rung."""
        drafts = [draft(candidate, self.architecture(candidate)) for candidate in candidates]
        finished = [t for t in self.trials if t.pruned_at is None and t.finite]

        def foretold(at: Sequence[int], epochs: int, losses: Array) -> Outlook:
            return outlook(finished, [drafts[i] for i in at], epochs, losses)

        return foretold

    def group(self, candidate: Candidate) -> tuple[object, ...]:
        """Return the properties that define the group within which a candidate is compared."""
        return tuple(getattr(candidate, name) for name in self.config.search.groups)

    def finish(self) -> None:
        """Rank all candidates, then mark the search as finished."""
        self.table.rank(self.trials, predicted_ranks(self.trials))
        losses = foretold_losses(self.trials)
        found = importances(self.config.search.space, self.trials, losses)
        self.write_summary(found, finished=True)

    def write_summary(
        self, found: Mapping[str, Mapping[str, float]] | None = None, finished: bool = False
    ) -> None:
        now = time.perf_counter()
        self.seconds += now - self.started
        self.started = now
        summary = search_summary(
            self.targets,
            self.config,
            self.plan,
            self.trials,
            trials_sha256=self.table.sha256,
            data_sha256=self.data_sha256,
            seconds=self.seconds,
            cost=self.cost,
            importances=found,
            finished=finished,
        )
        write_json(self.out / "search.json", summary)
