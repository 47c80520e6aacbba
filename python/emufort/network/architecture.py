"""Families of architectures, which a search samples, and the plans that they build.

To add a family, write the function that builds its plan, list it in `FAMILIES`, and let
``emufort.search.space`` sample it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self, get_args

from emufort.errors import EmufortError
from emufort.network.activations import parse, text_of
from emufort.network.operation import Operation
from emufort.network.operations.dense import MOST_NEURONS
from emufort.network.plan import Plan

#: Most dense layers of an architecture, including the last; the runtime takes 256 operations.
MOST_LAYERS = 64

#: ``mlp``: a chain of dense layers. ``residual_mlp``: hidden layers of one width, each of which
#: except the first adds its input to its output, h + f(W h + b).
Family = Literal["mlp", "residual_mlp"]


@dataclass(frozen=True)
class Architecture:
    """Shape of a network of hidden layers and a linear last layer.

    Attributes
    ----------
    n_inputs
        Number of features that the network sees.
    hidden
        Width of each hidden layer.
    n_outputs
        Number of scalar outputs.
    activation
        Activation function of all hidden layers, such as ``"relu"`` or ``"leaky_relu:0.2"`` (see
        `emufort.network.activations.parse`), or one for each hidden layer; equal ones are merged
        into one.
    family
        How the layers are connected; see `Family`.
    """

    n_inputs: int
    hidden: tuple[int, ...]
    n_outputs: int
    activation: str | tuple[str, ...] = "relu"
    family: Family = "mlp"

    def __post_init__(self) -> None:
        if min(self.sizes) < 1:
            raise EmufortError(f"the network {self.sizes} has a layer without neurons")
        if max(self.sizes) > MOST_NEURONS or len(self.hidden) >= MOST_LAYERS:
            raise EmufortError(
                f"a network of {len(self.hidden) + 1} layers with up to {max(self.sizes)} neurons "
                f"is too large: the Fortran runtime takes {MOST_LAYERS} layers of "
                f"{MOST_NEURONS} neurons"
            )
        if not isinstance(self.activation, str):
            names = tuple(self.activation)
            if len(names) != len(self.hidden):
                raise EmufortError(
                    f"the network has {len(self.hidden)} hidden layers and {len(names)} activation "
                    "functions: give one, or one for each hidden layer"
                )
        else:
            names = (self.activation,)
        names = tuple(text_of(row.name, parameter) for row, parameter in map(parse, names))
        one = names[0] if len(set(names)) == 1 else "relu"
        object.__setattr__(self, "activation", names if len(set(names)) > 1 else one)
        if self.family not in FAMILIES:
            raise EmufortError(
                f"there is no family of networks '{self.family}'; there are {', '.join(FAMILIES)}"
            )
        if self.family == "residual_mlp" and (len(self.hidden) < 2 or len(set(self.hidden)) > 1):
            raise EmufortError(
                f"a residual network needs two or more hidden layers of one width, not "
                f"{self.hidden}"
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Width of every layer, from inputs to outputs."""
        return (self.n_inputs, *self.hidden, self.n_outputs)

    @property
    def activations(self) -> tuple[str, ...]:
        """Activation function of each hidden layer."""
        if isinstance(self.activation, str):
            return (self.activation,) * len(self.hidden)
        return self.activation

    @property
    def activation_label(self) -> str:
        """The activation functions as one word: one name, or all names separated by commas."""
        return self.activation if isinstance(self.activation, str) else ",".join(self.activation)

    @cached_property
    def plan(self) -> Plan:
        """Operations of the network."""
        return FAMILIES[self.family](self)

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return self.plan.n_parameters

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one sample."""
        return self.plan.multiply_adds

    @property
    def relative_cost(self) -> float:
        """Rough cost of one sample in multiply-adds, the activation functions included."""
        return self.plan.relative_cost

    @property
    def label(self) -> str:
        """Short name for tables, such as ``15-64-64-1 relu``, with the family unless ``mlp``."""
        words = ["-".join(map(str, self.sizes)), self.activation_label]
        return " ".join(words if self.family == "mlp" else [*words, self.family])

    @classmethod
    def from_label(cls, label: str) -> Self:
        """Inverse of `label`; further words are ignored.

        Raises
        ------
        ValueError
            The text is not a label.
        """
        shape, activation, *rest = label.split()
        first, *hidden, last = map(int, shape.split("-"))
        names = tuple(activation.split(","))
        family: Family = "residual_mlp" if rest[:1] == ["residual_mlp"] else "mlp"
        return cls(first, tuple(hidden), last, names[0] if len(names) == 1 else names, family)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, with the family unless it is ``mlp``."""
        found: dict[str, Any] = {
            "n_inputs": self.n_inputs,
            "hidden": list(self.hidden),
            "n_outputs": self.n_outputs,
            "activation": self.activation
            if isinstance(self.activation, str)
            else list(self.activation),
        }
        return found if self.family == "mlp" else {**found, "family": self.family}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        activation = content["activation"]
        return cls(
            int(content["n_inputs"]),
            tuple(int(w) for w in content["hidden"]),
            int(content["n_outputs"]),
            activation if isinstance(activation, str) else tuple(map(str, activation)),
            content.get("family", "mlp"),
        )

    @classmethod
    def of_plan(cls, plan: Plan) -> Self:
        """Return the architecture that builds `plan`; names of buffers do not matter.

        Raises
        ------
        ValueError
            No family builds the plan.
        """
        dense = [operation for operation in plan.operations if operation.kind == "dense"]
        hidden = tuple(plan.sizes[operation.output] for operation in dense[:-1])
        activations = tuple(text_of(o.activation, o.slope) for o in dense[:-1])
        wanted = plan.renamed()
        for family in get_args(Family):
            with suppress(EmufortError):
                ends = plan.sizes[plan.features], plan.sizes[plan.result]
                found = cls(ends[0], hidden, ends[1], activations, family)
                if found.plan.renamed() == wanted:
                    return found
        raise ValueError("no family of networks builds its operations")


def _dense(number: int, x: str, y: str, activation: str = "linear") -> Operation:
    """Return a dense layer with the activation function that the text `activation` names."""
    row, slope = parse(activation)
    names = f"layers.{number}.weight", f"layers.{number}.bias"
    return Operation("dense", (x,), y, names, row.name, slope)


def _mlp(architecture: Architecture) -> Plan:
    names = [f"h{i}" for i in range(len(architecture.sizes))]
    activations = (*architecture.activations, "linear")
    operations = tuple(
        _dense(number, x, y, activations[number])
        for number, (x, y) in enumerate(itertools.pairwise(names))
    )
    buffers = tuple(zip(names, architecture.sizes, strict=True))
    return Plan(buffers, operations, names[0], names[-1])


def _residual_mlp(architecture: Architecture) -> Plan:
    buffers = [("h0", architecture.n_inputs)]
    operations: list[Operation] = []
    for number, (width, activation) in enumerate(
        zip(architecture.hidden, architecture.activations, strict=True)
    ):
        x, y = f"h{number}", f"h{number + 1}"
        if number == 0:
            operations.append(_dense(number, x, y, activation))
        else:
            step = f"f{number}"
            operations += [
                _dense(number, x, step, activation),
                Operation("add", (step, x), y),
            ]
            buffers.append((step, width))
        buffers.append((y, width))
    depth = len(architecture.hidden)
    operations.append(_dense(depth, f"h{depth}", "y"))
    buffers.append(("y", architecture.n_outputs))
    return Plan(tuple(buffers), tuple(operations), "h0", "y")


#: Name -> function that builds the plan.
FAMILIES: Mapping[str, Callable[[Architecture], Plan]] = {
    "mlp": _mlp,
    "residual_mlp": _residual_mlp,
}
