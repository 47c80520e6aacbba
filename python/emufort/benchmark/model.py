"""A model of the benchmark, and the files from which the contenders read it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.benchmark.agreement import TOLERANCE
from emufort.benchmark.originals import Originals, Shapes
from emufort.contract import Contract
from emufort.export.onnx import build_network_onnx
from emufort.export.weights_file import WeightsFile
from emufort.files import write_bytes, write_json
from emufort.network.activations import ActivationFunction, parse
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator
from emufort.processes.process import Head
from emufort.timing.timers import write_inputs, write_samples

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """One network to measure, with its files.

    Attributes
    ----------
    name
        Name in tables, file names and requests; no blanks.
    title
        Title for readers, such as ``16-32-32-4 relu``.
    is_physical
        Whether inputs are physical, so that transforms, checks and bounds belong to the work. If
        not, the model is the network alone: single precision features to outputs of the last layer.
    contract
        Contract of the inputs and outputs.
    emulator
        The network.
    x
        Inputs (n, n_inputs), exact in single precision; larger calls repeat them.
    reference
        Outputs in double precision (n, n_outputs).
    folder
        Holds inputs.bin, network.bin, weights.bin, model.onnx, model.safetensors, samples.bin.
    network
        For a physical model, the model of its network alone, which is a part of the work.
    call
        The head of the contract, if the model is a call of the emulator that includes the head.
        `reference` is then the result of this call, and no other contender can do the work.
    is_imported
        Whether the network was trained elsewhere. Host arrays are then in single precision.
    originals
        The original of an imported network, if it is known.
    tolerance
        Allowed error of an output, relative to its value or its spread.
    """

    name: str
    title: str
    is_physical: bool
    contract: Contract
    emulator: Emulator
    x: Array
    reference: Array
    folder: Path
    network: Model | None = None
    call: Head | None = None
    is_imported: bool = False
    originals: Originals | None = None
    tolerance: float = TOLERANCE

    @property
    def work(self) -> str:
        """Description of the work for tables."""
        if self.call is not None:
            return "physical inputs to skill variables"
        if self.is_imported:
            return "single precision inputs to outputs"
        return "physical inputs to physical outputs" if self.is_physical else "network alone"

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one column."""
        return self.emulator.architecture.multiply_adds

    @property
    def is_double(self) -> bool:
        """Whether the arrays of the host are in double precision."""
        return self.is_physical and not self.is_imported

    @property
    def host_kind(self) -> str:
        """Real kind of the host's arrays."""
        return "real64" if self.is_double else "real32"

    @cached_property
    def chain_activation(self) -> ActivationFunction | None:
        """The activation function, if the network is a chain of layers that share one.

        None for other networks, and for a function with a parameter.
        """
        architecture = self.emulator.architecture
        if not isinstance(architecture, Architecture) or architecture.family != "mlp":
            return None
        functions = [parse(text)[0] for text in dict.fromkeys(architecture.activations)]
        if len(functions) > 1 or any(row.parameter is not None for row in functions):
            return None
        return functions[0] if functions else parse(architecture.activation_label)[0]

    @property
    def onnx(self) -> Path:
        """The model of ONNX: the original, or what emufort exports."""
        if self.originals is not None and self.originals.onnx is not None:
            return self.originals.onnx
        return self.folder / "model.onnx"

    def summary(self) -> dict[str, Any]:
        """Return the entry of bench.json."""
        return {
            "name": self.name,
            "title": self.title,
            "work": self.work,
            "host_arrays": self.host_kind,
            "multiply_adds": self.multiply_adds,
            "parameters": self.emulator.architecture.n_parameters,
            "n_inputs": self.x.shape[1],
            "n_outputs": self.reference.shape[1],
            "n_operations": len(self.emulator.plan.operations),
            "originals": self.originals.names if self.originals else [],
            "tolerance": self.tolerance,
        }

    def write_files(self, onnx: bytes | None = None) -> None:
        """Write all files that contenders read.

        Parameters
        ----------
        onnx
            The model of ONNX; None: the network alone, as frameworks export it.
        """
        folder = self.folder
        write_inputs(folder / "inputs.bin", self.x)
        write_samples(folder / "samples.bin", self.x[:, list(self.contract.feature_indices)])
        WeightsFile.from_emulator(self.emulator).write(folder / "weights.bin")
        self.emulator.save(folder / "model.safetensors")
        if self.call is None:
            content = (
                build_network_onnx(self.emulator).SerializeToString() if onnx is None else onnx
            )
            write_bytes(folder / "model.onnx", content)
        if self.chain_activation is not None and not self.is_physical:
            self._write_chain(self.chain_activation.code)
        program = self.originals.program if self.originals else None
        shapes = self.originals.shapes if self.originals else ((self.x.shape[1],),)
        content_of_file = {
            "is_physical": self.is_physical,
            "is_chain": self.chain_activation is not None,
            "shapes": shapes,
            "onnx": str(self.onnx),
            "program": str(program) if program else None,
        }
        write_json(folder / "model.json", content_of_file)

    def _write_chain(self, activation: int) -> None:
        """Write the file of a chain of layers, see ``fortran/bench/bench_layers.F90``."""
        sizes = self.emulator.architecture.sizes
        n = len(sizes) - 1
        header = np.array([n, *sizes, *([activation] * (n - 1)), 0], dtype="<i4")
        values = [
            np.asarray(part, dtype="<f4").tobytes()
            for w, b in zip(self.emulator.weights, self.emulator.biases, strict=True)
            for part in (w, b)
        ]
        write_bytes(self.folder / "network.bin", header.tobytes() + b"".join(values))


@dataclass(frozen=True)
class ModelFiles:
    """What a worker in Python reads of a model.

    Attributes
    ----------
    folder
        Folder of the files.
    is_physical
        As in `Model`.
    is_chain
        Whether the network is a chain of layers with one activation function.
    shapes
        Shapes of the inputs without the dimension of the columns.
    onnx
        Model of ONNX.
    program
        Exported program of torch; None if there is none.
    """

    folder: Path
    is_physical: bool
    is_chain: bool
    shapes: Shapes
    onnx: Path
    program: Path | None

    @classmethod
    def read(cls, folder: Path) -> ModelFiles:
        """Read model.json in a model's folder."""
        content = json.loads((folder / "model.json").read_text())
        return cls(
            folder,
            bool(content["is_physical"]),
            bool(content["is_chain"]),
            tuple(tuple(shape) for shape in content["shapes"]),
            Path(content["onnx"]),
            Path(content["program"]) if content["program"] else None,
        )
