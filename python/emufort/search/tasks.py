"""What a candidate of the search space is to the trainer."""

from __future__ import annotations

from emufort.config import Config
from emufort.network import Architecture
from emufort.search.space import Candidate
from emufort.training import TrainingTask, with_batch_size


def task_of(
    candidate: Candidate, architecture: Architecture, config: Config, seed: int
) -> TrainingTask:
    """Return the training of a candidate in step 1.

    At a constant learning rate it is the candidate's. With the cosine the peak is the one that step
    2 would take (`retrain.learning_rate` bounds it), for the candidate's batch size: a small one,
    because a subset has few steps.
    """
    rate, batch_size = candidate.learning_rate, candidate.batch_size
    if config.search.schedule == "cosine":
        wanted = config.retrain.batch_size
        peak = with_batch_size(rate, batch_size, wanted, config.retrain.learning_rate)
        rate = with_batch_size(peak, wanted, batch_size)
    return TrainingTask(architecture, rate, batch_size, seed, candidate.weight_decay)
