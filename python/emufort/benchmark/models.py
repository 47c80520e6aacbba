"""The models to measure: networks alone, and emulators from physical inputs to outputs."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.benchmark.options import BUNDLE, STANDARD_CALLS, STANDARD_MODELS, Options
from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError
from emufort.export.bundle import Bundle
from emufort.export.onnx import IR_VERSION, OPSET, build_onnx
from emufort.export.weights_file import WeightsFile
from emufort.files import make_directory, write_bytes, write_json
from emufort.network.activations import parse
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator, dense_parameters
from emufort.network.imported import AnyArchitecture
from emufort.network.plan import Parameters
from emufort.network.scaler import Scaler, ScalerKind
from emufort.processes.process import Head
from emufort.processes.registry import head
from emufort.timing.timers import write_inputs, write_samples
from emufort.verification import draw_rows

Array = NDArray[np.float64]

#: Number of input rows, enough for several calls of any usual size.
_ROWS = 4608


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
        Inputs (n, n_inputs), exact in single precision.
    reference
        Outputs in double precision (n, n_outputs).
    folder
        Holds inputs.bin, network.bin, weights.bin, model.onnx, model.safetensors, samples.bin.
    network
        For a physical model, the model of its network alone, which is a part of the work.
    call
        The head of the contract, if the model is a call of the emulator that includes the head.
        `reference` is then the result of this call, and no other contender can do the work.
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

    @property
    def work(self) -> str:
        """Description of the work for tables."""
        if self.call is not None:
            return "physical inputs to skill variables"
        return "physical inputs to physical outputs" if self.is_physical else "network alone"

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one column."""
        return self.emulator.architecture.multiply_adds

    @property
    def host_kind(self) -> str:
        """Real kind of the host's arrays."""
        return "real64" if self.is_physical else "real32"

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
        }


def models_of(options: Options, work: Path) -> list[Model]:
    """Make the models that `options` selects, and write their files to `work`."""
    rows = max(*options.ncol, _ROWS)
    models = []
    for name, sizes in STANDARD_MODELS.items():
        if name in options.models:
            emulator = random_network(name, sizes)
            models.append(_network_model(name, emulator, rows, work))
    for name, (hidden, activation) in STANDARD_CALLS.items():
        if name in options.models:
            models.append(_standard_call(name, hidden, activation, rows, work))
    wants_bundle = BUNDLE in options.models
    if options.bundle is not None and wants_bundle:
        bundle = Bundle.open(options.bundle)
        emulator = bundle.emulator()
        _check_contenders(emulator.architecture)
        network = _network_of(bundle.name, emulator, rows, work)
        models += [network, _physical_model(bundle, emulator, network, rows, work)]
        call = call_of(emulator.contract)
        if call is not None:
            name = f"{bundle.name}-call"
            models.append(_call_model(name, emulator, call, network, bundle.golden.x, rows, work))
    return models


def _check_contenders(architecture: AnyArchitecture) -> None:
    """Refuse a network that the contenders cannot compute.

    Raises
    ------
    EmufortError
        It is not a chain of layers, or its layers differ in more than their widths.
    """
    functions = {parse(text)[0] for text in architecture.activations}
    has_parameter = any(row.parameter is not None for row in functions)
    if architecture.family != "mlp" or len(functions) > 1 or has_parameter:
        raise EmufortError(
            "emufort bench compares multilayer perceptrons with one activation function without a "
            f"parameter, not {architecture.label}; leave its bundle out"
        )


def random_network(name: str, sizes: tuple[int, ...], activation: str = "relu") -> Emulator:
    """Return a network with the random weights of an untrained network."""
    rng = np.random.default_rng(sum(sizes))
    weights, biases = [], []
    for n_in, n_out in itertools.pairwise(sizes):
        weights.append(rng.normal(0.0, np.sqrt(2.0 / n_in), (n_out, n_in)).astype(np.float32))
        biases.append(rng.normal(0.0, 0.1, n_out).astype(np.float32))
    architecture = Architecture(sizes[0], sizes[1:-1], sizes[-1], activation)
    parameters = dense_parameters(weights, biases)
    return _without_transforms(f"{name}_network".lower(), architecture, parameters)


def bare_network(name: str, emulator: Emulator) -> Emulator:
    """Return the network of `emulator` without transforms, ranges and bounds."""
    return _without_transforms(name, emulator.architecture, emulator.parameters)


def _without_transforms(
    name: str, architecture: AnyArchitecture, parameters: Parameters
) -> Emulator:
    n_in, n_out = architecture.n_inputs, architecture.n_outputs
    labels = {"feature": n_in, "value": n_out}
    variable = {"units": "1", "transform": "none"}
    contract = Contract.from_dict(
        {
            "name": name.replace("-", "_"),
            "dimensions": {d: [f"{d}{i + 1}" for i in range(n)] for d, n in labels.items()},
            "input": [{"name": "features", "dimension": "feature", **variable}],
            "output": [{"name": "values", "dimension": "value", **variable}],
        }
    )

    def identity(n: int) -> Scaler:
        affine: ScalerKind = "affine"
        return Scaler((affine,) * n, np.zeros(n), np.ones(n))

    return Emulator(contract, architecture, identity(n_in), identity(n_out), parameters)


def _network_model(name: str, emulator: Emulator, rows: int, work: Path) -> Model:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((rows, emulator.architecture.n_inputs)).astype(np.float32)
    model = Model(
        name,
        emulator.architecture.label,
        False,
        emulator.contract,
        emulator,
        x.astype(np.float64),
        emulator.predict(x.astype(np.float64)),
        make_directory(work / name),
    )
    _write_files(model)
    _write_network(model.folder / "network.bin", emulator)
    _write_plain_onnx(model.folder / "model.onnx", emulator)
    return model


def _network_of(name: str, emulator: Emulator, rows: int, work: Path) -> Model:
    alone = bare_network(f"{name}_network", emulator)
    return _network_model(f"{name}-network", alone, rows, work)


def call_of(contract: Contract) -> Head | None:
    """Return the contract's head if there are Fortran sources of a call that includes it."""
    if contract.process is None or contract.skill.head is None:
        return None
    found = head(contract.process, contract.skill.head)
    return found if found.call(contract) and found.call_reference is not None else None


def random_emulator(name: str, hidden: tuple[int, ...], activation: str) -> Emulator:
    """Return an emulator of the default contract with the random weights of an untrained network.

    Features are scaled as if training data covered the ranges; outputs have the range of the
    outputs in the default data set.
    """
    contract = Contract.load(Config().contract)
    features = list(contract.feature_indices)
    x = draw_rows(contract, _lower_limits(contract), _ROWS)[:, features]
    scaler = Scaler.fit([contract.input_columns[i] for i in features], x)
    plain = random_network(name, (len(features), *hidden, len(contract.output_columns)), activation)
    z = plain.predict(scaler.forward(x))
    typical = np.exp(np.log(Dataset.open(None, contract).part("test").targets).mean(axis=0))
    return Emulator(
        contract,
        plain.architecture,
        scaler,
        Scaler(
            ("ln",) * z.shape[1], typical * np.exp(-z.mean(axis=0) / z.std(axis=0)), z.std(axis=0)
        ),
        plain.parameters,
    )


def _lower_limits(contract: Contract) -> Array:
    """Return one row, the lower limits of all inputs."""
    return np.array([[column.lower for column in contract.input_columns]])


def _standard_call(
    name: str, hidden: tuple[int, ...], activation: str, rows: int, work: Path
) -> Model:
    """Return the call of a network of the default contract with random weights."""
    emulator = random_emulator(name, hidden, activation)
    call = call_of(emulator.contract)
    assert call is not None
    known = _lower_limits(emulator.contract)
    network = _network_of(name, emulator, rows, work)
    return _call_model(name, emulator, call, network, known, rows, work)


def _call_model(
    name: str,
    emulator: Emulator,
    call: Head,
    network: Model,
    known: Array,
    rows: int,
    work: Path,
) -> Model:
    x = draw_rows(emulator.contract, known, rows)
    assert call.call_reference is not None
    model = Model(
        name,
        f"{emulator.architecture.label}, whole call",
        True,
        emulator.contract,
        emulator,
        x,
        np.asarray(
            call.call_reference(emulator.contract, x, emulator.predict(x)), dtype=np.float64
        ),
        make_directory(work / name),
        network,
        call,
    )
    _write_files(model)
    return model


def _physical_model(
    bundle: Bundle, emulator: Emulator, network: Model, rows: int, work: Path
) -> Model:
    x = draw_rows(emulator.contract, bundle.golden.x, rows)
    model = Model(
        bundle.name,
        f"{emulator.architecture.label}, physical",
        True,
        emulator.contract,
        emulator,
        x,
        emulator.predict(x),
        make_directory(work / bundle.name),
        network,
    )
    _write_files(model)
    write_bytes(model.folder / "model.onnx", bundle.read("model.onnx"))
    return model


def _write_files(model: Model) -> None:
    write_inputs(model.folder / "inputs.bin", model.x)
    write_samples(model.folder / "samples.bin", model.x[:, list(model.contract.feature_indices)])
    WeightsFile.from_emulator(model.emulator).write(model.folder / "weights.bin")
    model.emulator.save(model.folder / "model.safetensors")
    write_json(model.folder / "model.json", {"is_physical": model.is_physical})


def _write_network(path: Path, emulator: Emulator) -> None:
    """Write the file for the program ``bench_layers``."""
    sizes = emulator.architecture.sizes
    code = parse(emulator.architecture.activation_label)[0].code
    n = len(sizes) - 1
    header = np.array([n, *sizes, *([code] * (n - 1)), 0], dtype="<i4")
    values = [
        np.asarray(part, dtype="<f4").tobytes()
        for w, b in zip(emulator.weights, emulator.biases, strict=True)
        for part in (w, b)
    ]
    write_bytes(path, header.tobytes() + b"".join(values))


def _write_plain_onnx(path: Path, emulator: Emulator) -> None:
    """Write the network as a graph of Gemm and activation nodes only, as frameworks export it."""
    from onnx import TensorProto, helper, numpy_helper

    operators = _ONNX_OPERATORS.get(emulator.architecture.activation_label)
    if operators is None:
        write_bytes(path, build_onnx(emulator).SerializeToString())
        return
    nodes, initialisers = [], []
    value, last = "x", len(emulator.weights) - 1
    for layer, (w, b) in enumerate(zip(emulator.weights, emulator.biases, strict=True)):
        initialisers += [
            numpy_helper.from_array(np.ascontiguousarray(w), f"w{layer}"),
            numpy_helper.from_array(np.ascontiguousarray(b), f"b{layer}"),
        ]
        target = "y" if layer == last else f"z{layer}"
        inputs = [value, f"w{layer}", f"b{layer}"]
        nodes.append(helper.make_node("Gemm", inputs, [target], transB=1))
        value = target
        if layer < last:
            for step, operator in enumerate(operators):
                operands = [value if name == "" else target for name in operator[1]]
                nodes.append(helper.make_node(operator[0], operands, [f"a{layer}_{step}"]))
                value = f"a{layer}_{step}"
    sizes = emulator.architecture.sizes
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["ncol", sizes[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["ncol", sizes[-1]])],
        initialisers,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    write_bytes(path, model.SerializeToString())


#: Operators of each activation function with their operands: "" is the previous result, "z" is the
#: result of Gemm.
_ONNX_OPERATORS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "relu": (("Relu", ("",)),),
    "squared_relu": (("Relu", ("",)), ("Mul", ("", ""))),
    "tanh": (("Tanh", ("",)),),
    "silu": (("Sigmoid", ("",)), ("Mul", ("", "z"))),
}


def describe_json(folder: Path) -> dict[str, Any]:
    """Read model.json in a model's folder."""
    content: dict[str, Any] = json.loads((folder / "model.json").read_text())
    return content
