"""An emulator as one ONNX graph from physical inputs to physical outputs, in its precision.

The graph contains all operations of `Emulator.predict` in the same order: clipping to the
contract's range, input transforms and scalers, the network, output transforms, the multiplication
with a reference input, output bounds.

A NaN in a row gives NaN in every output of that row and affects no other row. ONNX does not specify
what Max, Min and Relu do with NaN, so the graph does not rely on them. Instead, it adds to every
output a value that is NaN for an invalid row and 0 otherwise.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from emufort import __version__, escape
from emufort.contract import Column, Contract
from emufort.errors import EmufortError
from emufort.export.manifest import HashChain, Manifest, hashes
from emufort.export.onnx_double import IN_DOUBLE, attributes_in_double
from emufort.network.activations import ACTIVATION_FUNCTIONS, Array
from emufort.network.emulator import Emulator
from emufort.network.operation import Operation
from emufort.network.precision import DTYPES, Precision
from emufort.network.scaler import Scaler

if TYPE_CHECKING:
    import onnx

#: Every ONNX Runtime since 1.13 reads opset 17 (IR 8).
OPSET = 17
IR_VERSION = 8


def build_onnx(emulator: Emulator) -> onnx.ModelProto:
    """Return the emulator as a checked ONNX model.

    Parameters
    ----------
    emulator
        The trained network with its contract and scalers.

    Returns
    -------
    onnx.ModelProto
        One input ``x`` (ncol, n_inputs) and one output ``y`` (ncol, n_outputs), in the precision of
        the emulator, physical units, contract order (a dimension unrolled in place). The metadata
        properties name and describe the columns and hold the same hashes as the manifest; see
        `onnx_metadata`.
    """
    import onnx
    from onnx import helper

    contract = emulator.contract
    graph = _Graph(emulator.precision)
    if emulator.constants:
        _zero_or_nan(graph)
    x = _clip(graph, "x", emulator.input_ranges, "input")
    z = _features(graph, emulator, x)
    z = _network(graph, emulator, z)
    y = _outputs(graph, emulator, z, x)
    y = _clip(graph, y, contract.output_bounds, "output")
    if not emulator.constants:
        _zero_or_nan(graph)
    _nan_where_input_is_invalid(graph, y)

    sizes = len(contract.input_columns), len(contract.output_columns)
    model = _model(graph, contract.name, sizes)
    model.model_version = contract.version
    model.doc_string = escape.onnx(contract.title)
    helper.set_model_props(model, onnx_metadata(emulator))
    onnx.checker.check_model(model, full_check=True)
    return model


def build_network_onnx(emulator: Emulator) -> onnx.ModelProto:
    """Return the network of an emulator alone, as frameworks export networks.

    Returns
    -------
    onnx.ModelProto
        One input ``x`` (ncol, n_features), scaled, and one output ``y`` (ncol, n_results). An
        invalid input has no special treatment.
    """
    graph = _Graph(emulator.precision)
    graph.node("Identity", [_network(graph, emulator, "x")], "y")
    sizes = emulator.plan.sizes
    ends = sizes[emulator.plan.features], sizes[emulator.plan.result]
    return _model(graph, emulator.contract.name, ends)


def _model(graph: _Graph, name: str, sizes: tuple[int, int]) -> onnx.ModelProto:
    """Return the model of a graph from ``x`` to ``y`` with the given numbers of values."""
    from onnx import TensorProto, helper

    real = TensorProto.DOUBLE if graph.precision == "double" else TensorProto.FLOAT
    x, y = (
        helper.make_tensor_value_info(port, real, ["ncol", size])
        for port, size in zip("xy", sizes, strict=True)
    )
    return helper.make_model(
        helper.make_graph(graph.nodes, name, [x], [y], graph.initializers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="emufort",
        producer_version=__version__,
    )


def onnx_metadata(emulator: Emulator) -> dict[str, str]:
    """Return the metadata properties of the model.

    ``inputs`` and ``outputs`` are JSON lists with one object per column of ``x`` and ``y``: name,
    variable, index and label along its dimension, units, range (null where there is none),
    transform. ``contract`` and ``architecture`` are JSON too. The hashes are those of
    `emufort.export.manifest`.
    """
    contract = emulator.contract
    inputs = [_column(c) | {"feature": c.feature} for c in contract.input_columns]
    outputs = []
    for column, (lower, upper) in zip(contract.output_columns, contract.output_bounds, strict=True):
        bounds = {"lower_bound": _finite(lower), "upper_bound": _finite(upper)}
        outputs.append(_column(column) | bounds | {"relative_to": _reference(contract, column)})
    properties = {
        "producer": f"emufort {__version__}",
        "inputs": json.dumps(inputs),
        "outputs": json.dumps(outputs),
        "contract": json.dumps(contract.to_dict()),
        "architecture": json.dumps(emulator.architecture.to_dict()),
    }
    chain = HashChain.of_candidate(emulator).head
    return {**properties, **hashes(emulator), "chain": chain}


def check_metadata(found: Mapping[str, str], manifest: Manifest, source: str) -> None:
    """Compare the origin in the metadata of a model with the manifest of its bundle.

    Parameters
    ----------
    found
        The metadata properties of the model.
    manifest
        Manifest with which the properties must agree.
    source
        Name of the model in error messages.

    Raises
    ------
    EmufortError
        The network, the contract or the origin of the model differs from the manifest.
    """
    wanted = {
        "contract": json.dumps(manifest.contract.to_dict()),
        "architecture": json.dumps(manifest.architecture.to_dict()),
        **manifest.origin("candidate"),
    }
    for key, value in wanted.items():
        if found.get(key) != value:
            raise EmufortError(
                f"{source} and manifest.json do not belong together: they differ in '{key}'; "
                "export again"
            )


def _column(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "variable": column.variable,
        "index": column.index,
        "label": column.label,
        "units": column.units,
        "range": [_finite(column.lower), _finite(column.upper)],
        "transform": column.transform,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _reference(contract: Contract, column: Column) -> str | None:
    return next(o.relative_to for o in contract.output if o.name == column.variable)


# ------------------------------------------------------------------- the graph


class _Graph:
    """Nodes and constants of a graph under construction; methods return names of values."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        if self.precision == "double":
            if operator in IN_DOUBLE:
                return IN_DOUBLE[operator](self, *inputs, output, **attributes)
            attributes = attributes_in_double(operator, attributes)
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: Any) -> str:
        """Add a constant: integers as int64, everything else in the precision of the graph."""
        from onnx import numpy_helper

        array = np.asarray(values)
        kind = np.dtype(np.int64) if array.dtype.kind == "i" else DTYPES[self.precision]
        self.initializers.append(numpy_helper.from_array(array.astype(kind), name))
        return name

    def split(self, value: str, sizes: Sequence[int], names: Sequence[str]) -> list[str]:
        """Cut the columns of `value` into blocks of the given widths."""
        from onnx import helper

        if len(sizes) == 1:
            return [value]
        widths = self.constant(f"{value}_widths", np.array(sizes, dtype=np.int64))
        self.nodes.append(
            helper.make_node("Split", [value, widths], names, name=f"{value}_split", axis=1)
        )
        return list(names)

    def concat(self, blocks: Sequence[str], output: str) -> str:
        """Put blocks of columns side by side."""
        return blocks[0] if len(blocks) == 1 else self.node("Concat", blocks, output, axis=1)


@dataclass(frozen=True)
class _Run:
    """Adjacent columns with the same treatment, and their positions in the scaler."""

    kind: str | None
    relative: bool
    width: int
    places: list[int]


def _runs(kinds: Sequence[tuple[str | None, bool]]) -> list[_Run]:
    """Group adjacent columns of equal kind; a kind of None has no position in the scaler."""
    runs = []
    place = 0
    for (kind, relative), group in itertools.groupby(kinds):
        width = len(list(group))
        places = list(range(place, place + width)) if kind is not None else []
        place += len(places)
        runs.append(_Run(kind, relative, width, places))
    return runs


def _clip(
    graph: _Graph, value: str, bounds: Sequence[tuple[float, float]] | Array, prefix: str
) -> str:
    """Clip columns to their bounds; infinite bounds cost no node."""
    lower, upper = np.array(bounds).T
    if np.isfinite(lower).any():
        bound = graph.constant(f"{prefix}_lower", lower)
        value = graph.node("Max", [value, bound], f"{prefix}_above_lower")
    if np.isfinite(upper).any():
        bound = graph.constant(f"{prefix}_upper", upper)
        value = graph.node("Min", [value, bound], f"{prefix}_within_range")
    return value


def _features(graph: _Graph, emulator: Emulator, x: str) -> str:
    """Select the feature columns of `x` and scale them."""
    columns = emulator.contract.input_columns
    kinds = iter(emulator.input_scaler.kinds)
    runs = _runs([(next(kinds) if c.feature else None, False) for c in columns])
    blocks = graph.split(x, [r.width for r in runs], [f"input_{i}" for i in range(len(runs))])
    scaled = [
        _forward(graph, block, run, emulator.input_scaler, f"feature_{i}")
        for i, (block, run) in enumerate(zip(blocks, runs, strict=True))
        if run.kind is not None
    ]
    return graph.concat(scaled, "features")


def _forward(graph: _Graph, x: str, run: _Run, scaler: Scaler, prefix: str) -> str:
    """`Scaler.forward` of one run of columns."""
    if run.kind == "sigmoid":
        return x
    shift = graph.constant(f"{prefix}_shift", scaler.shift[run.places])
    scale = graph.constant(f"{prefix}_scale", scaler.scale[run.places])
    if run.kind == "ln":
        # Divide first: the quotient is near 1, and radii of 1e-9 m would cost digits of the log.
        quotient = graph.node("Div", [x, shift], f"{prefix}_quotient")
        log = graph.node("Log", [quotient], f"{prefix}_ln")
        return graph.node("Mul", [log, scale], f"{prefix}_z")
    if run.kind == "logit":
        one = graph.constant(f"{prefix}_one", 1.0)
        log = graph.node("Log", [x], f"{prefix}_ln")
        rest = graph.node("Sub", [one, x], f"{prefix}_rest")
        log_rest = graph.node("Log", [rest], f"{prefix}_ln_rest")
        x = graph.node("Sub", [log, log_rest], f"{prefix}_logit")
    centred = graph.node("Sub", [x, shift], f"{prefix}_centred")
    return graph.node("Mul", [centred, scale], f"{prefix}_z")


def _network(graph: _Graph, emulator: Emulator, features: str) -> str:
    """Add the operations of the network's plan; return the result."""
    number = itertools.count()
    known: dict[str, str] = {}

    def constant(name: str) -> str:
        if name not in known:
            label = name.replace("layers.", "layer_").replace(".", "_")
            known[name] = graph.constant(label, emulator.parameters[name])
        return known[name]

    def step(operation: Operation, inputs: Sequence[str]) -> str:
        parameters = [constant(name) for name in operation.parameters]
        layout = emulator.plan.layout(operation)
        z = operation.row.onnx(graph, layout, inputs, parameters, f"layer_{next(number)}")
        return ACTIVATION_FUNCTIONS[operation.activation].onnx(graph, z, operation.slope)

    return emulator.plan.walk(features, step)


def _outputs(graph: _Graph, emulator: Emulator, z: str, x: str) -> str:
    """Convert the last layer's columns to physical units and multiply them by their reference."""
    references = emulator.contract.reference_indices
    scaler = emulator.output_scaler
    runs = _runs([(k, r is not None) for k, r in zip(scaler.kinds, references, strict=True)])
    of_network = [(i, run) for i, run in enumerate(runs) if run.kind != "constant"]
    names = [f"last_{i}" for i, _ in of_network]
    blocks = iter(graph.split(z, [run.width for _, run in of_network], names))
    outputs = []
    for i, run in enumerate(runs):
        if run.kind == "constant":
            constants = graph.constant(f"output_{i}_constants", scaler.shift[run.places])
            # The first value is 0 in every valid row.
            y = graph.node("Add", [_ROW_IS_VALID, constants], f"output_{i}_constant")
        else:
            y = _backward(graph, next(blocks), run, scaler, f"output_{i}")
        if run.relative:
            taken = graph.constant(f"output_{i}_reference", [references[j] for j in run.places])
            reference = graph.node("Gather", [x, taken], f"output_{i}_relative_to", axis=1)
            y = graph.node("Mul", [y, reference], f"output_{i}_absolute")
        outputs.append(y)
    return graph.concat(outputs, "outputs")


def _backward(graph: _Graph, z: str, run: _Run, scaler: Scaler, prefix: str) -> str:
    """`Scaler.backward` of one run of columns."""
    if run.kind == "sigmoid":
        return graph.node("Sigmoid", [z], f"{prefix}_sigmoid")
    shift = graph.constant(f"{prefix}_shift", scaler.shift[run.places])
    scale = graph.constant(f"{prefix}_scale", scaler.scale[run.places])
    z = graph.node("Div", [z, scale], f"{prefix}_unscaled")
    if run.kind == "ln":
        z = graph.node("Exp", [z], f"{prefix}_exp")
        return graph.node("Mul", [z, shift], f"{prefix}_physical")
    x = graph.node("Add", [z, shift], f"{prefix}_physical")
    return graph.node("Sigmoid", [x], f"{prefix}_sigmoid") if run.kind == "logit" else x


#: Value of shape (ncol, 1): 0 for a row of finite numbers, NaN for a row with NaN or infinity.
_ROW_IS_VALID = "row_zero_or_nan"


def _zero_or_nan(graph: _Graph) -> None:
    """Add `_ROW_IS_VALID`."""
    # x - x is 0 for every finite number and NaN for NaN and infinity.
    zero = graph.node("Sub", ["x", "x"], "zero_or_nan")
    graph.node("ReduceL1", [zero], _ROW_IS_VALID, axes=[1], keepdims=1)


def _nan_where_input_is_invalid(graph: _Graph, y: str) -> None:
    """End the graph with ``y``: NaN in rows whose input holds a NaN or an infinity."""
    nan = graph.constant("nan", math.nan)
    graph.node("Where", [graph.node("IsNaN", [_ROW_IS_VALID], "row_is_invalid"), nan, y], "y")
