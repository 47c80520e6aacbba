"""Turn affine maps and activation functions into the plan of a network and its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from emufort.importing.lowering import Atom
from emufort.importing.refusal import ImportRefusedError, refuse
from emufort.importing.values import Array, Matrix, Value
from emufort.network.activations import ACTIVATION_FUNCTIONS
from emufort.network.operations.dense import MOST_NEURONS
from emufort.network.plan import Operation, Plan

#: Name of the buffer with the features.
_FEATURES = "b0"


@dataclass
class _Planner:
    """Operations and weights of a plan under construction."""

    buffers: list[tuple[str, int]]
    operations: list[Operation] = field(default_factory=list)
    parameters: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def buffer(self, size: int) -> str:
        if size > MOST_NEURONS:
            raise ImportRefusedError(
                f"the network needs a layer of {size} neurons; the Fortran runtime takes up to "
                f"{MOST_NEURONS}: use fewer features, channels or levels"
            )
        name = f"b{len(self.buffers)}"
        self.buffers.append((name, size))
        return name

    def dense(self, source: str, matrix: Matrix, bias: Array, function: tuple[str, float]) -> str:
        layer = len(self.parameters) // 2
        names = f"layers.{layer}.weight", f"layers.{layer}.bias"
        self.parameters[names[0]] = np.ascontiguousarray(matrix.toarray(), dtype=np.float64)
        self.parameters[names[1]] = bias.astype(np.float64)
        output = self.buffer(len(bias))
        self.operations.append(Operation("dense", (source,), output, names, *function))
        return output

    def add(self, one: str, other: str, size: int, function: tuple[str, float]) -> str:
        output = self.buffer(size)
        self.operations.append(Operation("add", (one, other), output, (), *function))
        return output

    def affine(self, value: Value, places: Mapping[int, str], function: tuple[str, float]) -> str:
        """Plan an affine map of buffers and an activation function; return the buffer."""
        plain = "linear", 0.0
        terms = {places[k]: m for k, m in value.terms.items()} or {
            _FEATURES: sparse.csr_array((value.size, dict(self.buffers)[_FEATURES]))
        }
        sizes = dict(self.buffers)
        same = [name for name, m in terms.items() if _is_identity(m, sizes[name])]
        weighted = {name: m for name, m in terms.items() if name not in same}
        if not weighted and (len(same) == 1 or np.any(value.bias)):
            weighted = {same[-1]: terms[same.pop()]}
        sources = list(same)
        bias = value.bias
        for number, (name, matrix) in enumerate(weighted.items()):
            is_whole = len(weighted) + len(same) == 1
            if number:
                bias = np.zeros(value.size)
            sources.append(self.dense(name, matrix, bias, function if is_whole else plain))
        found = sources[0]
        for number, other in enumerate(sources[1:], start=2):
            last = number == len(sources)
            found = self.add(found, other, value.size, function if last else plain)
        return found


def _is_identity(matrix: Matrix, size: int) -> bool:
    if matrix.shape != (size, size) or matrix.nnz != size:
        return False
    return bool(np.all(matrix.diagonal() == 1.0))


def plan_of(atoms: Sequence[Atom], result: Value) -> tuple[Plan, dict[str, NDArray[np.float64]]]:
    """Return the plan and the weights of a network.

    Parameters
    ----------
    atoms
        Features and results of activation functions, see `emufort.importing.lowering`.
    result
        Outputs of the network.

    Raises
    ------
    ImportRefusedError
        The network is too large, or has a function that the runtime lacks.
    """
    needed = _needed(atoms, result)
    planner = _Planner([(_FEATURES, atoms[0].size)])
    places = {0: _FEATURES}
    for number in needed:
        atom = atoms[number]
        assert atom.argument is not None
        if atom.activation not in ACTIVATION_FUNCTIONS:
            raise refuse(
                "Erf", atom.node, "it is not a part of the exact gelu", "use another function"
            )
        function = atom.activation, atom.slope
        places[number] = planner.affine(atom.argument, places, function)
    final = _buffer_of(result, atoms, places)
    if final is None:
        final = planner.affine(result, places, ("linear", 0.0))
    plan = Plan(tuple(planner.buffers), tuple(planner.operations), _FEATURES, final)
    return plan, planner.parameters


def _needed(atoms: Sequence[Atom], result: Value) -> list[int]:
    """Return the atoms on which the result depends, in their order, without the features."""
    needed = set(result.terms)
    for number in range(len(atoms) - 1, 0, -1):
        argument = atoms[number].argument
        if number in needed and argument is not None:
            needed |= set(argument.terms)
    return sorted(needed - {0})


def _buffer_of(result: Value, atoms: Sequence[Atom], places: Mapping[int, str]) -> str | None:
    """Return the buffer that is the result as it stands; None if there is none."""
    if len(result.terms) != 1 or np.any(result.bias):
        return None
    ((number, matrix),) = result.terms.items()
    if number == 0 or not _is_identity(matrix, atoms[number].size):
        return None
    return places[number]
