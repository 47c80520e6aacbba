"""Arrays of a Fortran host: the columns first, then the dimensions of the variable."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from emufort.contract import Contract, Input, Output


def shape_text(contract: Contract, variable: Input | Output) -> str:
    """Return the shape of a host array, such as ``(ncol, 60, 3)``."""
    return f"({', '.join(['ncol', *map(str, contract.shape(variable))])})"


def shape_comment(contract: Contract, variable: Input | Output) -> str:
    """Return the shape with what its dimensions mean: labels of one, or names of several."""
    dimensions = variable.dimensions
    if len(dimensions) == 1:
        entries = contract.dimensions[dimensions[0]]
        names: Sequence[str] = () if isinstance(entries, int) else entries
    else:
        names = dimensions
    shape = shape_text(contract, variable)
    return f"{shape}: {', '.join(names)}" if names else shape


def subscripts(contract: Contract, variable: Input | Output) -> Iterator[str]:
    """Yield what follows the subscript of the column, for each entry: ``, 2, 3``, or nothing."""
    for place in itertools.product(*(range(n) for n in contract.shape(variable))):
        yield "".join(f", {index + 1}" for index in place)


def columns_of(
    contract: Contract, variables: Sequence[Input | Output]
) -> Iterator[tuple[Input | Output, int, int]]:
    """Yield each variable with its first and its last column in contract order, from 1."""
    first = 1
    for variable in variables:
        width = contract.width(variable)
        yield variable, first, first + width - 1
        first += width


def has_matrices(contract: Contract) -> bool:
    """Return whether a variable has several dimensions."""
    return any(len(v.dimensions) > 1 for v in (*contract.input, *contract.output))


def host_order(contract: Contract, variables: Sequence[Input | Output]) -> list[int]:
    """Return the positions of the columns in the order in which host arrays hold them.

    In Fortran the first dimension of a variable varies fastest, in a contract the last one.
    """
    found: list[int] = []
    for variable in variables:
        shape = contract.shape(variable)
        places = len(found) + np.arange(math.prod(shape)).reshape(shape)
        found += places.ravel(order="F").tolist()
    return found
