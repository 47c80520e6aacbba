"""Run units of work on a Dask cluster: a local one, an existing one, or one in batch jobs.

Dask sends units and results as bytes over its connections; nothing is pickled to disk. The data
are not sent: every worker maps their files into memory.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

from emufort.config import ClusterConfig
from emufort.errors import EmufortError, UsageError
from emufort.training.device import device_of_named_worker
from emufort.workers.dask_cluster import BatchJobs, ExternalWorkers, LocalWorkers, started_scheduler
from emufort.workers.shared_arrays import SharedArrays
from emufort.workers.trainer_cache import TrainerCache

Unit = TypeVar("Unit")
Result = TypeVar("Result")

#: Number of workers that one unit may kill, one after the other, before the run stops.
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
            address = stack.enter_context(started_scheduler(self._where))
            if self._where.kind is None:
                self._keeper = LocalWorkers(address, self._workers)
            else:
                self._keeper = BatchJobs(self._where, address, self._out)
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
        folder = str(self._stored.folder)
        futures = {
            self._client.submit(
                run_unit, folder, self._backend, function, unit,
                # A unique key: Dask would run a unit that is submitted twice only once.
                key=f"emufort-{self._name}-{self._calls}-{position}",
                priority=-position,
                pure=False,
            ): position
            for position, unit in enumerate(units)
        }  # fmt: skip
        try:
            while futures:
                try:
                    for future in as_completed(
                        list(futures), loop=self._client.loop, timeout=_LOOK_SECONDS
                    ):
                        result = future.result()
                        yield futures.pop(future), result
                        future.release()
                except TimeoutError:
                    self._keeper.tend(self._n_workers())
                except KilledWorker as error:
                    raise EmufortError(
                        f"a unit of work killed {_DEATHS} workers one after the other (out of "
                        "memory?); give workers more memory and run the same command again: "
                        "finished work is kept"
                    ) from error
                except FutureCancelledError as error:
                    raise EmufortError(
                        "the Dask scheduler is lost; start it and run the same command again: "
                        "finished work is kept"
                    ) from error
        finally:
            for future in futures:
                future.release()

    def _n_workers(self) -> int:
        try:
            return len(self._client.scheduler_info(n_workers=-1)["workers"])
        except (OSError, KeyError, TypeError):
            return 0


# ------------------------------------------------------------------ in a worker

_caches: dict[tuple[Any, ...], TrainerCache] = {}
#: torch's settings are global, so a worker with several threads must run one unit at a time.
_one_at_a_time = threading.Lock()


def run_unit(
    folder: str, backend: tuple[str, str], function: Callable[[TrainerCache, Any], Any], unit: Any
) -> Any:
    """Run a unit of work in a worker, which keeps the trainers of the most recent search.

    Parameters
    ----------
    folder
        Folder of the shared data.
    backend
        Training backend and device.
    function
        Does the work with the trainers.
    unit
        The unit of work.
    """
    from distributed import get_worker

    with _one_at_a_time:
        key = (folder, *backend)
        if key not in _caches:
            _caches.clear()
            device = device_of_named_worker(backend[1], str(get_worker().name))
            _caches[key] = SharedArrays(Path(folder)).trainers(backend[0], device)
        return function(_caches[key], unit)
