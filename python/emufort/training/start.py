"""Initial biases, with which a new training starts at the mean of every output."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emufort.dataset.rows import blocks
from emufort.training.layout import Layout
from emufort.training.state import TrainerState
from emufort.training.task import Arrays

#: Means are kept this far from 0 and 1, because a sigmoid hardly learns closer to them.
_RIM = 1e-3


def output_biases(arrays: Arrays) -> NDArray[np.float64]:
    """Return the biases (n_outputs,) with which outputs start at the means of the training rows.

    Scaled targets have mean zero and get a bias of zero. Outputs with a sigmoid get the logit of
    their mean. Otherwise all samples of a fraction that is nearly always 1 would push the output
    from 1/2 beyond the logit of 17, where the gradient vanishes in single precision, and the output
    might stay there.
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
    """Draw the weights of a state without arrays; set the output biases before the first step.

    Weights with a known loss are trained weights (`TrainerState.from_weights`) and are kept.
    """
    if not state.weights.size:
        drawn = TrainerState.initial(state.task)
        state.weights, state.best_weights = drawn.weights, drawn.best_weights
        state.moment1, state.moment2 = drawn.moment1, drawn.moment2
    if state.step or np.isfinite(state.best_loss) or not np.any(biases):
        return
    layout = Layout(state.task.architecture)
    rows, columns = layout.shapes[-1]
    for name in ("weights", "best_weights"):
        # Copies, because a state may share its arrays with the state that it was made from.
        flat = getattr(state, name).copy()
        last = flat[layout.starts[-2] :][: rows * columns].reshape(rows, columns)
        last[:, -1] = biases
        setattr(state, name, flat)
