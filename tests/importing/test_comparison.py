"""The comparison of an imported network with its original, and scalers on both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernelError

import emufort
from emufort.api import import_network
from emufort.contract import Contract
from emufort.importing.operators import HANDLERS
from emufort.importing.refusal import ImportRefusedError
from tests.importing.models import model_of, node, two_headed

SCALED = {
    "name": "scaled",
    "input": [
        {"name": "number", "units": "m-3", "transform": "ln", "range": [1e6, 1e10]},
        {"name": "pressure", "units": "Pa", "range": [5e4, 1e5]},
        {"name": "share", "transform": "logit", "range": [0.01, 0.99]},
        {"name": "size", "units": "m", "transform": "log10"},
    ],
    "output": [
        {"name": "rate", "units": "s-1", "transform": "log10"},
        {"name": "part", "lower_bound": 0.0, "upper_bound": 1.0},
    ],
}


def scaled() -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """A network that scales what the transforms of a contract give, and scales its outputs back."""
    rng = np.random.default_rng(9)
    constants = {
        "mean": np.array([18.0, 8e4, 0.3, -6.5]),
        "spread": np.array([2.0, 1e4, 1.7, 0.4]),
        "w": rng.normal(0.0, 0.5, (4, 8)),
        "v": rng.normal(0.0, 0.5, (8, 2)),
        "back": np.array([0.7, 1.5]),
        "middle": np.array([-3.0, 0.4]),
    }
    nodes = [
        node("Sub", "x mean", "centred"),
        node("Div", "centred spread", "z"),
        node("MatMul", "z w", "m"),
        node("Tanh", "m", "a"),
        node("MatMul", "a v", "o"),
        node("Mul", "o back", "s"),
        node("Add", "s middle", "y"),
    ]
    return model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 2]}, constants), constants


def test_scalers_of_the_network_and_transforms_of_the_contract_are_both_applied(
    tmp_path: Path,
) -> None:
    model, c = scaled()
    bundle = import_network(model, tmp_path / "b", Contract.from_dict(SCALED))
    x = bundle.golden.x
    number, pressure, share, size = x.T
    # random samples are where the network was trained
    assert 1e-8 < np.median(size) < 1e-5
    given = [np.log(number), pressure, np.log(share / (1.0 - share)), np.log10(size)]
    z = (np.stack(given, axis=1) - c["mean"]) / c["spread"]
    y = np.tanh(z @ c["w"]) @ c["v"] * c["back"] + c["middle"]
    wanted = np.stack([10.0 ** y[:, 0], np.clip(y[:, 1], 0.0, 1.0)], axis=1)
    assert {0.0, 1.0} & set(wanted[:, 1])  # some are out of bounds
    np.testing.assert_allclose(bundle.golden.y, wanted, rtol=1e-5, atol=1e-5)
    fortran = emufort.load(bundle).predict_array(x)
    np.testing.assert_allclose(fortran, wanted, rtol=1e-4, atol=1e-5)


def test_a_scaling_beyond_single_precision_is_refused(tmp_path: Path) -> None:
    model = scaled()[0]
    mean = next(t for t in model.graph.initializer if t.name == "mean")
    values = onnx.numpy_helper.to_array(mean).copy()
    values[0] = 1000.0
    mean.CopyFrom(onnx.numpy_helper.from_array(values, "mean"))
    with pytest.raises(ImportRefusedError, match="from the logarithm of 'number'"):
        import_network(model, tmp_path / "b", Contract.from_dict(SCALED))


def test_an_operation_that_is_computed_in_another_way_is_not_a_matter_of_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = two_headed(np.random.default_rng(5))
    monkeypatch.setitem(HANDLERS, "LeakyRelu", HANDLERS["Relu"])
    with pytest.raises(ImportRefusedError, match="in double precision too") as refused:
        import_network(model, tmp_path / "b")
    assert "--precision" not in str(refused.value)
    assert not (tmp_path / "b").exists()


def test_an_operation_that_onnx_runtime_lacks_is_compared_with_the_reference_implementation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = two_headed(np.random.default_rng(5))
    wanted = import_network(model, tmp_path / "a", name="heads").golden

    def missing(*_: object, **__: object) -> object:
        raise NoKernelError("no kernel for Swish(24)")

    monkeypatch.setattr("onnxruntime.InferenceSession", missing)
    found = import_network(model, tmp_path / "b", name="heads").golden
    np.testing.assert_allclose(found.y, wanted.y, rtol=1e-5, atol=1e-5)
    monkeypatch.setitem(HANDLERS, "LeakyRelu", HANDLERS["Relu"])
    with pytest.raises(ImportRefusedError, match="does not reproduce"):
        import_network(model, tmp_path / "c")


@pytest.mark.parametrize(("slope", "said"), [(20.0, "infinite for"), (0.0, "the same for all")])
def test_outputs_that_overflow_or_do_not_vary_are_refused(
    slope: float, said: str, tmp_path: Path
) -> None:
    nodes = [node("MatMul", "x w", "z"), node("Exp", "z", "y")]
    weight = np.random.default_rng(4).normal(0.0, slope, (3, 2))
    model = model_of(nodes, {"x": ["n", 3]}, {"y": ["n", 2]}, {"w": weight})
    with pytest.raises(ImportRefusedError, match=said):
        import_network(model, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_small_outputs_next_to_large_ones_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [node("MatMul", "x w", "z"), node("Tanh", "z", "a"), node("Mul", "a c", "y")]
    weight = np.random.default_rng(4).normal(0.0, 0.5, (3, 2))
    constants = {"w": weight, "c": np.array([1e30, 1e-30])}
    model = model_of(nodes, {"x": ["n", 3]}, {"y": ["n", 2]}, constants)
    import_network(model, tmp_path / "b")
    monkeypatch.setitem(HANDLERS, "Tanh", HANDLERS["Softsign"])
    with pytest.raises(ImportRefusedError, match="does not reproduce the original"):
        import_network(model, tmp_path / "c")


def test_a_nan_of_one_of_the_two_is_called_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A difference of infinitely many spreads says nothing."""
    nodes = [node("MatMul", "x w", "z"), node("Exp", "z", "y")]
    weight = np.random.default_rng(4).normal(0.0, 0.5, (3, 2))
    model = model_of(nodes, {"x": ["n", 3]}, {"y": ["n", 2]}, {"w": weight})
    monkeypatch.setitem(HANDLERS, "Exp", HANDLERS["Log"])
    with pytest.raises(ImportRefusedError, match=r"'y\S*' is NaN or infinite for one of the two"):
        import_network(model, tmp_path / "b")


def test_outputs_of_a_softmax_may_be_tiny(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "z"), node("Softmax", "z", "y", axis=1)]
    weight = np.random.default_rng(4).normal(0.0, 20.0, (3, 4))
    model = model_of(nodes, {"x": ["n", 3]}, {"y": ["n", 4]}, {"w": weight})
    bundle = import_network(model, tmp_path / "b")
    np.testing.assert_allclose(bundle.golden.y.sum(axis=1), 1.0, rtol=1e-6)
    assert bundle.golden.y.min() < 1e-30


def test_what_is_too_small_for_single_precision_is_no_difference(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "z"), node("Softmax", "z", "a", axis=1), node("Mul", "a c", "y")]
    weight = np.random.default_rng(4).normal(0.0, 1.0, (3, 4))
    constants = {"w": weight, "c": np.array([2e-38, 1.0, 1.0, 1.0])}
    model = model_of(nodes, {"x": ["n", 3]}, {"y": ["n", 4]}, constants)
    bundle = import_network(model, tmp_path / "b")
    assert bundle.golden.y[:, 0].max() < 2e-38
    assert bundle.golden.y[:, 1].max() > 0.1


def test_an_original_whose_outputs_are_not_columns_is_refused(tmp_path: Path) -> None:
    constants = {"starts": np.array([0]), "ends": np.array([3]), "axes": np.array([0])}
    nodes = [node("Slice", "x starts ends axes", "y")]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, constants)
    with pytest.raises(ImportRefusedError, match=r"first dimension .* that of the columns"):
        import_network(model, tmp_path / "b")
