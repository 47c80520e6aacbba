"""Where a training with new weights starts: at the mean of every output."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emufort.dataset.rows import blocks
from emufort.training.layout import Layout
from emufort.training.state import TrainerState
from emufort.training.task import Arrays

#: Means nearer to 0 or 1 than this are taken as this: a sigmoid there hardly learns.
_RIM = 1e-3


def output_biases(arrays: Arrays) -> NDArray[np.float64]:
    """Return the biases (n_outputs,) by which the outputs start at the means of the training rows.

    Scaled targets have the mean zero, and get zero. Behind a sigmoid it is the logit of the mean: a
    fraction that is nearly always 1 would otherwise be pushed there from 1/2 by all samples alike,
    beyond the logit of 17 where single precision knows no gradient, and may stay there for good.
    """
    found = np.zeros(len(arrays.sigmoid))
    if any(arrays.sigmoid):
        total = np.zeros(len(arrays.sigmoid))
        for part in blocks(len(arrays.y_train)):
            total += arrays.y_train[part].sum(axis=0, dtype=np.float64)
        mean = np.clip(total / len(arrays.y_train), _RIM, 1.0 - _RIM)
        at = np.array(arrays.sigmoid)
        found[at] = np.log(mean[at] / (1.0 - mean[at]))
    return found


def start(state: TrainerState, biases: NDArray[np.float64]) -> None:
    """Put `biases` of the outputs into a training that has not begun.

    Weights with a known loss are trained weights (`TrainerState.from_weights`) and stay.
    """
    if state.step or np.isfinite(state.best_loss) or not np.any(biases):
        return
    layout = Layout(state.task.architecture)
    rows, columns = layout.shapes[-1]
    for name in ("weights", "best_weights"):
        # Copies: a state may share its arrays with the one that it was made from.
        flat = getattr(state, name).copy()
        last = flat[layout.starts[-2] :][: rows * columns].reshape(rows, columns)
        last[:, -1] = biases
        setattr(state, name, flat)
