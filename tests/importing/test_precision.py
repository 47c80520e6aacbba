"""Import networks in double precision."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

import emufort
from emufort.api import import_network
from emufort.cli import execute
from emufort.export.agreement import differences
from emufort.importing.graph import read_graph
from emufort.importing.importer import emulator_of
from emufort.importing.refusal import ImportRefusedError
from emufort.verification import verify
from tests.importing.models import model_of, node, two_headed

needs_gfortran = pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")


@needs_gfortran
@pytest.mark.parametrize("has_leaky_relu", [False, True])
def test_a_network_in_double_precision_keeps_it(has_leaky_relu: bool, tmp_path: Path) -> None:
    import onnxruntime

    model = two_headed(np.random.default_rng(5), TensorProto.DOUBLE)
    for one in model.graph.node:
        if one.op_type == "LeakyRelu" and not has_leaky_relu:
            one.op_type = "Tanh"
            del one.attribute[:]
    onnx.save(model, tmp_path / "heads.onnx")
    arguments = ["import", str(tmp_path / "heads.onnx"), "--out", str(tmp_path / "bundle")]
    assert execute([*arguments, "--precision", "double", "--weights", "file"]) == 0
    loaded = emufort.load(tmp_path / "bundle")
    manifest = loaded.bundle.manifest
    assert (manifest.precision, manifest.placement) == ("double", "file")
    x = np.random.default_rng(2).normal(300.0, 25.0, (500, 6))
    if has_leaky_relu:
        # ONNX Runtime has no LeakyRelu in double precision
        wanted = ReferenceEvaluator(model).run(None, {"x": x})[0]
    else:
        (wanted,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    difference = differences(wanted, loaded.predict_array(x), wanted.std(axis=0)).max()
    assert difference < 1e-12
    stored = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    weights = loaded.bundle.emulator().parameters
    assert any(np.array_equal(w, stored["w1"]) for w in weights.values())
    result = verify(loaded.bundle, rows=500, flags="-O0")
    assert result.passed, result
    assert max(c.tolerance for c in result.comparisons if "single" not in c.name) == 1e-12


def test_single_precision_is_the_default_and_a_network_may_need_more(tmp_path: Path) -> None:
    model = two_headed(np.random.default_rng(5), TensorProto.DOUBLE)
    bundle = import_network(model, tmp_path / "bundle")
    assert bundle.manifest.precision == "single"
    # the difference of two large numbers
    nodes = [
        node("MatMul", "x large", "a"),
        node("Tanh", "a", "bounded"),
        node("MatMul", "bounded sum", "much"),
        node("Add", "much less", "y"),
    ]
    constants = {
        "large": np.random.default_rng(1).normal(0.0, 1.0, (3, 4)),
        "sum": np.full((4, 2), 1.0 / 3.0),
        "less": np.array([0.0, 1e7 / 3.0]),
    }
    narrow = model_of(nodes, {"x": ["n", 3]}, {"y": ["n", 2]}, constants, kind=TensorProto.DOUBLE)
    found = import_network(narrow, tmp_path / "narrow", precision="double")
    assert found.manifest.precision == "double"
    with pytest.raises(ImportRefusedError, match="give --precision double") as refused:
        constants["less"] = np.array([0.0, 1e9 / 3.0])
        import_network(
            model_of(nodes, {"x": ["n", 3]}, {"y": ["n", 2]}, constants, kind=TensorProto.DOUBLE),
            tmp_path / "refused",
        )
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "refused").exists()


def test_parameters_of_activation_functions_are_those_of_the_original() -> None:
    weight = {"w": np.ones((3, 2)) / 3.0}

    def slope(last: onnx.NodeProto, **more: np.ndarray) -> float:
        nodes, constants = [node("MatMul", "x w", "z"), last], {**weight, **more}
        model = model_of(
            nodes, {"x": ["n", 3]}, {"y": ["n", 2]}, constants, kind=TensorProto.DOUBLE
        )
        emulator = emulator_of(read_graph(model), precision="double")
        return emulator.plan.operations[-1].slope

    # a tensor has the precision of the graph, an attribute of ONNX and its default have single
    assert slope(node("PRelu", "z slope", "y"), slope=np.array([0.1])) == 0.1
    assert slope(node("LeakyRelu", "z", "y", alpha=0.1)) == float(np.float32(0.1))
    assert slope(node("LeakyRelu", "z", "y")) == float(np.float32(0.01))


def test_the_command_refuses_another_precision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(two_headed(np.random.default_rng(5)), tmp_path / "heads.onnx")
    arguments = ["import", str(tmp_path / "heads.onnx"), "--out", str(tmp_path / "bundle")]
    assert execute([*arguments, "--precision", "half"]) != 0
    assert "precision" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()
