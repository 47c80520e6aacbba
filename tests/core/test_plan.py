"""Plans: operations over buffers, their places, and the families that build them."""

from __future__ import annotations

import itertools
import json
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.errors import EmufortError
from emufort.network.activations import ACTIVATION_FUNCTIONS, ACTIVATIONS
from emufort.network.architecture import Architecture
from emufort.network.operation import Operation
from emufort.network.places import LANES, buffer_room
from emufort.network.plan import Plan
from emufort.network.table import Table
from tests.core.plans import EVERY, parameters_of, plans


def in_scratch(plan: Plan, x: np.ndarray, parameters: dict[str, np.ndarray]) -> np.ndarray:
    """Evaluate as the runtime does: buffers are places of one array, padding is overwritten."""
    scratch = np.full((len(x), plan.n_scratch), np.nan)
    scratch[:, plan.places["x"] :][:, : x.shape[1]] = x
    for o in plan.operations:
        layout = plan.layout(o)
        inputs, n_out = layout.inputs, layout.n_out
        values = [
            scratch[:, plan.places[name] :][:, :size].copy()
            for name, size in zip(o.inputs, inputs, strict=True)
        ]
        z = o.row.value(layout, values, [parameters[name] for name in o.parameters])
        a = ACTIVATION_FUNCTIONS[o.activation].value(z, o.slope)
        room = scratch[:, plan.places[o.output] :][:, : buffer_room(n_out)]
        room[:] = np.nan
        room[:, :n_out] = a
    return scratch[:, plan.places[plan.result] :][:, : plan.sizes[plan.result]]


@settings(max_examples=60, deadline=None)
@given(plans(EVERY))
def test_places_never_take_what_is_needed(plan: Plan) -> None:
    x = np.random.default_rng(1).normal(size=(3, plan.sizes["x"]))
    parameters = parameters_of(plan)
    with np.errstate(all="ignore"):
        expected = plan.evaluate(x, parameters)
        np.testing.assert_array_equal(in_scratch(plan, x, parameters), expected)
    assert plan.n_scratch % LANES == 0
    for o in plan.operations:
        y, n = plan.places[o.output], buffer_room(plan.sizes[o.output])
        for name in o.inputs:
            start, room = plan.places[name], buffer_room(plan.sizes[name])
            is_apart = start + room <= y or y + n <= start
            assert is_apart or (name in o.overwritable and start == y)


@settings(max_examples=60, deadline=None)
@given(plans(EVERY))
def test_json_and_other_names_change_nothing(plan: Plan) -> None:
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    renamed = plan.renamed()
    assert renamed == renamed.renamed()
    assert (renamed.n_parameters, renamed.multiply_adds) == (plan.n_parameters, plan.multiply_adds)
    assert renamed.n_scratch == plan.n_scratch


def test_values_are_held_as_long_as_they_are_needed_and_rows_are_parted_by_memory() -> None:
    chain = Architecture(3, (8,) * 20, 2).plan
    alive: list[weakref.ref[np.ndarray]] = []

    def step(operation: Operation, inputs: list[np.ndarray]) -> np.ndarray:
        assert sum(r() is not None for r in alive) <= 1
        found = inputs[0] + 1.0
        alive.append(weakref.ref(found))
        return found

    assert chain.walk(np.zeros(1), step) == [21.0]
    assert chain.parts_of(10**7) == [slice(0, 10**7)]
    wide = Plan(
        (("x", 2), ("z", 200_000), ("y", 1)),
        (
            Operation("gather", ("x",), "z", table=Table((), [0, 1] * 100_000)),
            Operation("maximum_of", ("z",), "y", table=Table((0, 200_000), range(200_000))),
        ),
        "x", "y",
    )  # fmt: skip
    parts = wide.parts_of(100)
    assert len(parts) > 1
    assert parts[0].stop == parts[1].start
    x = np.random.default_rng(5).normal(size=(100, 2))
    np.testing.assert_array_equal(wide.evaluate(x, {}), x.max(axis=1, keepdims=True))
    assert wide.evaluate(x[:0], {}).shape == (0, 1)


def test_a_chain_has_two_slots_and_a_sum_takes_the_place_of_what_it_adds() -> None:
    chain = Architecture(15, (64, 8, 100), 3).plan
    assert list(chain.places.values()) == [0, 32, 0, 32, 0]
    assert chain.n_scratch == buffer_room(8) + buffer_room(100) == 32 + 128
    residual = Architecture(15, (20, 20, 20), 3, "relu", "residual_mlp").plan
    assert len(set(residual.places.values())) == 2
    assert residual.n_scratch == 2 * buffer_room(20)


def test_a_residual_network_adds_the_input_of_a_layer() -> None:
    plan = Architecture(4, (6, 6, 6), 2, "tanh", "residual_mlp").plan
    rng = np.random.default_rng(3)
    p, x = parameters_of(plan), rng.normal(size=(5, 4))
    h = np.tanh(x @ p["layers.0.weight"].T + p["layers.0.bias"])
    for layer in (1, 2):
        h = h + np.tanh(h @ p[f"layers.{layer}.weight"].T + p[f"layers.{layer}.bias"])
    expected = h @ p["layers.3.weight"].T + p["layers.3.bias"]
    np.testing.assert_allclose(plan.evaluate(x, p), expected, rtol=1e-12)


@given(
    n_inputs=st.integers(1, 20),
    hidden=st.lists(st.integers(1, 20), max_size=4).map(tuple),
    n_outputs=st.integers(1, 9),
    data=st.data(),
)
def test_an_architecture_is_known_by_its_plan_its_label_and_its_json(
    n_inputs: int, hidden: tuple[int, ...], n_outputs: int, data: st.DataObject
) -> None:
    text = st.sampled_from([*ACTIVATIONS, "linear", "elu:0.5", "leaky_relu:0.2"])
    names = data.draw(st.one_of(text, st.tuples(*[text] * len(hidden))))
    family = "mlp"
    if len(hidden) > 1 and data.draw(st.booleans()):
        family, hidden = "residual_mlp", (hidden[0],) * len(hidden)
    one = Architecture(n_inputs, hidden, n_outputs, names, family)
    assert Architecture.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    assert Architecture.from_label(one.label) == one
    assert Architecture.from_label(f"{one.label} [target]") == one
    found = Architecture.of_plan(one.plan.renamed())
    assert found.plan == one.plan
    assert found == one or not hidden
    layers = itertools.pairwise(one.sizes)
    assert one.n_parameters == sum((i + 1) * o for i, o in layers)
    assert one.multiply_adds == sum(i * o for i, o in itertools.pairwise(one.sizes))


def test_equal_activation_functions_become_one() -> None:
    assert Architecture(3, (4, 4), 1, ("tanh", "tanh")) == Architecture(3, (4, 4), 1, "tanh")
    assert Architecture(3, (4,), 1, "elu:1.0") == Architecture(3, (4,), 1, "elu")
    assert Architecture(3, (4, 4), 1, ("tanh", "relu")).label == "3-4-4-1 tanh,relu"
    assert Architecture(3, (4,), 1, "leaky_relu:0.2").label == "3-4-1 leaky_relu:0.2"
    with pytest.raises(EmufortError, match="2 hidden layers and 1 activation functions"):
        Architecture(3, (4, 4), 1, ("tanh",))


@pytest.mark.parametrize("hidden", [(), (4,), (4, 5)])
def test_what_cannot_be_residual_is_refused(hidden: tuple[int, ...]) -> None:
    with pytest.raises(EmufortError, match="two or more hidden layers of one width"):
        Architecture(3, hidden, 1, "tanh", "residual_mlp")
    with pytest.raises(EmufortError, match="no family of networks 'resnet'"):
        Architecture(3, hidden, 1, "tanh", "resnet")  # type: ignore[arg-type]


def dense(x: str, y: str, name: str = "w") -> Operation:
    return Operation("dense", (x,), y, (f"{name}.weight", f"{name}.bias"))


BUFFERS = (("x", 3), ("y", 3))


@pytest.mark.parametrize(
    ("buffers", "operations", "result", "complaint"),
    [
        (BUFFERS, (), "y", "0 operations"),
        (BUFFERS, (dense("x", "y"),), "z", "lacks one"),
        ((*BUFFERS, ("x", 4)), (dense("x", "y"),), "y", "names a buffer twice"),
        ((("x", 3), ("y", 0)), (dense("x", "y"),), "y", "a layer of 0 or 3 neurons"),
        ((("x", 3), ("y", 262_145)), (dense("x", "y"),), "y", "3 or 262145 neurons"),
        ((("x", 3), ("y", 4097)), (dense("x", "y"),), "y", "3 features and 4097 results"),
        (BUFFERS, (dense("x", "y"),) * 65_537, "y", "65537 operations"),
        (BUFFERS, (dense("x", "y"),) * 2, "y", "written already"),
        (BUFFERS, (dense("z", "y"),), "y", "lacks an input"),
        (BUFFERS, (dense("y", "y"),), "y", "lacks an input"),
        ((*BUFFERS, ("z", 3)), (dense("x", "y"), dense("x", "z")), "y", "writes or reads"),
        ((*BUFFERS, ("z", 3)), (dense("x", "y"),), "y", "no operation writes"),
        (BUFFERS, (Operation("divide", ("x",), "y"),), "y", "'divide' .* is unknown"),
        (BUFFERS, (Operation("add", ("x",), "y"),), "y", "it needs 2"),
        (BUFFERS, (Operation("add", ("x", "x"), "y", activation="no"),), "y", "function 'no'"),
        (BUFFERS, (Operation("dense", ("x",), "y"),), "y", "needs 2 parameters"),
        ((("x", 3), ("y", 4)), (Operation("add", ("x", "x"), "y"),), "y", "cannot make 4"),
        (
            (*BUFFERS, ("z", 5)),
            (dense("x", "y"), dense("y", "z")),
            "z",
            "needs 'w.weight' in another shape",
        ),
        (
            (*BUFFERS, ("z", 3)),
            (dense("x", "y"), Operation("dense", ("y",), "z", ("w.weight", "v.bias"))),
            "z",
            "shares 'w.weight' with an earlier operation, but not all",
        ),
        (BUFFERS, (Operation("add", ("x", "x"), "y", starts=(0, 1)),), "y", "starts .0, 1."),
        (BUFFERS, (Operation("matmul", ("x", "x"), "y", extent=(1, 1, 1)),), "y", "extent .1, 1"),
        (BUFFERS, (Operation("gather", (), "y", table=Table((), (-1,) * 3)),), "y", "an input"),
        (BUFFERS, (Operation("gather", ("x",), "y"),), "y", "cannot make 3 features"),
        (
            (*BUFFERS, ("z", 3)),
            (dense("x", "y"), Operation("gather", ("x", "y"), "z", table=Table((), (0,) * 3))),
            "z",
            "has a table that names no feature of 'y'",
        ),
        (
            (("x", 3), *((f"y{i}", 262_144) for i in range(20)), ("y", 1)),
            (
                *(
                    Operation("gather", ("x",), f"y{i}", table=Table((), [2] * 262_144))
                    for i in range(20)
                ),
                Operation(
                    "maximum_of",
                    tuple(f"y{i}" for i in range(20)),
                    "y",
                    table=Table((0, 20), [i * 262_144 for i in range(20)]),
                ),
            ),
            "y",
            "buffers of 52.* features for a column",
        ),
    ],
)
def test_plans_that_contradict_themselves_are_refused(
    buffers: tuple[tuple[str, int], ...],
    operations: tuple[Operation, ...],
    result: str,
    complaint: str,
) -> None:
    with pytest.raises(EmufortError, match=complaint) as caught:
        Plan(buffers, operations, "x", result)
    assert "\n" not in str(caught.value)
