"""Export the published networks to ONNX, with samples of their inputs and correct outputs."""

from __future__ import annotations

import copy
import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.published_networks.table import PublishedNetwork, Size

if TYPE_CHECKING:
    import onnx

OPSET = 18
_SEED = 5


@dataclass(frozen=True)
class Exported:
    """A network as a model of ONNX.

    Attributes
    ----------
    module
        The module of torch.
    program
        The exported program of torch, any number of columns.
    model
        The model of ONNX, any number of columns.
    shapes
        Name of an input -> shape without the dimension of the columns.
    """

    module: torch.nn.Module
    program: torch.export.ExportedProgram
    model: onnx.ModelProto
    shapes: dict[str, tuple[int, ...]]

    @property
    def n_inputs(self) -> int:
        """Number of values of one column."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def samples(self, n: int) -> NDArray[np.float64]:
        """Return inputs (n, n_inputs), exact in single precision."""
        rng = np.random.default_rng(_SEED)
        return rng.standard_normal((n, self.n_inputs)).astype(np.float32).astype(np.float64)

    def outputs(self, x: NDArray[np.float64], kind: torch.dtype) -> NDArray[np.float64]:
        """Return the outputs of the module (n, n_outputs) in the given precision."""
        ends = np.cumsum([np.prod(shape, dtype=int) for shape in self.shapes.values()])[:-1]
        given = [
            torch.from_numpy(np.ascontiguousarray(block)).reshape(len(x), *shape).to(kind)
            for block, shape in zip(np.split(x, ends, axis=1), self.shapes.values(), strict=True)
        ]
        with torch.inference_mode():
            found = copy.deepcopy(self.module).to(kind)(*given)
        parts = found if isinstance(found, tuple) else (found,)
        return np.concatenate([p.reshape(len(x), -1).double().numpy() for p in parts], axis=1)


def exported(network: PublishedNetwork, size: Size) -> Exported:
    """Export a network with torch's exporter, with a free number of columns."""
    module = network.module(size)
    shapes = cast("dict[str, tuple[int, ...]]", module.inputs)
    # Two columns, because torch takes a dimension of 1 as fixed.
    examples = tuple(torch.zeros(2, *shape) for shape in shapes.values())
    columns = torch.export.Dim("ncol", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.export.export(
            module, examples, dynamic_shapes=tuple({0: columns} for _ in shapes)
        )
        found = torch.onnx.export(
            program, (), dynamo=True, verbose=False, opset_version=OPSET, input_names=list(shapes)
        )
    assert found is not None
    return Exported(module, program, found.model_proto, shapes)
