"""Read an ONNX file with its external data."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
from onnx import external_data_helper

from emufort.importing.refusal import ImportRefusedError
from emufort.messages import one_line

#: Most bytes of external data that are read.
MOST_BYTES = 2**31


def read_model(path: Path) -> onnx.ModelProto:
    """Read a file with its external data, which must be in the folder of the file or below it.

    Raises
    ------
    ImportRefusedError
        The file cannot be read, is not an ONNX model, or its external data are elsewhere or not as
        large as the weights need.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ImportRefusedError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:
        # protobuf raises errors of several kinds
        raise ImportRefusedError(f"{path} is not an ONNX model: {one_line(error)}") from error
    folder = path.resolve().parent
    stored = [t for t in _tensors(model.graph) if external_data_helper.uses_external_data(t)]
    total = sum(_checked_size(tensor, folder, path) for tensor in stored)
    if total > MOST_BYTES:
        raise ImportRefusedError(
            f"{path} has {total} bytes of external data; the largest number is {MOST_BYTES}"
        )
    for tensor in stored:
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except Exception as error:
            # the checks of onnx raise errors of several kinds
            raise ImportRefusedError(
                f"cannot read the external data of {path}: {one_line(error)}"
            ) from error
        # From here on the weights are part of the model.
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    return model


def _tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """Return all constants of a graph; graphs within nodes are refused later."""
    found = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            found += [attribute.t] if attribute.HasField("t") else []
            found += attribute.tensors
    return found


def _checked_size(tensor: onnx.TensorProto, folder: Path, path: Path) -> int:
    """Return the number of bytes of external data that a tensor needs, if the file has them."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    place = entries.get("location", "")
    file = Path(os.path.realpath(folder / place))
    what = f"the weights '{tensor.name}' of {path}"
    if not place or not file.is_relative_to(folder) or not file.is_file():
        raise ImportRefusedError(
            f"{what} are in the file '{place}', which is not a file in the folder of the model or "
            "below it; put it there"
        )
    try:
        size = int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
        offset, length = int(entries.get("offset", 0)), entries.get("length")
    except (KeyError, ValueError, TypeError) as error:
        raise ImportRefusedError(f"{what} are not valid: {one_line(error)}") from error
    for dimension in tensor.dims:
        size *= dimension
    if min([offset, *tensor.dims], default=0) < 0 or offset + size > file.stat().st_size:
        raise ImportRefusedError(
            f"{what} need {size} bytes of '{place}' from byte {offset}, which is beyond its end"
        )
    if length is not None and length != str(size):
        raise ImportRefusedError(f"{what} have {length} bytes in '{place}' and need {size}")
    return size
