"""The models to measure: networks alone, and emulators from physical inputs to outputs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emufort.benchmark.agreement import TOLERANCE, largest_error
from emufort.benchmark.model import Array, Model
from emufort.benchmark.options import BUNDLE, STANDARD_CALLS, STANDARD_MODELS, Options
from emufort.benchmark.originals import Originals, Shapes, inputs_of, read_originals
from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import UsageError
from emufort.export.bundle import Bundle
from emufort.files import make_directory
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator, dense_parameters
from emufort.network.imported import AnyArchitecture
from emufort.network.plan import Parameters
from emufort.network.scaler import Scaler, ScalerKind
from emufort.processes.process import Head
from emufort.processes.registry import head
from emufort.verification import draw_rows

#: Number of input rows, enough for several calls of any usual size.
_ROWS = 4608
#: The same for imported networks, which may have thousands of inputs. Larger calls repeat them.
_IMPORTED_ROWS = 1152


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
    if options.bundle is not None and BUNDLE in options.models:
        models += _bundle_models(Bundle.open(options.bundle), options.originals, rows, work)
    return models


def _bundle_models(bundle: Bundle, originals: Sequence[Path], rows: int, work: Path) -> list[Model]:
    """Return the models of a bundle.

    Raises
    ------
    UsageError
        The network is in double precision, or there are originals although it was not imported.
    """
    emulator = bundle.emulator()
    if emulator.precision == "double":
        raise UsageError(
            f"emufort bench compares in single precision, and {bundle.name} is in double precision"
        )
    if "imported" in bundle.manifest.metadata:
        return [_imported_model(bundle, emulator, originals, work)]
    if originals:
        raise UsageError(
            f"--original: the network of {bundle.name} was not imported; it has no original"
        )
    network = _network_of(bundle.name, emulator, rows, work)
    models = [network, _physical_model(bundle, emulator, network, rows, work)]
    call = call_of(emulator.contract)
    if call is not None:
        name = f"{bundle.name}-call"
        models.append(_call_model(name, emulator, call, network, bundle.golden.x, rows, work))
    return models


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
    model.write_files()
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
    model.write_files()
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
    model.write_files(bundle.read("model.onnx"))
    return model


def _imported_model(
    bundle: Bundle, emulator: Emulator, originals: Sequence[Path], work: Path
) -> Model:
    x = draw_rows(emulator.contract, bundle.golden.x, _IMPORTED_ROWS)
    alone = bare_network(f"{bundle.name}_network", emulator)
    features = emulator.input_scaler.forward(x).astype(np.float32).astype(np.float64)
    network = Model(
        f"{bundle.name}-network",
        alone.architecture.label,
        False,
        alone.contract,
        alone,
        features,
        alone.predict(features),
        make_directory(work / f"{bundle.name}-network"),
    )
    network.write_files()
    known = read_originals(originals, emulator.contract) if originals else None
    reference, exported = emulator.predict(x), bundle.read("model.onnx")
    noise = largest_error(_in_single(exported, x, known), reference, len(x))
    tolerance = max(TOLERANCE, 2.0 * noise)
    model = Model(
        bundle.name,
        emulator.architecture.label,
        True,
        emulator.contract,
        emulator,
        x,
        reference,
        make_directory(work / bundle.name),
        dataclasses.replace(network, tolerance=tolerance),
        is_imported=True,
        originals=known,
        tolerance=tolerance,
    )
    model.write_files(exported)
    return model


def _in_single(exported: bytes, x: Array, originals: Originals | None) -> Array:
    """Return the outputs of the original, or of what emufort exported, in single precision."""
    import onnxruntime

    model: str | bytes = exported
    shapes: Shapes = ((x.shape[1],),)
    if originals is not None and originals.onnx is not None:
        model, shapes = str(originals.onnx), originals.shapes
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]
    given = dict(zip(names, inputs_of(x.astype(np.float32), shapes), strict=True))
    blocks = [np.asarray(y, np.float64).reshape(len(x), -1) for y in session.run(None, given)]
    return np.concatenate(blocks, axis=1)
