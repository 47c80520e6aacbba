"""Import networks: bundles like any other, refusals by name, nothing half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

import emufort
from emufort.api import import_network
from emufort.cli import execute
from emufort.contract import Contract
from emufort.export.bundle import Bundle
from emufort.importing.graph import read_graph
from emufort.importing.importer import emulator_of
from emufort.importing.refusal import ImportRefusedError
from emufort.network.imported import ImportedArchitecture
from tests.importing.models import model_of, node, two_headed
from tests.importing.test_operators import outputs_of

CONTRACT = """
name = "heads"
[dimensions]
level = ["surface", "middle", "top"]
[[input]]
name = "temperature"
units = "K"
dimension = "level"
range = [[200.0, 320.0], [200.0, 320.0], [200.0, 320.0]]
[[input]]
name = "humidity"
units = "kg kg-1"
dimension = "level"
range = [[200.0, 400.0], [200.0, 400.0], [200.0, 400.0]]
[[output]]
name = "heating"
units = "K s-1"
dimension = "level"
[[output]]
name = "rain"
units = "kg m-2 s-1"
lower_bound = 0.0
[[output]]
name = "snow"
units = "kg m-2 s-1"
lower_bound = 0.0
"""


@pytest.fixture
def model() -> onnx.ModelProto:
    return two_headed(np.random.default_rng(5))


def test_a_network_becomes_a_bundle(tmp_path: Path, model: onnx.ModelProto) -> None:
    onnx.save(model, tmp_path / "heads.onnx")
    assert execute(["import", str(tmp_path / "heads.onnx"), "--out", str(tmp_path / "b")]) == 0
    bundle = Bundle.open(tmp_path / "b")
    assert isinstance(bundle.manifest.architecture, ImportedArchitecture)
    assert bundle.manifest.metadata["imported"]["from"] == "heads.onnx"
    assert bundle.name == "heads"
    x = np.random.default_rng(2).normal(300.0, 25.0, (50, 6))
    loaded = emufort.load(bundle)
    labels = [str(i) for i in range(6)]
    given = xr.Dataset({"x": (("sample", "x_index"), x.astype(np.float32))}, {"x_index": labels})
    found = loaded.predict(given)["y"].to_numpy()
    np.testing.assert_allclose(found, outputs_of(model, x), rtol=1e-4, atol=1e-4)


def test_the_scaler_of_the_network_is_one_of_double_precision(model: onnx.ModelProto) -> None:
    emulator = emulator_of(read_graph(model))
    names = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    np.testing.assert_allclose(emulator.input_scaler.shift, names["mean"])
    np.testing.assert_allclose(emulator.input_scaler.scale, 1.0 / names["spread"].astype(float))
    x = np.random.default_rng(2).normal(300.0, 25.0, (50, 6)).astype(np.float32).astype(float)
    np.testing.assert_allclose(emulator.predict(x), outputs_of(model, x), rtol=1e-4, atol=1e-4)


def test_a_contract_gives_names_units_and_ranges(tmp_path: Path, model: onnx.ModelProto) -> None:
    bundle = import_network(model, tmp_path / "b", Contract.from_toml(CONTRACT))
    assert [v.name for v in bundle.manifest.contract.output] == ["heating", "rain", "snow"]
    x = bundle.golden.x
    assert x[:, :3].min() >= 200.0
    assert x.max() <= 400.0
    np.testing.assert_allclose(bundle.golden.y, outputs_of(model, x), rtol=1e-3, atol=1e-3)


def test_transforms_of_a_contract_are_put_around_the_network(tmp_path: Path) -> None:
    model = model_of(
        [node("Gemm", "x w b", "y")],
        {"x": ["n", 2]},
        {"y": ["n", 1]},
        {"w": np.array([[0.5], [0.25]]), "b": np.array([-1.0])},
    )
    contract = Contract.from_dict(
        {
            "name": "power",
            "input": [
                {"name": "a", "transform": "ln", "range": [0.1, 10.0]},
                {"name": "b", "range": [0.1, 10.0]},
            ],
            "output": [{"name": "c", "transform": "ln"}],
        }
    )
    bundle = import_network(model, tmp_path / "b", contract)
    a, b = bundle.golden.x.T
    np.testing.assert_allclose(bundle.golden.y[:, 0], np.exp(0.5 * np.log(a) + 0.25 * b - 1.0))


def profiles() -> onnx.ModelProto:
    """A network of profiles (n, level, band) and a number; an output has other dimensions."""
    rng = np.random.default_rng(6)
    return model_of(
        [
            node("Flatten", "optics", "flat"),
            node("Concat", "flat angle", "all", axis=1),
            node("Gemm", "all w b", "z"),
            node("Tanh", "z", "a"),
            node("Reshape", "a shape", "heating"),
            node("Gemm", "a v", "rain"),
        ],
        {"optics": ["n", 3, 2], "angle": ["n", 1]},
        {"heating": ["n", 2, 2, 1], "rain": ["n", 1]},
        {
            "w": rng.normal(0.0, 0.5, (7, 4)),
            "b": rng.normal(0.0, 0.5, 4),
            "v": rng.normal(0.0, 0.5, (4, 1)),
            "shape": np.array([-1, 2, 2, 1]),
        },
    )


def test_shapes_behind_the_columns_stay(tmp_path: Path) -> None:
    bundle = import_network(profiles(), tmp_path / "b", name="profiles")
    contract = bundle.manifest.contract
    assert contract.dimensions == {
        "optics_index_1": 3, "optics_index_2": 2,
        "heating_index_1": 2, "heating_index_2": 2, "heating_index_3": 1,
    }  # fmt: skip
    assert [contract.shape(v) for v in (*contract.input, *contract.output)] == [
        (3, 2), (), (2, 2, 1), (),
    ]  # fmt: skip
    assert "intent(in) :: optics(ncol, 3, 2)" in bundle.module_source.read_text()
    rng = np.random.default_rng(2)
    optics = rng.normal(size=(20, 3, 2)).astype(np.float32)
    angle = rng.normal(size=(20, 1)).astype(np.float32)
    found = emufort.load(bundle).predict({"optics": optics, "angle": angle[:, 0]})
    session = ReferenceEvaluator(profiles())
    heating, rain = session.run(None, {"optics": optics, "angle": angle})
    np.testing.assert_allclose(found["heating"], heating, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["rain"], rain[:, 0], rtol=1e-5, atol=1e-6)


PROFILES = """
name = "profiles"
[dimensions]
level = 3
band = ["red", "green"]
place = 6
part = ["a", "b"]
[[input]]
name = "optics"
dimensions = ["level", "band"]
[[input]]
name = "angle"
[[output]]
name = "heating"
dimensions = ["part", "band"]
[[output]]
name = "rain"
"""


def test_a_contract_names_the_dimensions_of_a_network(tmp_path: Path) -> None:
    bundle = import_network(profiles(), tmp_path / "b", Contract.from_toml(PROFILES))
    assert bundle.manifest.contract.output_columns[1].name == "heating[a, green]"
    flat = PROFILES.replace('dimensions = ["level", "band"]', 'dimension = "place"')
    import_network(profiles(), tmp_path / "flat", Contract.from_toml(flat))
    turned = PROFILES.replace('["level", "band"]', '["band", "level"]')
    with pytest.raises(
        ImportRefusedError, match=r"'optics' .* shape \(2, 3\), optics of .*\(3, 2\)"
    ):
        import_network(profiles(), tmp_path / "turned", Contract.from_toml(turned))
    assert not (tmp_path / "turned").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            CONTRACT.replace('"top"]', '"top", "space"]')
            .replace("320.0]]", "320.0], [1.0, 2.0]]")
            .replace("400.0]]", "400.0], [1.0, 2.0]]"),
            "temperature \\(4\\)",
        ),
        (CONTRACT.replace('units = "K"', 'units = "K"\ntransform = "standardise"'), "standardise"),
    ],
)
def test_a_contract_that_does_not_fit_is_refused(
    tmp_path: Path, model: onnx.ModelProto, change: str, message: str
) -> None:
    with pytest.raises(ImportRefusedError, match=message):
        import_network(model, tmp_path / "b", Contract.from_toml(change))
    assert not (tmp_path / "b").exists()


def _of(
    nodes: list[onnx.NodeProto], shape: tuple[int | str, ...] = ("n", 4), **constants: object
) -> onnx.ModelProto:
    arrays = {name: np.asarray(value) for name, value in constants.items()}
    return model_of(nodes, {"x": list(shape)}, {"y": ["n", 4]}, arrays)


REFUSED = {
    "divisor": (
        _of([node("Mod", "x x", "y", fmod=1)]),
        "Mod of the node 'Mod_y'.*constant divisor",
    ),
    "weights": (
        _of([node("Conv", "x x", "y")], ("n", 4, 1)),
        "Conv of the node 'Conv_y'.*its input 2 depends on the inputs",
    ),
    "random": (_of([node("RandomNormalLike", "x", "y")]), "it is random"),
    "rows": (_of([node("Gemm", "x w", "y", transA=1)], w=np.ones((1, 2))), "4 rows for one column"),
    "windows": (
        _of([node("MaxPool", "x", "y", kernel_shape=[10**6], pads=[10**6, 10**7])], ("n", 1, 4)),
        "MaxPool of the node.*windows of 1000000 positions: too many",
    ),
    "strides": (
        _of(
            [node("ConvTranspose", "x w", "y", strides=[10**9])], ("n", 1, 4), w=np.ones((1, 1, 2))
        ),
        "ConvTranspose of the node.*its output has the sizes",
    ),
    "groups": (
        _of([node("Conv", "x w", "y", group=0)], ("n", 1, 4), w=np.ones((1, 1, 2))),
        "Conv of the node.*its inputs do not fit",
    ),
    "epsilon": (
        _of([node("LayerNormalization", "x w", "y", epsilon=-0.01)], w=np.ones(4)),
        "LayerNormalization of the node.*its epsilon is -0.01",
    ),
    "undefined epsilon": (
        _of(
            [node("InstanceNormalization", "x w w", "y", epsilon=np.nan)],
            ("n", 2, 4),
            w=np.ones(2),
        ),
        "InstanceNormalization of the node.*its epsilon is nan",
    ),
    "scale": (
        _of([node("Resize", "x - f", "y")], ("n", 1, 4), f=np.array([1.0, 1.0, 1e8])),
        "Resize of the node.*too large",
    ),
    "infinite": (_of([node("Add", "x c", "y")], c=np.array(np.inf)), "constant that is not within"),
    "unknown": (_of([node("Det", "x", "y")], ("n", 2, 2)), "Det of the node.*not supported"),
    "columns": (
        _of([node("ReduceMean", "x a", "m"), node("Sub", "x m", "y")], a=np.array([0])),
        "mixes columns|does not reproduce",
    ),
    "free": (_of([node("Relu", "x", "y")], ("n", "levels")), "'levels' without a fixed size"),
    "batch": (_of([node("Relu", "x", "y")], (7, 4)), "has 7 columns"),
    "integers": (
        model_of(
            [node("Relu", "x", "y")], {"x": ["n", 4]}, {"y": ["n", 4]}, {}, kind=TensorProto.INT32
        ),
        "not an array of real numbers",
    ),
    "growing": (
        _of([node("Expand", "x s", "e"), node("Relu", "e", "y")], s=np.array([10**6, 10**6, 4])),
        "too large",
    ),
    "wide": (
        _of([node("Tile", "x r", "t"), node("Relu", "t", "y")], r=np.array([1, 2000])),
        "8000 results",
    ),
    "narrow": (
        _of([node("Cast", "x", "i", to=TensorProto.UINT8), node("Cast", "i", "y", to=1)]),
        "Cast of the node.*use int32 or int64",
    ),
    "finite": (
        _of([node("IsNaN", "x", "n"), node("Where", "n c x", "y")], c=np.array(0.0)),
        "IsNaN of the node.*gives NaN",
    ),
    "top": (
        _of([node("TopK", "x k", "y i")], k=np.array([2])),
        "TopK of the node.*the 2 largest or smallest elements; the largest number is 1",
    ),
    "splits": (
        model_of(
            [node("Reshape", "x s", "y")],
            {"x": ["n", 4]},
            {"y": ["m", 2]},
            {"s": np.array([-1, 2])},
        ),
        "'y' of the model has 2 rows for one column",
    ),
    "opset": (
        model_of([node("Relu", "x", "y")], {"x": ["n", 4]}, {"y": ["n", 4]}, {}, opset=9),
        "opset 9",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_imported_is_refused_by_name(tmp_path: Path, name: str) -> None:
    model, message = REFUSED[name]
    with pytest.raises(ImportRefusedError, match=message) as caught:
        import_network(model, tmp_path / "b")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_models_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.onnx").write_bytes(b"\x08\x07\x12\xff\xff")
    (tmp_path / "a.pt").write_bytes(b"PK")
    for name, message in (
        ("a.onnx", "ONNX"),
        ("a.pt", "pickled objects"),
        ("b.onnx", "cannot read"),
    ):
        arguments = ["import", str(tmp_path / name), "--out", str(tmp_path / "out")]
        assert execute(arguments) == 2
        printed = capsys.readouterr().err
        assert message in printed
        assert printed.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_external_data_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(np.ones(16, np.float32).tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    model = _of([node("Gemm", "x w", "y")], w=np.ones((4, 4)))
    onnx.save(model, folder / "m.onnx", save_as_external_data=True, location="w", size_threshold=0)
    assert import_network(folder / "m.onnx", tmp_path / "b").manifest.architecture.n_parameters
    stored = onnx.load(folder / "m.onnx", load_external_data=False)
    for entry in stored.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../secret"
    onnx.save(stored, folder / "m.onnx")
    with pytest.raises(ImportRefusedError):
        import_network(folder / "m.onnx", tmp_path / "c")
    assert not (tmp_path / "c").exists()


OPERATIONS = ["Relu", "Tanh", "Abs", "Gemm", "Add", "Concat", "HardSigmoid", "Slice", "Neg", "Max"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=8), st.integers(0, 2**16))
def test_random_graphs_give_the_numbers_of_the_reference(chain: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes, constants, sizes = [], {}, {"x": 5}
    for number, operator in enumerate(chain):
        y, names = f"v{number}", list(sizes)
        a, b = rng.choice(names), rng.choice(names)
        size = sizes[a]
        if operator == "Gemm":
            size = int(rng.integers(1, 9))
            constants[f"w{number}"] = rng.normal(0.0, 0.7, (sizes[a], size))
            nodes.append(node("Gemm", f"{a} w{number}", y))
        elif operator in ("Add", "Max"):
            same = [name for name in names if sizes[name] == sizes[a]]
            nodes.append(node(operator, f"{a} {rng.choice(same)}", y))
        elif operator == "Concat":
            nodes.append(node("Concat", f"{a} {b}", y, axis=1))
            size = sizes[a] + sizes[b]
        elif operator == "Slice":
            size = int(rng.integers(1, sizes[a] + 1))
            for name, value in (("s", 0), ("e", size), ("a", 1)):
                constants[f"{name}{number}"] = np.array([value])
            nodes.append(node("Slice", f"{a} s{number} e{number} a{number}", y))
        else:
            nodes.append(node(operator, a, y))
        sizes[y] = size
    last = list(sizes)[-1]
    nodes.append(node("Identity", last, "y"))
    model = model_of(nodes, {"x": ["n", 5]}, {"y": ["n", sizes[last]]}, constants)
    emulator = emulator_of(read_graph(model))
    x = rng.normal(size=(6, 5)).astype(np.float32).astype(float)
    wanted = outputs_of(model, x)
    largest = 1.0 + float(np.abs(wanted).max())
    np.testing.assert_allclose(emulator.predict(x), wanted, rtol=1e-4, atol=1e-5 * largest)


def test_a_module_of_torch(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    import torch

    torch.manual_seed(1)
    module = torch.nn.Sequential(
        torch.nn.Conv1d(3, 8, 3, padding=1),
        torch.nn.GELU(),
        torch.nn.AvgPool1d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(40, 6),
        torch.nn.BatchNorm1d(6),
        torch.nn.SiLU(),
        torch.nn.Linear(6, 2),
    ).eval()
    x = np.random.default_rng(0).normal(size=(300, 3, 10)).astype(np.float32)
    bundle = import_network(module, tmp_path / "b", name="levels", example=x)
    with torch.inference_mode():
        wanted = module(torch.from_numpy(x)).numpy()
    y = bundle.emulator().predict(x.reshape(300, -1).astype(float))
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(ImportRefusedError, match="example"):
        import_network(module, tmp_path / "c")


def test_double_precision_where_onnx_runtime_has_only_single_precision(tmp_path: Path) -> None:
    # ONNX Runtime has Elu, Softsign and others in single precision only.
    rng = np.random.default_rng(6)
    model = model_of(
        [node("Gemm", "x w b", "z"), node("Elu", "z", "h"), node("Gemm", "h v", "y")],
        {"x": ["n", 4]},
        {"y": ["n", 2]},
        {"w": rng.normal(size=(4, 8)), "b": rng.normal(size=8), "v": rng.normal(size=(8, 2))},
        kind=TensorProto.DOUBLE,
    )
    bundle = import_network(model, tmp_path / "b", name="elu")
    x = rng.normal(size=(20, 4))
    (wanted,) = ReferenceEvaluator(model).run(None, {"x": x})
    np.testing.assert_allclose(bundle.emulator().predict(x), wanted, rtol=1e-5, atol=1e-6)
