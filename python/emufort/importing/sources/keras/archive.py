"""Read a .keras archive: the layers as JSON, the weights from HDF5 by the netCDF library."""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.importing.refusal import ImportRefusedError
from emufort.importing.sources.keras.model import onnx_of_config
from emufort.importing.sources.keras.weights import Weights
from emufort.importing.sources.source import Example, Source
from emufort.messages import one_line

#: Most bytes of the configuration, and of the weights.
_MOST_JSON, _MOST_WEIGHTS = 2**26, 2**31


def source_of_keras_file(path: Path) -> Source:
    """Return the model of a .keras file (Keras 3) as ONNX.

    Raises
    ------
    ImportRefusedError
        The file cannot be read, or a layer cannot be converted.
    """
    import netCDF4

    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(_content(archive, "config.json", _MOST_JSON))
            weights = _content(archive, "model.weights.h5", _MOST_WEIGHTS)
        with netCDF4.Dataset("weights", memory=weights) as file:
            file.set_auto_mask(False)
            model = onnx_of_config(config, Weights(file), path.stem)
    except ImportRefusedError:
        raise
    except OSError as error:
        raise ImportRefusedError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:
        # zipfile, json, netCDF4 and the look-ups raise errors of many kinds for damaged files
        raise ImportRefusedError(
            f"{path} is not a .keras file of Keras 3: {one_line(repr(error))}"
        ) from error
    return Source(model, path.name)


def source_of_keras_model(model: Any, example: Example | None) -> Source:
    """Return a `keras.Model` of any backend as ONNX.

    Functional and sequential models are converted layer by layer. A model that is a class of its
    own is exported by torch, if torch is the backend of Keras.

    Raises
    ------
    ImportRefusedError
        A layer cannot be converted.
    """
    if type(model).__name__ not in ("Functional", "Sequential", "Model"):
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(model, torch.nn.Module):
            from emufort.importing.sources.torch_module import source_of_module

            return source_of_module(model, example, type(model).__name__)
        raise ImportRefusedError(
            f"the Keras model {type(model).__name__} is a class of its own, which has no list of "
            "layers; export it with model.export(path, format='onnx') and import that file"
        )

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{model.name}.keras"
        model.save(path)
        converted = source_of_keras_file(path).model
    tree = sys.modules["keras"].tree

    def evaluate(inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        # A model of several inputs takes them as it was made: in a list, by names, or nested.
        several = len(inputs) > 1
        given = tree.pack_sequence_as(model.input, list(inputs)) if several else inputs[0]
        return [np.asarray(y) for y in tree.flatten(model.predict_on_batch(given))]

    return Source(converted, str(model.name), evaluate)


def _content(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    size = archive.getinfo(name).file_size
    if size > most:
        raise ImportRefusedError(f"{archive.filename} has {size} bytes in {name}: too many")
    return archive.read(name)
