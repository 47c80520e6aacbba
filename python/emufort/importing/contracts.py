"""The contract of an imported network, and the scalers around it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emufort.contract import Column, Contract
from emufort.importing.graph import Graph, Port
from emufort.importing.refusal import ImportRefusedError
from emufort.network.activations import Array
from emufort.network.scaler import Scaler, ScalerKind

#: Transforms that have no numbers of their own, and the scale that gives them, for inputs.
_INPUTS: dict[str, tuple[ScalerKind, float]] = {
    "none": ("affine", 1.0),
    "ln": ("ln", 1.0),
    "log10": ("ln", 1.0 / np.log(10.0)),
    "logit": ("logit", 1.0),
}
_OUTPUTS: dict[str, tuple[ScalerKind, float]] = {**_INPUTS, "sigmoid": ("sigmoid", 1.0)}
#: Largest logarithm of a number in single precision, and of its reciprocal.
_MOST_LOGARITHM = 87.0

#: Shape of one column, without the dimension of the columns.
Shape = tuple[int, ...]


def derived_contract(graph: Graph, outputs: Sequence[Shape], name: str, title: str) -> Contract:
    """Return a contract with the names and shapes of a graph: units ``"1"``, no ranges.

    Parameters
    ----------
    graph
        The graph.
    outputs
        Shape of each output of the graph for one column.
    name, title
        Name and title of the contract.
    """
    taken: set[str] = set()
    dimensions: dict[str, int] = {}
    inputs = _variables(graph.inputs, input_shapes(graph), taken, dimensions)
    return Contract.from_dict(
        {
            "name": name,
            "title": title,
            "dimensions": dimensions,
            "input": inputs,
            "output": _variables(graph.outputs, outputs, taken, dimensions),
        },
        "the contract of the imported network",
    )


def input_shapes(graph: Graph) -> list[Shape]:
    """Return the shape of each input of a graph for one column."""
    return [port.shape[1:] for port in graph.inputs]


def _variables(
    ports: Sequence[Port], shapes: Sequence[Shape], taken: set[str], dimensions: dict[str, int]
) -> list[dict[str, Any]]:
    """Return variables with a dimension of its own for each one behind that of the columns.

    A single value has no dimension.
    """
    found = []
    for port, shape in zip(ports, shapes, strict=True):
        name = word(port.name)
        # names of the generated module begin with it
        name = _unique(f"x_{name}" if name.lower().startswith("emufort_") else name, taken)
        variable: dict[str, Any] = {"name": name, "units": "1", "transform": "none"}
        if math.prod(shape) > 1:
            places = [f"_{i + 1}" for i in range(len(shape))] if len(shape) > 1 else [""]
            own = [_unique(f"{name[:50]}_index{place}", taken) for place in places]
            dimensions.update(zip(own, shape, strict=True))
            variable["dimensions"] = own
        found.append(variable)
    return found


def word(text: str) -> str:
    """Return a text as a name of letters, digits and underscores that starts with a letter."""
    found = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:40]
    return found if re.match(r"[A-Za-z]", found) else f"x_{found}".strip("_")


def _unique(name: str, taken: set[str]) -> str:
    found, number = name, 1
    while found.lower() in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found.lower())
    return found


def contract_of_network(contract: Contract) -> Contract:
    """Return a contract without what describes the training data, for a network that has none.

    These are filter, split and baselines. Variables without a transform have none: a search
    standardises them, and an imported network has its scalers inside.
    """
    content = contract.to_dict()
    for key in ("baseline", "default_data", "filter", "split"):
        content.pop(key, None)
    for side, variables in (("input", contract.input), ("output", contract.output)):
        for entry, variable in zip(content[side], variables, strict=True):
            if "transform" not in variable.model_fields_set:
                entry["transform"] = "none"
    return Contract.from_dict(content, f"the contract '{contract.name}'")


def check_contract(
    contract: Contract, graph: Graph, outputs: Sequence[Shape], source: Path
) -> None:
    """Check that the variables of a contract are the inputs and outputs of a graph in their order.

    A contract may name the values of one input or output of the graph by several variables, or
    along one dimension. The sizes of several dimensions are those of the graph.

    Raises
    ------
    ImportRefusedError
        A number of variables or values, or a shape, differs.
    """
    for what, variables, ports, shapes in (
        ("input", contract.input, graph.inputs, input_shapes(graph)),
        ("output", contract.output, graph.outputs, outputs),
    ):
        widths = [contract.width(variable) for variable in variables]
        sizes = [math.prod(shape) for shape in shapes]
        if widths == sizes:
            for variable, port, shape in zip(variables, ports, shapes, strict=True):
                own = contract.shape(variable)
                if len(own) > 1 and _without_ones(own) != _without_ones(shape):
                    raise ImportRefusedError(
                        f"'{variable.name}' of the contract '{contract.name}' has the shape {own}, "
                        f"{port.name} of {source.name} {shape}; write its dimensions in the order "
                        "of the network"
                    )
            continue
        if sum(widths) == sum(sizes) and len(sizes) == 1:
            continue
        of_graph = ", ".join(f"{p.name} ({n})" for p, n in zip(ports, sizes, strict=True))
        of_contract = ", ".join(f"{v.name} ({n})" for v, n in zip(variables, widths, strict=True))
        raise ImportRefusedError(
            f"the {what}s of the contract '{contract.name}' are not those of {source.name}: the "
            f"contract has {of_contract}, the network {of_graph}; list them in the order of the "
            "network with the same numbers of values"
        )
    for output in contract.output:
        if output.relative_to is not None:
            raise ImportRefusedError(
                f"the output '{output.name}' of the contract is relative to an input; remove "
                "'relative_to' or put the product into the network"
            )
    if len(contract.feature_indices) != len(contract.input_columns):
        raise ImportRefusedError(
            f"an input of the contract '{contract.name}' has feature = false; an imported network "
            "sees all inputs"
        )


def _without_ones(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)


def transforms_of_inputs(contract: Contract) -> Scaler:
    """Return the transforms of the inputs of a contract, with which the original is called."""
    return _scaler(contract.input_columns, _INPUTS)


def input_scaler(contract: Contract, shift: Array, scale: Array) -> Scaler:
    """Return the scaler of the inputs: the transforms of the contract, then an affine scaling.

    Parameters
    ----------
    contract
        Contract with the transforms of the inputs.
    shift, scale
        Affine scaling at the start of the network, (n_features,), z = (t - shift) scale of the
        transformed input t.

    Raises
    ------
    ImportRefusedError
        The mean of a logarithm is that of no number in single precision.
    """
    found = transforms_of_inputs(contract)
    for j, (kind, column) in enumerate(zip(found.kinds, contract.input_columns, strict=True)):
        if kind == "ln":
            # (c ln x - shift) scale = ln(x / exp(shift / c)) c scale
            mean = shift[j] / found.scale[j]
            if abs(mean) > _MOST_LOGARITHM:
                raise ImportRefusedError(
                    f"the network subtracts {shift[j]:.3g} from the logarithm of '{column.name}', "
                    "whose mean would be beyond single precision; use the transform 'none' and put "
                    "the logarithm into the network"
                )
            found.shift[j] = math.exp(mean)
        else:
            found.shift[j] = shift[j]
        found.scale[j] *= scale[j]
    return found


def output_scaler(contract: Contract) -> Scaler:
    """Return the scaler of the outputs, which only has the transforms of the contract."""
    return _scaler(contract.output_columns, _OUTPUTS)


def _scaler(columns: Iterable[Column], known: dict[str, tuple[ScalerKind, float]]) -> Scaler:
    kinds: list[ScalerKind] = []
    shift, scale = [], []
    for column in columns:
        if column.transform not in known:
            raise ImportRefusedError(
                f"the transform '{column.transform}' of '{column.variable}' needs numbers that a "
                f"contract does not hold; put the scaling into the network and write one of "
                f"{', '.join(known)}"
            )
        kind, factor = known[column.transform]
        kinds.append(kind)
        shift.append(1.0 if kind == "ln" else 0.0)
        scale.append(factor)
    return Scaler(tuple(kinds), np.array(shift), np.array(scale))
