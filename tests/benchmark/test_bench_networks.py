"""The benchmark of networks that are no plain multilayer perceptron. Never how fast anything is."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from emufort.api import import_network
from emufort.benchmark import Options, Result, run
from emufort.benchmark.models import models_of
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError, UsageError
from emufort.export import export
from emufort.export.bundle import Bundle
from emufort.network.architecture import Family
from tests.export.emulators import inputs, mixed, random_emulator
from tests.importing.models import model_of, node

NO_COMPILER = "emufort-no-such-compiler"
IN_PYTHON = ("onnxruntime-python", "torch")

needs_gfortran = pytest.mark.skipif(
    shutil.which("gfortran") is None, reason="needs a Fortran compiler"
)


def options_of(bundle: Bundle, *contenders: str, **further: object) -> Options:
    return Options(
        bundle=bundle.path,
        models=("bundle",),
        contenders=contenders,
        ncol=(1, 5, 40),
        repeats=1,
        milliseconds=1.0,
        threads=(1,),
    ).changed(**further)


def all_well(result: Result, *contenders: str) -> bool:
    found = {(row.contender, row.status, row.note) for row in result.rows}
    return found == {(contender, "ok", "") for contender in contenders}


# ------------------------------------------------------------------------------- searched networks


def searched(folder: Path, activation: str | tuple[str, ...], family: Family) -> Bundle:
    emulator = random_emulator(mixed(), (8, 8, 8), activation, family=family)
    x = inputs(emulator.contract, 40)
    split, rows = np.zeros(40, np.int8), np.arange(40)
    data = Dataset(emulator.contract, Path("m.nc"), "d" * 64, x, emulator.predict(x), split, rows)
    return export(emulator, data, folder, golden=4)


@pytest.mark.parametrize(
    ("activation", "family"),
    [("silu", "residual_mlp"), (("tanh", "leaky_relu:0.15", "silu"), "mlp")],
)
def test_other_libraries_compute_any_network(
    tmp_path: Path, activation: str | tuple[str, ...], family: Family
) -> None:
    bundle = searched(tmp_path / "bundle", activation, family)
    result = run(options_of(bundle, *IN_PYTHON, compiler=NO_COMPILER), tmp_path / "bench")
    assert all_well(result, *IN_PYTHON)
    assert {row.work for row in result.rows} == {"network", "physical"}


@needs_gfortran
@pytest.mark.slow
def test_a_residual_network_in_fortran(tmp_path: Path) -> None:
    bundle = searched(tmp_path / "bundle", "gelu", "residual_mlp")
    contenders = ("native-layers", "native-network")
    result = run(options_of(bundle, *contenders, "openblas", flags="-O1"), tmp_path / "bench")
    # sgemm does not run a network with sums; it is left out, not flagged.
    assert all_well(result, *contenders)
    assert all(c["percent_of_peak"] > 0.0 for c in result.comparison())


# ------------------------------------------------------------------------------- imported networks


class TwoInputs(torch.nn.Module):
    """A profile and a state in, tendencies and fluxes out."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(
            torch.nn.Linear(a, b) for a, b in ((10, 9), (9, 6), (9, 2))
        )

    def forward(
        self, profile: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        h = torch.tanh(self.layers[0](torch.cat([profile.flatten(1), state], dim=1)))
        return self.layers[1](h).reshape(-1, 3, 2), self.layers[2](h)


def onnx_of(module: TwoInputs) -> onnx.ModelProto:
    """The same network as a graph, which torch's exporter takes seconds to write."""
    nodes = [
        node("Reshape", "profile flat", "levels"),
        node("Concat", "levels state", "all", axis=1),
        node("Gemm", "all w0 b0", "z0", transB=1),
        node("Tanh", "z0", "a0"),
        node("Gemm", "a0 w1 b1", "z1", transB=1),
        node("Reshape", "z1 shape", "tendencies"),
        node("Gemm", "a0 w2 b2", "fluxes", transB=1),
    ]
    constants = {"flat": np.array([0, 8]), "shape": np.array([0, 3, 2])}
    for number, layer in enumerate(module.layers):
        assert isinstance(layer, torch.nn.Linear)
        constants[f"w{number}"] = layer.weight.detach().numpy()
        constants[f"b{number}"] = layer.bias.detach().numpy()
    return model_of(
        nodes,
        {"profile": ["ncol", 4, 2], "state": ["ncol", 2]},
        {"tendencies": ["ncol", 3, 2], "fluxes": ["ncol", 2]},
        constants,
    )


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a bundle, and of the originals from which it was imported."""
    folder = tmp_path_factory.mktemp("imported")
    torch.manual_seed(2)
    module = TwoInputs().eval()
    model = onnx_of(module)
    onnx.save(model, folder / "original.onnx")
    columns = {0: torch.export.Dim("ncol", min=1)}
    program = torch.export.export(
        module, (torch.zeros(2, 4, 2), torch.zeros(2, 2)), dynamic_shapes=(columns, columns)
    )
    torch.export.save(program, folder / "original.pt2")
    import_network(model, folder / "bundle", name="pair")
    return folder


def test_the_original_of_an_imported_network_is_what_others_run(
    imported: Path, tmp_path: Path
) -> None:
    bundle = Bundle.open(imported / "bundle")
    originals = (imported / "original.onnx", imported / "original.pt2")
    options = options_of(bundle, *IN_PYTHON, compiler=NO_COMPILER, originals=originals)
    models = models_of(options, tmp_path / "models")
    assert [model.onnx for model in models] == [originals[0].resolve()]
    assert models[0].host_kind == "real32"
    result = run(options, tmp_path / "bench")
    assert all_well(result, *IN_PYTHON)
    assert result.about["models"][0]["originals"] == ["original.onnx", "original.pt2"]


def test_without_the_original_torch_is_missing_and_the_export_is_run(
    imported: Path, tmp_path: Path
) -> None:
    bundle = Bundle.open(imported / "bundle")
    result = run(options_of(bundle, *IN_PYTHON, compiler=NO_COMPILER), tmp_path / "bench")
    statuses = {row.contender: (row.status, row.note) for row in result.rows}
    assert statuses["onnxruntime-python"] == ("ok", "")
    assert statuses["torch"][0] == "missing" and "--original" in statuses["torch"][1]


@needs_gfortran
@pytest.mark.slow
def test_an_imported_network_in_fortran(imported: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(imported / "bundle")
    contenders = ("native-layers", "native-embedded", "native-loaded", "onnxruntime-fortran")
    options = options_of(bundle, *contenders, flags="-O1")
    result = run(options.changed(originals=(imported / "original.onnx",)), tmp_path / "bench")
    assert all_well(result, *contenders)
    assert {row.work for row in result.rows} == {"physical"}
    assert result.about["models"][0]["host_arrays"] == "real32"


def test_wrong_originals_are_refused(imported: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(imported / "bundle")
    other = model_of(
        [node("Gemm", "x w", "y")], {"x": ["n", 3]}, {"y": ["n", 1]}, {"w": np.ones((3, 1))}
    )
    one_column = model_of([node("Relu", "x", "y")], {"x": [1, 10]}, {"y": [1, 10]}, {})
    for name, model in (("other.onnx", other), ("one.onnx", one_column)):
        onnx.save(model, tmp_path / name)
    (tmp_path / "damaged.pt2").write_bytes(b"no archive")
    cases = {
        "model.txt": "one .onnx file, one .pt2 file",
        "other.onnx": "takes 3 values for a column, the bundle takes 10",
        "one.onnx": "fixed number of columns",
        "damaged.pt2": "damaged.pt2 is not a .pt2 archive",
    }
    for name, message in cases.items():
        options = options_of(bundle, "torch", originals=(tmp_path / name,))
        with pytest.raises(EmufortError, match=message) as caught:
            models_of(options, tmp_path / "work")
        assert "\n" not in str(caught.value)


def test_only_imported_networks_have_an_original(tmp_path: Path) -> None:
    bundle = searched(tmp_path / "bundle", "silu", "mlp")
    options = options_of(bundle, "torch", originals=(tmp_path / "x.onnx",))
    with pytest.raises(UsageError, match="was not imported"):
        models_of(options, tmp_path / "work")
    with pytest.raises(UsageError, match="--original needs --bundle"):
        Options(originals=(tmp_path / "x.onnx",)).checked()


def test_the_original_lacks_the_transforms_of_a_contract(imported: Path, tmp_path: Path) -> None:
    contract = Contract.from_dict(
        {
            "name": "logarithms",
            "dimensions": {
                name: [str(i) for i in range(n)]
                for name, n in (("level", 8), ("place", 2), ("tendency", 6))
            },
            "input": [
                {"name": "profile", "dimension": "level", "transform": "ln"},
                {"name": "state", "dimension": "place", "transform": "none"},
            ],
            "output": [
                {"name": "tendencies", "dimension": "tendency", "transform": "none"},
                {"name": "fluxes", "dimension": "place", "transform": "none"},
            ],
        }
    )
    model = onnx.load(imported / "original.onnx")
    bundle = import_network(model, tmp_path / "bundle", contract)
    options = options_of(bundle, "torch", originals=(imported / "original.onnx",))
    with pytest.raises(UsageError, match="puts the transform 'ln' of 'profile' around"):
        models_of(options, tmp_path / "work")
