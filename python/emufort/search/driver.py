"""Step 1: the loop over batches of candidates. Only this process writes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emufort.config import Config
from emufort.dataset import Dataset
from emufort.errors import EmufortError
from emufort.files import make_directory, read_json, write_json
from emufort.progress import Reporter, silent
from emufort.search.executor import Executor, make_executor
from emufort.search.halving import successive_halving
from emufort.search.identity import (
    check_same,
    data_sha256,
    rows_sha256,
    search_identity,
    settled_backend,
)
from emufort.search.result import SearchResult, load_search
from emufort.search.sampling import propose
from emufort.search.space import Candidate
from emufort.search.storage import Mirror
from emufort.search.trials import Trial, ranked, read_trials, write_trials
from emufort.search.unfinished import UnfinishedBatch
from emufort.search.work import RungUnit, run_rung
from emufort.training import Arrays, TrainerState, TrainingTask, backend_detail


def search(data: Dataset, config: Config, out: Path, report: Reporter = silent) -> SearchResult:
    """Search for good networks on a small subset of the training rows.

    Killed at any moment, the same call goes on and ends with the same trials, values and ranking.
    On a finished search it returns at once. With more ``config.search.trials`` it goes on.

    Parameters
    ----------
    data
        All rows; the subset is drawn from its training rows, the score from its validation rows.
    config
        Uses `seed`, `workers` and the section `search`.
    out
        Folder of the search; the study, the table of trials and a summary are written there.
    report
        Told after every batch.

    Raises
    ------
    EmufortError
        `out` holds a search of another configuration or other data, all trainings diverged, or
        workers kept dying.
    DataError
        The subset is larger than the data, or a transform is impossible.
    """
    config = _settled(config, out)
    identity = search_identity(data, config)
    known = check_same(out / "subset.json", identity)
    if known is not None and (finished := _finished(out, config)) is not None:
        return finished
    subset = data.part("train").subset(config.search.subset, config.seed)
    validation = data.part("validation")
    n_validation = min(config.search.validation, len(validation))
    arrays, _, _ = Arrays.from_datasets(subset, validation.subset(n_validation, config.seed))
    make_directory(out)
    if known is None:
        write_json(
            out / "subset.json",
            {
                "seed": config.seed,
                "size": len(subset),
                "rows": subset.rows.tolist(),
                "sha256": rows_sha256(subset.rows),
                "data_sha256": data_sha256(data),
                "identity": identity,
            },
        )
    run = _Run(data, config, out, arrays)
    with make_executor(config.n_workers, arrays, config.search.backend) as executor:
        run.open_study()
        while len(run.trials) < config.search.trials:
            report("search", len(run.trials), config.search.trials, run.note())
            run.next_batch(executor)
    report("search", len(run.trials), config.search.trials, run.note())
    run.write_summary()
    if not ranked(run.trials):
        raise EmufortError(
            f"all {len(run.trials)} trainings of the search diverged; lower "
            "search.space.learning_rate or look at the data"
        )
    return load_search(out)


def _settled(config: Config, out: Path) -> Config:
    """Say by which backend, where the configuration leaves it open."""
    backend = settled_backend(config.search.backend, out / "subset.json", "search.backend")
    options = config.search.model_copy(update={"backend": backend})
    return config.model_copy(update={"search": options})


def _finished(out: Path, config: Config) -> SearchResult | None:
    try:
        result = load_search(out)
    except EmufortError:
        return None
    enough = len(result.trials) >= config.search.trials and result.top(1)
    return result if enough else None


@dataclass
class _Run:
    """The state of a search in this process; what matters of it is on disk after every batch."""

    data: Dataset
    config: Config
    out: Path
    arrays: Arrays

    def __post_init__(self) -> None:
        contract = self.data.contract
        self.sizes = (len(contract.feature_indices), len(contract.output_columns))
        self.trials: list[Trial] = []
        self.seconds = 0.0
        if (self.out / "trials.csv").exists():
            self.trials = read_trials(self.out / "trials.csv", *self.sizes)
        if (self.out / "search.json").exists():
            self.seconds = float(read_json(self.out / "search.json")["seconds"])
        self.started = time.perf_counter()

    def open_study(self) -> None:
        self.mirror = Mirror(self.out, self.config.search.space, self.trials)

    def note(self) -> str:
        best = ranked(self.trials)[:1]
        return f"best {best[0].architecture.label}, loss {best[0].value:.2e}" if best else ""

    # ------------------------------------------------------------------ batch

    def next_batch(self, executor: Executor) -> None:
        """Ask, train, cut, tell."""
        options = self.config.search
        number = self.trials[-1].batch + 1 if self.trials else 0
        size = min(options.batch, options.trials - len(self.trials))
        candidates = propose(
            options.sampler, options.space, self.trials, size, self.config.seed, number
        )
        batch = _Batch(self, number, candidates)
        courses = successive_halving(
            size, options.rungs, options.eta, lambda at, epochs: batch.run(executor, at, epochs)
        )
        new = [
            Trial(
                number=len(self.trials) + i,
                architecture=candidate.architecture(*self.sizes),
                learning_rate=candidate.learning_rate,
                batch_size=candidate.batch_size,
                value=course.value,
                epochs=state.epoch,
                pruned_at=course.pruned_at,
                seconds=state.seconds,
                batch=number,
                rungs=course.rungs,
            )
            for i, (candidate, course, state) in enumerate(
                zip(candidates, courses, batch.states, strict=True)
            )
        ]
        self.trials.extend(new)
        # First the table, which is what counts; the study follows it.
        write_trials(self.out / "trials.csv", self.trials)
        self.mirror.add(new)
        self.write_summary()
        batch.unfinished.clear()

    def write_summary(self) -> None:
        now = time.perf_counter()
        self.seconds += now - self.started
        self.started = now
        options = self.config.search
        best = ranked(self.trials)[:1]
        finite = [t for t in self.trials if t.finite]
        summary: dict[str, Any] = {
            "finished": len(self.trials) >= options.trials,
            "trials": len(self.trials),
            "trials_wanted": options.trials,
            "pruned": sum(t.pruned_at is not None for t in self.trials),
            "diverged": len(self.trials) - len(finite),
            "seconds": round(self.seconds, 3),
            "trials_per_minute": round(60 * len(self.trials) / max(self.seconds, 1e-3), 1),
            "workers": self.config.n_workers,
            "backend": options.backend,
            "backend_detail": backend_detail(options.backend),
            "sampler": options.sampler,
            "rungs": list(options.rungs),
            "eta": options.eta,
            "n_inputs": self.sizes[0],
            "n_outputs": self.sizes[1],
            "best": [
                {
                    "trial": t.number,
                    "label": t.architecture.label,
                    "value": t.value,
                    "learning_rate": t.learning_rate,
                    "batch_size": t.batch_size,
                }
                for t in best
            ],
            "config": self.config.model_dump(mode="json"),
            "contract_sha256": self.data.contract.sha256,
            "data_sha256": data_sha256(self.data),
        }
        summary["best"] = summary["best"][0] if best else None
        write_json(self.out / "search.json", summary)


class _Batch:
    """Trainings of the candidates that were asked for together."""

    def __init__(self, run: _Run, number: int, candidates: Sequence[Candidate]) -> None:
        self.run_ = run
        self.unfinished = UnfinishedBatch(run.out / "unfinished", number)
        first = len(run.trials)
        self.states = [
            TrainerState.initial(
                TrainingTask(
                    candidate.architecture(*run.sizes),
                    candidate.learning_rate,
                    candidate.batch_size,
                    # Not the same order of samples for all: a lucky order is not a good network.
                    seed=(run.config.seed << 20) + first + i,
                )
            )
            for i, candidate in enumerate(candidates)
        ]

    def run(self, executor: Executor, positions: Sequence[int], epochs: int) -> list[float]:
        """Train the candidates at `positions` up to `epochs`; return their values."""
        waiting = []
        for position in positions:
            saved = self.unfinished.find(self.states[position].task, position, epochs)
            if saved is not None:
                self.states[position] = saved
            else:
                waiting.append(position)
        patience = self.run_.config.search.patience
        n_train = len(self.run_.arrays.x_train)
        units = {p: RungUnit(self.states[p], epochs, patience) for p in waiting}
        waiting.sort(key=lambda p: -units[p].seconds_estimate(n_train))
        for i, state in executor.run(run_rung, [units[p] for p in waiting]):
            position = waiting[i]
            spent = state.seconds - self.states[position].seconds
            self.states[position] = state
            self.unfinished.keep(state, position, epochs, spent)
        return [self.states[p].value for p in positions]
