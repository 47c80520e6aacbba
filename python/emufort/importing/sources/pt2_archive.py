"""Read the parts of a .pt2 archive of torch that are plain data: the graph as JSON, raw weights.

`torch.export.load` is not used, because it unpickles parts of the archive, evaluates texts as
Python expressions and looks up functions by name. Pickled parts are never read: the sample inputs
are not needed, and weights that are pickled are refused.
"""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emufort.importing.refusal import ImportRefusedError
from emufort.messages import one_line

#: Numbers that the archive has for types -> types (ScalarType of torch's schema).
TYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
#: Most bytes of the graph, and of all weights.
_MOST_JSON, _MOST_WEIGHTS = 2**26, 2**31


class Archive:
    """A .pt2 archive.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ImportRefusedError
        The file is not such an archive, is too large, or has pickled weights.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self._read(archive)
        except OSError as error:
            raise ImportRefusedError(f"cannot read {path}: {error.strerror or error}") from error
        except ImportRefusedError:
            raise
        except Exception as error:
            # zipfile, json and the look-ups below raise errors of many kinds for damaged files
            raise ImportRefusedError(
                f"{path} is not a .pt2 archive of torch.export.save: {one_line(repr(error))}"
            ) from error

    def _read(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = archive.namelist()
        models = [name for name in self._names if _is_below(name, "models") and ".json" in name]
        if len(models) != 1:
            raise ImportRefusedError(
                f"{self._path} has {len(models)} models; write one with torch.export.save"
            )
        top, _, stem = models[0].removesuffix(".json").rpartition("models/")
        #: The exported program as JSON.
        self.program: dict[str, Any] = self._json(models[0])
        #: Name -> weight, of parameters and buffers.
        self.weights = self._tensors(f"{top}data/weights/", f"{stem}_weights_config.json")
        #: Name -> tensor, of other constants.
        self.constants = self._tensors(f"{top}data/constants/", f"{stem}_constants_config.json")

    def _json(self, name: str) -> Any:
        size = self._archive.getinfo(name).file_size
        if size > _MOST_JSON:
            raise ImportRefusedError(f"the graph in {self._path} has {size} bytes: too many")
        return json.loads(self._archive.read(name))

    def _tensors(self, folder: str, config: str) -> dict[str, torch.Tensor]:
        entries = self._json(folder + config)["config"]
        files = {entry["path_name"] for entry in entries.values()}
        total = sum(self._archive.getinfo(folder + name).file_size for name in files)
        if total > _MOST_WEIGHTS:
            raise ImportRefusedError(f"{self._path} has {total} bytes of weights: too many")
        found, read = {}, {}
        for name, entry in entries.items():
            file, meta = entry["path_name"], entry["tensor_meta"]
            if entry["use_pickle"] or meta is None:
                raise ImportRefusedError(
                    f"the weights '{name}' of {self._path} are pickled, and unpickling a file can "
                    "execute what it holds; export the network to ONNX, or load it yourself and "
                    "pass the program to import_network"
                )
            if file not in read:
                read[file] = bytearray(self._archive.read(folder + file))
            found[name] = _tensor(read[file], meta)
        return found


def _is_below(name: str, folder: str) -> bool:
    return folder in name.split("/")[:-1]


def _tensor(content: bytearray, meta: dict[str, Any]) -> torch.Tensor:
    kind = TYPES[meta["dtype"]]
    sizes = [int(size["as_int"]) for size in meta["sizes"]]
    strides = [int(stride["as_int"]) for stride in meta["strides"]]
    first = int(meta["storage_offset"]["as_int"])
    if math.prod(sizes) == 0:
        return torch.zeros(sizes, dtype=kind)
    last = first + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
    flat = torch.from_numpy(np.frombuffer(content, dtype=np.uint8)).view(kind)
    if min([first, *sizes, *strides]) < 0 or last >= len(flat):
        raise ValueError("weights beyond the end of their file")
    # A copy, so that a stride of 0 does not stay.
    return torch.as_strided(flat, sizes, strides, first).clone()
