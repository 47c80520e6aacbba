"""The search space: candidates as points of a unit cube and as parameters.

A coordinate has one meaning for all candidates (depth, width of the second layer, ...), so that
low-discrepancy sequences and density estimates make sense. Coordinates of layers that a candidate
does not have are drawn but not used.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emufort.config import SpaceConfig
from emufort.network.architecture import Architecture, Family

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """One point of the search space."""

    hidden: tuple[int, ...]
    activation: str | tuple[str, ...]
    learning_rate: float
    batch_size: int
    weight_decay: float = 0.0
    target: str = ""
    family: Family = "mlp"

    def architecture(self, n_inputs: int, n_outputs: int) -> Architecture:
        """Return the network between the contract's inputs and outputs."""
        return Architecture(n_inputs, self.hidden, n_outputs, self.activation, self.family)


@dataclass(frozen=True)
class Dimension:
    """A coordinate: its choices, ordered unless `nominal`; without choices it is the rate."""

    name: str
    choices: tuple[Any, ...] = ()
    nominal: bool = False

    def value(self, u: float, bounds: tuple[float, float]) -> Any:
        """Return the value that the coordinate `u` in [0, 1] represents.

        Parameters
        ----------
        u
            A coordinate of the unit cube.
        bounds
            Lowest and highest learning rate, for the coordinate without choices.
        """
        if self.choices:
            return self.choices[min(int(u * len(self.choices)), len(self.choices) - 1)]
        low, high = map(math.log, bounds)
        return min(max(math.exp(low + u * (high - low)), bounds[0]), bounds[1])

    def coordinate(self, value: Any, bounds: tuple[float, float]) -> float:
        """Invert `value`: return the middle of the interval of a choice.

        Parameters
        ----------
        value
            A choice or a learning rate.
        bounds
            Lowest and highest learning rate, for the coordinate without choices.
        """
        if self.choices:
            return (self.choices.index(value) + 0.5) / len(self.choices)
        low, high = map(math.log, bounds)
        u = (math.log(value) - low) / (high - low) if high > low else 0.5
        return min(max(u, 0.0), 1.0)


@functools.lru_cache(maxsize=4)
def dimensions(space: SpaceConfig) -> tuple[Dimension, ...]:
    """Return the coordinates of `space`; trailing coordinates with a single choice are omitted."""
    widths = tuple(sorted(space.width))
    found = [Dimension("depth", tuple(range(space.depth[0], space.depth[1] + 1)))]
    if space.family == "layers":
        found += [Dimension(width_name(i), widths) for i in range(space.depth[1])]
    elif space.family == "residual":
        found.append(Dimension("width", widths))
    else:
        found += [Dimension("width", widths), Dimension("taper", tuple(sorted(space.taper)))]
    found += [
        Dimension("learning_rate"),
        Dimension("activation", tuple(space.activation), nominal=True),
        Dimension("batch_size", tuple(sorted(space.batch_size))),
    ]
    if len(space.weight_decay) > 1:
        found.append(Dimension("weight_decay", tuple(sorted(space.weight_decay))))
    if len(space.target) > 1:
        found.append(Dimension("target", tuple(space.target), nominal=True))
    return tuple(found)


def n_dimensions(space: SpaceConfig) -> int:
    """Return the number of coordinates that `at_point` needs."""
    return len(dimensions(space))


def at_point(space: SpaceConfig, point: Sequence[float]) -> Candidate:
    """Return the candidate at a point of the unit cube (n_dimensions,)."""
    bounds = space.learning_rate
    return candidate_from(
        space,
        {d.name: d.value(u, bounds) for d, u in zip(dimensions(space), point, strict=True)},
    )


def contains(space: SpaceConfig, candidate: Candidate) -> bool:
    """Return whether `candidate` lies in the space; a sampler cannot represent others."""
    low, high = space.learning_rate
    try:
        values = parameters_of(space, candidate)
    except StopIteration:  # no ratio gives these widths
        return False
    return (
        all(
            values[d.name] in d.choices for d in dimensions(space) if d.choices and d.name in values
        )
        and low <= candidate.learning_rate <= high
        and candidate_from(space, values) == candidate
    )


def to_point(space: SpaceConfig, candidate: Candidate) -> np.ndarray:
    """Return the coordinates of a candidate (n_dimensions,); NaN for those that it does not use."""
    values = parameters_of(space, candidate)
    return np.array(
        [
            d.coordinate(values[d.name], space.learning_rate) if d.name in values else math.nan
            for d in dimensions(space)
        ]
    )


def candidate_from(space: SpaceConfig, parameters: Parameters) -> Candidate:
    """Turn parameters into a candidate; widths of layers that it lacks are ignored."""
    depth = int(parameters["depth"])
    if space.family == "layers":
        hidden = tuple(int(parameters[width_name(i)]) for i in range(depth))
    elif space.family == "residual":
        hidden = (int(parameters["width"]),) * depth
    else:
        hidden = tapered(int(parameters["width"]), float(parameters["taper"]), depth)
    return Candidate(
        hidden,
        parameters["activation"],
        float(parameters["learning_rate"]),
        int(parameters["batch_size"]),
        float(parameters.get("weight_decay", space.weight_decay[0])),
        str(parameters.get("target", space.target[0] if space.target else "")),
        # A network with one hidden layer has no residual connection.
        "residual_mlp" if space.family == "residual" and depth > 1 else "mlp",
    )


def parameters_of(space: SpaceConfig, candidate: Candidate) -> dict[str, Any]:
    """Invert `candidate_from`."""
    depth = len(candidate.hidden)
    shape: dict[str, Any]
    if space.family == "layers":
        shape = {width_name(i): w for i, w in enumerate(candidate.hidden)}
    elif space.family == "residual":
        shape = {"width": candidate.hidden[0]}
    else:
        first = candidate.hidden[0]
        # Several ratios may give the same widths; the largest represents them.
        shape = {
            "width": first,
            "taper": next(
                ratio
                for ratio in sorted(space.taper, reverse=True)
                if tapered(first, ratio, depth) == candidate.hidden
            ),
        }
    found = {
        "depth": depth,
        **shape,
        "activation": candidate.activation,
        "learning_rate": candidate.learning_rate,
        "batch_size": candidate.batch_size,
    }
    if len(space.weight_decay) > 1:
        found["weight_decay"] = candidate.weight_decay
    if len(space.target) > 1:
        found["target"] = candidate.target
    return found


def tapered(first: int, ratio: float, depth: int) -> tuple[int, ...]:
    """Return widths that shrink by `ratio` from layer to layer, as multiples of 4 if possible.

    Parameters
    ----------
    first
        Width of the first hidden layer.
    ratio
        Width of a layer relative to the layer before, at most 1.
    depth
        Number of hidden layers.
    """
    widths = [first]
    for layer in range(1, depth):
        width = first * ratio**layer
        rounded = 4 * round(width / 4) if width >= 6 else round(width)
        widths.append(max(1, min(rounded, widths[-1])))
    return tuple(widths)


def width_name(layer: int) -> str:
    """Return the name of the parameter for the width of a hidden layer (0, 1, ...)."""
    return f"width_{layer + 1}"
