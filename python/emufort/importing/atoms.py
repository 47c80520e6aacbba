"""Atoms: the features and the results of operations that are not linear.

`Lowering` makes them. The elements of an atom may stand in another order than in the graph: that of
the atom it is made of, so that the elements of a channel-first array are stored level by level,
channels innermost, from the first convolution to the last, and nothing is transposed in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from emufort.importing.values import Array, Integers, Matrix, Value, broadcast

#: Longer sums are computed before anything else is made of them.
_LONG_SUM = 8
#: Sums of at most this number of parts are additions of whole buffers.
_FEW_SUMMANDS = 3
#: Fewer elements are not worth an operation.
_FEW_ELEMENTS = 16


@dataclass(frozen=True)
class Atom:
    """The features, or the result of an operation.

    Attributes
    ----------
    size
        Number of elements.
    kind
        ``features``; ``affine``, the activation function of a value; ``repeated``, a dense layer
        for each part of a value; or the name of an operation of plans
        (`emufort.network.operations`) other than ``dense``, ``gather`` and ``sparse``.
    arguments
        Arguments of the operation.
    activation, slope
        Name of the activation function (`emufort.network.activations`), and its parameter.
    extent
        Of ``repeated`` (count, stride); else that of the operation.
    weight, bias
        Of ``repeated``, (n_out, n_in) and (n_out,); else those of the operation.
    rows
        Of reductions: the elements of the argument that make each element, (size, number).
    """

    size: int
    kind: str = "features"
    arguments: tuple[Value, ...] = ()
    activation: str = "linear"
    slope: float = 0.0
    extent: tuple[int, ...] = ()
    weight: Array | None = None
    bias: Array | None = None
    rows: Integers | None = None

    @property
    def argument(self) -> Value | None:
        """Argument of the activation function, of an atom that is nothing else; else None."""
        return self.arguments[0] if self.kind == "affine" else None

    @property
    def fingerprint(self) -> bytes:
        """Hash of what the atom is."""
        found = hashlib.blake2b(digest_size=16)
        found.update(repr((self.kind, self.activation, self.slope, self.extent)).encode())
        for value in self.arguments:
            found.update(value.fingerprint)
        for array in (self.weight, self.bias, self.rows):
            found.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        return found.digest()


@dataclass
class Lowering:
    """Values of a graph while it is followed.

    Attributes
    ----------
    opset
        Version of the operators.
    atoms
        Atoms by their numbers; the first one is the features.
    values
        Name of a value -> a constant array, or a value that depends on the features.
    """

    opset: int
    atoms: list[Atom]
    values: dict[str, NDArray[Any] | Value] = field(default_factory=dict)
    _numbers: dict[bytes, int] = field(default_factory=dict)
    _stored: dict[bytes, Value] = field(default_factory=dict)

    def atom(self, atom: Atom, shape: tuple[int, ...] | None = None) -> Value:
        """Return the value of an atom; equal ones become one."""
        number = self._numbers.setdefault(atom.fingerprint, len(self.atoms))
        if number == len(self.atoms):
            self.atoms.append(atom)
        return Value.atom(number, (atom.size,) if shape is None else shape)

    # ------------------------------------------------------ element by element

    def activation(self, argument: Value, name: str, slope: float = 0.0) -> Value:
        """Return the result of an activation function."""
        return self._elementwise("affine", [argument], name, slope)

    def combined(self, kind: str, *values: Value) -> Value:
        """Return the result of ``multiply``, ``maximum``, ``minimum`` or ``select``.

        The shapes of the values are broadcast.
        """
        return self._elementwise(kind, self.broadcast(values))

    def broadcast(self, values: Sequence[Value]) -> list[Value]:
        """Return values of one shape; what would be computed several times is stored."""
        size = int(np.prod(np.broadcast_shapes(*(value.shape for value in values))))
        return broadcast([v if v.size == size else self.repeatable(v) for v in values])

    def repeatable(self, value: Value) -> Value:
        """Return a value whose elements may be used several times without repeated sums."""
        return self.stored(value) if value.nnz > 2 * value.size else value

    def _elementwise(
        self, kind: str, values: Sequence[Value], name: str = "linear", slope: float = 0.0
    ) -> Value:
        # what several operations use is computed once; the planner joins it with a single one
        return self._ordered(kind, [self.repeatable(value) for value in values], name, slope)

    def _ordered(self, kind: str, values: Sequence[Value], name: str, slope: float) -> Value:
        found = (order for value in values if (order := stored_order(value)) is not None)
        order = next(found, None)
        if order is None or np.array_equal(order, np.arange(len(order))):
            flat = tuple(value.reshaped((value.size,)) for value in values)
            return self.atom(Atom(values[0].size, kind, flat, name, slope), values[0].shape)
        flat = tuple(value.taken(order) for value in values)
        stored = self.atom(Atom(values[0].size, kind, flat, name, slope))
        return stored.taken(np.argsort(order).reshape(values[0].shape))

    # ---------------------------------------------------------- linear operations

    def stored(self, value: Value) -> Value:
        """Return a value whose elements are elements of atoms, so that it is computed once."""
        found = value.elements()
        if found is not None and found.are_copies:
            return value
        key = value.fingerprint
        if key not in self._stored:
            self._stored[key] = self._ordered("affine", [value], "linear", 0.0)
        return self._stored[key].reshaped(value.shape)

    def compact(self, value: Value) -> Value:
        """Return a value, stored if it is a sum of many atoms, so that sums do not grow."""
        is_long = len(value.terms) >= 3 and value.nnz > value.size
        return (
            self.stored(value)
            if is_long and value.nnz <= 2 * len(value.terms) * value.size
            else value
        )

    def arranged(self, value: Value) -> Value:
        """Return elements of several atoms, stored position by position with channels innermost.

        Other values are returned as they are.
        """
        found = value.elements()
        order = stored_order(value) if len(value.terms) > 1 else None
        if found is None or not found.are_copies or order is None:
            return value
        return self._ordered("affine", [value], "linear", 0.0)

    def if_stored(self, value: Value) -> Value:
        """Return what `stored` returned for a value, or the value itself."""
        if value.nnz <= value.size or not self._stored:
            return value
        found = self._stored.get(value.fingerprint, value)
        return found.reshaped(value.shape).of_kind(value.kind)

    def summed(self, value: Value) -> Value:
        """Return a value, stored if it is a sum of a few parts of atoms."""
        is_sum = value.size < value.nnz <= _FEW_SUMMANDS * value.size
        return self.stored(value) if is_sum and value.size > _FEW_ELEMENTS else value

    def linear(self, value: Value, matrix: Matrix, shape: tuple[int, ...]) -> Value:
        """Return ``matrix @ value``.

        The value is computed first where one matrix for both would have more elements.
        """
        if matrix.nnz > value.size and np.all(np.diff(matrix.indptr) <= 1):
            value = self.summed(value)
        if value.nnz > value.size:
            width = sum(np.count_nonzero(np.bincount(m.indices)) for m in value.terms.values())
            counts = sum(np.diff(m.indptr) for m in value.terms.values())
            pattern = sparse.csr_array(
                (np.ones(matrix.nnz), matrix.indices, matrix.indptr), matrix.shape
            )
            together = float(np.minimum(pattern @ np.asarray(counts, float), width).sum())
            if matrix.nnz + value.nnz < 0.9 * together:
                value = self.stored(value)
        return value.mapped(matrix, shape)

    def sums(
        self, value: Value, rows: Integers, shape: tuple[int, ...], factor: Array | float = 1.0
    ) -> Value:
        """Return sums of elements times a factor; `rows` is (size, number), -1 stands for 0.

        Long sums are computed before anything else is made of them.
        """
        taken = rows >= 0
        row = np.broadcast_to(np.arange(len(rows))[:, None], rows.shape)[taken]
        factors = np.broadcast_to(factor, len(rows))[row]
        matrix = sparse.csr_array((factors, (row, rows[taken])), shape=(len(rows), value.size))
        found = self.linear(value, matrix, shape)
        return self.stored(found) if rows.shape[1] > _LONG_SUM else found

    def repeated(
        self,
        value: Value,
        windows: Integers,
        weight: Array,
        bias: Array | None = None,
    ) -> Value:
        """Return a dense layer that is applied to parts of a value, (count, n_out).

        Parameters
        ----------
        value
            Value.
        windows
            Elements of the value that each repetition reads, (count, n_in); -1 stands for 0.
        weight, bias
            Parameters of the layer, (n_out, n_in) and (n_out,).
        """
        count, n_in = windows.shape
        weight = np.asarray(weight, dtype=np.float64)
        n_out = len(weight)
        bias = np.zeros(n_out) if bias is None else np.asarray(bias, dtype=np.float64)
        if count == 1:
            part = value.taken(windows.ravel())
            found = self.linear(part, sparse.csr_array(weight), (1, n_out))
            return found.shifted(bias)
        folded = _before(value, windows, weight, bias)
        if folded is None:
            value = self.stored(value)
        else:
            value, weight, bias = folded
        stride = _stride(windows)
        flat = windows.ravel()
        if stride < n_in:
            flat = np.concatenate([windows[:, :stride].ravel(), windows[-1, stride:]])
        atom = Atom(
            count * n_out,
            "repeated",
            (value.taken(flat),),
            extent=(count, stride),
            weight=weight,
            bias=bias,
        )
        return self.atom(atom, (count, n_out))

    def depthwise(
        self,
        value: Value,
        positions: Integers,
        counts: tuple[int, int, int],
        weight: Array,
        bias: Array,
    ) -> Value:
        """Return a depthwise convolution, (count, channels).

        Parameters
        ----------
        value
            Value.
        positions
            Elements of the value, (positions, channels); -1 stands for 0.
        counts
            Number of results; positions between two of them, and between two of their summands.
        weight, bias
            Parameters, (summands, channels) and (channels,).
        """
        count, stride, step = counts
        n_taps, channels = weight.shape
        extent = (
            count,
            stride * channels if count > 1 else 0,
            n_taps,
            step * channels if n_taps > 1 else 0,
        )
        atom = Atom(
            count * channels,
            "depthwise",
            (self.stored(value).taken(positions.ravel()),),
            extent=extent,
            weight=np.asarray(weight, dtype=np.float64).ravel(),
            bias=np.asarray(bias, dtype=np.float64),
        )
        return self.atom(atom, (count, channels))

    def folded(self, value: Value) -> Value:
        """Return a value with its scale and shift taken into the layer it comes from."""
        found = value.elements()
        number = None if found is None else found.atom
        if found is None or number is None:
            return value
        atom = self.atoms[number]
        if atom.weight is None or atom.bias is None or atom.size != value.size:
            return value
        if found.are_copies or len(np.unique(found.positions)) != atom.size:
            return value
        if atom.kind == "normalise":
            return value
        scale, shift = np.empty((2, atom.size))
        scale[found.positions], shift[found.positions] = found.weights, found.bias
        scales, shifts = scale.reshape(atom.extent[0], -1), shift.reshape(atom.extent[0], -1)
        if np.any(scales != scales[0]) or np.any(shifts != shifts[0]):
            return value
        if atom.kind == "depthwise":
            weight = (atom.weight.reshape(-1, len(atom.bias)) * scales[0]).ravel()
        else:
            weight = scales[0][:, None] * atom.weight
        new = replace(atom, weight=weight, bias=scales[0] * atom.bias + shifts[0])
        return self.atom(new).taken(found.positions.reshape(value.shape))

    # -------------------------------------------------------- several elements

    def matmul(self, left: Value, right: Value) -> Value:
        """Return the product (B, M, N) of values (B, M, K) and (B, K, N)."""
        b, m, k = left.shape
        n = right.shape[2]
        atom = Atom(b * m * n, "matmul", (left, right), extent=(b, m, k, n))
        return self.atom(atom, (b, m, n))

    def reduced(self, kind: str, value: Value, rows: Integers, shape: tuple[int, ...]) -> Value:
        """Return a reduction of elements.

        Parameters
        ----------
        kind
            ``maximum_of``, ``minimum_of``, ``product_of`` or ``first_maximum_of``.
        value
            Value.
        rows
            Elements of the value that make each element, (size, number).
        shape
            Shape of the result.
        """
        value = self.stored(value)
        atom = Atom(len(rows), kind, (value.reshaped((value.size,)),), rows=rows)
        return self.atom(atom, shape)


def stored_order(value: Value) -> Integers | None:
    """Return the numbers of the elements of a value in the order of the atom they come from.

    Sums are ordered by the middle of what they are made of. Elements of several atoms, or that come
    several times, are ordered by position and then by channel, if the channels follow each other in
    the atoms. None if there is no such order.
    """
    for k in sorted(value.terms, reverse=True):
        m = value.terms[k]
        if m.nnz == value.size and np.all(np.diff(m.indptr) == 1):
            order: Integers = np.argsort(m.indices, kind="stable")
            if np.all(np.diff(m.indices[order]) > 0):
                return order
    for k in sorted(value.terms, reverse=True):
        m = value.terms[k]
        if m.nnz > value.size and np.all(np.diff(m.indptr) > 0):
            m.sort_indices()
            middle = m.indices[m.indptr[:-1]] + m.indices[m.indptr[1:] - 1]
            return np.asarray(np.argsort(middle, kind="stable"), np.int64)
    found = value.elements()
    if found is None or len(value.shape) < 3 or value.shape[0] != 1:
        return None
    places = found.positions.reshape(value.shape[1], -1)
    if min(places.shape) < 2 or np.mean(np.diff(places, axis=0) == 1) < 0.5:
        return None
    return np.arange(value.size).reshape(places.shape).T.ravel()


def _stride(windows: Integers) -> int:
    """Return the distance of windows within one sequence of elements; n_in if they are apart."""
    n_in: int = windows.shape[1]
    for stride in range(1, n_in):
        kept = n_in - stride
        if np.array_equal(windows[1, :kept], windows[0, stride:]) and np.array_equal(
            windows[1:, :kept], windows[:-1, stride:]
        ):
            return stride
    return n_in


def _before(
    value: Value, windows: Integers, weight: Array, bias: Array
) -> tuple[Value, Array, Array] | None:
    """Return a value without scale and shift, which the parameters of the layer contain.

    None if they are not the same for all repetitions.
    """
    found = value.elements()
    if found is None:
        return None
    is_constant = np.append(found.atoms < 0, True)[windows]
    scale = np.append(found.weights, 0.0)[windows]
    shift = np.append(found.bias, 0.0)[windows]
    some = scale[np.argmax(~is_constant, axis=0), np.arange(windows.shape[1])]
    if np.any((scale != some) & ~is_constant) or np.any(shift != shift[0]):
        return None
    terms = {
        k: sparse.csr_array((np.ones(m.nnz), m.indices, m.indptr), m.shape)
        for k, m in value.terms.items()
    }
    copies = Value(value.shape, terms, np.zeros(value.size))
    return copies, weight * some, bias + weight @ shift[0]
