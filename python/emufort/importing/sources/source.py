"""What every way in gives: an ONNX model, and the network that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from numpy.typing import ArrayLike, NDArray

#: Inputs of a network: one array (n, ...), or one for each input, in order or by name.
Example = ArrayLike | tuple[ArrayLike, ...] | Mapping[str, ArrayLike]


@dataclass(frozen=True)
class Source:
    """A network as ONNX.

    Attributes
    ----------
    model
        The network.
    name
        Name of the file, or of the class of the object.
    evaluate
        Computes the outputs of the original, one array (n, ...) each, for one array (n, ...) of
        each input; n is 1 where the model takes single columns. None: the model is the original, or
        the original cannot be computed without the tool that trained it.
    """

    model: onnx.ModelProto
    name: str
    evaluate: Callable[[Sequence[NDArray[Any]]], Sequence[NDArray[Any]]] | None = None
