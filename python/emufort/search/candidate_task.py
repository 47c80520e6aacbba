"""Turn a candidate of the search space into a task for the trainer, in step 1 and in step 2."""

from __future__ import annotations

import math

from emufort.config import Config, RetrainConfig
from emufort.network.architecture import Architecture
from emufort.search.plan import batch_size_of_rung
from emufort.search.space import Candidate
from emufort.training import StepPlan, TrainingTask, with_batch_size, with_fewer_steps


def final_task(
    candidate: Candidate, architecture: Architecture, options: RetrainConfig, seed: int
) -> TrainingTask:
    """Return the training of a candidate in step 2.

    Batch size and peak learning rate are those of the candidate. If the configuration gives a
    batch size, the learning rate is scaled for it. If it gives bounds, the rate stays within them.

    Parameters
    ----------
    candidate
        The point of the search space.
    architecture
        Its network.
    options
        Uses `batch_size`, `learning_rate`, `precision` and `microbatch`.
    seed
        Random seed of the first weights and of the order of samples.
    """
    batch_size = options.batch_size or candidate.batch_size
    bounds = options.learning_rate or (0.0, math.inf)
    rate = with_batch_size(candidate.learning_rate, candidate.batch_size, batch_size, bounds)
    return TrainingTask(
        architecture,
        rate,
        batch_size,
        seed,
        candidate.weight_decay,
        options.precision,
        options.microbatch,
    )


def final_plan(
    task: TrainingTask, options: RetrainConfig, n_train: int, looks: int, times: int = 1
) -> StepPlan:
    """Return the plan of step 2: every network sees as many samples, whatever its batch size is.

    Parameters
    ----------
    n_train
        Number of training rows, which bounds the batch size.
    looks
        Number of evaluations on the validation rows.
    times
        Length of the training in units of `retrain.steps`.
    """
    steps = max(1, round(times * options.samples / min(task.batch_size, n_train)))
    return StepPlan.annealed(steps, looks)


def rung_task(
    candidate: Candidate, architecture: Architecture, config: Config, seed: int, samples: int
) -> TrainingTask:
    """Return the training of a candidate in a rung of step 1 that shows `samples` samples.

    At a constant learning rate, batch size and rate are those of the candidate. An annealed rung is
    a short version of step 2: the same task with fewer samples per step (`shortened_batch`), and a
    learning rate that is scaled for the batch size (`with_batch_size`) and for the smaller number
    of steps (`with_fewer_steps`).

    Parameters
    ----------
    candidate
        The point of the search space.
    architecture
        Its network.
    config
        Uses the sections `search` and `retrain`.
    seed
        Random seed of the first weights and of the order of samples.
    samples
        Number of samples that the rung shows: rows times epochs.
    """
    if config.search.schedule == "constant":
        rate, batch_size = candidate.learning_rate, candidate.batch_size
        return TrainingTask(architecture, rate, batch_size, seed, candidate.weight_decay)
    final = final_task(candidate, architecture, config.retrain, seed)
    batch_size = batch_size_of_rung(config, final.batch_size, samples)
    rate = with_batch_size(final.learning_rate, final.batch_size, batch_size)
    steps = config.retrain.samples / final.batch_size, samples / batch_size
    rate = with_fewer_steps(rate, *steps)
    return TrainingTask(architecture, rate, batch_size, seed, candidate.weight_decay)
