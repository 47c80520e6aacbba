"""One call of a Keras layer, and how it is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.importing.refusal import ImportRefusedError
from emufort.importing.sources.builder import Builder
from emufort.importing.sources.keras.weights import Weights


@dataclass(frozen=True)
class Tensor:
    """A value of the graph.

    Attributes
    ----------
    name
        Name of the ONNX value.
    """

    name: str


@dataclass(frozen=True)
class Call:
    """A call of a layer or of an operation of ``keras.ops``.

    Attributes
    ----------
    builder
        The ONNX model.
    kind, name
        Class and name of the layer.
    config
        Configuration of the layer.
    weights
        Weights of the layer.
    args, kwargs
        Arguments of the call: `Tensor`, plain data, and lists of them.
    """

    builder: Builder
    kind: str
    name: str
    config: Mapping[str, Any]
    weights: Weights
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def inputs(self) -> list[str]:
        """Names of the values that the first argument is."""
        first = self.args[0] if self.args else None
        found = first if isinstance(first, list) else [first]
        names = [x.name for x in found if isinstance(x, Tensor)]
        if len(names) < len(found):
            raise self.refusal("its argument is not a value of the model")
        return names

    @property
    def x(self) -> str:
        """Name of the first argument."""
        return self.inputs[0]

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """All weights of the layer, in double precision."""
        return [np.asarray(values, dtype=np.float64) for values in self.weights.arrays]

    def options(self, *names: str) -> list[Any]:
        """Return options of the configuration.

        Raises
        ------
        ImportRefusedError
            The configuration lacks one.
        """
        missing = [name for name in names if name not in self.config]
        if missing:
            raise self.refusal(f"its configuration has no '{missing[0]}'")
        return [self.config[name] for name in names]

    def of_layer(self, layer: Mapping[str, Any], part: str, *args: Any) -> Call:
        """Return the call of a layer within this one, whose weights are those of `part`."""
        return replace(
            self,
            kind=str(layer["class_name"]),
            config=layer["config"],
            weights=self.weights.part(part),
            args=args,
            kwargs={},
        )

    def refusal(self, reason: str, remedy: str = "") -> ImportRefusedError:
        """Return the error for a layer that cannot be converted."""
        found = remedy or "export the model to ONNX with model.export(path, format='onnx')"
        return ImportRefusedError(
            f"the Keras layer {self.kind} '{self.name}' cannot be imported: {reason}; {found}"
        )


def size_of(value: Any, rank: int = 1) -> list[int]:
    """Return an option that is a number or a list of numbers, such as strides, as a list."""
    found = [int(v) for v in value] if isinstance(value, Sequence) else [int(value)] * rank
    return found
