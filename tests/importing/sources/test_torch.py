"""Modules of torch, exported programs and .pt2 files; nothing in a file is executed."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from emufort.api import import_network
from emufort.importing.refusal import ImportRefusedError
from emufort.importing.sources.reading import source_of
from tests.importing.sources.running import outputs_of

pytest.importorskip("onnxscript")

RNG = np.random.default_rng(2)
PROFILE = RNG.normal(size=(6, 3, 8)).astype(np.float32)
SURFACE = RNG.normal(size=(6, 2)).astype(np.float32)


class Column(torch.nn.Module):
    """Two inputs, three outputs, of which two are named."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = torch.nn.Conv1d(3, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm1d(4)
        self.drop = torch.nn.Dropout(0.5)
        self.head = torch.nn.Linear(34, 5)
        self.register_buffer("factor", torch.arange(5.0))

    def forward(self, profile: torch.Tensor, surface: torch.Tensor) -> Any:
        h = torch.nn.functional.silu(self.norm(self.levels(profile)))
        first, rest = torch.split(self.drop(h), [2, 2], dim=1)
        y = self.head(torch.cat([first.flatten(1), rest.flatten(1), surface], dim=1))
        return y * self.factor, {"rain": torch.relu(y[:, :1]), "heating": h}


class OneColumn(torch.nn.Module):
    """A module that is written for one column."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.reshape(1, 4))


@pytest.fixture(scope="module")
def column() -> torch.nn.Module:
    torch.manual_seed(3)
    module = Column()
    module(torch.from_numpy(PROFILE), torch.from_numpy(SURFACE))  # statistics of the norm
    return module


def wanted(module: torch.nn.Module, *inputs: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    with torch.inference_mode():
        found = module.eval()(*map(torch.from_numpy, inputs))
    leaves, _ = torch.utils._pytree.tree_flatten(found)
    return [leaf.numpy() for leaf in leaves]


def agree(found: Any, expected: Any) -> None:
    assert len(found) == len(expected)
    for y, z in zip(found, expected, strict=True):
        np.testing.assert_allclose(y, z, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "example",
    [(PROFILE, SURFACE), {"surface": SURFACE, "profile": PROFILE}],
    ids=["tuple", "names"],
)
def test_a_module_with_several_inputs(column: torch.nn.Module, example: Any) -> None:
    column.train()
    column.drop.eval()
    source = source_of(column, example)
    onnx.checker.check_model(source.model, full_check=True)
    assert column.training and not column.drop.training  # left as they were
    assert source.evaluate is not None
    names = [port.name for port in source.model.graph.input]
    inputs = [{"profile": PROFILE, "surface": SURFACE}[name] for name in names]
    expected = wanted(column, PROFILE, SURFACE)
    agree(outputs_of(source.model, inputs), expected)
    agree(
        source.evaluate(list(example.values()) if isinstance(example, dict) else example), expected
    )


def test_a_module_of_several_inputs_becomes_a_bundle(
    tmp_path: Path, column: torch.nn.Module
) -> None:
    example = {"surface": SURFACE, "profile": PROFILE}
    bundle = import_network(column, tmp_path / "b", example=example, name="column")
    contract = bundle.manifest.contract
    assert {v.name for v in contract.input} == {"profile", "surface"}
    blocks = {"profile": PROFILE.reshape(6, -1), "surface": SURFACE}
    x = np.concatenate([blocks[v.name] for v in contract.input], axis=1).astype(float)
    found = bundle.emulator().predict(x)
    expected = np.concatenate([y.reshape(6, -1) for y in wanted(column, PROFILE, SURFACE)], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_module_that_takes_one_column_at_a_time(tmp_path: Path) -> None:
    torch.manual_seed(1)
    module = OneColumn()
    x = RNG.normal(size=(5, 4)).astype(np.float32)
    bundle = import_network(module, tmp_path / "b", example=x, name="one")
    expected = np.concatenate([wanted(module, row[None])[0] for row in x])
    np.testing.assert_allclose(bundle.emulator().predict(x.astype(float)), expected, rtol=1e-5)


class OneProfile(torch.nn.Module):
    """A module for one column that computes more of them, but not as columns."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x.reshape(4, -1).t()).reshape(1, -1, 4)


class Projected(torch.nn.Module):
    """An LSTM with projected states."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.LSTM(2, 5, proj_size=3, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor) -> Any:
        return self.layers(x)[0]


class Anomaly(torch.nn.Module):
    """A module that mixes columns."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0, keepdim=True)


class Branch(torch.nn.Module):
    """A module with a branch that depends on the data."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


class Hypotenuse(torch.nn.Module):
    """A module with an operation that has no form in ONNX."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.hypot(x, x)


def test_a_module_that_is_written_for_one_column_but_takes_more(tmp_path: Path) -> None:
    x = PROFILE[:, :2]
    bundle = import_network(OneProfile(), tmp_path / "b", example=x, name="profile")
    found = bundle.emulator().predict(x.reshape(6, -1).astype(float))
    expected = np.concatenate([wanted(OneProfile(), row[None])[0] for row in x])
    np.testing.assert_allclose(found, expected.reshape(6, -1), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_projected_states_of_an_lstm() -> None:
    torch.manual_seed(1)
    module = Projected()
    x = RNG.normal(size=(6, 3, 2)).astype(np.float32)
    agree(outputs_of(source_of(module, x).model, [x]), wanted(module, x))


class Celsius(torch.nn.Module):
    """A module in double precision with numbers in its code."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer((x - 273.15) / 29.7)


def test_numbers_in_the_code_of_a_module_in_double_precision_keep_their_digits() -> None:
    module = Celsius().double()
    x = RNG.normal(280.0, 1.0, (6, 2))
    found = outputs_of(source_of(module, x).model, [x])[0]
    expected = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


def test_a_module_that_mixes_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefusedError, match="mixes columns"):
        import_network(Anomaly(), tmp_path / "b", example=PROFILE)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("module", "message"),
    [(Branch(), "data-dependent"), (Hypotenuse(), "No ONNX function found for .*hypot")],
)
def test_the_reason_of_torch_is_one_line(
    capfd: pytest.CaptureFixture[str], module: torch.nn.Module, message: str
) -> None:
    with pytest.raises(ImportRefusedError, match=f"^torch cannot export .*: .*{message}") as caught:
        source_of(module, SURFACE)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (None, "needs an example"),
        (PROFILE, "does not fit the module|cannot export"),
        ((PROFILE, SURFACE, SURFACE), "does not fit the module|cannot export"),
    ],
)
def test_examples_that_do_not_fit(column: torch.nn.Module, example: Any, message: str) -> None:
    with pytest.raises(ImportRefusedError, match=message):
        source_of(column, example)


# ------------------------------------------------------------------- .pt2 files


def program(module: torch.nn.Module, free: bool) -> torch.export.ExportedProgram:
    n = 2 if free else 1
    shapes = ({0: torch.export.Dim("n")},) * 2 if free else None
    inputs = (torch.from_numpy(PROFILE[:n]), torch.from_numpy(SURFACE[:n]))
    return torch.export.export(module.eval(), inputs, dynamic_shapes=shapes)


@pytest.fixture(scope="module")
def exported(column: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pt2") / "column.pt2"
    torch.export.save(program(column, free=True), path)
    return path


def test_an_exported_program(column: torch.nn.Module) -> None:
    source = source_of(program(column, free=True), None)
    assert source.evaluate is not None
    expected = wanted(column, PROFILE, SURFACE)
    agree(outputs_of(source.model, [PROFILE, SURFACE]), expected)
    agree(source.evaluate([PROFILE, SURFACE]), expected)


def test_a_pt2_file_for_one_column(column: torch.nn.Module, tmp_path: Path) -> None:
    torch.export.save(program(column, free=False), tmp_path / "one.pt2")
    source = source_of(tmp_path / "one.pt2", None)
    shape = source.model.graph.input[0].type.tensor_type.shape
    assert shape.dim[0].dim_value == 1
    agree(
        outputs_of(source.model, [PROFILE[:1], SURFACE[:1]]),
        wanted(column, PROFILE[:1], SURFACE[:1]),
    )


def rewritten(path: Path, out: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Copy an archive with changed parts; None leaves a part out."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return out


class Executed:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_a_pt2_file_is_read_without_its_pickles(
    tmp_path: Path, exported: Path, column: torch.nn.Module
) -> None:
    trap = tmp_path / "executed"
    stream = io.BytesIO()
    torch.save(Executed(str(trap)), stream)

    def sample(name: str, content: bytes) -> bytes:
        return stream.getvalue() if "sample_inputs" in name else content

    source = source_of(rewritten(exported, tmp_path / "column.pt2", sample), None)
    assert source.evaluate is not None
    assert source.name == "column.pt2"
    assert [port.name for port in source.model.graph.input] == ["profile", "surface"]
    expected = wanted(column, PROFILE, SURFACE)
    agree(outputs_of(source.model, [PROFILE, SURFACE]), expected)
    agree(source.evaluate([PROFILE, SURFACE]), expected)
    assert not trap.exists()


def test_pickled_weights_are_refused(tmp_path: Path, exported: Path) -> None:
    trap = tmp_path / "executed"

    def weights(name: str, content: bytes) -> bytes:
        if name.endswith("weights_config.json"):
            return content.replace(b'"use_pickle": false', b'"use_pickle": true')
        return pickle.dumps(Executed(str(trap))) if "weight_" in name else content

    with pytest.raises(ImportRefusedError, match="are pickled"):
        source_of(rewritten(exported, tmp_path / "b.pt2", weights), None)
    assert not trap.exists()


def changed_program(path: Path, out: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    def edit(name: str, content: bytes) -> bytes:
        if "/models/" not in name:
            return content
        found = json.loads(content)
        change(found["graph_module"])
        return json.dumps(found).encode()

    return rewritten(path, out, edit)


def _target(name: str) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        content["graph"]["nodes"][0]["target"] = name

    return change


def _size(content: dict[str, Any]) -> None:
    size = {"as_expr": {"expr_str": "__import__('os').getpid()", "hint": None}}
    content["graph"]["tensor_values"]["profile"]["sizes"][-1] = size


def _mutation(content: dict[str, Any]) -> None:
    content["signature"]["output_specs"][0] = {"buffer_mutation": {"arg": {"name": "x"}}}


def _argument(content: dict[str, Any]) -> None:
    content["graph"]["nodes"][0]["inputs"][0]["arg"] = {"as_operator": "os.system"}


def _unknown_value(content: dict[str, Any]) -> None:
    content["graph"]["nodes"][0]["inputs"][0]["arg"] = {"as_tensor": {"name": "absent"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_target("torch.hub.load"), "not an operation of torch"),
        (_target("os.system"), "not an operation of torch"),
        (_target("torch.ops.aten.__class__.mro"), "not an operation of torch"),
        (_target("torch.ops.mine.function.default"), "not an operation of torch"),
        (_target("torch.ops.higher_order.cond"), "not an operation of torch"),
        (_target("torch.ops.aten.from_file.default"), "it reads a file"),
        (_size, "a size that is not fixed"),
        (_mutation, "evaluation mode"),
        (_argument, "'as_operator'"),
        (_unknown_value, "damaged|cannot export"),
        (lambda content: content.pop("signature"), "damaged"),
    ],
)
def test_programs_that_are_refused(
    tmp_path: Path, exported: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    path = changed_program(exported, tmp_path / "c.pt2", change)
    with pytest.raises(ImportRefusedError, match=message) as caught:
        source_of(path, None)
    assert "\n" not in str(caught.value)


def test_weights_beyond_their_file_are_refused(tmp_path: Path, exported: Path) -> None:
    def cut(name: str, content: bytes) -> bytes:
        return content[:8] if name.endswith("weight_0") else content

    with pytest.raises(ImportRefusedError, match="beyond the end"):
        source_of(rewritten(exported, tmp_path / "d.pt2", cut), None)


def test_archives_that_are_no_programs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pt2").write_bytes(b"PK\x03\x04 no archive")
    with zipfile.ZipFile(tmp_path / "b.pt2", "w") as archive:
        archive.writestr("a/version", "1")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "c.pt2")
    for name, message in (("a", "not a .pt2"), ("b", "0 models"), ("c", "0 models"), ("d", "read")):
        with pytest.raises(ImportRefusedError, match=message):
            source_of(tmp_path / f"{name}.pt2", None)


def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, column: torch.nn.Module
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportRefusedError, match=r"onnxscript: pip install 'emufort\[torch-import"):
        source_of(column, (PROFILE, SURFACE))
