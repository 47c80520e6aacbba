"""The search space: which candidates there are and what the sampler calls their parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emufort.config import SpaceConfig
from emufort.network import Activation, Architecture

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """One point of the search space."""

    hidden: tuple[int, ...]
    activation: Activation
    learning_rate: float
    batch_size: int

    def architecture(self, n_inputs: int, n_outputs: int) -> Architecture:
        """Return the network between the contract's inputs and outputs."""
        return Architecture(n_inputs, self.hidden, n_outputs, self.activation)


def candidate_from(parameters: Parameters) -> Candidate:
    """Turn a sampler's parameters into a candidate."""
    return Candidate(
        tuple(int(parameters[width_name(i)]) for i in range(int(parameters["depth"]))),
        parameters["activation"],
        float(parameters["learning_rate"]),
        int(parameters["batch_size"]),
    )


def parameters_of(candidate: Candidate) -> dict[str, Any]:
    """Inverse of `candidate_from`."""
    widths = {width_name(i): w for i, w in enumerate(candidate.hidden)}
    return {
        "depth": len(candidate.hidden),
        **widths,
        "activation": candidate.activation,
        "learning_rate": candidate.learning_rate,
        "batch_size": candidate.batch_size,
    }


def width_name(layer: int) -> str:
    """Name of the parameter that holds the width of a hidden layer (0, 1, ...)."""
    return f"width_{layer + 1}"


def at_point(space: SpaceConfig, point: Sequence[float]) -> dict[str, Any]:
    """Map a point of the unit cube with `n_dimensions` coordinates to parameters.

    Used for low-discrepancy sequences: every coordinate has one meaning, widths of layers that a
    candidate does not have are drawn and not used.
    """
    coordinate = iter(float(u) for u in point)

    def choose(choices: Sequence[Any]) -> Any:
        return choices[min(int(next(coordinate) * len(choices)), len(choices) - 1)]

    depth = choose(range(space.depth[0], space.depth[1] + 1))
    widths = [choose(sorted(space.width)) for _ in range(space.depth[1])]
    low, high = map(math.log, space.learning_rate)
    learning_rate = math.exp(low + next(coordinate) * (high - low))
    return {
        "depth": depth,
        **{width_name(i): w for i, w in enumerate(widths[:depth])},
        "activation": choose(space.activation),
        "learning_rate": min(max(learning_rate, space.learning_rate[0]), space.learning_rate[1]),
        "batch_size": choose(sorted(space.batch_size)),
    }


def n_dimensions(space: SpaceConfig) -> int:
    """Return the number of coordinates that `at_point` needs."""
    return space.depth[1] + 4
