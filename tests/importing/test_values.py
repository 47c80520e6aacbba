"""Values of a graph as sparse matrices."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from emufort.importing.values import Value


def test_a_scaled_value_shares_nothing_with_the_value() -> None:
    """Sorting the indices of one, or removing its zeros, leaves the other as it is."""
    indices = np.array([2, 0, 1, 0])
    matrix = sparse.csr_array((np.arange(1.0, 5.0), indices, np.array([0, 3, 4])), shape=(2, 3))
    dense = matrix.toarray()
    value = Value((2,), {0: matrix}, np.zeros(2))
    twice, part = value.scaled(2.0), value.scaled(np.array([0.0, 1.0]))
    assert twice.fingerprint != value.fingerprint
    assert np.array_equal(value.terms[0].toarray(), dense)
    assert np.array_equal(twice.terms[0].toarray(), 2.0 * dense)
    assert np.array_equal(part.terms[0].toarray(), dense * [[0.0], [1.0]])
