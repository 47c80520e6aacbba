"""ONNX files: external data stay within the folder of the model and have the size they need."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from emufort.importing.refusal import ImportRefusedError
from emufort.importing.sources.onnx_file import read_model
from tests.importing.models import model_of, node


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder with a model whose weights are in a file of their own, below a file `secret`."""
    model = model_of(
        [node("Gemm", "x w", "y")],
        {"x": ["n", 4]},
        {"y": ["n", 4]},
        {"w": np.arange(16.0).reshape(4, 4)},
    )
    found = tmp_path / "model"
    found.mkdir()
    onnx.save(model, found / "m.onnx", save_as_external_data=True, location="w", size_threshold=0)
    (tmp_path / "secret").write_bytes(np.ones(16, np.float32).tobytes())
    return found


def change(folder: Path, **entries: str | None) -> None:
    """Change the place of the weights in the model."""
    model = onnx.load(folder / "m.onnx", load_external_data=False)
    tensor = model.graph.initializer[0]
    kept = {e.key: e.value for e in tensor.external_data} | entries
    del tensor.external_data[:]
    for key, value in kept.items():
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    (folder / "m.onnx").write_bytes(model.SerializeToString())


def test_external_data_become_part_of_the_model(folder: Path) -> None:
    (tensor,) = read_model(folder / "m.onnx").graph.initializer
    assert tensor.data_location == onnx.TensorProto.DEFAULT
    np.testing.assert_array_equal(numpy_helper.to_array(tensor), np.arange(16.0).reshape(4, 4))


def test_external_data_in_a_folder_below(folder: Path) -> None:
    (folder / "weights").mkdir()
    (folder / "w").rename(folder / "weights" / "w")
    change(folder, location="weights/w")
    (tensor,) = read_model(folder / "m.onnx").graph.initializer
    assert numpy_helper.to_array(tensor).max() == 15.0


def _link(folder: Path) -> None:
    (folder / "w").unlink()
    (folder / "w").symlink_to(folder.parent / "secret")


def _pipe(folder: Path) -> None:
    (folder / "w").unlink()
    os.mkfifo(folder / "w")


def _dimensions(folder: Path) -> None:
    model = onnx.load(folder / "m.onnx", load_external_data=False)
    model.graph.initializer[0].dims[:] = [2**31, 2**31]
    (folder / "m.onnx").write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: change(f, location="../secret"), "'../secret', which is not a file in"),
        (lambda f: change(f, location=str(f.parent / "secret")), "not a file in the folder"),
        (lambda f: change(f, location=None), "not a file in the folder"),
        (lambda f: change(f, location="absent"), "not a file in the folder"),
        (lambda f: change(f, location="."), "not a file in the folder"),
        (_link, "not a file in the folder"),
        (_pipe, "not a file in the folder"),
        (_dimensions, "beyond its end"),
        (lambda f: change(f, offset="8"), "beyond its end"),
        (lambda f: change(f, offset="-8"), "beyond its end"),
        (lambda f: change(f, offset="x"), "not valid"),
        (lambda f: change(f, length="32"), "have 32 bytes"),
    ],
)
def test_external_data_that_are_refused(
    folder: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(folder)
    with pytest.raises(ImportRefusedError, match=message):
        read_model(folder / "m.onnx")
