"""One operation of a plan: what it reads and writes, and the function that follows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from emufort.network.operations import OPERATIONS
from emufort.network.operations.kind import OperationKind
from emufort.network.table import Table


@dataclass(frozen=True)
class Operation:
    """One operation: output = activation(kind(inputs, parameters)).

    Attributes
    ----------
    kind
        Name of a row of `OPERATIONS`.
    inputs, output
        Names of buffers.
    parameters
        Names of the parameters, in the order of the row.
    activation, slope
        Name of a row of `ACTIVATION_FUNCTIONS`, and its parameter (0 for a function without one).
    starts
        First feature of each input that the operation reads; empty if all are 0.
    extent
        Sizes of the operation where those of its buffers do not say them. Of ``dense``: (count,
        stride, n_in), see `emufort.network.operations.dense.Repetitions`. Of ``matmul``: (B, M, K,
        N), the output (B, M, N) is the product of (B, M, K) and (B, K, N). Of ``depthwise``:
        (count, stride, n_taps, step), see `emufort.network.operations.depthwise.Taps`. Of
        ``normalise``: (count, repetitions, groups, channels of a group). Of ``softmax``: (rows,
        features of a row).
    table
        Features that the operation reads, for the operations with any number of inputs.
    """

    kind: str
    inputs: tuple[str, ...]
    output: str
    parameters: tuple[str, ...] = ()
    activation: str = "linear"
    slope: float = 0.0
    starts: tuple[int, ...] = ()
    extent: tuple[int, ...] = ()
    table: Table | None = None

    def __post_init__(self) -> None:
        if not any(self.starts):
            object.__setattr__(self, "starts", ())

    @property
    def row(self) -> OperationKind:
        """Row of the table of operations."""
        return OPERATIONS[self.kind]

    @property
    def overwritable(self) -> frozenset[str]:
        """Inputs whose place the output may take."""
        if not self.row.in_place:
            return frozenset()
        starts = self.starts or (0,) * len(self.inputs)
        shifted = {x for x, start in zip(self.inputs, starts, strict=True) if start}
        return frozenset(self.inputs) - shifted

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, without what has its default."""
        found: dict[str, Any] = {"kind": self.kind, "inputs": list(self.inputs)}
        found["output"] = self.output
        if self.parameters:
            found["parameters"] = list(self.parameters)
        if self.activation != "linear":
            found["activation"] = self.activation
        if self.slope:
            found["slope"] = self.slope
        if self.starts:
            found["starts"] = list(self.starts)
        if self.extent:
            found["extent"] = list(self.extent)
        if self.table is not None:
            found["table"] = self.table.to_dict()
        return found

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        return cls(
            str(content["kind"]),
            tuple(map(str, content["inputs"])),
            str(content["output"]),
            tuple(map(str, content.get("parameters", ()))),
            str(content.get("activation", "linear")),
            float(content.get("slope", 0.0)),
            tuple(map(int, content.get("starts", ()))),
            tuple(map(int, content.get("extent", ()))),
            Table.from_dict(content["table"]) if "table" in content else None,
        )
