"""Run units of work in this process or in a pool of worker processes that may die.

A unit's result depends on the unit alone. If a worker dies, another worker repeats its unit.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol, Self, TypeVar

from emufort import signals
from emufort.config import Config
from emufort.errors import EmufortError
from emufort.files import scratch_folder
from emufort.training import Arrays, resolve_backend
from emufort.training.device import check_device, device_of_worker
from emufort.workers.dask_pool import DaskPool
from emufort.workers.main_module import without_main
from emufort.workers.shared_arrays import SharedArrays
from emufort.workers.trainer_cache import TrainerCache

Unit = TypeVar("Unit")
Result = TypeVar("Result")

#: Time between two checks for signals [s].
_LOOK_SECONDS = 0.1
#: Number of times that workers may die while no unit finishes.
_TRIES = 3


class Executor(Protocol):
    """Runs ``function(trainers, unit)`` for several units."""

    def run(
        self, function: Callable[[TrainerCache, Unit], Result], units: Sequence[Unit]
    ) -> Iterator[tuple[int, Result]]:
        """Yield (position of the unit, result) as results arrive; pass the longest units first.

        Parameters
        ----------
        function
            A function of a module, which does the work of a unit with the trainers.
        units
            Units of work.
        """


class InProcess:
    """Runs one unit after the other in this process."""

    def __init__(
        self, arrays: Arrays | SharedArrays, backend: str = "torch", device: str = "cpu"
    ) -> None:
        device = device_of_worker(device, 0)
        if isinstance(arrays, Arrays):
            self._trainers = TrainerCache({"": arrays}, backend, device)
        else:
            self._trainers = arrays.trainers(backend, device)

    def run(
        self, function: Callable[[TrainerCache, Unit], Result], units: Sequence[Unit]
    ) -> Iterator[tuple[int, Result]]:
        """See `Executor.run`."""
        for position, unit in enumerate(units):
            signals.check()
            yield position, function(self._trainers, unit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ignored: object) -> None:
        pass


class ProcessPool:
    """Worker processes on this machine with one thread each; they share the data."""

    def __init__(
        self,
        workers: int,
        arrays: Arrays | SharedArrays,
        backend: str = "torch",
        device: str = "cpu",
    ) -> None:
        self._workers = workers
        self._scratch = ExitStack()
        if isinstance(arrays, Arrays):
            arrays = SharedArrays.write(arrays, self._scratch.enter_context(scratch_folder()))
        self._arrays, self._backend, self._device = arrays, backend, device
        self._pool: ProcessPoolExecutor | None = None
        self.warm_up()

    def warm_up(self) -> None:
        """Start the workers without waiting for them."""
        if self._pool is None:
            method = "forkserver" if _HAS_FORKSERVER else "spawn"
            context = multiprocessing.get_context(method)
            if _HAS_FORKSERVER:
                # The server imports torch once; every worker is a fork of the server.
                context.set_forkserver_preload([f"emufort.training.{self._backend}_trainer"])
                with signals.hidden_from_children():
                    forkserver.ensure_running()
            # With several GPUs, every worker takes the next number, which determines its GPU.
            numbers = context.Value("i", 0) if self._device == "cuda" else None
            self._pool = ProcessPoolExecutor(
                self._workers,
                mp_context=context,
                initializer=_start,
                initargs=(self._arrays, self._backend, self._device, numbers),
            )
        for _ in range(self._workers):
            self._submit(os.getpid)

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        assert self._pool is not None
        with without_main(), signals.hidden_from_children():
            return self._pool.submit(function, *arguments)

    def run(
        self, function: Callable[[TrainerCache, Unit], Result], units: Sequence[Unit]
    ) -> Iterator[tuple[int, Result]]:
        """See `Executor.run`.

        Raises
        ------
        EmufortError
            Workers died several times in a row.
        """
        left = set(range(len(units)))
        tries = 0
        while left:
            finished = False
            try:
                if self._pool is None:
                    self.warm_up()
                futures = {
                    self._submit(_call, function, units[position]): position
                    for position in sorted(left)
                }
                for future in _as_completed(futures):
                    result = future.result()
                    position = futures[future]
                    left.discard(position)
                    finished = True
                    yield position, result
            except BrokenProcessPool as error:
                self.close()
                signals.check()
                tries = 1 if finished else tries + 1
                if tries >= _TRIES:
                    raise EmufortError(
                        f"worker processes died {tries} times in a row (killed, or out of "
                        "memory); free memory or use fewer --workers, then run the same command "
                        "again: finished work is kept"
                    ) from error

    def close(self) -> None:
        """Stop the workers at once, even during a training."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            if process.is_alive():
                process.terminate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.close()
        self._scratch.close()


def make_executor(
    workers: int, arrays: Arrays | SharedArrays, backend: str = "torch", device: str = "cpu"
) -> InProcess | ProcessPool:
    """Return an executor for `workers` processes; one worker runs in this process.

    Parameters
    ----------
    workers
        Number of processes.
    arrays
        Training data; arrays in memory are written to a temporary folder for the workers.
    backend, device
        See `emufort.training.make_trainer`.
    """
    resolve_backend(backend, device)  # raises here, because errors in a worker are less clear
    if workers == 1:
        return InProcess(arrays, backend, device)
    return ProcessPool(workers, arrays, backend, device)


def executor_for(
    config: Config,
    stored: SharedArrays,
    out: Path,
    backend: str = "torch",
    units: int | None = None,
) -> AbstractContextManager[Executor]:
    """Return the executor that the configuration selects.

    Parameters
    ----------
    config
        Uses `workers`, `device` (settled, see `emufort.search.settled`) and the section `cluster`.
    out
        Folder for scripts and logs of batch jobs.
    backend
        Training backend, see `emufort.training.make_trainer`.
    units
        Largest number of units that run at once, if known; more workers would be idle.
    """
    where = config.cluster
    if where.is_here:
        check_device(config.device)
    workers = config.n_workers if units is None else max(1, min(config.n_workers, units))
    if where.engine == "dask" or not where.is_here:
        return DaskPool(where, workers, stored, out, backend, config.device)
    return make_executor(workers, stored, backend, config.device)


def _as_completed(futures: Iterable[Future[Result]]) -> Iterator[Future[Result]]:
    """Yield futures as they finish; unlike the standard library, react to signals in between."""
    finished: SimpleQueue[Future[Result]] = SimpleQueue()
    left = 0
    for future in futures:
        left += 1
        future.add_done_callback(finished.put)
    while left:
        try:
            future = finished.get(timeout=_LOOK_SECONDS)
        except Empty:
            signals.check()
            continue
        left -= 1
        yield future


_HAS_FORKSERVER = "forkserver" in multiprocessing.get_all_start_methods()

# ------------------------------------------------------------------ in a worker

_trainers: TrainerCache | None = None


def _start(
    arrays: SharedArrays, backend: str, device: str, numbers: Synchronized[int] | None
) -> None:
    global _trainers
    # Ctrl-C reaches every process of the terminal; the driver decides how to react.
    signals.start_worker()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    if numbers is not None:
        with numbers.get_lock():
            number, numbers.value = numbers.value, numbers.value + 1
        device = device_of_worker(device, number)
    _trainers = arrays.trainers(backend, device)


def _call(function: Callable[[TrainerCache, Any], Any], unit: Any) -> Any:
    assert _trainers is not None
    return function(_trainers, unit)


def _die_with_parent() -> None:
    """End this worker when the driver ends, because a killed driver cannot stop its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
