"""Read a .pt2 file of ``torch.export.save`` without executing anything that it holds.

The graph of the file is built again of torch's own operations (``torch.ops.aten``); every other
function, operation of a third party or control flow is refused by name.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emufort.importing.refusal import MOST_ELEMENTS, ImportRefusedError, refuse
from emufort.importing.sources.pt2_archive import TYPES, Archive
from emufort.importing.sources.source import Source
from emufort.importing.sources.torch_module import source_of_module
from emufort.messages import one_line

_ATEN = re.compile(r"torch\.ops\.aten\.([a-z0-9_]+)\.([A-Za-z0-9_]+)")
#: Operations of torch that read files.
_FORBIDDEN = {"from_file"}
#: Checks that torch adds; the shapes are checked here and by ONNX.
_CHECKS = {"_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range_for_size"}
#: Arithmetic with the number of columns.
_ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    f"_operator.{name}": getattr(operator, name)
    for name in ("add", "sub", "mul", "floordiv", "mod", "eq", "ne", "lt", "le", "gt", "ge")
}
_FORMATS = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}


@dataclass(frozen=True)
class _Reference:
    """The name of a value within the arguments of a call."""

    name: str


@dataclass(frozen=True)
class _Call:
    """One operation.

    Attributes
    ----------
    function
        The operation.
    args, kwargs
        Its arguments; values of the graph are references.
    outputs
        Names of its results; None for a result that is absent.
    is_many
        Whether the function returns a tuple or a list.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[str | None, ...]
    is_many: bool


class _Program(torch.nn.Module):
    """Carries out the calls of a program; torch exports it like any other module."""

    def __init__(
        self,
        inputs: Sequence[str],
        constants: Mapping[str, torch.Tensor],
        numbers: Mapping[str, Any],
        calls: Sequence[_Call],
        results: Sequence[str],
    ) -> None:
        super().__init__()
        self._inputs, self._numbers, self._calls, self._results = inputs, numbers, calls, results
        self._places = {name: f"constant_{i}" for i, name in enumerate(constants)}
        for name, place in self._places.items():
            self.register_buffer(place, constants[name])

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        values = dict(self._numbers) | dict(zip(self._inputs, inputs, strict=True))
        values |= {name: getattr(self, place) for name, place in self._places.items()}
        for call in self._calls:
            kwargs = {name: _resolved(value, values) for name, value in call.kwargs.items()}
            found = call.function(*_resolved(list(call.args), values), **kwargs)
            results = found if call.is_many else [found]
            values |= {n: r for n, r in zip(call.outputs, results, strict=True) if n is not None}
        return tuple(values[name] for name in self._results)


def _resolved(argument: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(argument, _Reference):
        return values[argument.name]
    if isinstance(argument, list):
        return [_resolved(one, values) for one in argument]
    return argument


def module_of_pt2(path: Path) -> tuple[torch.nn.Module, Mapping[str, tuple[int, ...]]]:
    """Return the network of a .pt2 file, and the shape of each of its inputs by name.

    The first size of a shape is 0 if the number of columns is free.

    Raises
    ------
    ImportRefusedError
        The file cannot be read, has pickled weights, an operation that is not one of torch's own,
        or inputs that are not tensors.
    """
    reader = _Reader(Archive(path), path)
    try:
        return reader.program(), reader.inputs
    except ImportRefusedError:
        raise
    except Exception as error:
        # look-ups in a damaged file raise errors of many kinds
        raise ImportRefusedError(f"{path} is damaged: {one_line(repr(error))}") from error


def source_of_pt2(path: Path) -> Source:
    """Return the network of a .pt2 file for the importer.

    Raises
    ------
    ImportRefusedError
        See `module_of_pt2`; or torch cannot export the network.
    """
    module, inputs = module_of_pt2(path)
    try:
        return source_of_module(
            module,
            tuple(np.zeros(shape) for shape in inputs.values()),
            path.name,
            input_names=list(inputs),
            one_by_one=any(shape[0] == 1 for shape in inputs.values()),
        )
    except ImportRefusedError:
        raise
    except Exception as error:
        raise ImportRefusedError(f"{path} is damaged: {one_line(repr(error))}") from error


class _Reader:
    """Reads the graph of an archive."""

    def __init__(self, archive: Archive, path: Path) -> None:
        self._archive, self._path = archive, path
        self._constants: dict[str, torch.Tensor] = {}
        self._numbers: dict[str, Any] = {}
        self._calls: list[_Call] = []
        #: Name -> shape of an input; the first size is 0 if the number of columns is free.
        self.inputs: dict[str, tuple[int, ...]] = {}

    def program(self) -> _Program:
        """Return the program."""
        content = self._archive.program["graph_module"]
        self._graph, signature = content["graph"], content["signature"]
        for spec in signature["input_specs"]:
            self._add_input(spec)
        for node in self._graph["nodes"]:
            self._add_node(node)
        results = []
        for spec in signature["output_specs"]:
            if set(spec) != {"user_output"} or "as_tensor" not in spec["user_output"]["arg"]:
                raise ImportRefusedError(
                    f"{self._path} has an output that is not a tensor, or changes its weights; "
                    "export the network in evaluation mode: module.eval()"
                )
            results.append(spec["user_output"]["arg"]["as_tensor"]["name"])
        return _Program(list(self.inputs), self._constants, self._numbers, self._calls, results)

    def _add_input(self, spec: dict[str, Any]) -> None:
        ((kind, content),) = spec.items()
        if kind == "user_input" and "as_tensor" in content["arg"]:
            name = str(content["arg"]["as_tensor"]["name"])
            sizes = [size.get("as_int") for size in self._graph["tensor_values"][name]["sizes"]]
            if not sizes or None in sizes[1:] or math.prod(sizes[1:]) > MOST_ELEMENTS:
                raise ImportRefusedError(
                    f"the input '{name}' of {self._path} has a size that is not fixed, or is too "
                    "large; export the network with fixed sizes of all dimensions but the first"
                )
            self.inputs[name] = (sizes[0] or 0, *sizes[1:])
        elif kind == "constant_input":
            self._numbers[content["name"]] = next(iter(content["value"].values()))
        elif kind in ("parameter", "buffer", "tensor_constant"):
            store = self._archive.weights | self._archive.constants
            self._constants[content["arg"]["name"]] = store[content[f"{kind}_name"]]
        else:
            raise ImportRefusedError(
                f"{self._path} has an input that is not a tensor ({kind}); export a network whose "
                "inputs are tensors"
            )

    def _add_node(self, node: dict[str, Any]) -> None:
        target, name = node["target"], node.get("name") or node["target"]
        function = _ARITHMETIC.get(target)
        found = _ATEN.fullmatch(target)
        if function is None:
            overloads = getattr(torch.ops.aten, found[1], None) if found else None
            function = getattr(overloads, found[2], None) if found else None
            if not isinstance(function, torch._ops.OpOverload) or not found:
                raise refuse(
                    target, name, "it is not an operation of torch", "replace it in the network"
                )
            if found[1] in _CHECKS:
                return
            if found[1] in _FORBIDDEN:
                raise refuse(target, name, "it reads a file", "replace it in the network")
        given = [(i["name"], self._value(i["arg"])) for i in node["inputs"]]
        args, kwargs = _call(function, given)
        outputs = node["outputs"]
        is_list = len(outputs) == 1 and "as_tensors" in outputs[0]
        if is_list:
            outputs = [{"as_tensor": one} for one in outputs[0]["as_tensors"]]
        names = tuple(_name(output) for output in outputs)
        self._calls.append(_Call(function, args, kwargs, names, is_list or len(names) > 1))

    def _value(self, argument: dict[str, Any]) -> Any:
        """Return an argument of an operation."""
        ((kind, content),) = argument.items()
        if kind == "as_none":
            return None
        if kind in ("as_tensor", "as_name"):
            return _Reference(content["name"] if kind == "as_tensor" else content)
        if kind in ("as_sym_int", "as_sym_bool", "as_optional_tensor"):
            return self._value(content)
        if kind == "as_tensors":
            return [_Reference(one["name"]) for one in content]
        if kind in ("as_sym_ints", "as_optional_tensors"):
            return [self._value(one) for one in content]
        if kind in ("as_int", "as_float", "as_bool", "as_string"):
            return {"as_int": int, "as_float": float, "as_bool": bool, "as_string": str}[kind](
                content
            )
        if kind in ("as_ints", "as_floats", "as_bools"):
            convert = {"as_ints": int, "as_floats": float, "as_bools": bool}[kind]
            return [convert(one) for one in content]
        if kind == "as_scalar_type":
            return TYPES[content]
        if kind == "as_memory_format":
            return _FORMATS[content]
        if kind == "as_layout" and content == 7:
            return torch.strided
        if kind == "as_device":
            return torch.device("cpu")
        raise ImportRefusedError(
            f"{self._path} has an argument of the kind '{kind}', which is control flow or an "
            "object; export a network of tensors and numbers only"
        )


def _name(output: dict[str, Any]) -> str | None:
    """Return the name of a result: a tensor, or a number such as a size; None if it is absent."""
    ((kind, content),) = output.items()
    if kind == "as_none":
        return None
    return str(content["name"] if kind == "as_tensor" else content["as_name"])


def _call(
    function: Callable[..., Any], given: Sequence[tuple[str, Any]]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and the named arguments of a call."""
    if not isinstance(function, torch._ops.OpOverload):
        return tuple(value for _, value in given), {}
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    wanted = function._schema.arguments
    for name, value in given:
        place = len(args)
        is_next = place < len(wanted) and wanted[place].name == name
        if is_next and not kwargs and not wanted[place].kwarg_only:
            args.append(value)
        else:
            kwargs[name] = value
    return tuple(args), kwargs
