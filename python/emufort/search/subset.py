"""Choose the training rows of step 1.

The order of the rows matters: a rung that sees fewer rows takes the first ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emufort.dataset.dataset import Dataset
from emufort.dataset.rows import blocks
from emufort.network.scaler import Scaler

Indices = NDArray[np.int64]

#: Candidate rows per wanted row in the space-filling choice, whose time is their product.
_POOL_PER_ROW = 16


def draw_subset(train: Dataset, size: int, method: str, seed: int) -> Dataset:
    """Return `size` rows of `train`.

    Parameters
    ----------
    method
        ``"random"``; ``"stratified"``: one row from each of `size` strata of the outputs (along
        their first principal component if there are several); ``"space_filling"``: from a random
        pool of rows, each row as far as possible from the rows chosen before.

    Raises
    ------
    DataError
        `size` is larger than the data.
    """
    if method == "random" or size >= len(train):
        return train.subset(size, seed)
    choose = {"stratified": _stratified, "space_filling": _space_filling}[method]
    return train.take(choose(train, size, np.random.default_rng(seed)))


def _stratified(train: Dataset, size: int, rng: np.random.Generator) -> Indices:
    scaler = Scaler.fit_blocks(train.contract.output_columns, train.target_blocks)
    n_varying = len(scaler.varying)
    n = len(train)
    # All training rows are needed here, with one number for each.
    along = np.empty(n)
    direction = np.ones((1, 1))
    mean = np.zeros(n_varying)
    for block in train.target_blocks():
        mean += scaler.forward(block).sum(axis=0) / n
    if n_varying > 1:
        products = np.zeros((n_varying, n_varying))
        for block in train.target_blocks():
            y = scaler.forward(block) - mean
            products += y.T @ y
        # The sign of a component is arbitrary and does not matter for strata.
        direction = np.linalg.eigh(products)[1][:, -1:]
    for part, block in zip(blocks(n), train.target_blocks(), strict=True):
        along[part] = ((scaler.forward(block) - mean) @ direction)[:, 0]
    order = np.argsort(along, kind="stable")
    edges = np.linspace(0, len(order), size + 1).astype(np.int64)
    drawn = edges[:-1] + (rng.random(size) * np.diff(edges)).astype(np.int64)
    # The bit-reversed order of the strata spreads the first rows, however many, over all strata.
    bits = max(1, (size - 1).bit_length())
    numbers = np.arange(1 << bits)
    reverse = sum(((numbers >> b) & 1) << (bits - 1 - b) for b in range(bits))
    turn = int(rng.integers(size))
    strata = (np.asarray(reverse)[np.asarray(reverse) < size] + turn) % size
    return np.asarray(order[drawn[strata]])


def _space_filling(train: Dataset, size: int, rng: np.random.Generator) -> Indices:
    pool = rng.permutation(len(train))[: size * _POOL_PER_ROW]
    contract = train.contract
    columns = [contract.input_columns[i] for i in contract.feature_indices]
    scaler = Scaler.fit_blocks(columns, train.feature_blocks)
    x = scaler.forward(train.take(pool).features).astype(np.float32)
    chosen = np.empty(size, dtype=np.int64)
    distance = np.full(len(pool), np.inf, dtype=np.float32)
    latest = 0
    for i in range(size):
        chosen[i] = latest
        np.minimum(distance, np.square(x - x[latest]).sum(axis=1), out=distance)
        latest = int(np.argmax(distance))
    return np.asarray(pool[chosen])
