"""Log a run to MLflow."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from emufort.callbacks.protocol import Callback, Event
from emufort.errors import UsageError
from emufort.messages import one_line

if TYPE_CHECKING:
    from emufort.retrain.table import Retrained
    from emufort.search.trials import Trial


#: Most metrics that MLflow takes in one request.
_MOST_METRICS = 1000


class MLflow(Callback):
    """Log to the experiment `experiment` of MLflow.

    The search is one run of MLflow with the metrics ``value``, ``best`` and ``multiply_adds``; the
    step of a metric is the number of the trial. Every network of step 2 is a run with its
    architecture as parameters and its scores as metrics. Values that are not finite are left out.

    Parameters
    ----------
    experiment
        Name of the experiment, which is created if it does not exist.
    tracking_uri
        Where MLflow keeps the experiment; default None: as MLflow is configured, for instance by
        the environment variable MLFLOW_TRACKING_URI.

    Raises
    ------
    UsageError
        The package mlflow is not installed, or refuses its configuration.
    """

    def __init__(self, experiment: str = "emufort", tracking_uri: str | None = None) -> None:
        try:
            tracking = importlib.import_module("mlflow.tracking")
            entities = importlib.import_module("mlflow.entities")
        except ImportError as error:
            raise UsageError(
                "the callback MLflow needs mlflow: pip install 'emufort[mlflow]'"
            ) from error
        # A client has no run that is active for the whole process, which other code may use.
        try:
            self._client: Any = tracking.MlflowClient(tracking_uri)
        except Exception as error:  # of many kinds, such as for a kind of store that it refuses
            raise UsageError(
                f"MLflow cannot be used as it is configured: {one_line(error)}"
            ) from error
        self._entities: Any = entities
        self._name = experiment
        self._experiment: str | None = None
        self._search: str | None = None
        self._best = math.inf

    def on_step(self, step: str, event: Event) -> None:
        """End the run of the search."""
        if step == "search" and event != "begin" and self._search is not None:
            status = "FINISHED" if event == "end" else "KILLED"
            self._client.set_terminated(self._search, status)
            self._search = None

    def on_trials(self, trials: Sequence[Trial]) -> None:
        """Log the metrics of a batch."""
        if self._search is None:
            self._search = self._create("search")
        metrics = []
        for trial in trials:
            self._best = min(self._best, trial.value if trial.finite else math.inf)
            values = {
                "value": trial.value,
                "best": self._best,
                "multiply_adds": trial.architecture.multiply_adds,
            }
            metrics += self._metrics(values, trial.number)
        for first in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(self._search, metrics=metrics[first : first + _MOST_METRICS])

    def on_trained(self, network: Retrained) -> None:
        """Log a network as a run."""
        names = ("trial", "seed", "why", "label", "activation", "n_parameters", "multiply_adds")
        run = self._create(network.id)
        self._client.log_batch(
            run,
            params=[self._entities.Param(name, str(getattr(network, name))) for name in names],
            metrics=self._metrics(
                {
                    name: getattr(network, name)
                    for name in ("search_loss", "validation_loss", "rmse", "mae", "bias", "r2")
                },
                0,
            ),
        )
        self._client.set_terminated(run, "FINISHED")

    def _create(self, name: str) -> str:
        """Begin a run; return its identity."""
        if self._experiment is None:
            known = self._client.get_experiment_by_name(self._name)
            self._experiment = (
                self._client.create_experiment(self._name) if known is None else known.experiment_id
            )
        return str(self._client.create_run(self._experiment, run_name=name).info.run_id)

    def _metrics(self, values: dict[str, float], step: int) -> list[Any]:
        now = round(1000 * time.time())
        return [
            self._entities.Metric(name, float(value), now, step)
            for name, value in values.items()
            if math.isfinite(value)
        ]
