"""What every way in gives: an ONNX model, and the network that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray

from emufort.importing.refusal import ImportRefusedError

#: Inputs of a network: one array (n, ...), or one for each input, in order or by name.
Example = ArrayLike | tuple[ArrayLike, ...] | Mapping[str, ArrayLike]


def checked_example(example: Example) -> Example:
    """Return an example as arrays of real numbers, each with a dimension of columns.

    Raises
    ------
    ImportRefusedError
        It is something else, such as a list of arrays of different shapes.
    """
    if isinstance(example, Mapping):
        return {name: _array(values) for name, values in example.items()}
    if isinstance(example, tuple):
        return tuple(_array(values) for values in example)
    return _array(example)


def _array(values: ArrayLike) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except Exception:
        # tensors of torch that need a gradient or are on a device, lists of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "biuf" or not array.ndim:
        raise ImportRefusedError(
            "the example must be an array of real numbers, (columns, ...); for several inputs, a "
            "tuple of arrays or arrays by name"
        )
    return array


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
