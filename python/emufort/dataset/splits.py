"""The splits of a data set: training, validation (selects networks) and test (final skill)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emufort.dataset import rows as tables
from emufort.errors import DataError

#: Names of the splits; a split variable holds their positions in this tuple.
SPLITS = ("train", "validation", "test")

#: Shares of the splits of a data set without a split variable, drawn with a fixed seed.
DEFAULT_SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def drawn(n: int) -> NDArray[np.int8]:
    """Return a split of `n` rows or blocks (n,) with the default shares, always the same."""
    shares = np.cumsum([DEFAULT_SHARES[name] for name in SPLITS])
    order = np.random.default_rng(0).permutation(n)
    split = np.empty(n, dtype=np.int8)
    for part in tables.blocks(n):
        found = np.searchsorted(shares * n, order[part], side="right")
        split[part] = found.clip(0, 2)
    return split


def drawn_by_blocks(lengths: Sequence[Sequence[int]], axis: int, block: int) -> NDArray[np.int8]:
    """Return the split of the points of grids, drawn by blocks along one dimension.

    Parameters
    ----------
    lengths
        Lengths of the sample dimensions in each file. Along the first dimension the entries of the
        files follow each other; along the others all files have the same entries.
    axis
        The dimension of the blocks.
    block
        Number of consecutive entries that have the same split.

    Returns
    -------
    numpy.ndarray
        Split of all rows, the points of one file after the other, (n,).

    Raises
    ------
    DataError
        A split has no block.
    """
    along = [grid[axis] for grid in lengths]
    n_entries = sum(along) if axis == 0 else max(along)
    split = drawn(-(-n_entries // block))
    missing = [name for code, name in enumerate(SPLITS) if not (split == code).any()]
    if missing:
        raise DataError(
            f"{len(split)} blocks of {block} are too few for the split '{missing[0]}'; choose "
            "smaller blocks (split.block), at least 10 of them"
        )
    of_entry = np.repeat(split, block)
    found, first = [], 0
    for grid, n in zip(lengths, along, strict=True):
        shape = [n if i == axis else 1 for i in range(len(grid))]
        every = np.broadcast_to(of_entry[first : first + n].reshape(shape), tuple(grid))
        found.append(every.ravel())
        first += n if axis == 0 else 0
    return np.concatenate(found)
