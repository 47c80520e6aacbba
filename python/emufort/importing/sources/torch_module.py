"""Convert a module of torch, or a program that torch exported, to ONNX, as torch itself does."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from emufort.importing.refusal import ImportRefusedError
from emufort.importing.sources.source import Example, Source
from emufort.messages import one_line


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
        if isinstance(free, onnx.ModelProto):
            model = free
        else:
            # A module that is written for one column cannot be exported with a free number.
            fixed = _attempt(module, example, keys, kind, False, input_names)
            if not isinstance(fixed, onnx.ModelProto):
                raise free or fixed
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


def _exported(model: Any, arguments: tuple[Any, ...], **options: Any) -> onnx.ModelProto:
    if importlib.util.find_spec("onnxscript") is None:
        raise ImportRefusedError(
            "networks of torch need the package onnxscript: pip install 'emufort[torch-import]'"
        )
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(model, arguments, dynamo=True, verbose=False, **options)
    except Exception as error:
        # torch wraps whatever happens while it follows the module
        raise ImportRefusedError(f"torch cannot export the module: {one_line(error)}") from error
    finally:
        logger.setLevel(level)
    assert program is not None
    return program.model_proto


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
