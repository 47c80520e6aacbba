"""Quasi-random samples of the input ranges."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from activation_data.ranges import RANGES, scale_unit_cube

#: Splits in the storage order of the data set. The position is the flag value.
SPLITS = ("train", "validation", "test")

SAMPLER = {
    "train": "scrambled Sobol' sequence (scipy.stats.qmc.Sobol)",
    "validation": "Latin hypercube (scipy.stats.qmc.LatinHypercube)",
    "test": "Latin hypercube (scipy.stats.qmc.LatinHypercube)",
}


def split_seed(seed: int, split: str) -> int:
    """Return the seed of a split: `seed` for training, the next two for validation and test."""
    return seed + SPLITS.index(split)


def sample_split(split: str, n: int, seed: int) -> NDArray[np.float32]:
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

    Returns
    -------
    ndarray, shape (n, 15), float32
        Samples in the order and units of `ranges.RANGES`.
    """
    dimensions = len(RANGES)
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
    return scale_unit_cube(unit)
