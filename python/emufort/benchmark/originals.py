"""The original of an imported network, which contenders run as its owner does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.errors import UsageError

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Originals:
    """Files of the original network.

    Attributes
    ----------
    shapes
        Shapes of the inputs without the dimension of the columns.
    onnx, program
        Model of ONNX and exported program of torch; None if it is not given.
    """

    shapes: Shapes
    onnx: Path | None = None
    program: Path | None = None

    @property
    def names(self) -> list[str]:
        """Names of the files."""
        return [path.name for path in (self.onnx, self.program) if path is not None]


def read_originals(paths: Sequence[Path], contract: Contract) -> Originals:
    """Return the original network of a contract.

    Parameters
    ----------
    paths
        A model of ONNX (``.onnx``), an exported program of torch (``.pt2``), or both.
    contract
        Contract of the imported network.

    Raises
    ------
    UsageError
        A file is of neither kind or of the same kind as another, takes a fixed number of columns
        or other inputs than the contract, or the contract puts transforms around the network.
    ImportRefusedError
        A file cannot be read.
    """
    found = {path.suffix.lower(): path.resolve() for path in paths}
    if len(found) < len(paths) or not set(found) <= {".onnx", ".pt2"}:
        raise UsageError("--original takes one .onnx file, one .pt2 file, or both")
    for column in (*contract.input_columns, *contract.output_columns):
        if column.transform != "none":
            raise UsageError(
                f"--original: the contract of the bundle puts the transform '{column.transform}' "
                f"of '{column.variable}' around the network, which the original lacks; leave "
                "--original out"
            )
    shapes: dict[Path, Shapes] = {}
    if ".onnx" in found:
        shapes[found[".onnx"]] = _shapes_of_onnx(found[".onnx"])
    if ".pt2" in found:
        shapes[found[".pt2"]] = _shapes_of_program(found[".pt2"])
    n_inputs = len(contract.input_columns)
    for path, of_file in shapes.items():
        n_given = sum(int(np.prod(shape)) for shape in of_file)
        if n_given != n_inputs:
            raise UsageError(
                f"--original: {path.name} takes {n_given} values for a column, the bundle takes "
                f"{n_inputs}; give the network that was imported"
            )
    if len(set(shapes.values())) > 1:
        raise UsageError("--original: the two files have inputs of different shapes")
    return Originals(next(iter(shapes.values())), found.get(".onnx"), found.get(".pt2"))


def inputs_of(x: NDArray[np.float32], shapes: Shapes) -> list[NDArray[np.float32]]:
    """Return the inputs of a network (n, ...) for the values of all of them (n, n_inputs)."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    return [
        np.ascontiguousarray(block).reshape(len(x), *shape)
        for block, shape in zip(np.split(x, ends, axis=1), shapes, strict=True)
    ]


def _shapes_of_onnx(path: Path) -> Shapes:
    from emufort.importing.graph import read_graph
    from emufort.importing.sources.onnx_file import read_model

    ports = read_graph(read_model(path)).inputs
    _check_columns(path, all(port.has_columns for port in ports))
    return tuple(port.shape[1:] for port in ports)


def _shapes_of_program(path: Path) -> Shapes:
    # torch takes long to import
    from emufort.importing.sources.pt2 import module_of_pt2

    shapes = module_of_pt2(path)[1].values()
    _check_columns(path, all(shape[0] == 0 for shape in shapes))
    return tuple(shape[1:] for shape in shapes)


def _check_columns(path: Path, has_columns: bool) -> None:
    if not has_columns:
        raise UsageError(
            f"--original: {path.name} takes a fixed number of columns; export it with a free first "
            "dimension"
        )
