"""The 16 inputs of Yu et al. (2023); the data here have 15 of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emufort.training import Arrays


def with_noise_input(arrays: Arrays, seed: int) -> Arrays:
    """Return the arrays with one more input, which is noise.

    The paper's 16th input is relative humidity. The labels here are for a single initial humidity,
    so the input is replaced by noise that the networks learn to ignore.
    """
    rng = np.random.default_rng(seed)

    def wider(x: np.ndarray) -> np.ndarray:
        noise = rng.standard_normal((len(x), 1), dtype=np.float32)
        return np.ascontiguousarray(np.concatenate([x, noise], axis=1))

    x_train = wider(arrays.x_train)
    return replace(arrays, x_train=x_train, x_validation=wider(arrays.x_validation))
