"""The positions of a network's weights in one flat buffer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emufort.network.activations import ACTIVATION_FUNCTIONS, parse
from emufort.network.architecture import Architecture
from emufort.network.emulator import dense_parameters

Float32 = NDArray[np.float32]

#: Every layer starts at a multiple of 16 floats (64 bytes: a cache line or an AVX-512 register).
ALIGNMENT = 16


@dataclass(frozen=True)
class Layout:
    """Dense layer l is a matrix (n_out, n_in + 1), row-major, whose last column is the bias.

    With one buffer, an optimiser step is one call at any depth. With the bias as a column, the
    matrix products include it. Gaps between layers are zero and stay zero.
    """

    architecture: Architecture

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Shape (n_out, n_in + 1) of each layer's matrix."""
        shapes = self.architecture.plan.parameter_shapes.items()
        return tuple((s[0], s[1] + 1) for name, s in shapes if name.endswith(".weight"))

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each layer's weights in the plan."""
        return tuple(
            name for name in self.architecture.plan.parameter_shapes if name.endswith(".weight")
        )

    @property
    def variances(self) -> tuple[float, ...]:
        """Variance of each layer's initial weights times the number of inputs.

        The activation function of the layer determines it; a linear layer takes the variance of the
        layer before it.
        """
        plan = self.architecture.plan
        found: dict[str, float] = {}
        variance = parse(self.architecture.activation_label.split(",")[0])[0].initial_variance
        for operation in plan.operations:
            if operation.kind == "dense":
                if operation.activation != "linear":
                    variance = ACTIVATION_FUNCTIONS[operation.activation].initial_variance
                found.setdefault(operation.parameters[0], variance)
        return tuple(found.values())

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Position of each layer's first element; the last entry is the length of the buffer."""
        starts = [0]
        for rows, columns in self.shapes:
            end = starts[-1] + rows * columns
            starts.append(-(-end // ALIGNMENT) * ALIGNMENT)
        return tuple(starts)

    @property
    def size(self) -> int:
        """Length of the flat buffer."""
        return self.starts[-1]

    def initial(self, seed: int) -> Float32:
        """Draw the initial weights from uniform distributions; biases are zero."""
        rng = np.random.default_rng([seed, 0])
        flat = np.zeros(self.size, dtype=np.float32)
        for (rows, columns), start, variance in zip(
            self.shapes, self.starts, self.variances, strict=False
        ):
            bound = np.sqrt(3.0 * variance / (columns - 1))
            matrix = np.zeros((rows, columns))
            matrix[:, :-1] = rng.uniform(-bound, bound, (rows, columns - 1))
            flat[start : start + rows * columns] = matrix.ravel()
        return flat

    def parameters(self, flat: Float32) -> dict[str, Float32]:
        """Return copies of all weights and biases under the names that the plan gives them."""
        return dense_parameters(*self.split(flat))

    def split(self, flat: Float32) -> tuple[tuple[Float32, ...], tuple[Float32, ...]]:
        """Return weights (n_out, n_in) and biases (n_out,) of each layer as copies."""
        weights, biases = [], []
        for (rows, columns), start in zip(self.shapes, self.starts, strict=False):
            matrix = flat[start : start + rows * columns].reshape(rows, columns)
            weights.append(matrix[:, :-1].copy())
            biases.append(matrix[:, -1].copy())
        return tuple(weights), tuple(biases)

    def join(self, weights: Sequence[Float32], biases: Sequence[Float32]) -> Float32:
        """Return the flat buffer of the given weights and biases; inverse of `split`."""
        flat = np.zeros(self.size, dtype=np.float32)
        for (rows, columns), start, w, b in zip(
            self.shapes, self.starts[:-1], weights, biases, strict=True
        ):
            matrix = flat[start : start + rows * columns].reshape(rows, columns)
            matrix[:, :-1] = w
            matrix[:, -1] = b
        return flat
