"""Progress within trainings: what workers write, what the driver makes of it."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from emufort.retrain.driver import retrain
from emufort.search.driver import search
from emufort.workers import watch as module
from emufort.workers.watch import Cell, Watch
from tests.search.pond import config as pond_config
from tests.search.pond import data as pond_data


@dataclass
class Heard:
    """Remembers what it is told."""

    calls: list[tuple[str, float, int, str, float | None]] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    def __call__(
        self, step: str, done: float, total: int, note: str = "", left: float | None = None
    ) -> None:
        self.calls.append((step, done, total, note, left))
        self.threads.add(threading.current_thread().name)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)


class Clock:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


def watch_of(heard: Callable[..., None], tmp_path: Path, total: int = 4) -> Watch:
    """Return a watch without its thread: the tests look when they want to."""
    return Watch(heard, "retrain", total, tmp_path, work=100.0)


def test_shares_of_trainings_count_and_give_the_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, clock = Heard(), Clock(monkeypatch)
    watch = watch_of(heard, tmp_path)
    watch.at(1, "first", work=0.0)
    cells = watch.begin([60.0, 30.0, 10.0], [1, 1, 1])
    assert heard.calls == [("retrain", 1, 4, "first", None)]
    clock.now = 10.0
    cells[0].teller()  # says nothing yet
    clock.now = 20.0
    tell = cells[0].teller()
    clock.now = 21.0
    tell(0.25)
    watch.finished(cells[1], "second")
    step, done, total, note, left = heard.calls[-1]
    assert (step, done, total, note) == ("retrain", 2.25, 4, "second")
    # 15 + 30 of 100 in 21 s: 55 are left.
    assert left == pytest.approx(55 * 21 / 45)
    watch.at(4, "all", work=100.0)
    assert heard.calls[-1] == ("retrain", 4, 4, "all", 0.0)


@pytest.mark.parametrize("word", [float("nan"), float("inf"), -1.0, 1.5])
def test_what_is_no_share_counts_as_none(tmp_path: Path, word: float) -> None:
    heard = Heard()
    watch = watch_of(heard, tmp_path)
    watch.at(0)
    (cell,) = watch.begin([10.0], [1])
    cell.path.write_bytes(struct.pack("<d", word))
    watch._tell()
    assert heard.calls[-1][1] == 0.0


def test_cells_that_are_gone_stop_no_training_and_no_watch(tmp_path: Path) -> None:
    heard = Heard()
    watch = Watch(heard, "search", 8, tmp_path / "absent")
    watch.at(0)
    (cell,) = watch.begin([8.0])
    cell.teller()(0.5)
    Cell(tmp_path / "absent" / "progress.bin", 3).teller()(0.5)
    watch.finished(cell, "done")
    assert heard.calls[-1][:4] == ("search", 8, 8, "done")


def test_a_worker_writes_at_most_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 1.0)
    clock = Clock(monkeypatch)
    (cell,) = watch_of(Heard(), tmp_path).begin([1.0], [1])
    tell = cell.teller()
    for i in range(100):
        clock.now = 0.25 * (i + 1)
        before = cell.path.read_bytes()
        tell((i + 1) / 101)
        assert (cell.path.read_bytes() != before) == ((i + 1) % 4 == 0)


def test_an_exception_of_the_reporter_reaches_the_driver(tmp_path: Path) -> None:
    class NoMoreError(Exception):
        pass

    def refuse(*arguments: object) -> None:
        raise NoMoreError

    watch = watch_of(refuse, tmp_path)
    with watch, pytest.raises(NoMoreError):
        while True:
            time.sleep(0.01)
            if watch._failure is not None:
                watch.at(1)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_long_training_is_told_of_while_it_runs(tmp_path: Path, workers: int) -> None:
    """One candidate, trained by a worker or in this process: nothing else could be told of."""
    one = {"trials": 1, "batch": 1, "rungs": [4000], "patience": 4000}
    data, config = pond_data(), pond_config(workers=workers, **one)
    heard = Heard()
    search(data, config, tmp_path / "search", heard)
    assert any(done % 1 > 0 for _, done, *_ in heard.calls)
    heard.calls.clear()
    options = config.retrain.model_copy(update={"top": 1, "seeds": 1, "steps": 40_000})
    config = config.model_copy(update={"retrain": options})
    retrain(tmp_path / "search", data, config, tmp_path / "retrain", heard)
    within = [(done, left) for _, done, total, _, left in heard.calls if 0 < done < 1]
    assert len(within) >= 3
    assert [done for done, _ in within] == sorted(done for done, _ in within)
    assert all(left is not None and left > 0 for _, left in within)
    assert heard.calls[-1][1:3] == (1, 1)


def test_nothing_of_the_result_depends_on_who_listens(tmp_path: Path) -> None:
    data, config = pond_data(), pond_config(workers=1)
    silently = search(data, config, tmp_path / "a")
    aloud = search(data, config, tmp_path / "b", Heard())
    trials = [[replace(t, seconds=0.0) for t in one.trials] for one in (silently, aloud)]
    assert trials[0] == trials[1]
    weights = []
    for name, listener in (("a", {}), ("b", {"report": Heard()})):
        out = tmp_path / name / "retrain"
        rows = retrain(tmp_path / name, data, config, out, **listener)
        from emufort.network.emulator import Emulator

        networks = [Emulator.load(out / row.id / "weights.safetensors") for row in rows]
        weights.append([w for network in networks for w in network.weights])
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
