"""Measure the processor time of the search driver per candidate: sampling, tables, study.

    python -m benchmarks.driver_cost [--trials 2000] [--samplers random,qmc,parzen,nsga2,tpe]
                                 [--history 100] [--json FILE]

Made-up losses, which are available at once, replace the trainings, so that only the driver remains.
The script prints the driver's processor time per candidate in ms and as a share of a run of 2,000
candidates per minute (30 ms each), over the whole search and over its last quarter, because costs
may grow with the study.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.search import driver
from emufort.search.rungs import RungUnit
from emufort.search.samplers.options import FORGETFUL

RATE = 2000.0  # candidates per minute


class Instant:
    """An executor whose trainings take no time: larger networks get lower losses, with noise."""

    def run(
        self, function: Callable[..., Any], units: Sequence[RungUnit]
    ) -> Iterator[tuple[int, Any]]:
        for position, unit in enumerate(units):
            task = unit.state.task
            noise = (task.seed * 2654435761 % 1000) / 1000
            loss = (1 + noise) / (1 + sum(task.architecture.hidden)) / unit.until_epoch
            yield position, replace(unit.state, epoch=unit.until_epoch, best_loss=loss)


@contextmanager
def instant(*ignored: Any) -> Iterator[Instant]:
    yield Instant()


class Clock:
    """Measures the processor time of calls of some functions."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            start = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds.setdefault(name, []).append(time.process_time() - start)

        return call


def measure(data: Dataset, sampler: str, trials: int, history: int = 0) -> dict[str, Any]:
    search: dict[str, Any] = {
        "sampler": sampler, "trials": trials, "schedule": "constant", "rungs": [1, 4, 16, 100],
    }  # fmt: skip
    if history and sampler in FORGETFUL:
        search["sampler_options"] = {"history": history}
    config = Config.from_dict({"workers": 1, "search": search})
    clock = Clock()
    make = driver.make_proposer

    def make_timed(*arguments: Any, **options: Any) -> Any:
        proposer = make(*arguments, **options)
        proposer.propose = clock.timed("sampling", proposer.propose)  # type: ignore[method-assign]
        proposer.add = clock.timed("sampling, told", proposer.add)  # type: ignore[method-assign]
        return proposer

    run = driver._Run
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(driver, "executor_for", instant),
        mock.patch.object(driver, "make_proposer", make_timed),
        mock.patch.object(driver.Mirror, "add", clock.timed("study", driver.Mirror.add)),
        mock.patch.object(
            driver.TrialsFile, "write", clock.timed("trials.csv", driver.TrialsFile.write)
        ),
        mock.patch.object(run, "write_summary", clock.timed("search.json", run.write_summary)),
        mock.patch.object(run, "next_batch", clock.timed("all", run.next_batch)),
    ):
        driver.search(data, config, Path(folder) / "search")
        size = (Path(folder) / "search" / "study.journal").stat().st_size
    batches = len(clock.seconds["all"])
    last = batches - 3 * batches // 4
    batch = config.search.batch
    return {
        "ms": {k: 1e3 * sum(v) / trials for k, v in clock.seconds.items()},
        "ms_last_quarter": {
            k: 1e3 * sum(v[-last:]) / (last * batch) for k, v in clock.seconds.items()
        },
        "journal_bytes_per_trial": size / trials,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--samplers", default="random,qmc,parzen,nsga2,tpe")
    parser.add_argument("--history", type=int, default=0, help="trials that tpe and gp get")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    data = Dataset.open(None, Contract.load("activation"))
    results = {}
    budget = 60e3 / RATE
    for sampler in options.samplers.split(","):
        found = results[sampler] = measure(data, sampler, options.trials, options.history)
        print(f"{sampler}, {options.trials} candidates")
        for name, ms in sorted(found["ms"].items(), key=lambda item: -item[1]):
            late = found["ms_last_quarter"][name]
            print(
                f"    {name:16s} {ms:7.3f} ms each, {100 * ms / budget:5.1f} %;"
                f" last quarter {late:7.3f} ms, {100 * late / budget:5.1f} %"
            )
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
