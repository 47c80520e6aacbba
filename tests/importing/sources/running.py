"""Run an ONNX model on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray


def outputs_of(model: onnx.ModelProto, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Outputs of ONNX Runtime, for inputs in the order of the model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64}
    given = {
        port.name: np.asarray(x, dtype=kinds[port.type])
        for port, x in zip(session.get_inputs(), inputs, strict=True)
    }
    return [np.asarray(y) for y in session.run(None, given)]
