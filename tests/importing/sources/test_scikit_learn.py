"""Regressors and pipelines of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from emufort.api import import_network
from emufort.importing.graph import read_graph
from emufort.importing.importer import emulator_of
from emufort.importing.reference import Reference
from emufort.importing.refusal import ImportRefusedError
from emufort.importing.sources.reading import source_of

RNG = np.random.default_rng(5)
X = RNG.normal(3.0, 2.0, (300, 5))
Y = np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)


def mlp(**options: Any) -> Any:
    from sklearn.neural_network import MLPRegressor

    return MLPRegressor(hidden_layer_sizes=(8, 6), max_iter=20, random_state=0, **options)


def pipeline(*names: str) -> Any:
    import sklearn.decomposition
    import sklearn.pipeline
    import sklearn.preprocessing

    steps = [
        sklearn.decomposition.PCA(3) if name == "PCA" else getattr(sklearn.preprocessing, name)()
        for name in names
    ]
    return sklearn.pipeline.make_pipeline(*steps, mlp())


def by_column() -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    parts = [("a", StandardScaler(), [0, 3]), ("b", MinMaxScaler(), [1, 2, 4])]
    return make_pipeline(ColumnTransformer(parts), mlp())


def with_target(name: str) -> Any:
    import sklearn.preprocessing
    from sklearn.compose import TransformedTargetRegressor

    transformer = getattr(sklearn.preprocessing, name)()
    return TransformedTargetRegressor(pipeline("StandardScaler"), transformer=transformer)


ESTIMATORS: dict[str, Callable[[], Any]] = {
    "relu": mlp,
    "tanh": lambda: mlp(activation="tanh"),
    "logistic": lambda: mlp(activation="logistic"),
    "identity": lambda: mlp(activation="identity"),
    "StandardScaler": lambda: pipeline("StandardScaler"),
    "MinMaxScaler": lambda: pipeline("MinMaxScaler"),
    "RobustScaler, PCA": lambda: pipeline("RobustScaler", "PCA"),
    "ColumnTransformer": by_column,
    "target StandardScaler": lambda: with_target("StandardScaler"),
    "target MinMaxScaler": lambda: with_target("MinMaxScaler"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators(name: str) -> None:
    pytest.importorskip("skl2onnx")
    estimator = ESTIMATORS[name]().fit(X, Y)
    source = source_of(estimator, None)
    assert source.evaluate is not None
    np.testing.assert_array_equal(source.evaluate([X])[0], estimator.predict(X))
    emulator = emulator_of(read_graph(source.model))
    spread = Y.std(axis=0)
    np.testing.assert_allclose(
        emulator.predict(X) / spread, estimator.predict(X) / spread, atol=2e-6
    )


@pytest.mark.filterwarnings("ignore")
def test_a_pipeline_becomes_a_bundle(tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx")
    estimator = pipeline("StandardScaler").fit(X, Y[:, 1])
    bundle = import_network(estimator, tmp_path / "b", example=X, name="product")
    # the mean and the spread became the scaler, in double precision
    np.testing.assert_allclose(bundle.emulator().input_scaler.shift, X.mean(axis=0))
    np.testing.assert_allclose(
        bundle.golden.y[:, 0], estimator.predict(bundle.golden.x), rtol=1e-4, atol=1e-4
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (mlp, "call fit first"),
        (lambda: with_target("QuantileTransformer").fit(X, Y), "QuantileTransformer"),
    ],
)
def test_estimators_that_are_refused(make: Callable[[], Any], message: str) -> None:
    pytest.importorskip("skl2onnx")
    with pytest.raises(ImportRefusedError, match=message):
        source_of(make(), None)


@pytest.mark.filterwarnings("ignore")
def test_an_estimator_that_cannot_predict_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skl2onnx")
    fitted = pipeline("StandardScaler").fit(X, Y)

    def predict(x: Any) -> Any:
        if np.min(x) <= 0.0:
            raise ValueError("strictly positive data")
        return np.zeros((len(x), 2))

    monkeypatch.setattr(fitted, "predict", predict)
    found = source_of(fitted, None)  # which asks for the prediction of positive numbers
    reference = Reference(found, read_graph(found.model))
    with pytest.raises(ImportRefusedError, match="fails on the samples: strictly positive"):
        reference.outputs_of_source(-np.abs(X[:3]))


# ------------------------------------------- operations of the domain ai.onnx.ml

ML: dict[str, tuple[str, dict[str, Any]]] = {
    "Scaler": ("x", {"offset": [1.0, 2.0, 3.0], "scale": [2.0, 0.5, 1.0]}),
    "Scaler of one number": ("x", {"offset": [1.0], "scale": [2.0]}),
    "LinearRegressor": (
        "x",
        {"coefficients": [1.0, 2.0, 3.0, -1.0, 0.5, 2.0], "intercepts": [0.5, 1.0], "targets": 2},
    ),
    "ArrayFeatureExtractor": ("x places", {}),
}


def model_of_ml(operator: str, inputs: str, attributes: dict[str, Any]) -> onnx.ModelProto:
    node = helper.make_node(
        operator.split()[0],
        inputs.split(),
        ["z"],
        name="the_node",
        domain="ai.onnx.ml",
        **attributes,
    )
    places = helper.make_tensor("places", onnx.TensorProto.INT64, [2], [2, 0])
    real = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node, helper.make_node("Tanh", ["z"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", real, ["n", 3])],
        [helper.make_tensor_value_info("y", real, ["n", None])],
        [places],
    )
    versions = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=versions, ir_version=10)


@pytest.mark.parametrize("case", ML)
def test_operations_of_the_domain_of_machine_learning(case: str) -> None:
    model = model_of_ml(case, *ML[case])
    x = RNG.normal(size=(6, 3)).astype(np.float32)
    (wanted,) = ReferenceEvaluator(model).run(None, {"x": x})
    found = emulator_of(read_graph(model)).predict(x.astype(float))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_the_norm_of_the_domain_of_machine_learning_becomes_a_standard_operation() -> None:
    graph = read_graph(model_of_ml("Normalizer", "x", {"norm": "L2"}))
    assert [node.operator for node in graph.nodes] == ["LpNormalization", "Tanh"]


@pytest.mark.parametrize(
    ("operator", "attributes", "message"),
    [
        ("Binarizer", {}, "Binarizer of the node 'the_node'"),
        ("Normalizer", {"norm": "MAX"}, "its norm is the maximum"),
        (
            "LinearRegressor",
            {"coefficients": [1.0, 2.0, 3.0], "post_transform": "LOGISTIC"},
            "post_transform",
        ),
    ],
)
def test_other_operations_of_the_domain_are_refused(
    operator: str, attributes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ImportRefusedError, match=message):
        read_graph(model_of_ml(operator, "x", attributes))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    estimator = mlp()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportRefusedError, match=r"skl2onnx: pip install 'emufort\[sklearn-import"):
        source_of(estimator, None)
