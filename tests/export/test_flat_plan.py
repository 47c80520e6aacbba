"""Plans of all operations in weights.bin: read back, in other forms, and damaged."""

from __future__ import annotations

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from emufort.export.flat import FlatEmulator, flatten
from emufort.export.packing import pack, packed_size
from emufort.export.unflatten import plan_of
from emufort.export.weights_file import WeightsFile
from emufort.network.activations import ACTIVATION_FUNCTIONS
from emufort.network.imported import ImportedArchitecture, architecture_from_dict
from emufort.network.operation import Operation
from emufort.network.operations import OPERATIONS
from emufort.network.operations.kind import Sizes
from emufort.network.plan import Plan
from emufort.network.table import Table
from tests.core.plans import EVERY, plans
from tests.runtime.test_plans import emulator_of, outputs_without_compiler, well_conditioned

CODES = {row.code: row for row in OPERATIONS.values()}


@settings(max_examples=80, deadline=None)
@given(plans(EVERY))
def test_a_plan_is_read_back_from_its_integers(plan: Plan) -> None:
    emulator = emulator_of(plan)
    again = WeightsFile.from_bytes(WeightsFile.from_emulator(emulator).to_bytes()).flat
    found, parameters = plan_of(again)
    assert found.renamed() == plan.renamed()
    assert found.n_scratch == plan.n_scratch
    for one, other in zip(parameters.values(), emulator.parameters.values(), strict=True):
        np.testing.assert_array_equal(one, other)
    # What is read back is written as before.
    architecture = ImportedArchitecture.of_plan(found)
    assert ImportedArchitecture.of_plan(plan) == architecture
    assert architecture_from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture
    second = flatten(dataclasses.replace(
        emulator, architecture=architecture,
        parameters=dict(zip(architecture.plan.parameter_shapes, parameters.values(), strict=True)),
    ))  # fmt: skip
    np.testing.assert_array_equal(second.plan, again.plan)
    np.testing.assert_array_equal(second.weights, again.weights)


@settings(max_examples=60, deadline=None)
@given(plans(EVERY))
def test_torch_and_onnx_runtime_follow_any_plan(plan: Plan) -> None:
    emulator = emulator_of(plan)
    x = np.random.default_rng(2).normal(size=(5, plan.sizes[plan.features])).astype(np.float32)
    expected, size = well_conditioned(emulator, x)
    for name, y in outputs_without_compiler(emulator, x).items():
        np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3 * size, err_msg=name)


@settings(max_examples=60, deadline=None)
@given(plans(EVERY))
def test_integers_say_what_a_kernel_reads_and_writes(plan: Plan) -> None:
    """Follow the integers as the runtime does, with one column, in one array."""
    emulator = emulator_of(plan)
    flat = flatten(emulator)
    network, packed = flat.network, pack(plan_of(flat)[1])
    x = np.random.default_rng(3).normal(size=plan.sizes[plan.features])
    scratch = np.full(network.n_scratch, np.nan)
    scratch[network.features :][: len(x)] = x
    for o, named in zip(network.operations, plan.operations, strict=True):
        row = CODES[o.code]
        assert (row.name, o.y % 16, (o.weights - (o.weights > 0)) % 16) == (named.kind, 0, 0)
        read: list[np.ndarray] = []
        if row.has_table:
            n_rows = 0 if row.name == "gather" else o.n_out + 1
            at = o.table - 1 + n_rows
            rows = network.tables[o.table - 1 : at]
            positions = network.tables[at : at + o.n_in]
            # the constant 0 and the features that the table names
            joined = np.concatenate([[0.0], scratch])[positions]
            assert np.isfinite(joined).all()
            if row.name == "sparse":
                bias = packed[o.weights - 1 + o.n_in :][: o.n_out]
                products = joined * packed[o.weights - 1 :][: o.n_in]
                z = [products[i:j].sum() for i, j in itertools.pairwise(rows)] + bias
                assert packed_size((o.n_in,), o.n_out) >= o.n_in + o.n_out
            else:
                of = {
                    "gather": None, "maximum_of": np.max, "minimum_of": np.min,
                    "product_of": np.prod, "first_maximum_of": np.argmax,
                }[row.name]  # fmt: skip
                parts = itertools.pairwise(rows)
                z = joined if of is None else np.array([of(joined[i:j]) for i, j in parts])
        else:
            reading = row.reading(Sizes(o.n_in, o.n_out, o.count, o.stride, o.table))
            starts = o.x, o.second_x, o.third_x
            read = [scratch[s : s + n] for s, n in zip(starts, reading.inputs, strict=False)]
            assert all(np.isfinite(part).all() for part in read)
            layout = plan.layout(named)
            inputs = [np.zeros((1, n)) for n in layout.inputs]
            for part, into, start in zip(read, inputs, layout.starts, strict=True):
                into[0, start : start + len(part)] = part
            weights = [emulator.parameters[name] for name in named.parameters]
            z = row.value(layout, inputs, weights)[0]
        scratch[o.y : o.y + len(z)] = ACTIVATION_FUNCTIONS[named.activation].value(
            np.asarray(z, dtype=float), named.slope
        )
        assume(np.isfinite(scratch[o.y : o.y + len(z)]).all())
    found = scratch[network.result :][: plan.sizes[plan.result]]
    np.testing.assert_allclose(
        found, plan.evaluate(x[None], emulator.parameters)[0], rtol=1e-9, atol=1e-9
    )


@settings(max_examples=150, deadline=None)
@given(plans(EVERY), st.data())
def test_damaged_integers_are_refused_or_another_sound_network(plan: Plan, data) -> None:
    flat = flatten(emulator_of(plan))
    integers = flat.plan.copy()
    n = len(integers)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, n - 1))
        integers[place] = data.draw(
            st.sampled_from([-1, 0, 1, 16, 2**31 - 1, -(2**31), int(integers[place]) + 1])
            | st.integers(-40, 400)
        )
    cut = integers[: data.draw(st.sampled_from([n, n, n, n - 1, 8, 4]))]
    try:
        found, parameters = plan_of(dataclasses.replace(flat, plan=cut))
    except ValueError as error:
        assert "\n" not in str(error)
        return
    # Plan's own checks passed, and the network computes.
    with np.errstate(all="ignore"):
        y = found.evaluate(np.ones((2, found.sizes[found.features])), parameters)
    assert y.shape == (2, found.sizes[found.result])


def table_of(*places: int) -> Table:
    return Table((), places)


#: Features at 0, then z = the first of them, and the result.
SMALL = Plan(
    (("x", 3), ("z", 2), ("y", 2)),
    (
        Operation("gather", ("x",), "z", table=table_of(0, -1)),
        Operation("dense", ("z",), "y", ("w.weight", "w.bias")),
    ),
    "x", "y",
)  # fmt: skip
HEAD, GATHER, DENSE = 0, 8, 20


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [
        (HEAD + 3, -1, "integers for"),
        (HEAD + 3, 2**30, "integers for"),
        (HEAD + 4, 24, "a scratch of 24"),
        (HEAD + 4, 2**30, "a scratch of"),
        (HEAD + 5, 8, "not in the scratch"),
        (HEAD + 6, 16, "do not exist|no operation gives"),
        (HEAD + 7, -1, "integers for"),
        (GATHER, 99, "operation 1: it or its activation function is unknown"),
        (GATHER + 1, 22, "activation function is unknown"),
        (GATHER + 1, -1, "activation function is unknown"),
        (GATHER + 2, 16, "an input that it does not read"),
        (GATHER + 5, 0, "writes over what it reads"),
        (GATHER + 5, 40, "not in the scratch"),
        (GATHER + 6, 1, "sizes that contradict each other"),
        (GATHER + 7, 3, "sizes that contradict each other"),
        (GATHER + 8, 1, "weights that it does not read"),
        (GATHER + 9, 2, "sizes that contradict each other"),
        (GATHER + 11, 2, "its table at an impossible position"),
        (DENSE + 2, 64, "features that do not exist"),
        (DENSE + 3, 16, "an input that it does not read"),
        (DENSE + 6, 3, "features that do not exist"),
        (DENSE + 8, 17, "its weights at an impossible position"),
        (DENSE + 10, 1, "sizes that contradict each other"),
        (DENSE + 11, 1, "a table that it does not read"),
        (-2, 4, "a table that names features that do not exist"),
        (-2, -1, "a table that names features that do not exist"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(place: int, value: int, complaint: str) -> None:
    flat = flatten(emulator_of(SMALL))
    plan = flat.plan.copy()
    plan[place] = value
    with pytest.raises(ValueError, match=complaint):
        plan_of(FlatEmulator(plan, flat.numbers, flat.weights))
