"""Descriptions of outputs that are constant in training; they are emitted and never learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emufort.contract import Contract


@dataclass(frozen=True)
class ConstantOutput:
    """An output column that is constant in training.

    Attributes
    ----------
    name
        Name of the column, such as ``heating_rate[level_1]``.
    value
        Emitted value, within the output's bounds. For an output relative to an input it is the
        factor by which the input is multiplied.
    units
        Units of the value.
    relative_to
        Column of the input to which the output is relative, or None.
    """

    name: str
    value: float
    units: str
    relative_to: str | None

    def __str__(self) -> str:
        if self.relative_to is not None:
            return f"{self.name} = {self.value:.6g} times {self.relative_to}"
        units = "" if self.units == "1" else f" {self.units}"
        return f"{self.name} = {self.value:.6g}{units}"


def constant_outputs(contract: Contract, values: Mapping[int, float]) -> list[ConstantOutput]:
    """Describe constant outputs: position of the column -> value on the network's side."""
    found = []
    for j, value in sorted(values.items()):
        column, reference = contract.output_columns[j], contract.reference_indices[j]
        if reference is not None:
            name = contract.input_columns[reference].name
            found.append(ConstantOutput(column.name, value, "1", name))
            continue
        lower, upper = contract.output_bounds[j]
        emitted = min(max(value, lower), upper)
        found.append(ConstantOutput(column.name, emitted, column.units, None))
    return found
