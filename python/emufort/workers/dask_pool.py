"""Run units of work on a Dask cluster: a local one, an existing one, or one in batch jobs.

Dask sends units and results as bytes over its connections; nothing is pickled to disk. The data
are not sent: every worker maps their files into memory.
"""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from emufort.config import ClusterConfig
from emufort.errors import EmufortError, UsageError
from emufort.training.device import device_of_named_worker
from emufort.workers.cluster_jobs import BatchJobs
from emufort.workers.dask_cluster import ExternalWorkers, LocalWorkers, started_scheduler
from emufort.workers.shared_arrays import SharedArrays
from emufort.workers.trainer_cache import TrainerCache
from emufort.workers.unit_marks import LOADING, WORKING, Death, UnitMarks

Unit = TypeVar("Unit")
Result = TypeVar("Result")

#: Number of workers that one unit may kill, or that may die while they load the data, before the
#: run stops.
_DEATHS = 5
#: Time between two checks for workers [s].
_LOOK_SECONDS = 10.0
#: Times within which an existing scheduler must answer, and must have a worker [s].
_CONNECT_SECONDS, _WORKER_SECONDS = 10.0, 120.0


class DaskPool:
    """An `Executor` on the workers of a Dask scheduler.

    Parameters
    ----------
    where
        The scheduler to connect to, or the batch system that starts workers; with neither, workers
        are processes of this machine.
    workers
        Number of workers on this machine.
    stored
        Data on a disk that all workers can read.
    out
        Folder for scripts and logs of batch jobs.
    backend
        Training backend, see `emufort.training.make_trainer`.
    device
        Device of the workers; with ``"cuda"``, they take the GPUs that they see in turn.
    """

    def __init__(
        self,
        where: ClusterConfig,
        workers: int,
        stored: SharedArrays,
        out: Path,
        backend: str = "torch",
        device: str = "cpu",
    ) -> None:
        self._where, self._workers, self._stored, self._out = where, workers, stored, out
        self._stack = ExitStack()
        self._name = uuid.uuid4().hex[:12]
        self._calls = 0
        # Workers that others started take the first GPU that they see; a tool such as dask-cuda
        # gives each of them a different one.
        is_others = where.scheduler is not None and device == "cuda"
        self._backend = (backend, "cuda:0" if is_others else device)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._connect(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._stack.close()

    def _connect(self, stack: ExitStack) -> None:
        try:
            import dask
            from distributed import Client
        except ImportError as error:
            raise UsageError(
                "a Dask cluster needs the package distributed: pip install 'emufort[dask]'"
            ) from error
        stack.enter_context(
            dask.config.set({"distributed.scheduler.allowed-failures": _DEATHS - 1})
        )
        self._keeper: LocalWorkers | BatchJobs | ExternalWorkers
        if self._where.scheduler is not None:
            address = self._where.scheduler
            self._keeper = ExternalWorkers(address, _WORKER_SECONDS)
        else:
            scheduler = stack.enter_context(started_scheduler(self._where))
            address = scheduler.address
            if self._where.kind is None:
                self._keeper = LocalWorkers(scheduler, self._workers, self._out)
            else:
                self._keeper = BatchJobs(self._where, scheduler, self._out)
        try:
            client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:  # includes TimeoutError
            raise EmufortError(
                f"there is no Dask scheduler at {address}; check that it runs and can be reached "
                "from this machine"
            ) from error
        self._client = stack.enter_context(client)
        stack.enter_context(self._keeper)

    def run(
        self, function: Callable[[TrainerCache, Unit], Result], units: Sequence[Unit]
    ) -> Iterator[tuple[int, Result]]:
        """See `Executor.run`.

        Raises
        ------
        EmufortError
            A unit killed several workers, there are no workers, or the scheduler is lost.
        """
        from distributed import KilledWorker, as_completed
        from distributed.client import FutureCancelledError

        self._calls += 1
        marks = UnitMarks.in_folder(self._stored.folder)
        attempts = itertools.count()

        def submit(position: int) -> Any:
            return self._client.submit(
                run_unit, str(self._stored.folder), self._backend, marks, position, function,
                units[position],
                # A unique key: Dask would run a unit that is submitted twice only once.
                key=f"emufort-{self._name}-{self._calls}-{position}-{next(attempts)}",
                priority=-position,
                pure=False,
            )  # fmt: skip

        # Workers are not checked between calls, so this time is not time without a worker.
        self._keeper.restart_clock()
        futures = {submit(position): position for position in range(len(units))}
        try:
            while futures:
                finished = as_completed(
                    list(futures), loop=self._client.loop, timeout=_LOOK_SECONDS
                )
                try:
                    for future in _in_time(finished):
                        position = futures[future]
                        try:
                            result = future.result()
                        except KilledWorker as error:
                            self._blame(marks, position, error)
                            del futures[future]
                            futures[again := submit(position)] = position
                            finished.add(again)
                            continue
                        del futures[future]
                        self._keeper.restart_clock()
                        yield position, result
                        future.release()
                except FutureCancelledError as error:
                    raise EmufortError(
                        "the Dask scheduler is lost; start it and run the same command again: "
                        "finished work is kept"
                    ) from error
                if futures:
                    self._keeper.tend(list(self._workers_by_address().values()))
        finally:
            for future in futures:
                future.release()

    def _blame(self, marks: UnitMarks, position: int, error: Exception) -> None:
        """Raise `EmufortError` if a unit, or loading the data, is why workers died.

        Dask gives up a unit after some workers that had it have died. It does not know whether they
        were working on it.
        """
        alive = self._workers_by_address()
        of_unit = marks.left(WORKING, position)  # which no worker has any more
        while_loading = [one for one in marks.left(LOADING) if one.address not in alive]
        for what, left in ((WORKING, of_unit), (LOADING, while_loading)):
            deaths = [death for death in left if not self._was_asked(death)]
            if len(deaths) < _DEATHS:
                continue
            log = self._keeper.log_of(deaths[-1].worker)
            shown = f"; {log}" if log else ""
            if what == WORKING:
                raise EmufortError(
                    f"a unit of work killed {len(deaths)} workers one after the other (out of "
                    f"memory?){shown}; give workers more memory and run the same command again: "
                    "finished work is kept"
                ) from error
            raise EmufortError(
                f"{len(deaths)} workers died while they loaded the training data (out of memory?)"
                f"{shown}; give workers more memory and run the same command again: finished work "
                "is kept"
            ) from error

    def _was_asked(self, death: Death) -> bool:
        """Return whether a worker was asked to end, such as by the time limit of its job."""
        events = self._client.get_events(death.address) if death.address else ()
        return any(
            isinstance(event, dict) and event.get("action") == "closing-worker"
            for _, event in events
        )

    def _workers_by_address(self) -> dict[str, str]:
        """Return the address and name of every connected worker."""
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
            return {str(address): str(worker["name"]) for address, worker in workers.items()}
        except (OSError, KeyError, TypeError):
            return {}


def _in_time(futures: Iterator[Any]) -> Iterator[Any]:
    """Yield futures that finish, until the time to wait for them is over.

    A unit of work may raise TimeoutError too, which is not suppressed.
    """
    with suppress(TimeoutError):
        yield from futures


# ------------------------------------------------------------------ in a worker

_caches: dict[tuple[Any, ...], TrainerCache] = {}
#: torch's settings are global, so a worker with several threads must run one unit at a time.
_one_at_a_time = threading.Lock()


def run_unit(
    folder: str,
    backend: tuple[str, str],
    marks: UnitMarks,
    position: int,
    function: Callable[[TrainerCache, Any], Any],
    unit: Any,
) -> Any:
    """Run a unit of work in a worker, which keeps the trainers of the most recent search.

    Parameters
    ----------
    folder
        Folder of the shared data.
    backend
        Training backend and device.
    marks
        Records what this worker does.
    position
        Position of the unit.
    function
        Does the work with the trainers.
    unit
        The unit of work.
    """
    from distributed import get_worker

    worker = Death(get_worker().address, str(get_worker().name))
    with _one_at_a_time:
        key = (folder, *backend)
        if key not in _caches:
            with marks.during(position, LOADING, worker):
                _caches.clear()
                device = device_of_named_worker(backend[1], worker.worker)
                _caches[key] = SharedArrays(Path(folder)).trainers(backend[0], device)
        with marks.during(position, WORKING, worker):
            return function(_caches[key], unit)
