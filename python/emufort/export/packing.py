"""The order of weights in which the Fortran runtime computes: that of ``emufort_packing``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.network.places import LANES

#: Number of zeros after the packed weights, as ``packed_slack`` of ``emufort_dense``.
PACKED_SLACK = 16


def panel_width(n_left: int) -> int:
    """Return the number of neurons in the next panel, as ``panel_width`` of ``emufort_dense``."""
    return 16 if n_left > 12 else 8 if n_left > 4 else 4


def packed_size(weight: Sequence[int], n_out: int) -> int:
    """Return the number of packed values of an operation.

    Parameters
    ----------
    weight
        Shape of the weight: (n_out, n_in) of a dense operation, (n,) of any other.
    n_out
        Number of biases.
    """
    values = weight[0] + n_out if len(weight) == 1 else -(-n_out // 4) * 4 * (weight[1] + 1)
    return -(-values // LANES) * LANES


def pack(parameters: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Pack the weights and biases of all operations as the runtime does when it loads them.

    The values of an operation are padded to a multiple of `LANES`, so that all operations start on
    a cache line if the first does. `PACKED_SLACK` zeros follow, because the runtime reads narrow
    panels as if they were wide.
    """
    arrays = list(parameters.values())
    packed: list[NDArray[Any]] = []
    n = 0
    for weight, bias in zip(arrays[::2], arrays[1::2], strict=True):
        parts = [weight, bias] if weight.ndim == 1 else _panels(weight, bias)
        n += sum(map(len, parts))
        packed += [*parts, np.zeros(-n % LANES, dtype=bias.dtype)]
        n += -n % LANES
    kind = arrays[0].dtype if arrays else np.float32
    return np.concatenate([*packed, np.zeros(PACKED_SLACK, dtype=kind)])


def _panels(weight: NDArray[Any], bias: NDArray[Any]) -> list[NDArray[Any]]:
    n_out, n_in = weight.shape
    layer = np.concatenate([bias[:, None], weight], axis=1)
    found, first = [], 0
    while first < n_out:
        width = panel_width(n_out - first)
        panel = np.zeros((n_in + 1, width), dtype=bias.dtype)
        rows = layer[first : first + width]
        panel[:, : len(rows)] = rows.T
        found.append(panel.ravel())
        first += width
    return found
