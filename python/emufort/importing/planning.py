"""Turn atoms and affine maps into the plan of a network and its weights.

The matrices of an affine map decide its operation: none where it is an atom as it stands,
``gather`` where it only selects elements, ``sparse`` where few elements are not zero, else a
``dense`` layer for each atom and ``add``.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from emufort.errors import EmufortError
from emufort.importing.atoms import Atom
from emufort.importing.refusal import ImportRefusedError
from emufort.importing.values import Array, Elements, Integers, Matrix, Value
from emufort.network.operation import Operation
from emufort.network.operations.dense import MOST_DENSE_INPUTS, MOST_NEURONS
from emufort.network.plan import Plan
from emufort.network.table import Table

#: Name of the buffer with the features.
_FEATURES = "b0"
_LINEAR = ("linear", 0.0)
#: A multiply-add of ``sparse`` costs about as much as this number of those of ``dense``.
_COST_OF_SPARSE = 3.0
#: Most parts of a layer that are computed apart.
_MOST_PARTS = 16
#: More dense layers whose results are added become one of all their inputs.
_MOST_LAYERS = 2
#: Least share of a part of an atom that a dense layer uses; else it reads copies.
_LEAST_USED = 0.75
#: Largest weight, in single precision.
_LARGEST = float(np.finfo(np.float32).max)
#: More summands are added by ``sparse``.
_MOST_SUMMANDS = 3


@dataclass
class _Planner:
    """Operations and weights of a plan under construction."""

    atoms: Sequence[Atom]
    buffers: dict[str, int]
    operations: list[Operation] = field(default_factory=list)
    parameters: dict[str, Array] = field(default_factory=dict)
    #: Number of an atom -> its buffer.
    places: dict[int, str] = field(default_factory=dict)
    _stored: dict[bytes, str] = field(default_factory=dict)
    _layers: dict[bytes, tuple[str, str]] = field(default_factory=dict)

    # ------------------------------------------------------------- single operations

    def add_operation(
        self,
        kind: str,
        inputs: Sequence[tuple[str, int]],
        size: int,
        function: tuple[str, float],
        parameters: tuple[str, ...] = (),
        extent: tuple[int, ...] = (),
        table: Table | None = None,
    ) -> str:
        """Add an operation; inputs are buffers and the first features that it reads of them."""
        output = f"b{len(self.buffers)}"
        self.buffers[output] = size
        names, starts = tuple(name for name, _ in inputs), tuple(start for _, start in inputs)
        self.operations.append(
            Operation(kind, names, output, parameters, *function, starts, extent, table)
        )
        return output

    def layer(self, weight: Array, bias: Array) -> tuple[str, str]:
        """Store parameters, equal ones once; return their names."""
        if not all(np.all(np.abs(a) <= _LARGEST) for a in (weight, bias)):
            raise ImportRefusedError(
                f"the network has a weight or constant that is not within +-{_LARGEST:.1g}; "
                "replace it by a smaller one"
            )
        arrays = [np.ascontiguousarray(a, dtype=np.float64) for a in (weight, bias)]
        content = repr(weight.shape).encode() + b"".join(a.tobytes() for a in arrays)
        key = hashlib.blake2b(content, digest_size=16).digest()
        if key not in self._layers:
            number = len(self._layers)
            names = self._layers[key] = f"layers.{number}.weight", f"layers.{number}.bias"
            self.parameters.update(zip(names, arrays, strict=True))
        return self._layers[key]

    def gather(self, found: Elements, function: tuple[str, float]) -> str:
        """Plan a selection of elements of atoms."""
        sources, places = self._sources(found.atoms, found.positions)
        return self.add_operation("gather", sources, len(places), function, table=Table((), places))

    def _sources(
        self, atoms: Integers, positions: Integers
    ) -> tuple[list[tuple[str, int]], Integers]:
        """Return buffers, and the places of elements of atoms in them; -1 for no atom."""
        used = [int(k) for k in np.unique(atoms) if k >= 0] or [0]
        ends = np.cumsum([self.atoms[k].size for k in used])
        number = np.searchsorted(used, np.maximum(atoms, used[0]))
        first = ends[number] - np.array([self.atoms[k].size for k in used])[number]
        places = np.where(atoms < 0, -1, first + positions)
        return [(self.places[k], 0) for k in used], places

    def sparse(self, terms: Mapping[int, Matrix], bias: Array, function: tuple[str, float]) -> str:
        """Plan an affine map with few elements that are not zero."""
        numbers = list(terms) or [0]
        empty = sparse.csr_array((len(bias), self.atoms[0].size))
        whole = sparse.csr_array(sparse.hstack([terms.get(k, empty) for k in numbers]))
        whole.sort_indices()
        if len(numbers) == 1 and (found := _taps_of(whole)) is not None:
            first, step, weight = found
            source = self.places[numbers[0]], first
            return self.depthwise(source, weight, bias, function, step)
        return self.add_operation(
            "sparse",
            [(self.places[k], 0) for k in numbers],
            len(bias),
            function,
            self.layer(whole.data, bias),
            table=Table(whole.indptr, whole.indices),
        )

    def depthwise(
        self,
        source: tuple[str, int],
        weight: Array,
        bias: Array,
        function: tuple[str, float] = _LINEAR,
        step: int = 0,
    ) -> str:
        """Plan a sum of weighted parts of a buffer; the weights are (summands, elements)."""
        n_taps, n = weight.shape
        names = self.layer(weight.ravel(), bias)
        return self.add_operation("depthwise", [source], n, function, names, (1, 0, n_taps, step))

    def dense(self, terms: Mapping[int, Matrix], bias: Array, function: tuple[str, float]) -> str:
        """Plan a dense layer of atoms.

        It reads a part of one atom as it stands if it uses most of the part, else copies of the
        elements that it uses.
        """
        whole = sparse.csc_array(sparse.hstack(list(terms.values())))
        used = np.flatnonzero(np.diff(whole.indptr))
        n_in = int(used[-1] - used[0]) + 1
        if len(terms) == 1 and len(used) > _LEAST_USED * n_in:
            (number,) = terms
            size, first, last = self.atoms[number].size, int(used[0]), int(used[-1]) + 1
            if n_in > _LEAST_USED * size:
                first, last, n_in = 0, size, size
            source, start = self.places[number], first
            weight = whole[:, first:last].toarray()
        else:
            source, start = self.view(_copies_of(terms, used))
            n_in = len(used)
            weight = whole[:, used].toarray()
        if n_in > MOST_DENSE_INPUTS:
            raise ImportRefusedError(
                f"the network needs a layer of {n_in} inputs; the Fortran runtime takes up to "
                f"{MOST_DENSE_INPUTS}: use fewer features, channels or levels"
            )
        extent = () if n_in == self.buffers[source] else (1, 0, n_in)
        names = self.layer(weight, bias)
        return self.add_operation("dense", [(source, start)], len(bias), function, names, extent)

    # ---------------------------------------------------------------- affine maps

    def view(self, value: Value) -> tuple[str, int]:
        """Return the buffer and the first feature of the elements of a value in their order.

        They are stored where they are no consecutive elements of an atom.
        """
        found = value.elements()
        if found is not None and found.are_copies and (number := found.atom) is not None:
            first = int(found.positions[0])
            if np.array_equal(found.positions, np.arange(first, first + value.size)):
                return self.places[number], first
        key = value.fingerprint
        if key not in self._stored:
            self._stored[key] = self.affine(value, _LINEAR)
        return self._stored[key], 0

    def affine(self, value: Value, function: tuple[str, float]) -> str:
        """Plan an affine map of atoms and an activation function; return the buffer."""
        found = value.elements()
        if found is not None and found.are_copies:
            return self.gather(found, function)
        heavy = {k: m for k, m in value.terms.items() if _is_dense(m)}
        parts = _separate_layers(value, heavy)
        if len(parts) > 1:
            return self._joined(value, parts, function)
        light = {k: m for k, m in value.terms.items() if k not in heavy}
        if found is not None and light and not heavy:
            source = self.view(value.unscaled())
            return self.depthwise(source, found.weights[None], found.bias, function)
        sources = self._light(value, light, function if not heavy else None)
        bias = value.bias
        layers = [{k: m} for k, m in heavy.items()]
        if len(layers) > _MOST_LAYERS:
            layers = [heavy]
        for layer in layers:
            whole = len(layers) + len(sources) == 1
            sources.append((self.dense(layer, bias, function if whole else _LINEAR), 0))
            bias = np.zeros(value.size)
        place = sources[0]
        for count, other in enumerate(sources[1:], start=2):
            last = count == len(sources)
            name = self.add_operation(
                "add", (place, other), value.size, function if last else _LINEAR
            )
            place = name, 0
        return place[0]

    def _light(
        self, value: Value, terms: Mapping[int, Matrix], function: tuple[str, float] | None
    ) -> list[tuple[str, int]]:
        """Return the summands of the terms of a value that are not dense.

        `function` is the activation function if these are all terms; else the bias is not theirs.
        """
        bias = value.bias if function is not None else np.zeros(value.size)
        found = [(k, view) for k, m in terms.items() if (view := _taps_of(m, 1)) is not None]
        are_views = len(found) == len(terms) <= _MOST_SUMMANDS
        if not are_views or (function is not None and len(found) < 2):
            return [(self.sparse(terms, bias, function or _LINEAR), 0)]
        # The constant part is added where there are factors.
        found.sort(key=lambda item: bool(np.all(item[1][2] == 1.0)))
        sources = []
        for k, (first, _, weight) in found:
            source = self.places[k], first
            if np.any(bias) or np.any(weight != 1.0):
                source = self.depthwise(source, weight, bias), 0
                bias = np.zeros(value.size)
            sources.append(source)
        return sources

    def _joined(self, value: Value, parts: Sequence[Integers], function: tuple[str, float]) -> str:
        """Plan parts of the elements of a value apart, and join them."""
        names = [self.affine(value.taken(rows), function) for rows in parts]
        places = np.argsort(np.concatenate(parts))
        inputs = [(name, 0) for name in names]
        return self.add_operation("gather", inputs, value.size, _LINEAR, table=Table((), places))

    # ---------------------------------------------------------------------- atoms

    def plan_atom(self, atom: Atom, function: tuple[str, float]) -> str:
        """Plan an atom with an activation function; return its buffer."""
        if atom.kind == "affine":
            return self.affine(atom.arguments[0], function)
        if atom.rows is not None:
            return self._reduction(atom, atom.rows, function)
        inputs = [self.view(value) for value in atom.arguments]
        if atom.weight is None or atom.bias is None:
            return self.add_operation(atom.kind, inputs, atom.size, function, extent=atom.extent)
        if atom.kind != "repeated":
            names = self.layer(atom.weight, atom.bias)
            return self.add_operation(atom.kind, inputs, atom.size, function, names, atom.extent)
        n_out, n_in = atom.weight.shape
        if n_out > MOST_NEURONS or n_in > MOST_DENSE_INPUTS:
            raise ImportRefusedError(
                f"the network needs a layer of {n_in} inputs and {n_out} neurons; the Fortran "
                f"runtime takes up to {MOST_DENSE_INPUTS} and {MOST_NEURONS}: use fewer channels"
            )
        names = self.layer(atom.weight, atom.bias)
        return self.add_operation("dense", inputs, atom.size, function, names, (*atom.extent, n_in))

    def _reduction(self, atom: Atom, rows: Integers, function: tuple[str, float]) -> str:
        (value,) = atom.arguments
        found = value.elements()
        if found is not None and found.are_copies and np.all(found.atoms >= 0):
            inputs, places = self._sources(found.atoms, found.positions)
        else:
            inputs, places = [self.view(value)], np.arange(value.size)
        taken = rows >= 0
        counts = np.concatenate([[0], np.cumsum(taken.sum(axis=1))])
        table = Table(counts, places[rows[taken]])
        return self.add_operation(atom.kind, inputs, atom.size, function, table=table)


def _taps_of(matrix: Matrix, most: float = math.inf) -> tuple[int, int, Array] | None:
    """Return the parts of an atom whose weighted sum a matrix is: ``depthwise`` for one repetition.

    Returns the first element, the distance of the parts, and the weights (parts, elements); None if
    the matrix is no such sum of at most `most` parts.
    """
    n = matrix.shape[0]
    n_taps = matrix.nnz // n
    if not 1 <= n_taps <= most or np.any(np.diff(matrix.indptr) != n_taps):
        return None
    matrix.sort_indices()
    parts = matrix.indices.reshape(n, n_taps) - np.arange(n)[:, None]
    steps = np.diff(parts[0])
    if np.any(parts != parts[0]) or np.any(steps != steps[:1]):
        return None
    return int(parts[0, 0]), int(steps[0]) if n_taps > 1 else 0, matrix.data.reshape(n, n_taps).T


def _copies_of(terms: Mapping[int, Matrix], used: Integers) -> Value:
    """Return elements of atoms, which are numbered one atom after the other."""
    found, first = {}, 0
    for number, matrix in terms.items():
        n = matrix.shape[1]
        rows = np.flatnonzero((used >= first) & (used < first + n))
        if len(rows):
            places = (np.ones(len(rows)), (rows, used[rows] - first))
            found[number] = sparse.csr_array(places, shape=(len(used), n))
        first += n
    return Value((len(used),), found, np.zeros(len(used)))


def _is_dense(matrix: Matrix) -> bool:
    """Return whether a dense layer costs less than one with a table."""
    width = int(np.count_nonzero(np.bincount(matrix.indices)))
    rows = int(np.count_nonzero(np.diff(matrix.indptr)))
    return bool(_COST_OF_SPARSE * matrix.nnz > rows * width)


def _separate_layers(value: Value, heavy: Mapping[int, Matrix]) -> list[Integers]:
    """Return elements to be computed apart: of different elements, or too many for one layer."""
    rows = np.arange(value.size)
    if not heavy:
        return [rows]
    ranges = np.concatenate([_ranges(m) for m in heavy.values()], axis=1)
    found, which = np.unique(ranges, axis=0, return_inverse=True)
    which = which.ravel()
    # columns of the layers of all parts, and of the layers of the whole
    apart = (found[:, 1::2] - found[:, 0::2]).sum(axis=1)[which].sum()
    together = len(rows) * (ranges[:, 1::2].max(axis=0) - ranges[:, 0::2].min(axis=0)).sum()
    parts = [rows]
    if len(found) <= _MOST_PARTS and apart < 0.75 * together:
        parts = [np.flatnonzero(which == k) for k in range(len(found))]
    return [
        part[first : first + MOST_NEURONS]
        for part in parts
        for first in range(0, len(part), MOST_NEURONS)
    ]


def _ranges(matrix: Matrix) -> Integers:
    """Return the first column of each row that is used, and one more than the last, (rows, 2)."""
    matrix.sort_indices()
    counts = np.diff(matrix.indptr)
    filled = np.flatnonzero(counts)
    found = np.full((len(counts), 2), int(matrix.indices[0]))
    found[filled, 0] = matrix.indices[matrix.indptr[filled]]
    found[filled, 1] = matrix.indices[matrix.indptr[filled + 1] - 1] + 1
    return found


def _is_identity(matrix: Matrix, size: int) -> bool:
    if matrix.shape != (size, size) or matrix.nnz != size:
        return False
    return bool(np.all(matrix.diagonal() == 1.0))


def plan_of(atoms: Sequence[Atom], result: Value) -> tuple[Plan, dict[str, Array]]:
    """Return the plan and the weights of a network.

    Parameters
    ----------
    atoms
        Features and results of operations.
    result
        Outputs of the network.

    Raises
    ------
    ImportRefusedError
        The network is too large.
    """
    needed, atoms = _joined_maps(atoms, _needed(atoms, result), result)
    fused = _fused(atoms, needed, result)
    functions = set(fused.values())
    planner = _Planner(atoms, {_FEATURES: atoms[0].size}, places={0: _FEATURES})
    for number in needed:
        if number in functions:
            continue
        last = fused.get(number, number)
        function = atoms[last].activation, atoms[last].slope
        planner.places[number] = planner.places[last] = planner.plan_atom(atoms[number], function)
    final = _buffer_of(result, atoms, planner.places)
    if final is None:
        final = planner.affine(result, _LINEAR)
    try:
        plan = Plan(tuple(planner.buffers.items()), tuple(planner.operations), _FEATURES, final)
    except EmufortError as error:
        raise ImportRefusedError(f"{error}; use fewer features, channels or levels") from error
    return plan, planner.parameters


def _needed(atoms: Sequence[Atom], result: Value) -> list[int]:
    """Return the atoms on which the result depends, in their order, without the features."""
    needed = set(result.terms)
    for number in range(len(atoms) - 1, 0, -1):
        if number in needed:
            needed.update(k for value in atoms[number].arguments for k in value.terms)
    return sorted(needed - {0})


def _uses(atoms: Sequence[Atom], needed: Sequence[int], result: Value) -> Counter[int]:
    """Return in how many values each atom is used."""
    uses = Counter(k for n in needed for value in atoms[n].arguments for k in value.terms)
    uses.update(result.terms.keys())
    return uses


def _joined_maps(
    atoms: Sequence[Atom], needed: Sequence[int], result: Value
) -> tuple[list[int], list[Atom]]:
    """Join affine maps with the activation function that is their only use.

    Between them there may be a scale and a shift of each element.
    """
    uses = _uses(atoms, needed, result)
    changed, dropped = list(atoms), set()
    for number in needed:
        argument = changed[number].argument
        found = None if argument is None else argument.elements()
        source = None if found is None else found.atom
        if argument is None or found is None or source is None or uses[source] != 1:
            continue
        inner = changed[source].argument
        is_linear = inner is not None and changed[source].activation == "linear"
        is_whole = changed[source].size == argument.size == len(np.unique(found.positions))
        if is_linear and is_whole:
            assert inner is not None
            joined = inner.taken(found.positions).scaled(found.weights).shifted(found.bias)
            changed[number] = replace(changed[number], arguments=(joined,))
            dropped.add(source)
    return [number for number in needed if number not in dropped], changed


def _fused(atoms: Sequence[Atom], needed: Sequence[int], result: Value) -> dict[int, int]:
    """Return the atoms whose only use is an activation function: number -> number of that."""
    uses = _uses(atoms, needed, result)
    fused = {}
    for number in needed:
        argument = atoms[number].argument
        if argument is None or len(argument.terms) != 1 or np.any(argument.bias):
            continue
        ((source, matrix),) = argument.terms.items()
        is_free = source != 0 and atoms[source].activation == "linear" and uses[source] == 1
        if is_free and _is_identity(matrix, atoms[source].size):
            fused[source] = number
    return fused


def _buffer_of(result: Value, atoms: Sequence[Atom], places: Mapping[int, str]) -> str | None:
    """Return the buffer that is the result as it stands; None if there is none."""
    if len(result.terms) != 1 or np.any(result.bias):
        return None
    ((number, matrix),) = result.terms.items()
    if number == 0 or not _is_identity(matrix, atoms[number].size):
        return None
    return places[number]
