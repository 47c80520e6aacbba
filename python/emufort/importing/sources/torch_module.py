"""Convert a module of torch, or a program that torch exported, to ONNX, as torch itself does."""

from __future__ import annotations

import importlib.util
import inspect
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch._decomp import get_decompositions

from emufort.importing.refusal import ImportRefusedError
from emufort.importing.sources.source import Example, Source
from emufort.messages import one_line

_LSTM = torch.ops.aten.lstm.input


def source_of_module(
    module: torch.nn.Module,
    example: Example | None,
    name: str,
    input_names: Sequence[str] | None = None,
    one_by_one: bool = False,
) -> Source:
    """Return a module as ONNX.

    Parameters
    ----------
    module
        The module. It is exported and evaluated in evaluation mode, and left in its own mode.
    example
        Inputs (n, ...): an array, or a tuple of arrays or arrays by name for several inputs.
    name
        Name of the network.
    input_names
        Names of the inputs; None: those of the arguments of the module.
    one_by_one
        Whether the module takes only one column at a time.

    Raises
    ------
    ImportRefusedError
        The example is missing, or torch cannot export the module.
    """
    if example is None:
        raise ImportRefusedError(
            "a module of torch needs an example of its inputs: import_network(module, "
            "example=array), with the columns in the first dimension"
        )
    kind = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    keys = list(example) if isinstance(example, Mapping) else None
    with _evaluation_mode(module):
        free = None if one_by_one else _attempt(module, example, keys, kind, True, input_names)
        if isinstance(free, onnx.ModelProto) and _has_columns(free):
            model = free
        else:
            # A module that is written for one column cannot be exported with a free number, or
            # gives one column then.
            fixed = _attempt(module, example, keys, kind, False, input_names)
            if not isinstance(fixed, onnx.ModelProto):
                raise free if isinstance(free, ImportRefusedError) else fixed
            model = fixed

    def evaluate(inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        given = [_tensor(values, kind) for values in inputs]
        with _evaluation_mode(module), torch.inference_mode():
            found = (
                module(*given) if keys is None else module(**dict(zip(keys, given, strict=True)))
            )
        return _flat(found)

    return Source(model, name, evaluate)


def source_of_program(program: torch.export.ExportedProgram, name: str) -> Source:
    """Return a program of ``torch.export`` as ONNX.

    Raises
    ------
    ImportRefusedError
        torch cannot export the program.
    """
    kind = next((p.dtype for p in program.parameters() if p.is_floating_point()), torch.float32)

    def evaluate(inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        given = [_tensor(values, kind) for values in inputs]
        args, kwargs = torch.utils._pytree.tree_unflatten(given, program.call_spec.in_spec)
        with torch.inference_mode():
            return _flat(program.module()(*args, **kwargs))

    return Source(_exported(program, ()), name, evaluate)


def _attempt(
    module: torch.nn.Module,
    example: Example,
    keys: list[str] | None,
    kind: torch.dtype,
    free: bool,
    input_names: Sequence[str] | None,
) -> onnx.ModelProto | ImportRefusedError:
    """Return the model with a free or fixed number of columns, or the reason why there is none."""
    # Two columns if their number is free, because torch takes a dimension of 1 as fixed.
    rows = 2 if free else 1
    tensors = [_tensor(np.resize(x, (rows, *x.shape[1:])), kind) for x in _arrays(example)]
    args = tuple(tensors) if keys is None else ()
    kwargs = {} if keys is None else dict(zip(keys, tensors, strict=True))
    options: dict[str, Any] = {"input_names": input_names, "kwargs": kwargs}
    if free:
        columns = {0: torch.export.Dim("ncol", min=1)}
        try:
            arguments = inspect.signature(module.forward).bind(*args, **kwargs).arguments
        except TypeError as error:
            return ImportRefusedError(f"the example does not fit the module: {one_line(error)}")
        options["dynamic_shapes"] = {
            name: torch.utils._pytree.tree_map(lambda _: columns, value)
            for name, value in arguments.items()
        }
    try:
        return _exported(module, args, **options)
    except ImportRefusedError as error:
        return error


def _has_columns(model: onnx.ModelProto) -> bool:
    """Return whether the first dimension of every output is free."""
    shapes = [output.type.tensor_type.shape.dim for output in model.graph.output]
    return all(shape and not shape[0].HasField("dim_value") for shape in shapes)


def _exported(model: Any, arguments: tuple[Any, ...], **options: Any) -> onnx.ModelProto:
    if importlib.util.find_spec("onnxscript") is None:
        raise ImportRefusedError(
            "networks of torch need the package onnxscript: pip install 'emufort[torch-import]'"
        )
    # Torch logs and prints the traceback and the graph of each of its attempts.
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(model, arguments, dynamo=True, verbose=False, **options)
            followed = None if program is None else program.exported_program
            if followed is not None and _has_projected_states(followed):
                steps: Any = followed.run_decompositions(get_decompositions([_LSTM]))
                names = options.get("input_names")
                program = torch.onnx.export(
                    steps, (), dynamo=True, verbose=False, input_names=names
                )
    except Exception as error:
        # torch wraps whatever happens while it follows the module
        raise ImportRefusedError(f"torch cannot export the module: {_reason(error)}") from error
    finally:
        logging.disable(disabled)
    assert program is not None
    found = program.model_proto
    _restore_numbers(found, program.exported_program)
    return found


def _restore_numbers(model: onnx.ModelProto, program: torch.export.ExportedProgram | None) -> None:
    """Give the numbers in the code of a module in double precision, which torch rounds to single.

    Parameters
    ----------
    model
        The exported model, whose constants are changed.
    program
        The program that it was made from, which has the numbers with all digits.
    """
    nodes = () if program is None else program.graph.nodes
    numbers = {n.name: n.args[0] for n in nodes if n.target is torch.ops.aten.scalar_tensor.default}
    for constant in model.graph.initializer:
        if constant.name in numbers and constant.data_type == onnx.TensorProto.DOUBLE:
            exact = np.array(numbers[constant.name], np.float64)
            constant.CopyFrom(onnx.numpy_helper.from_array(exact, constant.name))


def _has_projected_states(program: torch.export.ExportedProgram) -> bool:
    """Return whether an LSTM has projected states, whose weights the exporter of torch mixes up."""
    for node in program.graph.nodes:
        if node.target is _LSTM:
            weights, has_biases, n_layers = node.args[2:5]
            n_directions = 2 if node.args[7] else 1
            if len(weights) != (4 if has_biases else 2) * n_layers * n_directions:
                return True
    return False


def _reason(error: BaseException) -> str:
    """Return the first cause of an error, without colours of a terminal."""
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(re.sub(r"\x1b\[[0-9;]*m", "", str(error)))


@contextmanager
def _evaluation_mode(module: torch.nn.Module) -> Iterator[None]:
    training = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in training.items():
            part.training = mode


def _arrays(example: Example) -> list[NDArray[Any]]:
    if isinstance(example, Mapping):
        return [np.asarray(values) for values in example.values()]
    if isinstance(example, tuple):
        return [np.asarray(values) for values in example]
    return [np.asarray(example)]


def _tensor(values: NDArray[Any], kind: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64)).to(kind)


def _flat(found: Any) -> list[NDArray[Any]]:
    """Return the tensors of a result, which may be nested, in the order in which torch exports."""
    leaves, _ = torch.utils._pytree.tree_flatten(found)
    return [leaf.detach().cpu().double().numpy() for leaf in leaves if torch.is_tensor(leaf)]
