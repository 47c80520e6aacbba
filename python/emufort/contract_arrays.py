"""Arrays of the variables of a contract, and the matrices of their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emufort.contract import Contract, Input, Output
from emufort.errors import DataError, did_you_mean

_Real = TypeVar("_Real", np.float32, np.float64)


def split_columns(
    contract: Contract, variables: Sequence[Input | Output], matrix: NDArray[_Real]
) -> dict[str, NDArray[_Real]]:
    """Split a matrix into the arrays of its variables.

    Parameters
    ----------
    contract
        Contract with the shapes.
    variables
        The inputs or the outputs of the contract.
    matrix
        Values (n, n_columns), columns in contract order.

    Returns
    -------
    dict
        Name -> values (n, ...), the dimensions of the variable behind the samples.
    """
    found, start = {}, 0
    for variable in variables:
        last = start + contract.width(variable)
        # all sizes are given, because -1 is ambiguous without samples
        found[variable.name] = matrix[:, start:last].reshape(len(matrix), *contract.shape(variable))
        start = last
    return found


def join_columns(
    contract: Contract, variables: Sequence[Input | Output], arrays: Mapping[str, ArrayLike]
) -> NDArray[np.float32] | NDArray[np.float64]:
    """Join the arrays of variables to a matrix; the inverse of `split_columns`.

    Parameters
    ----------
    contract
        Contract with the shapes.
    variables
        The inputs or the outputs of the contract.
    arrays
        Name -> values (n, ...). Further names are ignored.

    Returns
    -------
    numpy.ndarray
        Values (n, n_columns), single precision if all arrays are, else double.

    Raises
    ------
    DataError
        A variable is missing, holds no real numbers, or has another shape than the contract says.
    """
    missing = [v.name for v in variables if v.name not in arrays]
    if missing:
        names = ", ".join(f"'{name}'" for name in missing)
        raise DataError(f"there is no {names}{did_you_mean(missing[0], map(str, arrays))}")
    found = {v.name: np.asarray(arrays[v.name]) for v in variables}
    counts: dict[int, str] = {}
    for variable in variables:
        values, shape = found[variable.name], contract.shape(variable)
        if values.dtype.kind not in "fiu":
            raise DataError(f"'{variable.name}' is of type {values.dtype}, not real numbers")
        if values.ndim == 0 or values.shape[1:] != shape:
            wanted = ", ".join(["n", *map(str, shape)]) + ("" if shape else ",")
            raise DataError(f"'{variable.name}' has the shape {values.shape}, not ({wanted})")
        counts.setdefault(len(values), variable.name)
    if len(counts) > 1:
        (n, first), (m, other), *_ = counts.items()
        raise DataError(f"'{first}' has {n} samples and '{other}' {m}; give the same number")
    (n,) = counts
    single = all(values.dtype == np.float32 for values in found.values())
    blocks = [found[v.name].reshape(n, contract.width(v)) for v in variables]
    if single:
        return np.concatenate(blocks, axis=1, dtype=np.float32)
    return np.concatenate(blocks, axis=1, dtype=np.float64)
