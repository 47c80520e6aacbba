"""Find the way in for a network: what kind of file or object it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from emufort.importing.refusal import ImportRefusedError
from emufort.importing.sources.keras.archive import source_of_keras_file, source_of_keras_model
from emufort.importing.sources.netcdf import onnx_of_netcdf
from emufort.importing.sources.onnx_file import read_model
from emufort.importing.sources.source import Example, Source


def source_of(model: os.PathLike[str] | str | Any, example: Example | None) -> Source:
    """Return a network as ONNX.

    Parameters
    ----------
    model
        Path of a file, or an object of ONNX, torch, Keras or scikit-learn.
    example
        Inputs (n, ...), which a module of torch needs.

    Raises
    ------
    ImportRefusedError
        The network is of no known kind, or cannot become an ONNX model.
    """
    if isinstance(model, str | os.PathLike):
        return _source_of_file(Path(os.fspath(model)))
    if isinstance(model, onnx.ModelProto):
        return Source(model, model.graph.name or "network")
    name = type(model).__name__
    # An object of a package exists only if the package was imported.
    if _is_one_of(model, "keras", "Model"):
        return source_of_keras_model(model, example)
    if _is_one_of(model, "torch.export", "ExportedProgram"):
        from emufort.importing.sources.torch_module import source_of_program

        return source_of_program(model, name)
    if _is_one_of(model, "torch.nn", "Module"):
        from emufort.importing.sources.torch_module import source_of_module

        return source_of_module(model, example, name)
    if _is_one_of(model, "sklearn.base", "BaseEstimator"):
        from emufort.importing.sources.scikit_learn import source_of_estimator

        return source_of_estimator(model)
    raise ImportRefusedError(
        f"a {name} cannot be imported; pass the path of a file, an ONNX model, a module of torch, "
        "an exported program, a Keras model or an estimator of scikit-learn"
    )


def _is_one_of(model: Any, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(model, kind)


def _source_of_file(path: Path) -> Source:
    suffix = path.suffix.lower()
    read = FILES.get(suffix)
    if read is None:
        remedy = _REMEDIES.get(suffix, f"export the network to one of {', '.join(FILES)}")
        raise ImportRefusedError(f"{path} is not a file that can be imported: {remedy}")
    return read(path)


def _source_of_pt2_file(path: Path) -> Source:
    # torch takes long to import
    from emufort.importing.sources.pt2 import source_of_pt2

    return source_of_pt2(path)


#: Ending of a file -> function that reads it.
FILES: dict[str, Callable[[Path], Source]] = {
    ".onnx": lambda path: Source(read_model(path), path.name),
    ".pt2": _source_of_pt2_file,
    ".keras": source_of_keras_file,
    ".nc": lambda path: Source(onnx_of_netcdf(path), path.name),
}
_PICKLE = "it holds pickled objects, which can execute anything when they are read"
#: Ending of a file that is not read -> what to do instead.
_REMEDIES = {
    ".h5": "save the Keras model with the ending .keras",
    ".hdf5": "save the Keras model with the ending .keras",
    ".pb": "export the network to ONNX",
    ".pt": f"{_PICKLE}; load it and pass the module to import_network, or use torch.export.save",
    ".pth": f"{_PICKLE}; load it and pass the module to import_network, or use torch.export.save",
    ".pkl": f"{_PICKLE}; load it and pass the estimator to import_network",
    ".joblib": f"{_PICKLE}; load it and pass the estimator to import_network",
}
