"""Convert estimators of scikit-learn to ONNX, with skl2onnx."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from emufort.importing.refusal import ImportRefusedError
from emufort.importing.sources.source import Source
from emufort.messages import one_line


def source_of_estimator(estimator: Any) -> Source:
    """Return a fitted regressor, pipeline or `TransformedTargetRegressor` as ONNX.

    The model is in double precision, as the weights of scikit-learn are, where skl2onnx can write
    it so.

    Raises
    ------
    ImportRefusedError
        skl2onnx is not installed or cannot convert the estimator, or the estimator is not fitted.
    """
    if importlib.util.find_spec("skl2onnx") is None:
        raise ImportRefusedError(
            "estimators of scikit-learn need the package skl2onnx: pip install "
            "'emufort[sklearn-import]'"
        )
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    name = type(estimator).__name__
    n_inputs = getattr(estimator, "n_features_in_", None)
    if n_inputs is None or not hasattr(estimator, "predict"):
        raise ImportRefusedError(
            f"the {name} is not a fitted regressor; call fit first, and pass a pipeline that ends "
            "with a regressor"
        )
    inner, scale, offset = _target(estimator)
    model = _attempt(inner, n_inputs, DoubleTensorType)
    if isinstance(model, ImportRefusedError):
        model = _attempt(inner, n_inputs, FloatTensorType)
    if isinstance(model, ImportRefusedError):
        raise model
    try:
        # ones, because a transformer may take positive numbers only
        n_targets = np.size(estimator.predict(np.ones((1, n_inputs))))
    except Exception as error:
        # code of the steps of a pipeline
        raise ImportRefusedError(f"the {name} cannot predict ones: {one_line(error)}") from error
    if n_targets > 1 or scale is not None:
        _finish(model, n_targets, scale, offset)

    def evaluate(inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        return [np.asarray(estimator.predict(np.asarray(inputs[0], dtype=np.float64)))]

    return Source(model, name, evaluate)


def _target(estimator: Any) -> tuple[Any, NDArray[Any] | None, NDArray[Any] | None]:
    """Return the regressor, and the scale and offset of its results: y = z scale + offset."""
    if type(estimator).__name__ != "TransformedTargetRegressor":
        return estimator, None, None
    transformer = estimator.transformer_
    kind = type(transformer).__name__
    if kind == "StandardScaler":
        n = transformer.n_features_in_
        scale = transformer.scale_ if transformer.with_std else np.ones(n)
        return (
            estimator.regressor_,
            scale,
            transformer.mean_ if transformer.with_mean else 0 * scale,
        )
    if kind == "MinMaxScaler" and not transformer.clip:
        return (
            estimator.regressor_,
            1.0 / transformer.scale_,
            -transformer.min_ / transformer.scale_,
        )
    raise ImportRefusedError(
        f"the transformer {kind} of the targets cannot be imported; use StandardScaler, or "
        "MinMaxScaler without clip"
    )


def _attempt(estimator: Any, n_inputs: int, kind: type) -> onnx.ModelProto | ImportRefusedError:
    """Return the model in the precision of `kind`, or the reason why there is none."""
    from skl2onnx import convert_sklearn

    try:
        model = convert_sklearn(estimator, initial_types=[("x", kind([None, n_inputs]))])
        # Some converters mix single and double precision, which only the loader notices.
        onnxruntime.InferenceSession(
            model.SerializeToString(), _silent(), providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        # converters raise errors of many kinds
        return ImportRefusedError(
            f"skl2onnx cannot convert the {type(estimator).__name__}: {one_line(error)}"
        )
    assert isinstance(model, onnx.ModelProto)
    return model


def _silent() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return options


def _finish(
    model: onnx.ModelProto, n_targets: int, scale: NDArray[Any] | None, offset: NDArray[Any] | None
) -> None:
    """Give the only output of a model the shape (n, n_targets), and scale it: y scale + offset."""
    graph = model.graph
    (output,) = graph.output
    kind = output.type.tensor_type.elem_type
    # skl2onnx gives the results of several targets one below the other.
    steps: list[tuple[str, Any]] = [("Reshape", np.array([-1, n_targets]))]
    if scale is not None:
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        steps += [("Mul", np.asarray(scale, dtype)), ("Add", np.asarray(offset, dtype))]
    value = output.name
    for operator, operand in steps:
        graph.initializer.append(numpy_helper.from_array(operand, f"target/{operator}"))
        result = f"target/{operator}/result"
        graph.node.append(helper.make_node(operator, [value, f"target/{operator}"], [result]))
        value = result
    graph.node.append(helper.make_node("Identity", [value], ["y"]))
    output.CopyFrom(helper.make_tensor_value_info("y", kind, ["ncol", n_targets]))
