"""Values of a graph for one column, as affine maps of the results of activation functions.

Every value is ``bias + sum of matrix @ atom`` over some atoms. An atom is the vector of the
features or the result of an activation function. Linear operations of the graph only change the
matrices, so that a chain of them costs the network at most one dense layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[np.float64]
#: A `scipy.sparse.csr_array`, (values, atom).
Matrix = Any


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
    """

    shape: tuple[int, ...]
    terms: Mapping[int, Matrix]
    bias: Array

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.bias)

    @classmethod
    def constant(cls, array: NDArray[np.generic]) -> Value:
        """Return a value that does not depend on the features."""
        return cls(array.shape, {}, np.asarray(array, dtype=np.float64).ravel())

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
        return cls(shape, {number: sparse.csr_array(sparse.eye_array(size))}, np.zeros(size))

    def mapped(self, matrix: Matrix, shape: tuple[int, ...]) -> Value:
        """Return ``matrix @ value``; the matrix is (new size, size)."""
        terms = {k: sparse.csr_array(matrix @ m) for k, m in self.terms.items()}
        return _clean(shape, terms, matrix @ self.bias)

    def scaled(self, factor: Array) -> Value:
        """Return the product with a constant of the same size."""
        scale = sparse.diags_array(factor.ravel())
        terms = {k: sparse.csr_array(scale @ m) for k, m in self.terms.items()}
        return _clean(self.shape, terms, factor.ravel() * self.bias)

    def plus(self, other: Value) -> Value:
        """Return the sum with a value of the same shape."""
        terms = dict(self.terms)
        for k, m in other.terms.items():
            terms[k] = sparse.csr_array(terms[k] + m) if k in terms else m
        return _clean(self.shape, terms, self.bias + other.bias)

    def minus(self, other: Value) -> Value:
        """Return the difference from a value of the same shape."""
        return self.plus(other.scaled(np.full(other.size, -1.0)))

    def shifted(self, constant: Array | float) -> Value:
        """Return the sum with a constant."""
        return Value(self.shape, self.terms, self.bias + np.ravel(constant))

    def reshaped(self, shape: tuple[int, ...]) -> Value:
        """Return the same elements in another shape."""
        return Value(shape, self.terms, self.bias)

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


def _largest(matrix: Matrix | None) -> float:
    return 0.0 if matrix is None or not matrix.nnz else float(np.abs(matrix.data).max())


def _clean(shape: tuple[int, ...], terms: Mapping[int, Matrix], bias: Array) -> Value:
    """Return a value without terms that are zero."""
    kept = {}
    for k, m in terms.items():
        m.eliminate_zeros()
        if m.nnz:
            kept[k] = m
    return Value(shape, kept, bias)


def selected(values: Sequence[Value], places: NDArray[np.int64]) -> Value:
    """Return elements of several values, which are numbered one value after the other.

    Parameters
    ----------
    values
        Values.
    places
        Number of each element of the result, in its shape.
    """
    sizes = [value.size for value in values]
    total = sum(sizes)
    flat = places.ravel()
    choice = sparse.csr_array(
        (np.ones(len(flat)), (np.arange(len(flat)), flat)), shape=(len(flat), total)
    )
    atoms = sorted({k for value in values for k in value.terms})
    terms = {}
    for k in atoms:
        width = next(v.terms[k].shape[1] for v in values if k in v.terms)
        stacked = sparse.vstack(
            [v.terms.get(k, sparse.csr_array((v.size, width))) for v in values], format="csr"
        )
        terms[k] = sparse.csr_array(choice @ stacked)
    return _clean(places.shape, terms, np.concatenate([v.bias for v in values])[flat])


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
