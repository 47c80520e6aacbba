"""The precision in which all forms of an emulator compute and hold the weights of its network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

Precision = Literal["single", "double"]

#: Type of the weights of a network.
DTYPES: Mapping[Precision, np.dtype[Any]] = {
    "single": np.dtype(np.float32),
    "double": np.dtype(np.float64),
}
#: Largest difference from the reference that counts as agreement, in units of the spread of an
#: output.
TOLERANCES: Mapping[Precision, float] = {"single": 1e-5, "double": 1e-12}


def precision_of(dtype: np.dtype[Any]) -> Precision:
    """Return the precision of weights of a type."""
    return "double" if dtype == DTYPES["double"] else "single"
