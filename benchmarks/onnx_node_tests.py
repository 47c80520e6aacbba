"""Import the node tests of ONNX: how many are accepted, refused by name, wrong.

    apt-get download libonnx-testdata && dpkg -x libonnx-testdata_*.deb testdata
    python -m benchmarks.onnx_node_tests --folder testdata/usr/share/libonnx-testdata/data/node
    python -m benchmarks.onnx_node_tests          # the tests of the installed package onnx

A test counts if its first input is an array of real numbers whose first dimension is a batch: the
model gives the same outputs when it gets the rows of that dimension one at a time. Inputs of real
numbers with the same first dimension are rows too where that is the case; all other inputs become
constants. Outputs that are whole numbers or true and false are converted to real numbers.
"""

from __future__ import annotations

import argparse
import importlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from emufort.importing.graph import read_graph
from emufort.importing.importer import emulator_of
from emufort.importing.refusal import ImportRefusedError

if TYPE_CHECKING:
    from onnx.backend.test.case.test_case import TestCase

Array = NDArray[Any]
Arrays = list[Array | None]
_REAL = (TensorProto.FLOAT, TensorProto.DOUBLE)
_COUNTED = (*_REAL, TensorProto.BOOL, TensorProto.INT32, TensorProto.INT64)
#: From this version of the format on, a constant is no input.
_IR_VERSION = 4
#: Oldest version of the operators that is imported.
_OLDEST_OPSET = 11
#: Largest difference from the expected outputs, relative to the largest of them.
_TOLERANCE = 2e-5


@dataclass(frozen=True)
class NodeTest:
    """A model with one node, inputs and expected outputs."""

    name: str
    model: onnx.ModelProto
    inputs: Arrays
    outputs: Arrays


@dataclass(frozen=True)
class Outcome:
    """What became of a test: ``accepted``, ``refused`` or ``wrong``, and why."""

    name: str
    operator: str
    verdict: str
    reason: str = ""


def tests_of_folder(folder: Path) -> Iterator[NodeTest]:
    """Yield the tests of a folder with one folder for each."""
    for path in sorted(folder.iterdir()):
        data = path / "test_data_set_0"
        if not (path / "model.onnx").exists():
            continue
        model = onnx.load(path / "model.onnx")
        inputs, outputs = (
            [_array(data / f"{kind}_{k}.pb", port) for k, port in enumerate(ports)]
            for kind, ports in (("input", model.graph.input), ("output", model.graph.output))
        )
        yield NodeTest(path.name, model, inputs, outputs)


def _array(path: Path, port: onnx.ValueInfoProto) -> Array | None:
    if not port.type.HasField("tensor_type"):
        return None
    tensor = TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


def tests_of_package(modules: Sequence[str] = ()) -> Iterator[NodeTest]:
    """Yield the tests of the installed package onnx; those of some of its modules if given."""
    from onnx.backend.test.case import node

    cases = node.collect_testcases() if not modules else []
    for module in modules:
        cases += _cases_of(module)
    for case in cases:
        assert case.model is not None and case.data_sets
        ((inputs, outputs),) = case.data_sets[:1]
        yield NodeTest(case.name, case.model, _arrays(inputs), _arrays(outputs))


@cache
def _cases_of(module: str) -> list[TestCase]:
    """Return the tests of a module of the package, which makes them when it is imported."""
    from onnx.backend.test.case import node

    before = len(node._NodeTestCases)
    importlib.import_module(f"{node.__name__}.{module}")
    return list(node._NodeTestCases[before:])


def _arrays(values: Iterable[object]) -> Arrays:
    return [np.asarray(v) if isinstance(v, np.ndarray | np.generic) else None for v in values]


def prepared(test: NodeTest) -> Iterator[tuple[onnx.ModelProto, Array, tuple[Array, Array]]]:
    """Yield models whose inputs are rows, their values (n, ...) and the expected outputs.

    Outputs (n, m) are those of the test, and those of the reference implementation. There is no
    model if the test does not count, and a second one if all but the first input may be constant.
    """
    ports, first = test.model.graph.input, test.inputs[0] if test.inputs else None
    if any(v is None for v in (*test.inputs, *test.outputs)) or first is None or not first.ndim:
        return
    kinds = [port.type.tensor_type.elem_type for port in ports]
    outs = [port.type.tensor_type.elem_type for port in test.model.graph.output]
    if kinds[0] not in _REAL or not first.size or not set(outs) <= set(_COUNTED):
        return
    alike = [
        k
        for k, (v, kind) in enumerate(zip(test.inputs, kinds, strict=True))
        if v is not None and kind in _REAL and v.ndim and len(v) == len(first)
    ]
    for rows in dict.fromkeys((tuple(alike), (0,))):
        wanted = _expected(test, rows)
        if wanted is not None:
            x = [np.asarray(test.inputs[k], np.float64).reshape(len(first), -1) for k in rows]
            yield _with_rows(test, rows), np.concatenate(x, axis=1), wanted


def _expected(test: NodeTest, rows: Sequence[int]) -> tuple[Array, Array] | None:
    """Return the outputs of the test and of the reference implementation for independent rows."""
    n = len(np.asarray(test.inputs[0]))
    expected = [np.asarray(v) for v in test.outputs]
    if any(not v.ndim or len(v) != n for v in expected):
        return None
    whole = np.concatenate([v.reshape(n, -1).astype(np.float64) for v in expected], axis=1)
    try:
        evaluator = ReferenceEvaluator(test.model)
    except NotImplementedError:
        return None
    names = [port.name for port in test.model.graph.input]
    found = []
    for i in range(n):
        values = [
            v if v is None or k not in rows else v[i : i + 1] for k, v in enumerate(test.inputs)
        ]
        try:
            with np.errstate(all="ignore"):
                outputs = evaluator.run(None, dict(zip(names, values, strict=True)))
        except Exception:
            # the reference implementation raises whatever numpy raises
            return None
        row = [np.asarray(v).astype(np.float64) for v in outputs]
        if any(not v.ndim or len(v) != 1 for v in row):
            return None
        found.append(np.concatenate([v.ravel() for v in row]))
    if any(len(row) != whole.shape[1] for row in found):
        return None
    # the tolerance of the tests of ONNX; some expected outputs have four digits
    results = np.stack(found)
    is_same = np.allclose(results, whole, rtol=1e-3, atol=1e-5, equal_nan=True)
    return (whole, results) if is_same else None


def _with_rows(test: NodeTest, rows: Sequence[int]) -> onnx.ModelProto:
    """Return the model with a free first dimension, and constants for the other inputs."""
    model = onnx.ModelProto()
    model.CopyFrom(test.model)
    model.ir_version = max(model.ir_version, _IR_VERSION)
    graph = model.graph
    for k, port in reversed(list(enumerate(test.model.graph.input))):
        if k in rows:
            shape = ("ncol", *np.shape(test.inputs[k])[1:])
            kind = port.type.tensor_type.elem_type
            graph.input[k].CopyFrom(helper.make_tensor_value_info(port.name, kind, shape))
        else:
            value = np.asarray(test.inputs[k])
            graph.initializer.append(numpy_helper.from_array(value, port.name))
            del graph.input[k]
    for port, expected in zip(graph.output, test.outputs, strict=True):
        name, kind = port.name, port.type.tensor_type.elem_type
        if kind not in _REAL:
            name, kind = f"{port.name}_real", TensorProto.FLOAT
            graph.node.append(helper.make_node("Cast", [port.name], [name], to=kind))
        shape = ("ncol", *np.shape(np.asarray(expected))[1:])
        port.CopyFrom(helper.make_tensor_value_info(name, kind, shape))
    _raise_opset(model)
    return model


def _raise_opset(model: onnx.ModelProto) -> None:
    """Give a model the oldest operators that are imported, where those of its node are the same."""
    versions = {entry.domain: entry for entry in model.opset_import}
    entry = versions.get("")
    if entry is None or entry.version >= _OLDEST_OPSET:
        return
    kinds = {node.op_type for node in model.graph.node if not node.domain}
    if all(_version(kind, entry.version) == _version(kind, _OLDEST_OPSET) for kind in kinds):
        entry.version = _OLDEST_OPSET


def _version(operator: str, opset: int) -> int:
    return int(onnx.defs.get_schema(operator, opset, "").since_version)


def outcome_of(test: NodeTest) -> Outcome | None:
    """Return what becomes of a test; None if it does not count."""
    operator = test.model.graph.node[0].op_type
    found = [
        Outcome(test.name, operator, *_verdict(model, x, wanted))
        for model, x, wanted in prepared(test)
    ]
    order = ("wrong", "accepted", "refused")
    return min(found, key=lambda outcome: order.index(outcome.verdict), default=None)


def _verdict(model: onnx.ModelProto, x: Array, outputs: tuple[Array, Array]) -> tuple[str, str]:
    try:
        emulator = emulator_of(read_graph(model))
    except ImportRefusedError as error:
        return "refused", str(error)
    with np.errstate(all="ignore"):
        y = emulator.predict(x)
    if any(_are_close(y, wanted) for wanted in outputs):
        return "accepted", ""
    return "wrong", f"gives {y.ravel()[:4]}, not {outputs[0].ravel()[:4]}"


def _are_close(y: Array, wanted: Array) -> bool:
    finite = wanted[np.isfinite(wanted)]
    allowed = _TOLERANCE * max(float(np.abs(finite).max(initial=0.0)), 1e-3)
    return y.shape == wanted.shape and np.allclose(y, wanted, 0.0, allowed, equal_nan=True)


def outcomes(tests: Iterable[NodeTest]) -> Iterator[Outcome]:
    """Yield what becomes of the tests that count."""
    for test in tests:
        found = outcome_of(test)
        if found is not None:
            yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help="folder of node tests")
    parser.add_argument(
        "--modules", nargs="*", default=(), help="only these modules of the package"
    )
    parser.add_argument("--show", nargs="*", default=["wrong"], help="verdicts that are listed")
    arguments = parser.parse_args()
    if arguments.folder:
        tests: Iterable[NodeTest] = tests_of_folder(arguments.folder)
    else:
        tests = tests_of_package(arguments.modules)
    total, counts = 0, Counter[str]()
    for test in tests:
        total += 1
        found = outcome_of(test)
        if found is None:
            continue
        counts[found.verdict] += 1
        if found.verdict in arguments.show:
            print(f"{found.verdict}: {found.name}: {found.reason}")
    print(f"{total} tests, {sum(counts.values())} of them count")
    for verdict in ("accepted", "refused", "wrong"):
        print(f"{verdict} {counts[verdict]}")


if __name__ == "__main__":
    main()
