"""Values of a graph for one column, as affine maps of atoms.

Every value is ``bias + sum of matrix @ atom`` over some atoms (`emufort.importing.atoms`): the
features, and the results of operations that are not linear. Linear operations of the graph only
change the matrices, so that a chain of them costs the network at most one layer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from emufort.importing.refusal import MOST_ELEMENTS

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
#: A `scipy.sparse.csr_array`, (values, atom).
Matrix = Any


class Elements(NamedTuple):
    """Elements that are each ``weight * element of an atom + bias``.

    Attributes
    ----------
    atoms
        Number of the atom; -1 for a constant.
    positions
        Element of the atom.
    weights, bias
        Coefficients; the weight of a constant is 0.
    """

    atoms: Integers
    positions: Integers
    weights: Array
    bias: Array

    @property
    def are_copies(self) -> bool:
        """Whether each one is an element of an atom, or 0."""
        is_constant = self.atoms < 0
        return not np.any(self.bias) and bool(np.all((self.weights == 1.0) | is_constant))

    @property
    def atom(self) -> int | None:
        """The atom that all of them are elements of; None if there is not one."""
        if not len(self.atoms) or self.atoms[0] < 0 or np.any(self.atoms != self.atoms[0]):
            return None
        return int(self.atoms[0])


@dataclass(frozen=True)
class Value:
    """Value of the graph for one column.

    Attributes
    ----------
    shape
        Shape in the graph.
    terms
        Number of an atom -> matrix (size, size of the atom).
    bias
        Constant part, (size,).
    kind
        ``"real"``, ``"integer"`` or ``"boolean"`` (0 or 1), as in the graph.
    """

    shape: tuple[int, ...]
    terms: Mapping[int, Matrix]
    bias: Array
    kind: str = "real"

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.bias)

    @classmethod
    def constant(cls, array: NDArray[np.generic]) -> Value:
        """Return a value that does not depend on the features."""
        kind = {"b": "boolean", "i": "integer", "u": "integer"}.get(array.dtype.kind, "real")
        return cls(array.shape, {}, np.asarray(array, dtype=np.float64).ravel(), kind)

    @classmethod
    def of(cls, value: NDArray[Any] | Value | None) -> Value:
        """Return a value, or the value of a constant; an absent input is a `ValueError`."""
        if value is None:
            raise ValueError("an input is missing")
        return value if isinstance(value, Value) else cls.constant(np.asarray(value))

    @classmethod
    def atom(cls, number: int, shape: tuple[int, ...]) -> Value:
        """Return the value of an atom."""
        size = int(np.prod(shape, dtype=np.int64))
        places = np.arange(size + 1)
        matrix = _matrix(np.ones(size), places[:-1], places, size)
        return cls(shape, {number: matrix}, np.zeros(size))

    def mapped(self, matrix: Matrix, shape: tuple[int, ...]) -> Value:
        """Return ``matrix @ value``; the matrix is (new size, size)."""
        terms = {k: matrix @ m for k, m in self.terms.items()}
        return _clean(shape, terms, matrix @ self.bias)

    def scaled(self, factor: Array | float) -> Value:
        """Return the product with a constant: a number, or one for each element."""
        factors = np.broadcast_to(np.ravel(factor), self.size)
        # Copies, because sorting or shortening a matrix changes its indices in place.
        terms = {k: m.copy() for k, m in self.terms.items()}
        for m in terms.values():
            m.data *= np.repeat(factors, np.diff(m.indptr))
        return _clean(self.shape, terms, factors * self.bias)

    def plus(self, other: Value) -> Value:
        """Return the sum with a value of the same shape."""
        terms = dict(self.terms)
        for k, m in other.terms.items():
            terms[k] = terms[k] + m if k in terms else m
        return _clean(self.shape, terms, self.bias + other.bias)

    def minus(self, other: Value) -> Value:
        """Return the difference from a value of the same shape."""
        return self.plus(other.scaled(-1.0))

    def shifted(self, constant: Array | float) -> Value:
        """Return the sum with a constant."""
        return Value(self.shape, self.terms, self.bias + np.ravel(constant))

    def reshaped(self, shape: tuple[int, ...]) -> Value:
        """Return the same elements in another shape."""
        return replace(self, shape=shape)

    def of_kind(self, kind: str) -> Value:
        """Return the same elements as numbers of a kind."""
        return self if kind == self.kind else replace(self, kind=kind)

    def unscaled(self) -> Value:
        """Return the elements without weights and constants, if each is one of an atom."""
        terms = {
            k: _matrix(np.ones(m.nnz), m.indices, m.indptr, m.shape[1])
            for k, m in self.terms.items()
        }
        return replace(self, terms=terms, bias=np.zeros(self.size))

    def taken(self, places: Integers) -> Value:
        """Return elements by their numbers, in the shape of `places`; -1 gives 0."""
        return selected([self], places)

    def elements(self) -> Elements | None:
        """Return the elements if each is at most one element of an atom; else None."""
        if self.nnz > self.size:
            return None
        atoms = np.full(self.size, -1)
        positions, weights = np.zeros(self.size, np.int64), np.zeros(self.size)
        for k, m in self.terms.items():
            counts = np.diff(m.indptr)
            rows = np.flatnonzero(counts)
            if np.any(counts > 1) or np.any(atoms[rows] >= 0):
                return None
            atoms[rows], positions[rows], weights[rows] = k, m.indices, m.data
        return Elements(atoms, positions, weights, self.bias)

    @property
    def nnz(self) -> int:
        """Number of elements of the matrices that are not zero."""
        return sum(m.nnz for m in self.terms.values())

    @property
    def fingerprint(self) -> bytes:
        """Hash of the elements, whatever their shape."""
        found = hashlib.blake2b(self.bias.tobytes(), digest_size=16)
        for k in sorted(self.terms):
            m = self.terms[k]
            m.sort_indices()
            for part in (np.array([k, *m.shape]), m.indptr, m.indices, m.data):
                found.update(np.ascontiguousarray(part).tobytes())
        return found.digest()

    def is_same(self, other: Value) -> bool:
        """Return whether both have the same elements."""
        return self.is_multiple(other, np.ones(other.size))

    def is_multiple(self, other: Value, factor: Array) -> bool:
        """Return whether this is ``factor`` times `other`, up to rounding in single precision."""
        if self.size != other.size:
            return False
        difference = self.minus(other.scaled(factor))
        for k, m in difference.terms.items():
            size = max(_largest(self.terms.get(k)), _largest(other.terms.get(k)))
            if _largest(m) > 1e-6 * size:
                return False
        size = float(np.abs(self.bias).max(initial=0.0))
        return bool(np.abs(difference.bias).max(initial=0.0) <= 1e-6 * max(size, 1e-30))


def _matrix(data: Array, indices: Integers, starts: Integers, width: int) -> Matrix:
    """Return a matrix of rows that begin at `starts`."""
    return sparse.csr_array((data, indices, starts), shape=(len(starts) - 1, width))


def _largest(matrix: Matrix | None) -> float:
    return 0.0 if matrix is None or not matrix.nnz else float(np.abs(matrix.data).max())


def _clean(shape: tuple[int, ...], terms: Mapping[int, Matrix], bias: Array) -> Value:
    """Return a value without terms that are zero."""
    kept = {}
    for k, m in terms.items():
        if not np.all(m.data):
            m.eliminate_zeros()
        if m.nnz:
            kept[k] = m
    return Value(shape, kept, bias)


def selected(values: Sequence[Value], places: Integers) -> Value:
    """Return elements of several values, which are numbered one value after the other.

    Parameters
    ----------
    values
        Values.
    places
        Number of each element of the result, in its shape; -1 gives 0.
    """
    if places.size > MOST_ELEMENTS:
        raise ValueError(f"its result has {places.size} values for one column: too many")
    flat = places.ravel()
    total = sum(value.size for value in values)
    if len(flat) == total and np.array_equal(flat, np.arange(total)) and len(values) == 1:
        return values[0].reshaped(places.shape)
    if flat.min(initial=0) < -1 or flat.max(initial=-1) >= total:
        raise ValueError("an index is out of range")
    firsts = np.cumsum([0, *(value.size for value in values)])
    terms = {}
    for k in sorted({k for value in values for k in value.terms}):
        # the rows of all matrices of the atom: how many elements each has, and where they begin
        counts, starts = np.zeros((2, total + 1), np.int64)
        held = [(m, first) for v, first in zip(values, firsts, strict=False)
                if (m := v.terms.get(k)) is not None]  # fmt: skip
        begin = 0
        for m, first in held:
            rows = slice(first, first + m.shape[0])
            counts[rows], starts[rows] = np.diff(m.indptr), begin + m.indptr[:-1]
            begin += m.nnz
        number = counts[flat]
        ends = np.cumsum(number)
        steps = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - number, number)
        at = np.repeat(starts[flat], number) + steps
        data, indices = (
            np.concatenate([getattr(m, name) for m, _ in held])[at] for name in ("data", "indices")
        )
        terms[k] = _matrix(data, indices, np.concatenate([[0], ends]), held[0][0].shape[1])
    bias = np.concatenate([*(v.bias for v in values), np.zeros(1)])[flat]
    return replace(_clean(places.shape, terms, bias), kind=common_kind(values))


def concatenated(values: Sequence[Value]) -> Value:
    """Return the elements of values, one value after the other."""
    return selected(values, np.arange(sum(value.size for value in values)))


def common_kind(values: Iterable[Value]) -> str:
    """Return the kind of numbers that values have together."""
    kinds = {value.kind for value in values}
    return next((kind for kind in ("real", "integer", "boolean") if kind in kinds), "real")


def broadcast(values: Sequence[Value]) -> list[Value]:
    """Return values of one shape, by the rules of numpy.

    Raises
    ------
    ValueError
        The shapes do not fit.
    """
    shape = np.broadcast_shapes(*(value.shape for value in values))
    found = []
    for value in values:
        if value.shape == shape:
            found.append(value)
            continue
        places = np.arange(value.size, dtype=np.int64).reshape(value.shape)
        found.append(selected([value], np.broadcast_to(places, shape)))
    return found
