"""The weights of a Keras model: groups of HDF5, one for each layer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from emufort.importing.refusal import MOST_ELEMENTS, ImportRefusedError

if TYPE_CHECKING:
    import netCDF4


class Weights:
    """The weights of a layer or of a model.

    Parameters
    ----------
    group
        Its group; None if it has none.
    """

    def __init__(self, group: netCDF4.Dataset | None) -> None:
        self._group = group

    def part(self, name: str) -> Self:
        """Return the weights of a layer within this one."""
        groups = {} if self._group is None else self._group.groups
        return type(self)(groups.get(name))

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """All weights in their order.

        Raises
        ------
        ImportRefusedError
            The weights are not finite numbers, or too many.
        """
        group = None if self._group is None else self._group.groups.get("vars")
        if group is None:
            return []
        found = []
        for name in sorted(group.variables, key=int):
            variable = group.variables[name]
            if np.prod(variable.shape, dtype=float) > 16 * MOST_ELEMENTS:
                raise ImportRefusedError(f"the weights {group.path} have too many elements")
            values = np.asarray(variable[...])
            if values.dtype.kind not in "if" or not np.all(np.isfinite(values)):
                raise ImportRefusedError(f"the weights {group.path} are not finite numbers")
            found.append(values)
        return found

    def is_double(self) -> bool:
        """Return whether a weight is in double precision."""
        return self._group is not None and _has_double(self._group)


def _has_double(group: netCDF4.Dataset) -> bool:
    return any(v.dtype == np.float64 for v in group.variables.values()) or any(
        map(_has_double, group.groups.values())
    )


def group_names(classes: Iterable[str]) -> list[str]:
    """Return the names of the groups of the layers of a model, from the names of their classes.

    Keras numbers the layers of each class in their order: ``dense``, ``dense_1``...
    """
    count: dict[str, int] = {}
    found = []
    for name in classes:
        stem = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
        stem = re.sub("([a-z])([A-Z])", r"\1_\2", stem).lower()
        number = count.get(stem, 0)
        count[stem] = number + 1
        found.append(f"{stem}_{number}" if number else stem)
    return found
