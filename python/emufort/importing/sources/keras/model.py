"""Follow the layers of a Keras model: sequential, functional, and models within models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from emufort.importing.refusal import MOST_ELEMENTS, ImportRefusedError
from emufort.importing.sources.builder import Builder
from emufort.importing.sources.keras import layers, operations
from emufort.importing.sources.keras.call import Call, Tensor
from emufort.importing.sources.keras.weights import Weights, group_names

_FUNCTIONAL = ("Functional", "Model")
_SEQUENTIAL = "Sequential"
#: Deepest nesting of models.
_DEEPEST = 20
#: Reference to a value: name of the layer, number of its call, number of its output.
_Place = tuple[str, int, int]


def onnx_of_config(config: Mapping[str, Any], weights: Weights, name: str) -> onnx.ModelProto:
    """Return the ONNX model of a Keras model.

    Parameters
    ----------
    config
        The model as ``config.json`` of a .keras file describes it.
    weights
        Its weights.
    name
        Name of the graph.

    Raises
    ------
    ImportRefusedError
        The model is not made of layers of Keras, or a layer cannot be converted.
    """
    builder = Builder(np.float64 if weights.is_double() else np.float32, name, "Keras")
    given = [Tensor(builder.input(port, shape)) for port, shape in _inputs(config)]
    found = _followed(builder, config, weights, given, 0)
    taken = [name for name, _ in _inputs(config)]
    names = [f"{name}_output" if name in taken else name for name in _output_names(config, found)]
    return builder.model(list(zip(names, found, strict=True)))


def _kind(config: Mapping[str, Any]) -> str:
    """Return the class of a layer, if it is one of Keras."""
    kind, module = str(config.get("class_name")), str(config.get("module"))
    own = module == "keras" or module.startswith("keras.")
    # Operations register themselves by their names; classes of users have the name of a package.
    if not own or ">" in str(config.get("registered_name") or ""):
        raise ImportRefusedError(
            f"the Keras layer {kind} cannot be imported: it is not a layer of Keras but has code "
            "of its own; export the model to ONNX with model.export(path, format='onnx')"
        )
    return kind


def _is_model(kind: str) -> bool:
    return kind == _SEQUENTIAL or kind in _FUNCTIONAL


def _inputs(config: Mapping[str, Any]) -> Iterator[tuple[str, list[int]]]:
    """Yield name and shape for one column of every input of a model."""
    kind = _kind(config)
    if not _is_model(kind) or "layers" not in config["config"]:
        raise ImportRefusedError(
            f"the Keras model {kind} is a class of its own, which has no list of layers; export it "
            "with model.export(path, format='onnx') and import that file"
        )
    content = config["config"]
    entries = {
        layer["config"]["name"]: layer["config"].get("batch_shape")
        for layer in content["layers"]
        if layer["class_name"] == "InputLayer"
    }
    if kind in _FUNCTIONAL:
        entries = {name: entries[name] for name, _, _ in _places(content["input_layers"])}
    elif not entries:
        entries = {"x": content.get("build_input_shape")}
    for name, shape in entries.items():
        sizes: list[Any] = list(shape[1:]) if shape else [None]
        if None in sizes or np.prod(sizes, dtype=float) > MOST_ELEMENTS:
            raise ImportRefusedError(
                f"the input '{name}' of the Keras model has the shape {shape}; build the model "
                "with fixed sizes of all dimensions but the first"
            )
        yield name, [int(size) for size in sizes]


def _output_names(config: Mapping[str, Any], found: Sequence[str]) -> list[str]:
    """Return a name for every output: its key, or that of its layer."""
    content = config["config"]
    if config["class_name"] == _SEQUENTIAL:
        return [f"y_{i}" if i else "y" for i in range(len(found))]
    named = content["output_layers"]
    if isinstance(named, dict) and all(_is_place(value) for value in named.values()):
        return sorted(named)
    unique: list[str] = []
    for name, _, _ in _places(named):
        unique.append(f"{name}_{len(unique)}" if name in unique else name)
    return unique


def _followed(
    builder: Builder,
    config: Mapping[str, Any],
    weights: Weights,
    given: Sequence[Tensor],
    depth: int,
) -> list[str]:
    """Return the names of the outputs of a model for the values `given` to its inputs."""
    if depth > _DEEPEST:
        raise ImportRefusedError(f"the Keras model has more than {_DEEPEST} models within models")
    content = config["config"]
    entries = content["layers"]
    kinds = [_kind(entry) for entry in entries]
    are_layers = [not str(entry["module"]).startswith("keras.src.ops") for entry in entries]
    names = iter(group_names(k for k, own in zip(kinds, are_layers, strict=True) if own))
    groups = [next(names) if own else "" for own in are_layers]

    def called(number: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[str]:
        entry, part = entries[number], weights.part("layers").part(groups[number])
        if are_layers[number] and _is_model(kinds[number]):
            inner = [a for a in _flat(args) if isinstance(a, Tensor)]
            return _followed(builder, entry, part, inner, depth + 1)
        call = Call(
            builder, kinds[number], entry["config"]["name"], entry["config"], part, args, kwargs
        )
        return layers.convert(call) if are_layers[number] else operations.convert(call)

    if _kind(config) == _SEQUENTIAL:
        found = [tensor.name for tensor in given]
        for number, kind in enumerate(kinds):
            if kind != "InputLayer":
                found = called(number, (Tensor(found[0]),), {})
        return found

    values: dict[_Place, str] = {}
    inputs = _places(content["input_layers"])
    if len(inputs) != len(given):
        raise ImportRefusedError(f"the Keras model '{content['name']}' has other inputs")
    for place, tensor in zip(inputs, given, strict=True):
        values[place] = tensor.name
    waiting = [
        (number, turn, node)
        for number, entry in enumerate(entries)
        for turn, node in enumerate(entry["inbound_nodes"])
    ]
    while waiting:
        later = []
        for number, turn, node in waiting:
            try:
                args = tuple(_argument(a, values) for a in node["args"])
                kwargs = {k: _argument(v, values) for k, v in node["kwargs"].items()}
            except _NotReadyError:
                later.append((number, turn, node))
                continue
            for output, value in enumerate(called(number, args, kwargs)):
                values[entries[number]["config"]["name"], turn, output] = value
        if len(later) == len(waiting):
            raise ImportRefusedError(
                f"the layer '{entries[later[0][0]]['config']['name']}' of the Keras model reads a "
                "value that no layer gives"
            )
        waiting = later
    return [values[place] for place in _places(content["output_layers"])]


class _NotReadyError(Exception):
    """A layer reads a value that is not known yet."""


def _argument(content: Any, values: Mapping[_Place, str]) -> Any:
    """Return an argument of a call as values of the graph, numbers, lists and slices."""
    if isinstance(content, dict):
        kind = content.get("class_name")
        if kind == "__keras_tensor__":
            name, turn, output = content["config"]["keras_history"]
            if (name, turn, output) not in values:
                raise _NotReadyError
            return Tensor(values[name, turn, output])
        if kind == "__slice__":
            part = content["config"]
            return slice(part["start"], part["stop"], part["step"])
        if kind == "__ellipsis__":
            return Ellipsis
        if kind == "__tuple__":
            return [_argument(one, values) for one in content["config"]["value"]]
        return content
    if isinstance(content, list):
        return [_argument(one, values) for one in content]
    return content


def _is_place(content: Any) -> bool:
    return (
        isinstance(content, list)
        and len(content) == 3
        and isinstance(content[0], str)
        and all(isinstance(number, int) for number in content[1:])
    )


def _places(content: Any) -> list[_Place]:
    """Return all references in a nested structure, in its order; keys are sorted, as in Keras."""
    if _is_place(content):
        return [(content[0], content[1], content[2])]
    parts = [content[k] for k in sorted(content)] if isinstance(content, dict) else content
    return [place for part in parts for place in _places(part)]


def _flat(content: Any) -> list[Any]:
    if isinstance(content, list | tuple):
        return [one for part in content for one in _flat(part)]
    if isinstance(content, dict):
        return _flat([content[key] for key in sorted(content)])
    return [content]
