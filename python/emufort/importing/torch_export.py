"""Convert a module of torch to ONNX, as torch itself does."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import ArrayLike

from emufort.importing.refusal import ImportRefusedError
from emufort.messages import one_line


def onnx_of_torch(model: Any, example: ArrayLike | None) -> onnx.ModelProto:
    """Return the ONNX model of a module or of an exported program.

    Parameters
    ----------
    model
        A ``torch.nn.Module`` with one input, or a ``torch.export.ExportedProgram``.
    example
        Inputs (n, ...) of a module.

    Raises
    ------
    ImportRefusedError
        The object is neither, a module comes without example, or torch cannot export it.
    """
    if isinstance(model, torch.export.ExportedProgram):
        arguments: tuple[Any, ...] = ()
        options: dict[str, Any] = {}
    elif isinstance(model, torch.nn.Module):
        if example is None:
            raise ImportRefusedError(
                "a module of torch needs an example of its inputs: import_network(module, "
                "example=array), with the columns in the first dimension"
            )
        kind = next((p.dtype for p in model.parameters()), torch.float32)
        # Two columns, because torch takes a dimension of 1 as fixed.
        rows = np.resize(np.asarray(example, dtype=np.float64), (2, *np.shape(example)[1:]))
        arguments = (torch.from_numpy(rows).to(kind),)
        columns = torch.export.Dim("ncol", min=1)
        options = {"dynamic_shapes": ({0: columns},)}
        model = model.eval()
    else:
        raise ImportRefusedError(
            f"a {type(model).__name__} cannot be imported; pass the path of an ONNX file, an ONNX "
            "model, a module of torch or an exported program"
        )
    try:
        program = torch.onnx.export(model, arguments, dynamo=True, verbose=False, **options)
    except Exception as error:
        # torch wraps whatever happens while it follows the module
        raise ImportRefusedError(f"torch cannot export the module: {one_line(error)}") from error
    assert program is not None
    return program.model_proto
