"""Callbacks, which receive finished trials and networks while a run is at work.

>>> import emufort.api as ef
>>> from emufort.callbacks import Callback, TensorBoard
>>> class Printing(Callback):
...     def on_trials(self, trials):
...         print(min(trial.value for trial in trials))
>>> study = ef.search(data, out="runs/a/search", callbacks=[Printing(), TensorBoard("logs")])
"""

from emufort.callbacks.mlflow import MLflow
from emufort.callbacks.protocol import Callback
from emufort.callbacks.tensorboard import TensorBoard

__all__ = ["Callback", "MLflow", "TensorBoard"]
