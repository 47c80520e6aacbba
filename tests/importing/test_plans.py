"""Layers become the operations that cost least, and what belongs together is one of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from emufort.importing.graph import read_graph
from emufort.importing.importer import emulator_of
from emufort.importing.refusal import MOST_ELEMENTS
from emufort.network.emulator import Emulator
from tests.importing.models import model_of, node
from tests.importing.test_operators import outputs_of

RNG = np.random.default_rng(8)


def imported(nodes: list[onnx.NodeProto], shape: tuple[int, ...], **constants: Any) -> Emulator:
    """The emulator of a model of an input ``x`` and an output ``y``, which are compared."""
    arrays: dict[str, NDArray[Any]] = {name: np.asarray(v) for name, v in constants.items()}
    model = model_of(nodes, {"x": ["n", *shape]}, {"y": []}, arrays)
    emulator = emulator_of(read_graph(model))
    x = RNG.normal(size=(3, int(np.prod(shape)))).astype(np.float32)
    wanted = outputs_of(model, x.reshape(3, *shape).astype(float))
    np.testing.assert_allclose(emulator.predict(x.astype(float)), wanted, rtol=2e-5, atol=2e-5)
    return emulator


def kinds(emulator: Emulator) -> list[str]:
    """Kinds of the operations; a dense layer of many parts has a star."""
    return [o.kind + "*" * bool(o.kind == "dense" and o.extent) for o in emulator.plan.operations]


def convolution(name: str, n_in: int, n_out: int, kernel: int = 3) -> dict[str, NDArray[Any]]:
    return {
        f"w{name}": RNG.normal(0.0, 0.3, (n_out, n_in, kernel)),
        f"b{name}": RNG.normal(0.0, 0.3, n_out),
    }


def test_a_convolution_with_what_belongs_to_it_is_one_layer() -> None:
    emulator = imported(
        [
            node("Conv", "x w0 b0", "c", pads=[1, 1]),
            node("BatchNormalization", "c s b m v", "n"),
            node("Relu", "n", "y"),
        ],
        (3, 20),
        **convolution("0", 3, 5),
        s=RNG.normal(size=5),
        b=RNG.normal(size=5),
        m=RNG.normal(size=5),
        v=RNG.uniform(0.5, 2.0, 5),
    )
    # the first gather orders the inputs level by level, the last one the outputs as ONNX does
    assert kinds(emulator) == ["gather", "dense*", "gather"]
    assert emulator.plan.operations[1].activation == "relu"
    assert emulator.plan.operations[1].extent == (20, 3, 9)
    assert emulator.plan.n_parameters == 5 * 9 + 5


def test_nothing_is_transposed_between_convolutions() -> None:
    emulator = imported(
        [
            node("Conv", "x w0 b0", "c0"),
            node("Tanh", "c0", "t0"),
            node("Conv", "t0 w1 b1", "c1", strides=[2]),
            node("Tanh", "c1", "t1"),
            node("Flatten", "t1", "f"),
            node("Gemm", "f v", "y"),
        ],
        (1, 21),
        **convolution("0", 1, 4, 5),
        **convolution("1", 4, 6, 3),
        v=RNG.normal(size=(48, 2)),
    )
    assert kinds(emulator) == ["dense*", "dense*", "dense"]
    assert [o.extent for o in emulator.plan.operations[:2]] == [(17, 1, 5), (8, 8, 12)]


def test_a_wide_convolution_keeps_its_few_weights() -> None:
    channels = 128
    weights = convolution("0", channels, channels)
    arrays = {name: np.asarray(v) for name, v in weights.items()}
    arrays["e"] = RNG.normal(size=(channels, 1, 1))
    model = model_of(
        [
            node("Conv", "x e", "h"),
            node("Conv", "h w0 b0", "c", pads=[1, 1]),
            node("ReduceMean", "c a", "y"),
        ],
        {"x": ["n", 1, 60]},
        {"y": []},
        {**arrays, "a": np.array([1])},
    )
    emulator = emulator_of(read_graph(model))
    assert emulator.plan.n_parameters < 1.5 * (3 * channels**2 + 60 * channels)


def test_a_layer_of_each_level_is_one_layer_with_its_scale_and_shift() -> None:
    emulator = imported(
        [
            node("Mul", "x g", "a"),
            node("MatMul", "a w", "m"),
            node("Add", "m b", "z"),
            node("Gelu", "z", "h"),
            node("MatMul", "h v", "k"),
            node("Mul", "k s", "y"),
        ],
        (6, 4),
        g=RNG.normal(size=4),
        w=RNG.normal(size=(4, 8)),
        b=RNG.normal(size=8),
        v=RNG.normal(size=(8, 3)),
        s=RNG.normal(size=3),
    )
    assert kinds(emulator) == ["dense*", "dense*"]
    assert emulator.plan.multiply_adds == 6 * (4 * 8 + 8 * 3)


def test_residual_blocks_are_added_once() -> None:
    nodes = [node("MatMul", "x w", "h0")]
    for k in range(4):
        nodes += [
            node("Tanh", f"h{k}", f"t{k}"),
            node("MatMul", f"t{k} v", f"m{k}"),
            node("Add", f"h{k} m{k}", f"h{k + 1}"),
        ]
    nodes.append(node("Tanh", "h4", "y"))
    w, v = RNG.normal(0.0, 0.4, (5, 12)), RNG.normal(0.0, 0.4, (12, 12))
    emulator = imported(nodes, (5,), w=w, v=v)
    # the last sum and its activation function are one operation
    assert kinds(emulator).count("dense") == 5
    assert kinds(emulator).count("add") == 4
    assert emulator.plan.n_parameters == 5 * 12 + 12 * 12 + 2 * 12


def test_parts_of_different_inputs_are_layers_of_their_parts() -> None:
    emulator = imported(
        [
            node("Split", "x s", "a b", axis=1),
            node("Gemm", "a w", "za"),
            node("Gemm", "b v", "zb"),
            node("Concat", "za zb", "z", axis=1),
            node("Tanh", "z", "y"),
        ],
        (20,),
        s=np.array([12, 8]),
        w=RNG.normal(size=(12, 10)),
        v=RNG.normal(size=(8, 10)),
    )
    assert emulator.plan.multiply_adds == 12 * 10 + 8 * 10


def test_a_layer_of_many_atoms_reads_their_copies() -> None:
    nodes = [node("Split", "x", "a b c d", axis=1, num_outputs=4)]
    for name in "abcd":
        nodes += [node("Mul", f"{name} {name}", f"{name}2")]
    nodes += [node("Concat", "a2 b2 c2 d2", "z", axis=1), node("Gemm", "z w", "y")]
    emulator = imported(nodes, (16,), w=RNG.normal(size=(16, 5)))
    assert kinds(emulator) == ["multiply"] * 4 + ["gather", "dense"]
    assert [o.starts[0] for o in emulator.plan.operations[1:4]] == [4, 8, 12]


def test_layer_normalisation_that_an_exporter_took_apart() -> None:
    emulator = imported(
        [
            node("ReduceMean", "x last", "m"),
            node("Sub", "x m", "d"),
            node("Pow", "d two", "p"),
            node("ReduceMean", "p last", "v"),
            node("Add", "v epsilon", "e"),
            node("Sqrt", "e", "r"),
            node("Div", "d r", "n"),
            node("Mul", "n scale", "s"),
            node("Add", "s shift", "t"),
            node("MatMul", "t w", "y"),
        ],
        (4, 24),
        last=np.array([-1]),
        two=np.array(2.0),
        epsilon=np.array(1e-5),
        scale=RNG.normal(size=24),
        shift=RNG.normal(size=24),
        w=RNG.normal(size=(24, 3)),
    )
    found = kinds(emulator)
    # scale and shift are a part of the layer behind
    assert found.count("dense*") == 1
    assert found.count("multiply") == 2
    assert emulator.plan.multiply_adds < 4 * (24 * 3 + 6 * 24)


def test_masked_scores_are_not_computed() -> None:
    mask = np.where(np.tri(6, dtype=bool), 0.0, -np.inf)
    emulator = imported(
        [node("Mul", "x x", "q"), node("Add", "q mask", "s"), node("Softmax", "s", "y", axis=-1)],
        (6, 6),
        mask=mask,
    )
    powers = [o for o in emulator.plan.operations if o.activation == "exp"]
    assert [emulator.plan.sizes[o.output] for o in powers] == [21]


@pytest.mark.parametrize(
    ("nodes", "function"),
    [
        (
            [
                node("Greater", "x threshold", "is"),
                node("Softplus", "x", "s"),
                node("Where", "is x s", "y"),
            ],
            "softplus",
        ),
        (
            [
                node("Add", "x three", "a"),
                node("Clip", "a zero six", "c"),
                node("Mul", "x c", "p"),
                node("Div", "p six", "y"),
            ],
            "hardswish",
        ),
        ([node("Sigmoid", "x", "s"), node("Mul", "s x", "y")], "silu"),
        (
            [node("HardSigmoid", "x", "h", alpha=1 / 6, beta=0.5), node("Mul", "x h", "y")],
            "hardswish",
        ),
    ],
)
def test_functions_that_an_exporter_took_apart(nodes: list[onnx.NodeProto], function: str) -> None:
    emulator = imported(
        nodes,
        (9,),
        threshold=np.array(20.0),
        three=np.array(3.0),
        zero=np.array(0.0),
        six=np.array(6.0),
    )
    used = {o.activation for o in emulator.plan.operations} - {"linear"}
    assert used == {function}


def test_an_unselected_branch_may_be_infinite() -> None:
    model = model_of(
        [
            node("Log", "x", "l"),
            node("Greater", "x zero", "p"),
            node("Where", "p l x", "y"),
        ],
        {"x": ["n", 3]},
        {"y": []},
        {"zero": np.array(0.0)},
    )
    emulator = emulator_of(read_graph(model))
    with np.errstate(all="ignore"):
        y = emulator.predict(np.array([[-1.0, 0.0, np.e]]))
    np.testing.assert_allclose(y, [[-1.0, 0.0, 1.0]], atol=1e-6)


@pytest.mark.parametrize("shape", [(6,), (12, 6)])
def test_the_gelu_of_a_wide_layer_is_one_layer(shape: tuple[int, ...]) -> None:
    """The argument of Erf, a scaled layer, is the layer itself; as torch exports it."""
    emulator = imported(
        [
            node("MatMul", "x w", "m"),
            node("Add", "m b", "z"),
            node("Div", "z root_two", "u"),
            node("Erf", "u", "e"),
            node("Add", "e one", "gate"),
            node("Mul", "z gate", "twice"),
            node("Mul", "half twice", "y"),
        ],
        shape,
        w=RNG.normal(size=(6, 10)).astype(np.float32),
        b=RNG.normal(size=10).astype(np.float32),
        root_two=np.sqrt(np.float32(2.0)),
        one=np.float32(1.0),
        half=np.float32(0.5),
    )
    assert kinds(emulator) == ["dense*" if len(shape) > 1 else "dense"]
    assert emulator.plan.operations[0].activation == "gelu"


def test_the_branches_of_residual_blocks_share_the_sum_that_they_read() -> None:
    """It is computed once, so the layers of a block are not multiplied out over all before it."""
    n_blocks, width = 4, 16
    nodes = [node("Gemm", "x w0 b0", "h0")]
    for block in range(n_blocks):
        first, second = 2 * block + 1, 2 * block + 2
        nodes += [
            node("Gemm", f"h{block} w{first} b{first}", f"z{block}"),
            node("Sigmoid", f"z{block}", f"s{block}"),
            node("Mul", f"z{block} s{block}", f"a{block}"),
            node("Gemm", f"a{block} w{second} b{second}", f"d{block}"),
            node("Add", f"h{block} d{block}", f"h{block + 1}"),
        ]
    n_layers = 2 * n_blocks + 1
    emulator = imported(
        [*nodes, node("Relu", f"h{n_blocks}", "y")],
        (width,),
        **{f"w{k}": RNG.normal(0.0, 0.2, (width, width)) for k in range(n_layers)},
        **{f"b{k}": RNG.normal(0.0, 0.2, width) for k in range(n_layers)},
    )
    assert emulator.plan.multiply_adds == n_layers * width**2
    assert sorted(kinds(emulator)) == ["add"] * n_blocks + ["dense"] * n_layers
    functions = [operation.activation for operation in emulator.plan.operations]
    assert functions.count("silu") == n_blocks


@pytest.mark.parametrize(
    ("attributes", "extent"),
    [
        ({"pads": [1, 1]}, (20, 6, 3, 6)),
        ({"strides": [3]}, (6, 18, 3, 6)),
        ({"dilations": [2], "pads": [3, 2]}, (21, 6, 3, 12)),
    ],
)
def test_a_convolution_of_each_channel_is_one_operation(
    attributes: dict[str, Any], extent: tuple[int, ...]
) -> None:
    emulator = imported(
        [
            node("Conv", "x w0 b0", "c", group=6, **attributes),
            node("BatchNormalization", "c s b m v", "n"),
            node("Relu", "n", "y"),
        ],
        (6, 20),
        **convolution("0", 1, 6),
        s=RNG.normal(size=6),
        b=RNG.normal(size=6),
        m=RNG.normal(size=6),
        v=RNG.uniform(0.5, 2.0, 6),
    )
    assert kinds(emulator) == ["gather", "depthwise", "gather"]
    assert emulator.plan.operations[1].extent == extent
    assert emulator.plan.operations[1].activation == "relu"


def test_a_layer_normalisation_of_each_level_is_one_operation() -> None:
    emulator = imported(
        [
            node("MatMul", "x v", "h"),
            node("LayerNormalization", "h s b", "n", epsilon=1e-3),
            node("Gelu", "n", "y"),
        ],
        (5, 8),
        v=RNG.normal(size=(8, 8)),
        s=RNG.normal(size=8),
        b=RNG.normal(size=8),
    )
    assert kinds(emulator) == ["dense*", "normalise"]
    assert emulator.plan.operations[1].extent == (5, 1, 1, 8)
    assert emulator.plan.operations[1].activation == "gelu"


def test_groups_of_channels_are_normalised_where_they_are() -> None:
    """Channels are innermost, also where two sums are concatenated."""
    emulator = imported(
        [
            node("Conv", "x w0 b0", "c0"),
            node("Conv", "x w1 b1", "c1"),
            node("Add", "c0 c1", "one"),
            node("Tanh", "c1", "other"),
            node("Concat", "one other", "both", axis=1),
            node("Reshape", "both grouped", "g"),
            node("InstanceNormalization", "g ones zeros", "n"),
            node("Reshape", "n ungrouped", "u"),
            node("Mul", "u s", "scaled"),
            node("Sigmoid", "scaled", "t"),
            node("Mul", "scaled t", "silu"),
            node("Conv", "silu w2 b2", "y"),
        ],
        (3, 12),
        **convolution("0", 3, 4),
        **convolution("1", 3, 4),
        **convolution("2", 8, 2),
        grouped=[0, 2, -1],
        ungrouped=[0, 8, 10],
        ones=np.ones(2),
        zeros=np.zeros(2),
        s=RNG.normal(size=(8, 1)),
    )
    found = [o for o in emulator.plan.operations if o.kind == "normalise"]
    assert [o.extent for o in found] == [(1, 10, 2, 4)]
    assert "sparse" not in kinds(emulator)


def test_the_scale_of_attention_is_that_of_the_queries() -> None:
    emulator = imported(
        [
            node("MatMul", "x q", "qs"),
            node("MatMul", "x k", "ks"),
            node("Mul", "qs root", "left"),
            node("Mul", "ks root", "keys"),
            node("Transpose", "keys", "right", perm=[0, 2, 1]),
            node("MatMul", "left right", "scores"),
            node("Softmax", "scores", "weights", axis=-1),
            node("MatMul", "weights x", "y"),
        ],
        (5, 8),
        q=RNG.normal(size=(8, 8)),
        k=RNG.normal(size=(8, 8)),
        root=np.array(0.6),
    )
    assert "softmax" in kinds(emulator)
    assert not {"sparse", "maximum_of"} & set(kinds(emulator))


def test_sums_of_buffers_with_factors_are_no_tables() -> None:
    emulator = imported(
        [
            node("Sigmoid", "x", "a"),
            node("Tanh", "x", "b"),
            node("Mul", "a s", "c"),
            node("Add", "b c", "d"),
            node("Add", "d t", "e"),
            node("Relu", "e", "y"),
        ],
        (40,),
        s=RNG.normal(size=40),
        t=RNG.normal(size=40),
    )
    assert kinds(emulator) == ["gather", "gather", "depthwise", "add"]
    assert emulator.plan.operations[-1].activation == "relu"


def test_transposed_weights_may_be_more_than_the_elements_of_a_value() -> None:
    n = 1025
    emulator = imported(
        [
            node("Gemm", "x a", "z", transB=1),
            node("Relu", "z", "h"),
            node("Gemm", "h b", "y", transB=1),
        ],
        (2,),
        a=RNG.normal(size=(n, 2)),
        b=RNG.normal(0.0, n**-0.5, (n, n)),
    )
    assert n * n > MOST_ELEMENTS
    assert kinds(emulator) == ["dense", "dense"]
