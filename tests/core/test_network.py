import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.contract import Contract
from emufort.errors import DataError, EmufortError
from emufort.network import ACTIVATIONS, Architecture, Emulator, Scaler

MIXED = Contract.from_toml("""
name = "mixed"
[[input]]
name = "a"
transform = "standardise"
range = [-5.0, 5.0]
[[input]]
name = "b"
transform = "ln"
range = [1e-9, 1e9]
[[input]]
name = "c"
transform = "logit"
range = [0.001, 0.999]
[[input]]
name = "d"
transform = "minmax"
range = [2.0, 3.0]
[[input]]
name = "r"
feature = false
transform = "none"
range = [0.5, 2.0]
[[output]]
name = "p"
transform = "ln"
relative_to = "r"
[[output]]
name = "q"
transform = "sigmoid"
[[output]]
name = "s"
transform = "standardise"
lower_bound = 0.0
[[output]]
name = "t"
transform = "logit"
""")


def physical_inputs(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    columns = MIXED.input_columns
    x = np.stack([rng.uniform(c.lower, c.upper, n) for c in columns], axis=1)
    x[:, 1] = np.exp(rng.uniform(np.log(1e-9), np.log(1e9), n))
    return x


def emulator(hidden: tuple[int, ...], activation: str, seed: int) -> Emulator:
    rng = np.random.default_rng(seed)
    x = physical_inputs(200, seed)
    y = np.stack(
        [rng.uniform(1, 9, 200), rng.random(200), rng.normal(size=200), rng.uniform(0.1, 0.9, 200)],
        axis=1,
    )
    features = [MIXED.input_columns[i] for i in MIXED.feature_indices]
    architecture = Architecture(4, hidden, 4, activation)  # type: ignore[arg-type]
    sizes = architecture.sizes
    return Emulator(
        MIXED,
        architecture,
        Scaler.fit(features, x[:, :4]),
        Scaler.fit(MIXED.output_columns, y),
        tuple(
            rng.normal(size=(o, i), scale=i**-0.5).astype(np.float32)
            for i, o in itertools.pairwise(sizes)
        ),
        tuple(rng.normal(size=o).astype(np.float32) for o in sizes[1:]),
        {"seed": seed},
    )


@settings(max_examples=30, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 9), max_size=3),
    activation=st.sampled_from(ACTIVATIONS),
    seed=st.integers(0, 1000),
)
def test_torch_in_double_precision_is_the_numpy_definition(
    hidden: list[int], activation: str, seed: int
) -> None:
    one = emulator(tuple(hidden), activation, seed)
    x = physical_inputs(20, seed + 1)
    module = one.torch_module().double()
    found = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, one.predict(x), rtol=1e-11, atol=1e-13)


@given(seed=st.integers(0, 1000))
def test_backward_undoes_forward(seed: int) -> None:
    x = physical_inputs(50, seed)[:, :4]
    features = [MIXED.input_columns[i] for i in MIXED.feature_indices]
    scaler = Scaler.fit(features, x)
    np.testing.assert_allclose(scaler.backward(scaler.forward(x)), x, rtol=1e-9)
    again = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    np.testing.assert_array_equal(again.forward(x), scaler.forward(x))


def test_scaled_features_have_zero_mean_and_unit_spread() -> None:
    x = physical_inputs(4000, 3)[:, :4]
    features = [MIXED.input_columns[i] for i in MIXED.feature_indices]
    z = Scaler.fit(features, x).forward(x)
    np.testing.assert_allclose(z[:, :3].mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(z[:, :3].std(axis=0), 1.0, rtol=1e-10)
    assert z[:, 3].min() == 0.0
    assert z[:, 3].max() == pytest.approx(1.0)


def test_a_constant_column_does_not_divide_by_zero() -> None:
    x = np.ones((10, 4)) * [1.0, 2.0, 0.5, 3.0]
    features = [MIXED.input_columns[i] for i in MIXED.feature_indices]
    assert np.isfinite(Scaler.fit(features, x).forward(x)).all()


@pytest.mark.parametrize(("column", "value"), [(1, 0.0), (1, -1.0), (2, 1.0), (2, 0.0)])
def test_values_without_a_transform_are_refused(column: int, value: float) -> None:
    x = physical_inputs(10, 0)[:, :4]
    x[3, column] = value
    features = [MIXED.input_columns[i] for i in MIXED.feature_indices]
    with pytest.raises(DataError, match=features[column].name):
        Scaler.fit(features, x)


def test_out_of_range_inputs_are_clipped() -> None:
    one = emulator((5,), "tanh", 1)
    beyond = physical_inputs(3, 2)
    beyond[0, 0] = 99.0
    at_limit = beyond.copy()
    at_limit[0, 0] = 5.0
    np.testing.assert_array_equal(one.predict(beyond), one.predict(at_limit))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", range(5))
def test_an_invalid_input_spoils_its_own_row_alone(value: float, column: int) -> None:
    one = emulator((5,), "relu", 1)
    x = physical_inputs(3, 2)
    good = one.predict(x)
    x[1, column] = value
    for y in (one.predict(x), one.torch_module().double()(torch.from_numpy(x)).detach().numpy()):
        assert np.isnan(y[1]).all()
        np.testing.assert_allclose(y[[0, 2]], good[[0, 2]], rtol=1e-11)


def test_output_bounds_hold() -> None:
    y = emulator((5,), "relu", 4).predict(physical_inputs(500, 5))
    assert y[:, 2].min() == 0.0
    assert ((y[:, 1] > 0) & (y[:, 1] < 1)).all()


def test_an_output_relative_to_an_input_scales_with_it() -> None:
    one = emulator((5,), "relu", 6)
    x = physical_inputs(5, 7)
    x[:, 4] = 0.5
    twice = x.copy()
    twice[:, 4] = 1.0
    np.testing.assert_allclose(one.predict(twice)[:, 0], 2 * one.predict(x)[:, 0], rtol=1e-14)


def test_safetensors_round_trip_is_exact(tmp_path: Path) -> None:
    one = emulator((7, 3), "silu", 8)
    path = tmp_path / "weights.safetensors"
    one.save(path)
    again = Emulator.load(path)
    x = physical_inputs(20, 9)
    np.testing.assert_array_equal(again.predict(x), one.predict(x))
    assert again.metadata == {"seed": 8}
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]


def test_a_damaged_file_is_an_error_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    emulator((7, 3), "silu", 8).save(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(EmufortError, match=r"weights\.safetensors"):
        Emulator.load(path)
    with pytest.raises(EmufortError, match=r"absent\.safetensors"):
        Emulator.load(tmp_path / "absent.safetensors")


def test_counts_of_parameters_and_multiply_adds() -> None:
    architecture = Architecture(15, (64, 64), 1)
    assert architecture.n_parameters == 5249
    assert architecture.multiply_adds == 15 * 64 + 64 * 64 + 64
    assert architecture.label == "15-64-64-1 relu"
    with pytest.raises(EmufortError, match="no neuron"):
        Architecture(3, (0,), 1)
