"""The ONNX graph against the definition of an emulator, `Emulator.predict` in double precision."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.export.onnx import IR_VERSION, OPSET, build_onnx
from emufort.network.activations import ACTIVATIONS
from emufort.network.emulator import Emulator
from emufort.verification import differences
from tests.export.emulators import edges, inputs, mixed, random_emulator

CONTRACTS = ["activation", "activation_fractions", "activation_ratio"]


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run(model: onnx.ModelProto, x: NDArray[np.float64]) -> NDArray[np.float64]:
    y = session(model).run(["y"], {"x": x.astype(np.float32)})[0]
    assert y.dtype == np.float32
    return np.asarray(y, dtype=np.float64)


def worst(emulator: Emulator, x: NDArray[np.float64]) -> float:
    """Worst difference, where one unit is a standard deviation of an output or its logarithm."""
    reference = emulator.predict(x)
    spread = np.array(
        [
            {"ln": 0.0, "affine": 1.0 / s}.get(kind, 1.0)
            for kind, s in zip(
                emulator.output_scaler.kinds, emulator.output_scaler.scale, strict=True
            )
        ]
    )
    return float(differences(reference, run(build_onnx(emulator), x), spread).max())


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", ["mixed", *CONTRACTS])
def test_worst_row_agrees_with_the_definition(name: str, activation: str) -> None:
    contract = mixed() if name == "mixed" else Contract.load(name)
    emulator = random_emulator(contract, (32, 32), activation)
    assert worst(emulator, inputs(contract, 3000, seed=5)) < 1e-5


@settings(max_examples=40, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 40), max_size=3).map(tuple),
    activation=st.sampled_from(["relu", "tanh", "silu", "gelu"]),
    seed=st.integers(0, 2**16),
    n=st.integers(1, 70),
)
def test_any_architecture_and_scaler_agrees(
    hidden: tuple[int, ...], activation: str, seed: int, n: int
) -> None:
    emulator = random_emulator(mixed(), hidden, activation, seed)
    assert worst(emulator, inputs(emulator.contract, n, seed + 1)) < 1e-5


def test_it_computes_in_the_order_of_its_contract() -> None:
    """The network alone is blind to a permutation of columns that training would have undone."""
    contract = mixed()
    emulator = random_emulator(contract)
    x = inputs(contract, 1)
    model = build_onnx(emulator)
    for j in range(x.shape[1]):
        moved = x.copy()
        moved[0, j] *= 1.01
        expected = np.nonzero(emulator.predict(moved) != emulator.predict(x))[1]
        changed = np.nonzero(run(model, moved) != run(model, x))[1]
        assert set(changed) == set(expected)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nan_stays_in_its_row(activation: str) -> None:
    contract = mixed()
    emulator = random_emulator(contract, (16, 16), activation)
    model = build_onnx(emulator)
    x = inputs(contract, 3 * len(contract.input_columns))
    clean = run(model, x)
    for j in range(x.shape[1]):
        x[3 * j + 1, j] = (np.nan, np.inf, -np.inf)[j % 3]
    y = run(model, x)
    missing = ~np.isfinite(x).all(axis=1)
    assert np.isnan(y[missing]).all()
    assert (y[~missing] == clean[~missing]).all()


def test_values_out_of_range_are_clipped() -> None:
    contract = mixed()
    emulator = random_emulator(contract)
    model = build_onnx(emulator)
    lower, upper = edges(contract)
    for edge, beyond in ((lower, lower - 1e3), (upper, upper + 1e3)):
        assert (run(model, beyond[None]) == run(model, edge[None])).all()


def test_outputs_respect_their_bounds() -> None:
    contract = Contract.from_toml(
        """
        name = "bounded"
        [[input]]
        name = "x"
        transform = "none"
        [[output]]
        name = "y"
        transform = "none"
        lower_bound = -1.0
        upper_bound = 2.0
        """
    )
    emulator = random_emulator(contract, (8,))
    x = np.linspace(-1e4, 1e4, 101)[:, None]
    emulator.weights[-1][:] *= 100
    y = run(build_onnx(emulator), x)
    assert y.min() == -1.0
    assert y.max() == 2.0


def test_a_network_without_hidden_layers_and_with_one_column() -> None:
    contract = Contract.from_toml(
        """
        name = "line"
        [[input]]
        name = "x"
        range = [0.0, 1.0]
        [[output]]
        name = "y"
        """
    )
    assert worst(random_emulator(contract, ()), inputs(contract, 20)) < 1e-5


def test_the_batch_is_free() -> None:
    emulator = random_emulator(Contract.load("activation"))
    model = build_onnx(emulator)
    x = inputs(emulator.contract, 33)
    for n in (0, 1, 33):
        assert run(model, x[:n]).shape == (n, 1)


def test_interface_and_opset_are_those_of_the_design() -> None:
    model = build_onnx(random_emulator(Contract.load("activation")))
    assert (model.ir_version, OPSET) == (IR_VERSION, model.opset_import[0].version)
    assert [o.domain for o in model.opset_import] == [""]
    for value, name, width in ((model.graph.input, "x", 15), (model.graph.output, "y", 1)):
        assert [v.name for v in value] == [name]
        kind = value[0].type.tensor_type
        assert kind.elem_type == onnx.TensorProto.FLOAT
        assert [d.dim_param or d.dim_value for d in kind.shape.dim] == ["ncol", width]


def test_metadata_say_what_the_columns_are_and_where_they_come_from() -> None:
    emulator = random_emulator(Contract.load("activation_ratio"))
    properties = session(build_onnx(emulator)).get_modelmeta().custom_metadata_map
    columns = json.loads(properties["inputs"])
    assert [c["name"] for c in columns] == [c.name for c in emulator.contract.input_columns]
    assert columns[4]["units"] == "m-3"
    assert columns[4]["label"] == "aitken"
    assert columns[4]["range"] == [1e6, 1e10]
    assert columns[-1]["range"] == [None, None]
    assert columns[-1]["feature"] is False
    output = json.loads(properties["outputs"])[0]
    assert output["relative_to"] == "smax_arg2000"
    assert output["lower_bound"] == 0.0
    assert properties["contract_sha256"] == emulator.contract.sha256
    assert properties["data_sha256"] == "d" * 64
    assert properties["study_sha256"] == "5" * 64
    assert len(properties["candidate_sha256"]) == len(properties["chain"]) == 64
    assert Contract.from_dict(json.loads(properties["contract"])) == emulator.contract


def test_equal_emulators_give_equal_bytes() -> None:
    first, second = (build_onnx(random_emulator(mixed())) for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(
        deterministic=True
    )
