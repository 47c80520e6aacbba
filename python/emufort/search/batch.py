"""The trainings of one batch of candidates, rung by rung."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from emufort.config import Config
from emufort.network.architecture import Architecture
from emufort.search.candidate_task import rung_task
from emufort.search.plan import Plan
from emufort.search.rungs import RungUnit, carry_out, with_more_rows
from emufort.search.space import Candidate
from emufort.search.unfinished import UnfinishedBatch
from emufort.training import TrainerState, TrainingTask
from emufort.workers.pool import Executor
from emufort.workers.watch import Watch


class Batch:
    """Trainings of the candidates of one batch.

    Parameters
    ----------
    config
        Uses `seed` and the sections `search` and `retrain`.
    plan
        Rows and rungs of the search.
    out
        Folder of the search.
    number
        Number of the batch.
    first
        Number of the first trial of the batch, which determines the seeds.
    candidates, architectures
        The candidates (n,) and their networks.

    Attributes
    ----------
    states
        Training of each candidate (n,) after the last rung that it reached.
    unfinished
        The trainings on disk, until the trials of the batch are recorded.
    """

    def __init__(
        self,
        config: Config,
        plan: Plan,
        out: Path,
        number: int,
        first: int,
        candidates: Sequence[Candidate],
        architectures: Sequence[Architecture],
    ) -> None:
        self._config, self._plan, self._first = config, plan, first
        self._candidates, self._architectures = candidates, architectures
        self.unfinished = UnfinishedBatch(out / "unfinished", number)
        start = plan.rungs[0]
        self.states = [TrainerState.undrawn(self._task(i, start)) for i in range(len(candidates))]

    def _task(self, position: int, epochs: int) -> TrainingTask:
        """Return the training task of a candidate up to a rung."""
        return rung_task(
            self._candidates[position],
            self._architectures[position],
            self._config,
            # The order of samples differs between candidates: a lucky order is not a good network.
            seed=(self._config.seed << 20) + self._first + position,
            samples=epochs * self._rows(epochs),
        )

    def _rows(self, epochs: int) -> int:
        """Return the number of rows that a rung sees."""
        return self._plan.rung_rows[self._plan.rungs.index(epochs)]

    def run(
        self, executor: Executor, positions: Sequence[int], epochs: int, watch: Watch
    ) -> list[float]:
        """Train the candidates at `positions` up to `epochs`; return their values."""
        options, plan = self._config.search, self._plan
        level, rows = plan.rungs.index(epochs), self._rows(epochs)
        anneal = options.schedule == "cosine"
        if level and rows > plan.rung_rows[level - 1] and not anneal:
            for position in positions:
                self.states[position] = with_more_rows(self.states[position])
        missing: list[int] = []
        found: list[TrainerState | None] = []
        for i, position in enumerate(positions):
            if anneal:
                # Another length needs another batch size; only the time spent is carried over.
                task = self._task(position, epochs)
                self.states[position] = replace(self.states[position], task=task)
            saved = self.unfinished.find(self.states[position].task, position, epochs, rows)
            if saved is None:
                missing.append(i)
            found.append(saved)
        share = len(self.states) * self._share_of_rung(level) / len(positions)
        cells = watch.begin([share] * len(positions))
        units = [
            RungUnit(
                self.states[position],
                epochs,
                options.patience,
                rows,
                target=self._candidates[position].target,
                anneal=anneal,
                cell=cell,
            )
            for position, cell in zip(positions, cells, strict=True)
        ]
        for i, saved in enumerate(found):
            if saved is not None:
                self.states[positions[i]] = saved
                watch.finished(cells[i])
        together = options.side_by_side is True
        for i, state, spent in carry_out(executor, units, missing, together, plan.subset):
            self.states[positions[i]] = state
            self.unfinished.keep(state, positions[i], epochs, rows, spent)
            watch.finished(cells[i])
        return [self.states[p].value for p in positions]

    def _share_of_rung(self, level: int) -> float:
        """Return the share of a rung in the work of a batch, if halving keeps 1/eta at each."""
        options, plan = self._config.search, self._plan
        before = (0, *plan.rungs[:-1])
        work = [
            (until - (0 if options.schedule == "cosine" else done)) * n / float(options.eta) ** i
            for i, (until, done, n) in enumerate(
                zip(plan.rungs, before, plan.rung_rows, strict=True)
            )
        ]
        return work[level] / sum(work)
