import itertools
import json
import math
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from emufort.contract import Contract
from emufort.errors import DataError, EmufortError, StorageError
from emufort.network.activations import ACTIVATIONS
from emufort.network.architecture import Architecture, Family
from emufort.network.emulator import Emulator, dense_parameters
from emufort.network.scaler import Scaler
from emufort.network.torch_module import EmulatorModule

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


def emulator(
    hidden: tuple[int, ...],
    activation: str | tuple[str, ...],
    seed: int,
    family: Family = "mlp",
) -> Emulator:
    rng = np.random.default_rng(seed)
    x = physical_inputs(200, seed)
    y = np.stack(
        [rng.uniform(1, 9, 200), rng.random(200), rng.normal(size=200), rng.uniform(0.1, 0.9, 200)],
        axis=1,
    )
    features = [MIXED.input_columns[i] for i in MIXED.feature_indices]
    architecture = Architecture(4, hidden, 4, activation, family)
    sizes = architecture.sizes
    return Emulator(
        MIXED,
        architecture,
        Scaler.fit(features, x[:, :4]),
        Scaler.fit(MIXED.output_columns, y),
        dense_parameters(
            tuple(
                rng.normal(size=(o, i), scale=i**-0.5).astype(np.float32)
                for i, o in itertools.pairwise(sizes)
            ),
            tuple(rng.normal(size=o).astype(np.float32) for o in sizes[1:]),
        ),
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
    module = EmulatorModule(one).double()
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


#: Every affine and logarithmic transform, of inputs and of outputs.
SCALED = Contract.from_toml(
    'name = "scaled"\n'
    + "".join(
        f'[[{side}]]\nname = "{side}_{transform}"\ntransform = "{transform}"\n'
        for side in ("input", "output")
        for transform in ("standardise", "minmax", "ln")
    )
)


def in_blocks(x: np.ndarray, size: int) -> Callable[[], Iterator[np.ndarray]]:
    return lambda: (x[start : start + size] for start in range(0, len(x), size))


def rounded(value: float, n: int) -> np.ndarray:
    """One number as others compute it: some bits of double precision apart."""
    return value * (1 + np.random.default_rng(5).integers(-40, 40, n) * 2.0**-52)


def single_steps(value: float, n: int) -> np.ndarray:
    """One number as models in single precision compute it: stored as one of three neighbours."""
    here = np.float32(value)
    near = [np.nextafter(here, np.float32(0)), here, np.nextafter(here, np.float32(2 * value))]
    return np.random.default_rng(6).choice(np.array(near, dtype=np.float64), n)


CONSTANTS = {
    # 0.1 has no finite binary expansion: the mean of many is not it.
    "the same": np.full(5000, 0.1),
    "rounded": rounded(0.1, 5000),
    "rounded, large": rounded(101325.0, 5000),
    "single": single_steps(101325.0, 5000),
    "single, small": single_steps(1e-9, 5000),
}


@pytest.mark.parametrize("name", CONSTANTS)
@pytest.mark.parametrize("size", [5000, 64])
def test_a_constant_input_is_not_seen(name: str, size: int) -> None:
    x = np.repeat(CONSTANTS[name][:, None], 3, axis=1)
    scaler = Scaler.fit_blocks(SCALED.input_columns, in_blocks(x, size))
    for factor in (1.0, 1 + 1e-7, 0.5, 100.0):
        assert np.array_equal(scaler.forward(x * factor), np.zeros_like(x))


@pytest.mark.parametrize("name", CONSTANTS)
@pytest.mark.parametrize("size", [5000, 64])
def test_a_constant_output_is_not_in_the_network(name: str, size: int) -> None:
    y = np.repeat(CONSTANTS[name][:, None], 4, axis=1)
    y[:, 1] = np.random.default_rng(0).normal(size=len(y))
    columns = (SCALED.output_columns[0], SCALED.output_columns[0], *SCALED.output_columns[1:])
    scaler = Scaler.fit_blocks(columns, in_blocks(y, size))
    assert scaler.kinds == ("constant", "affine", "constant", "constant")
    z = scaler.forward(y)
    assert z.shape == (len(y), 1)
    middle = 0.5 * (y[:, 0].min() + y[:, 0].max())
    for left_over in (z, np.full_like(z, np.nan), np.full_like(z, np.inf)):
        again = scaler.backward(left_over)
        np.testing.assert_allclose(again[:, [0, 2, 3]], middle, rtol=1e-15)
        assert (again[:, [0, 2, 3]] == again[0, [0, 2, 3]]).all()
    np.testing.assert_allclose(scaler.backward(z)[:, 1], y[:, 1], rtol=1e-12, atol=1e-12)
    assert Scaler.from_dict(json.loads(json.dumps(scaler.to_dict()))).kinds == scaler.kinds


@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, -3.3, 1e-30, -1e30])
def test_a_constant_output_is_that_number(value: float) -> None:
    scaler = Scaler.fit(SCALED.output_columns[:2], np.full((10, 2), value))
    y = scaler.backward(np.empty((3, 0)))
    np.testing.assert_array_equal(y, value)
    assert not np.signbit(y).any() or value < 0


def with_constants(hidden_weight: float = 0.1) -> Emulator:
    """MIXED with the outputs p, s and t constant: 0.5 times r, -1 (its bound is 0), and 0.25."""
    x = physical_inputs(50, 0)
    y = np.tile([0.5, 0.0, -1.0, 0.25], (50, 1))
    y[:, 1] = np.linspace(0.1, 0.9, 50)
    features = [MIXED.input_columns[i] for i in MIXED.feature_indices]
    scaler = Scaler.fit(MIXED.output_columns, y)
    weights = (np.full((3, 4), hidden_weight, np.float32), np.full((1, 3), 0.2, np.float32))
    biases = (np.zeros(3, np.float32), np.zeros(1, np.float32))
    return Emulator(
        MIXED,
        Architecture(4, (3,), 1, "squared_relu"),
        Scaler.fit(features, x[:, :4]),
        scaler,
        dense_parameters(weights, biases),
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("hidden_weight", [0.1, 1e30])
def test_constants_are_emitted_whatever_the_network_gives(hidden_weight: float) -> None:
    one = with_constants(hidden_weight)  # 1e30 squared is infinite in single precision
    x = physical_inputs(20, 3)
    x[4, 1] = np.nan
    valid = np.arange(20) != 4
    forms = {
        "numpy": one.predict(x),
        "torch": EmulatorModule(one).double()(torch.from_numpy(x)).detach().numpy(),
        "torch, single": EmulatorModule(one)(torch.from_numpy(x).float()).detach().numpy(),
    }
    for name, y in forms.items():
        np.testing.assert_allclose(y[valid, 0], 0.5 * x[valid, 4], rtol=1e-7, err_msg=name)
        assert (y[valid, 2] == 0.0).all(), name
        assert (y[valid, 3] == 0.25).all(), name
        assert np.isnan(y[4]).all(), name
    assert [str(c) for c in one.constants] == ["p = 0.5 times r", "s = 0", "t = 0.25"]


def test_an_invalid_row_says_nothing_on_stderr(recwarn: pytest.WarningsRecorder) -> None:
    x = physical_inputs(5, 2)
    x[0], x[1, 0], x[2, 3] = np.nan, np.inf, -np.inf
    assert np.isnan(emulator((5,), "silu", 1).predict(x)[:3]).all()
    assert not recwarn.list


def test_a_logarithm_is_clipped_to_what_single_precision_holds() -> None:
    contract = Contract.from_toml("""
name = "far"
[[input]]
name = "tiny"
transform = "ln"
[[input]]
name = "huge"
transform = "ln"
[[output]]
name = "y"
""")
    x = np.exp(np.random.default_rng(0).normal(size=(50, 2))) * [1e-30, 1e30]
    one = Emulator(
        contract,
        Architecture(2, (3,), 1),
        Scaler.fit(contract.input_columns, x),
        Scaler.fit(contract.output_columns, x[:, :1]),
        dense_parameters(
            (np.ones((3, 2), np.float32), np.ones((1, 3), np.float32)),
            (np.zeros(3, np.float32), np.zeros(1, np.float32)),
        ),
    )
    ranges = one.input_ranges.astype(np.float32)
    assert (ranges > 0).all()
    assert np.isfinite(ranges).all()
    reached = EmulatorModule(one)(torch.tensor([[0.0, 1.0], [1e-30, 3e38]]))
    assert torch.isfinite(reached).all()


@pytest.mark.parametrize("n", [1000, 200_000])
def test_a_small_spread_about_a_large_mean_is_kept(n: int) -> None:
    rng = np.random.default_rng(0)
    for half in (0.01, 1e-5):
        pressure = 1e5 + rng.uniform(-half, half, (n, 1))
        # What sums in quadruple precision would say; the digits of 1e5 are gone first.
        small = pressure - 1e5
        mean, spread = math.fsum(small[:, 0]) / n, small.std()
        x = np.repeat(pressure, 3, axis=1)
        scaler = Scaler.fit_blocks(SCALED.input_columns, in_blocks(x, 64))
        assert abs(scaler.shift[0] - 1e5 - mean) < 1e-3 * half
        assert scaler.scale[0] == pytest.approx(1 / spread, rel=1e-6)
        assert scaler.scale[1] == pytest.approx(1 / np.ptp(pressure), rel=1e-12)
        assert scaler.scale[2] == pytest.approx(1e5 / spread, rel=1e-3)
        np.testing.assert_allclose(scaler.forward(x)[:, :1].std(), 1.0, rtol=1e-6)


def test_a_value_that_is_rarely_another_is_no_rounding() -> None:
    x = np.full((100_000, 1), 273.15)
    x[77] = 273.16
    assert np.ptp(Scaler.fit(SCALED.input_columns[:1], x).forward(x)) > 100


def test_small_steps_that_single_precision_does_not_hold_are_no_rounding() -> None:
    # Of the size of single precision's steps, but data of double precision.
    x = 101325.0 + 1e-3 * np.random.default_rng(0).random((100, 1))
    scaler = Scaler.fit(SCALED.input_columns[:1], x)
    assert scaler.forward(x).std() == pytest.approx(1.0)


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
    for y in (one.predict(x), EmulatorModule(one).double()(torch.from_numpy(x)).detach().numpy()):
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


def header_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="numpy") as stream:
        return dict(stream.metadata())


@pytest.mark.parametrize(
    ("hidden", "activation", "family"),
    [((7, 3), "elu:0.5", "mlp"), ((7, 3), ("tanh", "relu"), "mlp"),
     ((5, 5), "tanh", "residual_mlp")],
)  # fmt: skip
def test_only_what_the_first_format_cannot_say_is_written_in_the_second(
    tmp_path: Path, hidden: tuple[int, ...], activation: str | tuple[str, ...], family: Family
) -> None:
    one, path = emulator(hidden, activation, 8, family), tmp_path / "weights.safetensors"
    one.save(path)
    again, header = Emulator.load(path), header_of(path)
    assert again.architecture == one.architecture
    x = physical_inputs(20, 9)
    np.testing.assert_array_equal(again.predict(x), one.predict(x))
    is_plain = isinstance(activation, str) and family == "mlp"
    assert header["format"] == f"emufort-emulator-{1 if is_plain else 2}"
    assert ("plan" in header) != is_plain
    # A plan that is not that of the architecture, and weights that are missing.
    tensors = load_file(path)
    if not is_plain:
        plan = emulator((4, 4), "tanh", 8).plan.to_dict()
        save_file(tensors, path, {**header, "plan": json.dumps(plan)})
        with pytest.raises(EmufortError, match="differs from that of its architecture"):
            Emulator.load(path)
    tensors.pop("layers.1.bias")
    save_file(tensors, path, header)
    with pytest.raises(EmufortError, match="lacks weights of its network"):
        Emulator.load(path)


def test_a_full_disk_is_one_line(tmp_path):
    """A limit on the size of files stands in for it: writing fails in the same way."""
    path = tmp_path / "weights.safetensors"
    emulator((7, 3), "relu", 8).save(path)
    before, kept = resource.getrlimit(resource.RLIMIT_FSIZE), path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*weights\.safetensors: "):
            emulator((7, 3), "silu", 8).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == kept


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
    with pytest.raises(EmufortError, match="without neurons"):
        Architecture(3, (0,), 1)
