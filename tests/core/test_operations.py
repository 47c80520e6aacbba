"""The table of operations: every row says one thing in all its forms."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.export.onnx import _Graph
from emufort.network.operations import OPERATIONS
from emufort.network.operations.kind import Layout
from emufort.network.precision import Precision
from emufort.network.table import Table


@st.composite
def layouts(draw: st.DrawFn, kind: str) -> Layout:
    """Draw sizes, starts, extent and table of an operation."""
    row = OPERATIONS[kind]
    sizes, starts = st.integers(1, 40), st.integers(0, 9)
    if row.has_table:
        inputs = tuple(draw(st.lists(sizes, min_size=1, max_size=4)))
        n_out = draw(st.integers(1, 30))
        if kind == "gather":
            places = st.integers(-1, sum(inputs) - 1)
            table = Table((), draw(st.lists(places, min_size=n_out, max_size=n_out)))
            return Layout(inputs, n_out, (0,) * len(inputs), (), table)
        shortest = 0 if kind == "sparse" else 1
        counts = draw(st.lists(st.integers(shortest, 6), min_size=n_out, max_size=n_out))
        places = st.integers(0, sum(inputs) - 1)
        rows = list(itertools.accumulate(counts, initial=0))
        table = Table(rows, draw(st.lists(places, min_size=rows[-1], max_size=rows[-1])))
        return Layout(inputs, n_out, (0,) * len(inputs), (), table)
    if kind == "matmul":
        b, m, k, n = extent = tuple(draw(st.integers(1, 5)) for _ in range(4))
        start = draw(starts), draw(starts)
        unread = draw(starts), draw(starts)
        inputs = start[0] + b * m * k + unread[0], start[1] + b * k * n + unread[1]
        return Layout(inputs, b * m * n, start, extent)
    if kind in ("depthwise", "normalise", "softmax"):
        start = draw(starts)
        if kind == "depthwise":
            count, n_taps, n_out = (draw(st.integers(1, 5)) for _ in range(3))
            stride, step = (draw(st.integers(1, 9)) if n > 1 else 0 for n in (count, n_taps))
            extent = count, stride, n_taps, step
            n_read = (count - 1) * stride + (n_taps - 1) * step + n_out
            n_out *= count
        else:
            extent = tuple(draw(st.integers(1, 4)) for _ in range(4 if kind == "normalise" else 2))
            n_read = n_out = math.prod(extent)
        return Layout((start + n_read + draw(starts),), n_out, (start,), extent)
    start = tuple(draw(starts) for _ in range(row.n_inputs))
    unread = tuple(draw(starts) for _ in start)
    if kind == "dense":
        n_in, n_out = draw(sizes), draw(st.integers(1, 20))
        if draw(st.booleans()):
            return Layout((start[0] + n_in,), n_out, start)
        count, stride = draw(st.integers(1, 5)), draw(st.integers(1, 50))
        size = start[0] + (count - 1) * stride + n_in + unread[0]
        return Layout((size,), count * n_out, start, (count, stride, n_in))
    n_out = draw(sizes)
    inputs = tuple(s + n_out + more for s, more in zip(start, unread, strict=True))
    return Layout(inputs, n_out, start)


def in_onnx(
    kind: str,
    layout: Layout,
    inputs: list[np.ndarray],
    parameters: list[np.ndarray],
    precision: Precision,
) -> np.ndarray:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    graph = _Graph(precision)
    real = TensorProto.DOUBLE if precision == "double" else TensorProto.FLOAT
    names = [f"x{i}" for i in range(len(inputs))]
    constants = [graph.constant(f"p{i}", p) for i, p in enumerate(parameters)]
    y = OPERATIONS[kind].onnx(graph, layout, names, constants, "y")
    ends = [("y", layout.n_out), *zip(names, layout.inputs, strict=True)]
    values = [helper.make_tensor_value_info(n, real, ["n", size]) for n, size in ends]
    assert y == "y"
    model = helper.make_model(
        helper.make_graph(graph.nodes, "one", values[1:], values[:1], graph.initializers),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, dict(zip(names, inputs, strict=True)))[0]


def by_loops(
    kind: str, layout: Layout, inputs: list[np.ndarray], p: list[np.ndarray]
) -> np.ndarray:
    """One column as docs/weights_format.md defines it."""
    out = np.zeros(layout.n_out)
    parts = [x[start:] for x, start in zip(inputs, layout.starts, strict=True)]
    if kind == "dense":
        count, stride, n_in = layout.extent or (1, 0, len(parts[0]))
        n_out = layout.n_out // count
        for r, i in itertools.product(range(count), range(n_out)):
            window = parts[0][r * stride : r * stride + n_in]
            out[r * n_out + i] = sum(w * x for w, x in zip(p[0][i], window, strict=True)) + p[1][i]
    elif kind == "matmul":
        b, m, k, n = layout.extent
        for i, j, c, o in itertools.product(*map(range, (b, m, n, k))):
            product = parts[0][(i * m + j) * k + o] * parts[1][(i * k + o) * n + c]
            out[(i * m + j) * n + c] += product
    elif kind == "depthwise":
        count, stride, n_taps, step = layout.extent
        n = layout.n_out // count
        for r, c in itertools.product(range(count), range(n)):
            taken = [parts[0][r * stride + k * step + c] for k in range(n_taps)]
            out[r * n + c] = p[1][c] + sum(p[0][k * n + c] * x for k, x in enumerate(taken))
    elif kind == "normalise":
        count, n_inner, n_groups, n = layout.extent
        for r, g in itertools.product(range(count), range(n_groups)):
            group = [
                (((r * n_inner + o) * n_groups + g) * n + c, g * n + c)
                for o, c in itertools.product(range(n_inner), range(n))
            ]
            values = [float(parts[0][i]) for i, _ in group]
            mean = sum(values) / len(values)
            variance = sum((x - mean) ** 2 for x in values) / len(values)
            for (i, channel), x in zip(group, values, strict=True):
                scaled = (x - mean) / math.sqrt(variance + p[0][-1]) * p[0][channel]
                out[i] = scaled + p[1][channel]
    elif kind == "softmax":
        count, n = layout.extent
        for r in range(count):
            powers = [math.exp(x) for x in parts[0][r * n : (r + 1) * n]]
            out[r * n : (r + 1) * n] = [power / sum(powers) for power in powers]
    elif layout.table is None:
        of = {
            "add": lambda a, b: a + b,
            "multiply": lambda a, b: a * b,
            "maximum": max,
            "minimum": min,
            "select": lambda a, b, c: b if a > 0 else c,
        }[kind]
        for i in range(layout.n_out):
            out[i] = of(*(part[i] for part in parts))
    else:
        joined = np.concatenate(inputs)
        rows, places = layout.table.rows, layout.table.places
        for i in range(layout.n_out):
            if kind == "gather":
                out[i] = 0.0 if places[i] < 0 else joined[places[i]]
                continue
            j = range(rows[i], rows[i + 1])
            row = [float(joined[places[k]]) for k in j]
            if kind == "sparse":
                out[i] = p[1][i] + sum(p[0][k] * x for k, x in zip(j, row, strict=True))
            elif kind == "first_maximum_of":
                out[i] = row.index(max(row))
            else:
                of = {"maximum_of": max, "minimum_of": min, "product_of": np.prod}[kind]
                out[i] = of(row)
    return out


@pytest.mark.parametrize("kind", OPERATIONS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_all_forms_agree_with_the_definition(kind: str, data: st.DataObject) -> None:
    row, layout = OPERATIONS[kind], data.draw(layouts(kind))
    assert row.accepts(layout)
    compare(kind, layout)


def test_a_large_sparse_matrix_is_not_made_dense() -> None:
    """The two forms in ONNX: a matrix for many places, rows of products for few."""
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 4, 300)
    rows = np.cumsum([0, *counts])
    table = Table(rows, rng.integers(0, 500, rows[-1]))
    graph = _Graph("single")
    layout = Layout((400, 100), 300, (0, 0), (), table)
    OPERATIONS["sparse"].onnx(graph, layout, ["x0", "x1"], ["p0", "p1"], "y")
    assert not {"ScatterND", "Gemm"} & {node.op_type for node in graph.nodes}
    compare("sparse", layout)


def test_arguments_are_refused_that_belong_to_other_operations() -> None:
    table = Table((), (0, 0))
    good = {
        "dense": Layout((4,), 2, (1,), (2, 2, 1)),
        "add": Layout((4, 3), 2, (2, 1)),
        "gather": Layout((4,), 2, (0,), (), table),
        "matmul": Layout((4, 5), 6, (2, 2), (1, 2, 1, 3)),
        "maximum_of": Layout((4,), 2, (0,), (), Table((0, 1, 2), (0, 0))),
        "depthwise": Layout((9,), 6, (1,), (2, 2, 2, 3)),
        "normalise": Layout((25,), 24, (1,), (1, 2, 3, 4)),
        "softmax": Layout((7,), 6, (1,), (2, 3)),
    }
    for kind, layout in good.items():
        row = OPERATIONS[kind]
        assert row.accepts(layout)
        assert row.sizes(layout).count >= 1
        changes = [
            {"n_out": layout.n_out + 1},
            {"starts": (*layout.starts, 0)},
            {"starts": tuple(s - 9 for s in layout.starts)},
            {"starts": tuple(s + 9 for s in layout.starts)},
            {"extent": (*layout.extent, 1)},
            {"extent": tuple(-n for n in layout.extent) or (1,)},
            {"table": None if row.has_table else table},
        ]
        for change in changes:
            assert not row.accepts(replace(layout, **change)), (kind, change)
    assert not OPERATIONS["dense"].accepts(Layout((4,), 2, (0,), (2, 0, 1)))
    for extent in ((2, 0, 2, 3), (2, 2, 2, 0), (1, 2, 2, 3), (2, 2, 1, 3), (2, 2, 0, 3)):
        assert not OPERATIONS["depthwise"].accepts(Layout((90,), 6, (1,), extent))
    assert not OPERATIONS["dense"].accepts(Layout((70_000,), 1, (0,)))
    assert not OPERATIONS["dense"].accepts(Layout((5,), 4097, (0,)))
    assert OPERATIONS["dense"].accepts(Layout((65_536,), 4096, (0,)))


def compare(kind: str, layout: Layout) -> None:
    """Compare all forms of an operation with the loops, on three rows."""
    row = OPERATIONS[kind]
    rng = np.random.default_rng(0)
    # Few digits, so that there are equal features.
    inputs = [rng.integers(-8, 9, (3, n)).astype(np.float32) / 4 for n in layout.inputs]
    parameters = [rng.normal(size=s).astype(np.float32) for s in row.parameter_shapes(layout)]
    if kind == "normalise":
        parameters[0][-1] = 0.5  # added to variances
    exact, weights = ([a.astype(float) for a in arrays] for arrays in (inputs, parameters))
    expected = [by_loops(kind, layout, [x[i] for x in exact], weights) for i in range(3)]
    found = {
        "numpy": row.value(layout, [x.astype(float) for x in inputs], parameters),
        "torch": row.torch(
            torch, layout, *([torch.tensor(a) for a in b] for b in (inputs, parameters))
        ),
        "ONNX": in_onnx(kind, layout, inputs, parameters, "single"),
    }
    for name, y in found.items():
        assert y.shape == (3, layout.n_out)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-4, err_msg=name)
    # In double precision, and numpy in single.
    assert row.value(layout, inputs, parameters).dtype == np.float32
    tensors = ([torch.tensor(a) for a in arrays] for arrays in (exact, weights))
    in_double = {
        "numpy": row.value(layout, exact, weights),
        "torch": row.torch(torch, layout, *tensors),
        "ONNX": in_onnx(kind, layout, exact, weights, "double"),
    }
    for name, y in in_double.items():
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12, err_msg=name)
