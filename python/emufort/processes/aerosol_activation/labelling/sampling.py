"""Quasi-random samples of the input ranges."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from emufort.dataset.splits import SPLITS
from emufort.processes.aerosol_activation.labelling.inputs import SampledInput, scale_unit_cube

#: How the samples of each split are drawn.
SAMPLER = {
    "train": "scrambled Sobol' sequence (scipy.stats.qmc.Sobol)",
    "validation": "Latin hypercube (scipy.stats.qmc.LatinHypercube)",
    "test": "Latin hypercube (scipy.stats.qmc.LatinHypercube)",
}


def split_seed(seed: int, split: str) -> int:
    """Return the seed of a split: `seed` for training, the next two for validation and test."""
    return seed + SPLITS.index(split)


def sample_split(
    split: str, n: int, seed: int, inputs: Sequence[SampledInput]
) -> NDArray[np.float32]:
    """Draw the samples of one split.

    Parameters
    ----------
    split : {'train', 'validation', 'test'}
        Training points are a scrambled Sobol' sequence, of which any prefix fills the space evenly.
        Validation and test points are Latin hypercubes with other seeds, so they share no
        structure with the training points.
    n : int
        Number of samples.
    seed : int
        Seed of the data set.
    inputs : sequence of SampledInput
        Columns of a sample.

    Returns
    -------
    ndarray, shape (n, n_inputs), float32
        Samples in the units of `inputs`.
    """
    dimensions = len(inputs)
    rng = np.random.default_rng(split_seed(seed, split))
    if n == 0:
        return np.empty((0, dimensions), np.float32)
    if split == "train":
        with warnings.catch_warnings():
            # a size that is not a power of two only loses balance; the caller may choose it
            warnings.filterwarnings("ignore", message="The balance properties of Sobol'")
            unit = qmc.Sobol(dimensions, scramble=True, rng=rng).random(n)
    else:
        unit = qmc.LatinHypercube(dimensions, rng=rng).random(n)
    return scale_unit_cube(unit, inputs)
