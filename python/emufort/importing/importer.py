"""Import a network that was trained elsewhere, and export it as a bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emufort.config import DEFAULTS
from emufort.config.deployment import Placement
from emufort.contract import Contract
from emufort.contract_arrays import split_columns
from emufort.dataset.dataset import Dataset
from emufort.export.bundle import Bundle, export
from emufort.export.fortran import check_names
from emufort.importing.comparison import compared
from emufort.importing.contracts import (
    check_contract,
    contract_of_network,
    derived_contract,
    input_scaler,
    output_scaler,
    word,
)
from emufort.importing.graph import Graph, read_graph
from emufort.importing.lowering import lower
from emufort.importing.operators import HANDLERS
from emufort.importing.planning import plan_of
from emufort.importing.reference import Reference
from emufort.importing.refusal import ImportRefusedError
from emufort.importing.scaling import without_scaling
from emufort.importing.sources.reading import source_of
from emufort.importing.sources.source import Example, Source, checked_example
from emufort.importing.values import Value, selected
from emufort.network.activations import Array
from emufort.network.emulator import Emulator
from emufort.network.imported import architecture_of_plan
from emufort.network.precision import DTYPES, Precision
from emufort.paths import PathLike

if TYPE_CHECKING:
    import onnx
    import xarray as xr

#: For the model card.
_CAVEAT = (
    "The network was trained elsewhere and imported from {name}. The skill compares it with the "
    "original on samples of the inputs, not with data of the process."
)
#: Most and fewest samples on which the original is computed, and most values of its inputs and
#: outputs.
_MOST_SAMPLES, _FEWEST_SAMPLES, _MOST_VALUES = 4096, 512, 2**21
_SEED = 20_250_101
#: Largest logarithm of a random sample in units of the middle one.
_MOST_EXPONENT = 20.0


@dataclass(frozen=True)
class Origin:
    """Where a network comes from.

    Attributes
    ----------
    name
        Name of the file, or of the class of the object.
    sha256
        Hash of the model.
    producer
        The tool that wrote it, as it says.
    """

    name: str
    sha256: str
    producer: str = ""


def import_model(
    model: PathLike | onnx.ModelProto | Any,
    out: PathLike,
    contract: PathLike | Contract | None = None,
    name: str | None = None,
    example: Example | None = None,
    golden: int = DEFAULTS.export.golden,
    precision: Precision = "single",
    weights: Placement = DEFAULTS.export.weights,
) -> Bundle:
    """Import a network; `emufort.api.import_network` describes arguments and errors."""
    example = None if example is None else checked_example(example)
    source = source_of(model, example)
    origin = _origin(source)
    graph = read_graph(source.model)
    emulator = emulator_of(graph, origin, contract, name, precision)
    check_names(emulator.contract, name)
    rows = _samples(emulator, graph, example)
    reference = Reference(source, graph)
    exact = partial(emulator_of, graph, origin, contract, name, "double")
    outputs = compared(emulator, exact, reference, rows)
    data = Dataset.from_xarray(
        _rows(emulator.contract, rows, outputs),
        emulator.contract,
        Path(origin.name),
        sha256=origin.sha256,
    )
    return export(
        emulator, data, out, name, golden, weights=weights, caveat=_CAVEAT.format(name=origin.name)
    )


def _origin(source: Source) -> Origin:
    found = source.model
    digest = hashlib.sha256(found.SerializeToString(deterministic=True)).hexdigest()
    producer = f"{found.producer_name} {found.producer_version}".strip()
    return Origin(source.name, digest, producer)


def emulator_of(
    graph: Graph,
    origin: Origin = Origin("network", ""),
    contract: PathLike | Contract | None = None,
    name: str | None = None,
    precision: Precision = "single",
) -> Emulator:
    """Return the emulator of a graph; arguments and errors are those of `import_model`."""
    unscaled, shift, scale = without_scaling(graph)
    features = _features(unscaled)
    n_features = sum(port.size for port in graph.inputs)
    state, results = lower(unscaled, features, n_features, HANDLERS)
    for port, value in zip(graph.outputs, results, strict=True):
        if value.shape and value.shape[0] != 1:
            raise ImportRefusedError(
                f"the output '{port.name}' of the model has {value.shape[0]} rows for one column; "
                "its first dimension must be that of the columns"
            )
    shapes = [value.shape[1:] for value in results]
    whole = selected(results, np.arange(sum(value.size for value in results)))
    plan, parameters = plan_of(state.atoms, whole)
    if contract is None:
        stem = name or word(Path(origin.name).stem).lower()
        found = derived_contract(graph, shapes, stem, f"Imported network {origin.name}")
    else:
        found = contract if isinstance(contract, Contract) else Contract.load(contract)
        found = contract_of_network(found)
        check_contract(found, graph, shapes, Path(origin.name))
    return Emulator(
        found,
        architecture_of_plan(plan),
        input_scaler(found, shift, scale),
        output_scaler(found),
        {key: array.astype(DTYPES[precision]) for key, array in parameters.items()},
        {"imported": {"from": origin.name, "sha256": origin.sha256, "producer": origin.producer}},
        precision,
    )


def _features(graph: Graph) -> dict[str, Value]:
    """Return the values of the inputs: parts of the vector of the features."""
    n = sum(port.size for port in graph.inputs)
    whole = Value.atom(0, (n,))
    found, first = {}, 0
    for port in graph.inputs:
        places = np.arange(first, first + port.size).reshape(port.shape)
        found[port.name] = selected([whole], places)
        first += port.size
    return found


def _given(graph: Graph, example: Example) -> Array:
    """Return the example as (n, n_inputs)."""
    if isinstance(example, Mapping):
        missing = [port.name for port in graph.inputs if port.name not in example]
        if missing:
            raise ImportRefusedError(
                f"the example has no '{missing[0]}'; the network has the inputs "
                f"{', '.join(port.name for port in graph.inputs)}"
            )
        example = tuple(example[port.name] for port in graph.inputs)
    parts = [
        np.asarray(v, np.float64) for v in (example if isinstance(example, tuple) else [example])
    ]
    wanted = [port.size for port in graph.inputs]
    wanted = [sum(wanted)] if len(parts) == 1 else wanted
    shapes = [part.shape for part in parts]
    found = [int(np.prod(shape[1:])) if shape and shape[0] else -1 for shape in shapes]
    if found != wanted or len({len(part) for part in parts}) != 1:
        raise ImportRefusedError(
            f"the example has the shape {', '.join(map(str, shapes))}; it must have "
            f"{' and '.join(map(str, wanted))} values for each of its columns, (n, ...)"
        )
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _samples(emulator: Emulator, graph: Graph, example: Example | None) -> Array:
    """Return inputs (n, n_inputs), exact in single precision: the example, or random samples."""
    columns = emulator.contract.input_columns
    if example is not None:
        return _given(graph, example).astype(np.float32).astype(np.float64)
    rng = np.random.default_rng(_SEED)
    width = len(columns) + len(emulator.contract.output_columns)
    n = min(_MOST_SAMPLES, max(_FEWEST_SAMPLES, _MOST_VALUES // width))
    # One row for each column of the contract, because a column of x is not contiguous.
    normal = np.ascontiguousarray(rng.standard_normal((n, len(columns))).T)
    shares = rng.random((len(columns), n))
    scaler = emulator.input_scaler
    for j, (column, z, share) in enumerate(zip(columns, normal, shares, strict=True)):
        if np.isfinite(column.lower) and np.isfinite(column.upper):
            if column.transform in ("ln", "log10"):
                z[:] = column.lower * (column.upper / column.lower) ** share
            else:
                z[:] = column.lower + (column.upper - column.lower) * share
        elif scaler.kinds[j] == "affine":
            z[:] = scaler.shift[j] + z / scaler.scale[j]
        elif scaler.kinds[j] == "logit":
            z[:] = share
        else:
            exponents = np.clip(z / scaler.scale[j], -_MOST_EXPONENT, _MOST_EXPONENT)
            z[:] = scaler.shift[j] * np.exp(exponents)
    x = np.ascontiguousarray(normal.T)
    return emulator.clip(x.astype(np.float32).astype(np.float64))


def _rows(contract: Contract, x: Array, y: Array) -> xr.Dataset:
    """Return samples of inputs and outputs as the contract describes them."""
    import xarray as xr

    found = {}
    for variables, values in ((contract.input, x), (contract.output, y)):
        arrays = split_columns(contract, variables, values)
        for variable in variables:
            dimensions = (contract.row_dimension, *variable.dimensions)
            found[variable.name] = (dimensions, arrays[variable.name], {"units": variable.units})
    return xr.Dataset(found)
