"""Every layer of Keras that is converted gives what Keras gives."""

from __future__ import annotations

import json
import random
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import netCDF4
import numpy as np
import pytest

from emufort.api import import_network
from emufort.cli import execute
from emufort.importing.refusal import ImportRefusedError
from emufort.importing.sources.keras.activations import ACTIVATIONS
from emufort.importing.sources.keras.layers import LAYERS
from emufort.importing.sources.keras.operations import OPERATIONS
from emufort.importing.sources.keras.weights import group_names
from emufort.importing.sources.reading import source_of
from tests.importing.sources.running import outputs_of

K = Any
#: Layers that take one value, with the shape of it for one column.
ONE_INPUT: dict[str, tuple[tuple[int, ...], Callable[[K], K]]] = {
    "Activation": ((5,), lambda k: k.layers.Activation("softsign")),
    "ActivityRegularization": ((5,), lambda k: k.layers.ActivityRegularization(0.1)),
    "AlphaDropout": ((5,), lambda k: k.layers.AlphaDropout(0.5)),
    "AveragePooling1D": ((7, 3), lambda k: k.layers.AveragePooling1D(2, 2, padding="same")),
    "AveragePooling2D": ((6, 4, 2), lambda k: k.layers.AveragePooling2D(2)),
    "BatchNormalization": ((4, 3), lambda k: k.layers.BatchNormalization()),
    "BatchNormalization plain": (
        (4, 3),
        lambda k: k.layers.BatchNormalization(axis=1, center=False, scale=False),
    ),
    "Conv1D": ((9, 3), lambda k: k.layers.Conv1D(4, 3, activation="relu")),
    "Conv1D same": ((9, 4), lambda k: k.layers.Conv1D(4, 4, 2, padding="same", groups=2)),
    "Conv1D causal": ((9, 3), lambda k: k.layers.Conv1D(4, 3, padding="causal", dilation_rate=2)),
    "Conv1DTranspose": ((5, 3), lambda k: k.layers.Conv1DTranspose(4, 3, 2)),
    "Conv1DTranspose same": ((5, 3), lambda k: k.layers.Conv1DTranspose(4, 4, 2, padding="same")),
    "Conv2D": ((6, 5, 2), lambda k: k.layers.Conv2D(3, (3, 2), padding="same")),
    "Cropping1D": ((7, 2), lambda k: k.layers.Cropping1D((1, 2))),
    "Dense": ((4, 3), lambda k: k.layers.Dense(5, activation="gelu")),
    "Dense without bias": ((3,), lambda k: k.layers.Dense(5, use_bias=False)),
    "DepthwiseConv1D": ((8, 3), lambda k: k.layers.DepthwiseConv1D(3, depth_multiplier=2)),
    "DepthwiseConv2D": ((6, 5, 2), lambda k: k.layers.DepthwiseConv2D(3, padding="same")),
    "Dropout": ((5,), lambda k: k.layers.Dropout(0.5)),
    "ELU": ((5,), lambda k: k.layers.ELU(0.7)),
    "EinsumDense": (
        (4, 3),
        lambda k: k.layers.EinsumDense("abc,cde->abde", (4, 2, 5), bias_axes="de"),
    ),
    "EinsumDense two": ((4, 3), lambda k: k.layers.EinsumDense("abc,bcd->ad", 6)),
    "Flatten": ((4, 3), lambda k: k.layers.Flatten()),
    "GRU": ((6, 3), lambda k: k.layers.GRU(4, return_sequences=True)),
    "GRU before": ((6, 3), lambda k: k.layers.GRU(4, reset_after=False, use_bias=False)),
    "GaussianDropout": ((5,), lambda k: k.layers.GaussianDropout(0.5)),
    "GaussianNoise": ((5,), lambda k: k.layers.GaussianNoise(0.5)),
    "GlobalAveragePooling1D": ((6, 3), lambda k: k.layers.GlobalAveragePooling1D()),
    "GlobalAveragePooling2D": ((4, 3, 2), lambda k: k.layers.GlobalAveragePooling2D(keepdims=True)),
    "GlobalMaxPooling1D": ((6, 3), lambda k: k.layers.GlobalMaxPooling1D()),
    "GlobalMaxPooling2D": ((4, 3, 2), lambda k: k.layers.GlobalMaxPooling2D()),
    "GroupNormalization": ((5, 6), lambda k: k.layers.GroupNormalization(3)),
    "Identity": ((5,), lambda k: k.layers.Identity()),
    "LSTM": ((6, 3), lambda k: k.layers.LSTM(4)),
    "LSTM backwards": (
        (6, 3),
        lambda k: k.layers.LSTM(4, return_sequences=True, go_backwards=True),
    ),
    "LSTM other": (
        (6, 3),
        lambda k: k.layers.LSTM(4, activation="relu", recurrent_activation="hard_sigmoid"),
    ),
    "LayerNormalization": ((4, 3), lambda k: k.layers.LayerNormalization()),
    "LayerNormalization two": (
        (4, 3),
        lambda k: k.layers.LayerNormalization(axis=[1, 2], center=False),
    ),
    "LeakyReLU": ((5,), lambda k: k.layers.LeakyReLU(0.2)),
    "MaxPooling1D": ((7, 3), lambda k: k.layers.MaxPooling1D(3, 2, padding="same")),
    "MaxPooling2D": ((6, 4, 2), lambda k: k.layers.MaxPooling2D(2)),
    "Normalization": (
        (3,),
        lambda k: k.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 0.5, 1.0]),
    ),
    "Normalization inverted": (
        (3,),
        lambda k: k.layers.Normalization(mean=1.0, variance=4.0, invert=True),
    ),
    "PReLU": ((4, 3), lambda k: k.layers.PReLU(shared_axes=[1])),
    "Permute": ((4, 3), lambda k: k.layers.Permute((2, 1))),
    "RMSNormalization": ((4, 3), lambda k: k.layers.RMSNormalization()),
    "ReLU": ((5,), lambda k: k.layers.ReLU(max_value=1.0, negative_slope=0.1)),
    "RepeatVector": ((3,), lambda k: k.layers.RepeatVector(4)),
    "Rescaling": ((5,), lambda k: k.layers.Rescaling(2.0, -1.0)),
    "Reshape": ((4, 3), lambda k: k.layers.Reshape((2, -1))),
    "SeparableConv1D": ((8, 3), lambda k: k.layers.SeparableConv1D(4, 3, padding="same")),
    "SeparableConv2D": ((6, 5, 2), lambda k: k.layers.SeparableConv2D(4, 3)),
    "SimpleRNN": ((6, 3), lambda k: k.layers.SimpleRNN(4)),
    "Softmax": ((4, 3), lambda k: k.layers.Softmax(axis=1)),
    "SpatialDropout1D": ((5, 2), lambda k: k.layers.SpatialDropout1D(0.5)),
    "SpatialDropout2D": ((5, 2, 3), lambda k: k.layers.SpatialDropout2D(0.5)),
    "TimeDistributed": ((4, 6, 2), lambda k: k.layers.TimeDistributed(k.layers.Conv1D(3, 3))),
    "UpSampling1D": ((4, 3), lambda k: k.layers.UpSampling1D(2)),
    "ZeroPadding1D": ((4, 3), lambda k: k.layers.ZeroPadding1D((1, 2))),
    "Bidirectional": (
        (6, 3),
        lambda k: k.layers.Bidirectional(k.layers.GRU(4, return_sequences=True)),
    ),
    "Bidirectional sum": (
        (6, 3),
        lambda k: k.layers.Bidirectional(k.layers.LSTM(4), merge_mode="ave"),
    ),
}
#: Layers of several values.
SEVERAL: dict[str, Callable[[K, K, K], K]] = {
    "Add": lambda k, a, b: k.layers.Add()([a, b, a]),
    "Average": lambda k, a, b: k.layers.Average()([a, b]),
    "Concatenate": lambda k, a, b: k.layers.Concatenate(axis=1)([a, b]),
    "Maximum": lambda k, a, b: k.layers.Maximum()([a, b]),
    "Minimum": lambda k, a, b: k.layers.Minimum()([a, b]),
    "MultiHeadAttention": lambda k, a, b: k.layers.MultiHeadAttention(2, 4, value_dim=3)(a, b),
    "Multiply": lambda k, a, b: k.layers.Multiply()([a, b]),
    "Subtract": lambda k, a, b: k.layers.Subtract()([a, b]),
}
#: Operations of keras.ops on values of the shape (4, 3).
OPS: dict[str, Callable[[K, K, K], K]] = {
    "Absolute": lambda k, a, b: k.ops.absolute(a),
    "Abs": lambda k, a, b: k.ops.abs(a),
    "Add": lambda k, a, b: a + 1.5,
    "Clip": lambda k, a, b: k.ops.clip(a, -0.5, 0.5),
    "Concatenate": lambda k, a, b: k.ops.concatenate([a, b], axis=-1),
    "Cos": lambda k, a, b: k.ops.cos(a),
    "Divide": lambda k, a, b: k.ops.divide(a, k.ops.exp(b)),
    "Elu": lambda k, a, b: k.ops.elu(a),
    "Exp": lambda k, a, b: k.ops.exp(a),
    "ExpandDims": lambda k, a, b: k.ops.expand_dims(a, 2),
    "Gelu": lambda k, a, b: k.ops.gelu(a, approximate=True),
    "GetItem": lambda k, a, b: a[:, 1:4:2, None, -1],
    "GetItem dots": lambda k, a, b: a[..., 1:],
    "HardSigmoid": lambda k, a, b: k.ops.hard_sigmoid(a),
    "HardSilu": lambda k, a, b: k.ops.hard_silu(a),
    "LeakyRelu": lambda k, a, b: k.ops.leaky_relu(a, 0.1),
    "Log": lambda k, a, b: k.ops.log(k.ops.exp(a)),
    "LogSigmoid": lambda k, a, b: k.ops.log_sigmoid(a),
    "Matmul": lambda k, a, b: k.ops.matmul(a, k.ops.transpose(b, (0, 2, 1))),
    "Max": lambda k, a, b: k.ops.max(a, axis=1),
    "Maximum": lambda k, a, b: k.ops.maximum(a, b),
    "Mean": lambda k, a, b: k.ops.mean(a, axis=(1, 2), keepdims=True),
    "Min": lambda k, a, b: k.ops.min(a, axis=-1),
    "Minimum": lambda k, a, b: k.ops.minimum(a, 0.3),
    "Multiply": lambda k, a, b: 2.0 * a,
    "Negative": lambda k, a, b: -a,
    "Power": lambda k, a, b: a**2,
    "Prod": lambda k, a, b: k.ops.prod(a, axis=1),
    "Relu": lambda k, a, b: k.ops.relu(a),
    "Relu6": lambda k, a, b: k.ops.relu6(4.0 * a),
    "Reshape": lambda k, a, b: k.ops.reshape(a, (-1, 2, 6)),
    "Selu": lambda k, a, b: k.ops.selu(a),
    "Sigmoid": lambda k, a, b: k.ops.sigmoid(a),
    "Silu": lambda k, a, b: k.ops.silu(a),
    "Sin": lambda k, a, b: k.ops.sin(a),
    "Softmax": lambda k, a, b: k.ops.softmax(a, axis=1),
    "Softplus": lambda k, a, b: k.ops.softplus(a),
    "Softsign": lambda k, a, b: k.ops.softsign(a),
    "Sqrt": lambda k, a, b: k.ops.sqrt(k.ops.exp(a)),
    "Square": lambda k, a, b: k.ops.square(a),
    "Squeeze": lambda k, a, b: k.ops.squeeze(k.ops.expand_dims(a, 1), 1),
    "Stack": lambda k, a, b: k.ops.stack([a, b], axis=2),
    "Subtract": lambda k, a, b: 1.0 - a,
    "Sum": lambda k, a, b: k.ops.sum(a, axis=2),
    "Tanh": lambda k, a, b: k.ops.tanh(a),
    "Transpose": lambda k, a, b: k.ops.transpose(a, (0, 2, 1)),
    "TrueDivide": lambda k, a, b: a / 3.0,
}


def randomised(model: K, seed: int = 1) -> K:
    """Give all weights random values, also those that Keras starts with 0 or 1."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            rng.uniform(0.5, 1.5, w.shape) if w.ndim == 1 else rng.normal(0.0, 0.5, w.shape)
            for w in model.get_weights()
        ]
    )
    return model


def agree(model: K, seed: int = 7) -> None:
    """Compare the ONNX model with Keras."""
    rng = np.random.default_rng(seed)
    source = source_of(model, None)
    shapes = [port.type.tensor_type.shape.dim[1:] for port in source.model.graph.input]
    x = [rng.normal(size=(5, *(d.dim_value for d in shape))).astype(np.float32) for shape in shapes]
    assert source.evaluate is not None
    expected, found = source.evaluate(x), outputs_of(source.model, x)
    assert len(found) == len(expected)
    for y, z in zip(found, expected, strict=True):
        assert y.shape == z.shape
        np.testing.assert_allclose(y, z, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("case", ONE_INPUT)
def test_layers_of_one_value(keras: ModuleType, case: str) -> None:
    shape, layer = ONE_INPUT[case]
    x = keras.Input(shape)
    agree(randomised(keras.Model(x, layer(keras)(x))))


@pytest.mark.parametrize("case", SEVERAL)
def test_layers_of_several_values(keras: ModuleType, case: str) -> None:
    a, b = keras.Input((4, 3)), keras.Input((4, 3))
    agree(randomised(keras.Model([a, b], SEVERAL[case](keras, a, b))))


@pytest.mark.parametrize("case", OPS)
def test_operations(keras: ModuleType, case: str) -> None:
    a, b = keras.Input((4, 3)), keras.Input((4, 3))
    agree(keras.Model([a, b], [OPS[case](keras, a, b), keras.layers.Add()([a, b])]))


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n != "gelu_tanh"])
def test_activation_functions(keras: ModuleType, name: str) -> None:
    x = keras.Input((4, 3))
    agree(keras.Model(x, keras.layers.Activation(name)(x)))


def test_every_layer_and_operation_of_the_tables_is_tested() -> None:
    tested = {case.split()[0] for case in (*ONE_INPUT, *SEVERAL)}
    assert tested == set(LAYERS)
    assert {case.split()[0] for case in OPS} == set(OPERATIONS)


def two_headed(keras: ModuleType) -> K:
    """A model with several inputs and outputs, shared layers and models within it."""
    profile, surface = keras.Input((6, 3), name="profile"), keras.Input((2,), name="surface")
    shared = keras.layers.Dense(4, activation="tanh")
    inner = keras.Sequential([keras.layers.Dense(4), keras.layers.LeakyReLU(0.1)])
    h = inner(shared(profile)) + inner(shared(-profile))
    z = keras.Input((4,))
    block = keras.Model(z, keras.layers.Add()([z, keras.layers.Dense(4, activation="silu")(z)]))
    last = block(block(keras.layers.GlobalAveragePooling1D()(h)))
    flat = keras.layers.Concatenate()([last, surface])
    return randomised(
        keras.Model(
            {"surface": surface, "profile": profile},
            {
                "rain": keras.layers.Dense(1, activation="relu")(flat),
                "heating": keras.layers.Conv1D(1, 3, padding="same")(h)[:, :, 0],
            },
        )
    )


def test_several_inputs_and_outputs_and_models_within_models(keras: ModuleType) -> None:
    model = two_headed(keras)
    source = source_of(model, None)
    assert {p.name for p in source.model.graph.input} == {"profile", "surface"}
    assert {p.name for p in source.model.graph.output} == {"rain", "heating"}
    agree(model)


def test_states_of_recurrent_layers(keras: ModuleType) -> None:
    x = keras.Input((5, 3))
    y, h, c = keras.layers.LSTM(4, return_state=True, return_sequences=True)(x)
    z = keras.layers.LSTM(4)(y, initial_state=[c, h])
    agree(randomised(keras.Model(x, [z, y, h])))


def test_a_sequential_model_and_double_precision(keras: ModuleType, tmp_path: Path) -> None:
    layers = [keras.Input((4,)), keras.layers.Dense(6, activation="relu", dtype="float64")]
    model = randomised(keras.Sequential([*layers, keras.layers.Dense(2, dtype="float64")]))
    model.save(tmp_path / "net.keras")
    source = source_of(tmp_path / "net.keras", None)
    x = np.random.default_rng(0).normal(size=(5, 4))
    w0, b0, w1, b1 = model.get_weights()
    wanted = np.maximum(x @ w0 + b0, 0.0) @ w1 + b1
    np.testing.assert_allclose(outputs_of(source.model, [x])[0], wanted, rtol=1e-13)


def test_a_keras_model_becomes_a_bundle(keras: ModuleType, tmp_path: Path) -> None:
    x = keras.Input((6, 3), name="profile")
    h = keras.layers.Conv1D(4, 3, padding="same", activation="relu")(x)
    h = keras.layers.BatchNormalization()(h)
    y = keras.layers.Dense(2)(keras.layers.Flatten()(h))
    model = randomised(keras.Model(x, y))
    model.save(tmp_path / "net.keras")
    assert execute(["import", str(tmp_path / "net.keras"), "--out", str(tmp_path / "a")]) == 0
    bundle = import_network(model, tmp_path / "b", name="net")
    values = np.random.default_rng(0).normal(size=(9, 6, 3)).astype(np.float32)
    found = bundle.emulator().predict(values.reshape(9, -1).astype(float))
    np.testing.assert_allclose(found, model.predict_on_batch(values), rtol=1e-4, atol=1e-5)


def test_a_model_that_is_a_class_is_exported_by_the_backend(keras: ModuleType) -> None:
    if keras.config.backend() != "torch":
        pytest.skip("the backend of Keras is not torch")
    pytest.importorskip("onnxscript")

    class Own(keras.Model):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = keras.layers.Dense(3, activation="tanh")

        def call(self, x: Any) -> Any:
            return 2.0 * self.layer(x)

    x = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    model = Own()
    expected = np.asarray(model.predict_on_batch(x))
    (found,) = outputs_of(source_of(model, x).model, [x])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ImportRefusedError, match="example"):
        source_of(model, None)


def test_layers_with_code_of_their_own_are_refused(keras: ModuleType, tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable(package="mine")
    class Mine(keras.layers.Layer):  # type: ignore[name-defined,misc]
        def call(self, x: Any) -> Any:
            return x

    x = keras.Input((4, 3))
    for layer, message in (
        (keras.layers.Lambda(lambda v: v), "Lambda"),
        (Mine(), "Mine cannot be imported: it is not a layer of Keras"),
        (keras.layers.Masking(), "Masking"),
        (keras.layers.ReLU(threshold=0.5), "a threshold"),
        (keras.layers.LSTM(2, stateful=False, activation="gelu"), "no 'gelu'"),
    ):
        keras.Model(x, layer(x)).save(tmp_path / "net.keras")
        with pytest.raises(ImportRefusedError, match=message):
            source_of(tmp_path / "net.keras", None)
    free = keras.Input((None, 3))
    with pytest.raises(ImportRefusedError, match="fixed sizes"):
        source_of(keras.Model(free, keras.layers.Dense(2)(free)), None)
    with pytest.raises(ImportRefusedError, match="mixes columns"):
        source_of(keras.Model(x, keras.ops.mean(x, axis=0)), None)


# ------------------------------------------------------- without Keras


def dense_archive(path: Path, **changes: Any) -> Path:
    """Write a .keras file of two layers as Keras writes it."""
    layer = {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {"name": "one", "units": 2, "activation": "relu", "use_bias": True},
        "registered_name": None,
    }
    layer["config"] = {**layer["config"], **changes.pop("config", {})}
    layer |= changes
    second = {**layer, "config": {**layer["config"], "name": "two"}}
    port = {"class_name": "InputLayer", "module": "keras.layers", "registered_name": None}
    port["config"] = {"batch_shape": [None, 2], "name": "x"}
    content = {"name": "net", "layers": [port, layer, second]}
    config = {"module": "keras", "class_name": "Sequential", "config": content}
    file = netCDF4.Dataset("weights", "w", memory=1024)
    for number, name in enumerate(("dense", "dense_1")):
        group = file.createGroup(f"layers/{name}/vars")
        group.createDimension("n", 2)
        group.createVariable("0", "f4", ("n", "n"))[:] = [[1.0, -2.0], [0.5, 1.0 + number]]
        group.createVariable("1", "f4", ("n",))[:] = [0.25, 0.5]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config | {"registered_name": None}))
        archive.writestr("model.weights.h5", bytes(file.close()))
    return path


def test_a_file_is_read_without_keras(tmp_path: Path) -> None:
    source = source_of(dense_archive(tmp_path / "net.keras"), None)
    x = np.array([[1.0, 2.0], [-1.0, 0.5]])
    h = np.maximum(x @ [[1.0, -2.0], [0.5, 1.0]] + [0.25, 0.5], 0.0)
    wanted = np.maximum(h @ [[1.0, -2.0], [0.5, 2.0]] + [0.25, 0.5], 0.0)
    np.testing.assert_allclose(outputs_of(source.model, [x])[0], wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"module": "os", "class_name": "system"}, "not a layer of Keras"),
        ({"registered_name": "mine>Dense"}, "not a layer of Keras"),
        ({"class_name": "Lambda"}, "Lambda 'one' cannot be imported"),
        ({"class_name": "TorchModuleWrapper"}, "TorchModuleWrapper"),
        ({"class_name": "Embedding"}, "Embedding"),
        (
            {"config": {"activation": {"module": "builtins", "config": "eval"}}},
            "activation function",
        ),
    ],
)
def test_configurations_that_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = dense_archive(tmp_path / "net.keras", **changes)
    with pytest.raises(ImportRefusedError, match=message) as caught:
        source_of(path, None)
    assert "\n" not in str(caught.value)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = dense_archive(tmp_path / "net.keras")
    with zipfile.ZipFile(path) as archive:
        config, weights = archive.read("config.json"), archive.read("model.weights.h5")
    for number, (new_config, new_weights) in enumerate(
        (
            (config.replace(b'"layers"', b'"layer"'), weights),
            (config[:-20], weights),
            (b"[" * 100_000, weights),
            (config, weights[:200]),
            (config, b""),
            (config.replace(b'"Dense"', b'"LSTM"'), weights),
        )
    ):
        damaged = tmp_path / f"{number}.keras"
        with zipfile.ZipFile(damaged, "w") as archive:
            archive.writestr("config.json", new_config)
            archive.writestr("model.weights.h5", new_weights)
        with pytest.raises(ImportRefusedError) as caught:
            source_of(damaged, None)
        assert "\n" not in str(caught.value)
    (tmp_path / "text.keras").write_text("no archive")
    with pytest.raises(ImportRefusedError, match=r"not a \.keras file"):
        source_of(tmp_path / "text.keras", None)


def test_mutated_configurations_are_refused_or_read(tmp_path: Path) -> None:
    path = dense_archive(tmp_path / "net.keras")
    with zipfile.ZipFile(path) as archive:
        content, weights = archive.read("config.json"), archive.read("model.weights.h5")
    rng = random.Random(3)
    outcomes = set()
    for number in range(120):
        config = json.loads(content)
        places = list(_places(config))
        parent, key = rng.choice(places)
        parent[key] = rng.choice([None, -1, 10**12, 1e308, "x", [], {}, True, [1, 2, 3]])
        mutated = tmp_path / f"{number}.keras"
        with zipfile.ZipFile(mutated, "w") as archive:
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("model.weights.h5", weights)
        try:
            source_of(mutated, None)
            outcomes.add("read")
        except ImportRefusedError as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in nested JSON: the object or list that holds it, and its key."""
    if isinstance(content, dict | list):
        for key in list(content) if isinstance(content, dict) else range(len(content)):
            yield content, key
            yield from _places(content[key])


def test_names_of_groups_are_those_of_keras() -> None:
    classes = ["Dense", "Conv1D", "Dense", "LeakyReLU", "MultiHeadAttention", "LSTM", "Dense"]
    assert group_names(classes) == [
        "dense",
        "conv1d",
        "dense_1",
        "leaky_re_lu",
        "multi_head_attention",
        "lstm",
        "dense_2",
    ]


def test_the_conversion_imports_nothing_by_name() -> None:
    folder = Path(__file__).parents[3] / "python/emufort/importing/sources/keras"
    for path in folder.glob("*.py"):
        text = path.read_text()
        assert not re.search(r"\b(eval|exec|import_module|__import__|pickle)\b", text), path
