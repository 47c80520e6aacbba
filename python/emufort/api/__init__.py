"""The steps of a run as functions, for scripts and notebooks.

>>> import emufort.api as ef
>>> contract = ef.Contract.load("activation")
>>> data = ef.Dataset.open(None, contract)
>>> study = ef.search(data, trials=500, out="runs/a/search")
>>> models = ef.retrain(study, data, top=20, seeds=3, out="runs/a/retrain")
>>> times = ef.time(models, ncol=(1, 16, 1152), out="runs/a/timing.csv")
>>> selection = ef.select(models, times, rule="knee")
>>> bundle = ef.export(selection, data, "runs/a/bundle")
>>> ef.verify(bundle, selection).raise_if_failed()
>>> predicted = ef.load(bundle).predict(xarray_dataset)

`run` does all of this, like ``emufort run``. A function gives the same results as the command of
the same name. Every path may be text or a `pathlib.Path`. A call with an unknown option raises
`emufort.errors.UsageError`, which names the nearest known option.
"""

from emufort.api.deployment import export, report, select, time, verify
from emufort.api.importing import import_network
from emufort.api.training import advise, load_search, retrain, search
from emufort.api.whole_run import run, status
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export.bundle import Bundle
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator
from emufort.results.load import Results, load_results
from emufort.retrain.models import Models
from emufort.run.status import RunStatus
from emufort.runtime.loaded import LoadedEmulator, load
from emufort.selection.select import Selection
from emufort.verification import Verification

__all__ = [
    "Architecture",
    "Bundle",
    "Contract",
    "Dataset",
    "Emulator",
    "LoadedEmulator",
    "Models",
    "Results",
    "RunStatus",
    "Selection",
    "Verification",
    "advise",
    "export",
    "import_network",
    "load",
    "load_results",
    "load_search",
    "report",
    "retrain",
    "run",
    "search",
    "select",
    "status",
    "time",
    "verify",
]
