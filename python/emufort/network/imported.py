"""The architecture of a network that no family describes: its plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from emufort.network.activations import text_of
from emufort.network.architecture import Architecture
from emufort.network.plan import Plan

_FAMILY = "imported"


@dataclass(frozen=True)
class ImportedArchitecture:
    """A plan with the properties of an `Architecture`.

    Attributes
    ----------
    plan
        Operations of the network, with the names that `of_plan` gives.
    """

    plan: Plan

    family: ClassVar[str] = _FAMILY

    @classmethod
    def of_plan(cls, plan: Plan) -> Self:
        """Return the architecture of a plan; names of buffers and parameters do not matter."""
        plan = plan.renamed()
        names: dict[str, str] = {}
        # A plan shares the weight and the bias of an operation or neither.
        for number, name in enumerate(plan.parameter_shapes):
            layer, is_bias = divmod(number, 2)
            names[name] = f"layers.{layer}.{'bias' if is_bias else 'weight'}"
        operations = tuple(
            replace(o, parameters=tuple(names[name] for name in o.parameters))
            for o in plan.operations
        )
        return cls(replace(plan, operations=operations))

    @property
    def activations(self) -> tuple[str, ...]:
        """Activation function of each operation except the last."""
        return tuple(text_of(o.activation, o.slope) for o in self.plan.operations[:-1])

    @property
    def activation_label(self) -> str:
        """The activation functions as one word, in the order of first use."""
        used = dict.fromkeys(name for name in self.activations if name != "linear")
        return ",".join(used) or "linear"

    @property
    def n_inputs(self) -> int:
        """Number of features that the network sees."""
        return self.plan.sizes[self.plan.features]

    @property
    def n_outputs(self) -> int:
        """Number of scalar outputs."""
        return self.plan.sizes[self.plan.result]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of features, and of outputs of every operation."""
        return self.n_inputs, *(self.plan.sizes[o.output] for o in self.plan.operations)

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
        """Short name for tables."""
        number = len(self.plan.operations)
        ends = f"{self.n_inputs}-{self.n_outputs} {self.activation_label}"
        return f"{ends} {_FAMILY}, {number} operation{'s' if number > 1 else ''}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"family": _FAMILY, "plan": self.plan.to_dict()}


#: Architecture of any network.
AnyArchitecture = Architecture | ImportedArchitecture


def architecture_of_plan(plan: Plan) -> AnyArchitecture:
    """Return the architecture that builds `plan`, of a family where there is one."""
    try:
        return Architecture.of_plan(plan)
    except ValueError:
        return ImportedArchitecture.of_plan(plan)


def architecture_from_dict(content: Mapping[str, Any]) -> AnyArchitecture:
    """Return the architecture that `to_dict` of either class described.

    Raises
    ------
    EmufortError
        The content is not a valid network.
    """
    if content.get("family") == _FAMILY:
        return ImportedArchitecture.of_plan(Plan.from_dict(content["plan"]))
    return Architecture.from_dict(content)
