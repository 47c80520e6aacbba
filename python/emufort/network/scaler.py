"""Scalers: maps between physical columns and the scaled columns of the network."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np

from emufort.contract import Column
from emufort.errors import DataError
from emufort.extent import Extent
from emufort.network.activations import Array, sigmoid
from emufort.network.precision import DTYPES, Precision

#: Kind of map between a physical and a scaled column; see `Scaler`.
ScalerKind = Literal["affine", "ln", "logit", "sigmoid", "constant"]


@dataclass(frozen=True)
class Scaler:
    """Maps physical columns x to scaled columns z and back, column by column.

    ========= =========================== ===============================
    kind      forward                     backward
    ========= =========================== ===============================
    affine    z = (x - shift) * scale     x = z / scale + shift
    ln        z = ln(x / shift) * scale   x = shift * exp(z / scale)
    logit     z = (logit(x) - shift) * scale  x = sigmoid(z / scale + shift)
    sigmoid   z = x                       x = sigmoid(z)
    constant  no z                        x = shift
    ========= =========================== ===============================

    For ``ln`` the shift is the geometric mean. The quotient is then near 1, and its logarithm keeps
    its digits in single precision, where ln(1e9) would lose two of them. ``sigmoid`` (outputs only)
    does not change targets and applies the sigmoid after the network's last layer. ``constant``
    (outputs only) marks a column that does not vary. The network does not have this column, so z
    has only the other columns.

    Attributes
    ----------
    kinds
        `ScalerKind` of each column.
    shift, scale
        Double precision, shape (n_columns,).
    """

    kinds: tuple[ScalerKind, ...]
    shift: Array
    scale: Array

    @classmethod
    def fit(cls, columns: Sequence[Column], values: Array) -> Self:
        """Fit to `values` of shape (n, n_columns), physical units.

        Raises
        ------
        DataError
            A column cannot be transformed: not positive for ``ln``, outside (0, 1) for ``logit``.
        """
        return cls.fit_blocks(columns, lambda: iter((values,)))

    @classmethod
    def fit_blocks(cls, columns: Sequence[Column], blocks: Callable[[], Iterator[Array]]) -> Self:
        """Do what `fit` does for rows that come block by block; it reads the blocks twice.

        One block gives bitwise the result of `fit`; several are summed one after the other.

        A constant column (see `Extent`) has no spread to divide by. A constant input gets the scale
        0 and the network does not see it, because its effect cannot be learned. A constant output
        becomes ``constant``, with the middle of its values as shift, because there is nothing to
        learn.
        """
        kinds = tuple(_KINDS.get(column.transform, "affine") for column in columns)
        n, sums, squares = 0, np.zeros(len(columns)), np.zeros(len(columns))
        extent = Extent(len(columns))
        for values in blocks():
            n += len(values)
            extent.add(values)
            for j, column in enumerate(columns):
                x = np.asarray(values[:, j], dtype=np.float64)
                sums[j] += _before_scaling(column, x).sum()
        mean = sums / n
        for values in blocks():
            for j, column in enumerate(columns):
                x = np.asarray(values[:, j], dtype=np.float64)
                squares[j] += np.square(_before_scaling(column, x) - mean[j]).sum()
        spread = np.sqrt(squares / n)
        shift, scale = np.zeros(len(columns)), np.ones(len(columns))
        constant = extent.constant & np.array([column.is_output for column in columns], dtype=bool)
        for j, column in enumerate(columns):
            width = spread[j]
            if constant[j]:
                shift[j] = extent.middle[j]
                continue
            if column.transform == "minmax":
                shift[j], width = extent.lowest[j], extent.highest[j] - extent.lowest[j]
            elif kinds[j] == "ln":
                shift[j] = math.exp(float(mean[j]))
            elif column.transform in ("logit", "standardise"):
                shift[j] = mean[j]
            else:
                continue
            scale[j] = 0.0 if extent.constant[j] else 1.0 / width
        pairs = zip(kinds, constant, strict=True)
        found: tuple[ScalerKind, ...] = tuple("constant" if fixed else k for k, fixed in pairs)
        return cls(found, shift, scale)

    @cached_property
    def varying(self) -> tuple[int, ...]:
        """Positions of the columns that the network has: all except the constant columns."""
        return tuple(j for j, kind in enumerate(self.kinds) if kind != "constant")

    @cached_property
    def _network_side(self) -> Scaler:
        """Scaler of the varying columns only."""
        kept = list(self.varying)
        kinds: tuple[ScalerKind, ...] = tuple(self.kinds[j] for j in kept)
        return Scaler(kinds, self.shift[kept], self.scale[kept])

    def with_constants(self, values: Mapping[int, float]) -> Scaler:
        """Return this scaler with constant columns: position -> value."""
        n = len(self.kinds)
        shift = np.array([values.get(j, 0.0) for j in range(n)])
        kinds: list[ScalerKind] = ["constant"] * n
        return self.replaced(Scaler(tuple(kinds), shift, np.ones(n)), values)

    def replaced(self, other: Scaler, columns: Collection[int]) -> Scaler:
        """Return this scaler with the given `columns` taken from `other`."""
        kinds, shift, scale = list(self.kinds), self.shift.copy(), self.scale.copy()
        for j in columns:
            kinds[j], shift[j], scale[j] = other.kinds[j], other.shift[j], other.scale[j]
        return Scaler(tuple(kinds), shift, scale)

    def forward(self, x: Array, precision: Precision = "double") -> Array:
        """Map physical values (n, n_columns) to scaled values (n, n_varying), in a precision."""
        x = np.asarray(x, dtype=DTYPES[precision])
        if len(self.varying) < len(self.kinds):
            return self._network_side.forward(x[:, list(self.varying)], precision)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            shift, scale = self.shift.astype(x.dtype), self.scale.astype(x.dtype)
            z = (x - shift) * scale
            for j, kind in enumerate(self.kinds):
                if kind == "ln":
                    z[:, j] = np.log(x[:, j] / shift[j]) * scale[j]
                elif kind == "logit":
                    logit = np.log(x[:, j]) - np.log1p(-x[:, j])
                    z[:, j] = (logit - shift[j]) * scale[j]
                elif kind == "sigmoid":
                    z[:, j] = x[:, j]
        return z

    def backward(self, z: Array) -> Array:
        """Map outputs of the last (linear) layer (n, n_varying) to physical values (n, n_columns).

        A constant column holds its constant.
        """
        z = np.asarray(z, dtype=np.float64)
        if len(self.varying) < len(self.kinds):
            whole = np.tile(self.shift, (len(z), 1))
            whole[:, list(self.varying)] = self._network_side.backward(z)
            return whole
        with np.errstate(over="ignore", invalid="ignore"):
            x = z / self.scale + self.shift
            for j, kind in enumerate(self.kinds):
                if kind == "ln":
                    x[:, j] = self.shift[j] * np.exp(z[:, j] / self.scale[j])
                elif kind == "logit":
                    x[:, j] = sigmoid(x[:, j])
                elif kind == "sigmoid":
                    x[:, j] = sigmoid(z[:, j])
        return x

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; floats survive the round trip exactly."""
        return {
            "kinds": list(self.kinds),
            "shift": self.shift.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        return cls(
            tuple(content["kinds"]),
            np.asarray(content["shift"], dtype=np.float64),
            np.asarray(content["scale"], dtype=np.float64),
        )


#: Transform of the contract -> kind; all other transforms are affine.
_KINDS: dict[str, ScalerKind] = {
    "ln": "ln",
    "log10": "ln",
    "logit": "logit",
    "sigmoid": "sigmoid",
}


def _before_scaling(column: Column, x: Array) -> Array:
    """Return the quantity whose mean and spread the scaler uses, for values x (n,)."""
    if column.transform in ("ln", "log10"):
        if not (x > 0).all():
            raise DataError(f"{column.name} is not positive everywhere and so has no logarithm")
        return np.log(x)
    if column.transform == "logit":
        if not ((x > 0) & (x < 1)).all():
            raise DataError(f"{column.name} is not always between 0 and 1 and so has no logit")
        logit: Array = np.log(x) - np.log1p(-x)
        return logit
    return x
