"""Outputs that are constant in training, and outputs of any scale, through the whole pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from emufort import load
from emufort.cli import app
from emufort.files import read_csv, read_json
from tests.conftest import SYNTHETIC_CONFIG

INPUTS = """
name = "column"
title = "Heating of a column (synthetic)"
[dimensions]
level = ["top", "upper", "lower", "bottom"]
[[input]]
name = "temperature"
units = "K"
range = [-2.0, 2.0]
[[input]]
name = "depth"
units = "m"
transform = "ln"
[[input]]
name = "tiny"
units = "kg"
[[input]]
name = "huge"
units = "kg"
transform = "minmax"
"""
BASELINE = """
[[baseline]]
name = "oracle"
variable = "sink"
gives = "sink"
"""
#: Name -> (the rest of its entry in the contract, its values from a smooth function v of the
#: inputs and the depth). What follows an underscore says how it is scaled.
OUTPUTS = {
    "zero_standardise": ("", lambda v, depth: 0 * v),
    "zero_minmax": ('transform = "minmax"', lambda v, depth: 0 * v),
    "zero_none": ('transform = "none"', lambda v, depth: 0 * v),
    "zero_sigmoid": ('transform = "sigmoid"', lambda v, depth: 0 * v),
    "always_standardise": ("upper_bound = 1.0", lambda v, depth: 0 * v + 1.5),
    "always_ln": ('transform = "ln"', lambda v, depth: 0 * v + 1e-30),
    "always_minmax": ('transform = "minmax"', lambda v, depth: 0 * v - 1e30),
    "always_logit": ('transform = "logit"', lambda v, depth: 0 * v + 0.1),
    "ratio_fixed": ('transform = "ln"\nrelative_to = "depth"', lambda v, depth: 0.7 * depth),
    "ratio": ('transform = "ln"\nrelative_to = "depth"', lambda v, depth: depth * np.exp(0.3 * v)),
    "tiny_standardise": ("", lambda v, depth: 1e-30 * v),
    "tiny_minmax": ('transform = "minmax"', lambda v, depth: 1e-30 * v),
    "tiny_ln": ('transform = "ln"', lambda v, depth: 1e-30 * np.exp(v)),
    "tiny_none": ('transform = "none"', lambda v, depth: 1e-30 * v),
    "tiny_logit": ('transform = "logit"', lambda v, depth: 1e-30 * np.exp(v)),
    "tiny_sigmoid": ('transform = "sigmoid"', lambda v, depth: 1e-30 * np.exp(v)),
    "huge_standardise": ("", lambda v, depth: 1e30 * v),
    "huge_minmax": ('transform = "minmax"', lambda v, depth: 1e30 * v),
    "huge_ln": ('transform = "ln"', lambda v, depth: 1e30 * np.exp(v)),
}
#: What is emitted of those that are constant.
CONSTANTS = {
    "heating[top]": 0.0,
    "heating[lower]": 0.1,
    "zero_standardise": 0.0,
    "zero_minmax": 0.0,
    "zero_none": 0.0,
    "zero_sigmoid": 0.0,
    "always_standardise": 1.0,  # its upper bound
    "always_ln": 1e-30,
    "always_minmax": -1e30,
    "always_logit": 0.1,
}


def contract(names: list[str], more: str = "") -> str:
    """Write the contract of heating at four levels and the outputs named."""
    parts = [INPUTS, '[[output]]\nname = "heating"\nunits = "K s-1"\ndimension = "level"\n']
    parts += [f'[[output]]\nname = "{name}"\n{OUTPUTS[name][0]}\n' for name in names]
    return "".join(parts) + more


def column(names: list[str], n: int = 600) -> xr.Dataset:
    """Return data: heating is 0 at the top, 0.1 at the lower level, and varies at the others."""
    rng = np.random.default_rng(0)
    temperature, depth = rng.uniform(-2, 2, n), np.exp(rng.uniform(-1, 1, n))
    tiny, huge = 1e-30 * rng.normal(size=n), 1e30 * rng.uniform(1, 2, n)
    v = np.sin(temperature) + 0.5 * depth + 0.2e30 * tiny + 0.2e-30 * huge
    heating = np.stack([0 * v, v, 0 * v + 0.1, -1e-5 * v], axis=1)
    found = xr.Dataset(
        {
            "temperature": ("sample", temperature, {"units": "K"}),
            "depth": ("sample", depth, {"units": "m"}),
            "tiny": ("sample", tiny, {"units": "kg"}),
            "huge": ("sample", huge, {"units": "kg"}),
            "heating": (("sample", "level"), heating, {"units": "K s-1"}),
        },
        coords={"level": ["top", "upper", "lower", "bottom"]},
    )
    for name in names:
        found[name] = ("sample", OUTPUTS[name][1](v, depth), {"units": "1"})
    return found


def prepare(folder: Path, text: str, data: xr.Dataset) -> Path:
    """Write contract, data and a small configuration; return the configuration."""
    (folder / "column.toml").write_text(text)
    data.to_netcdf(folder / "column.nc")
    config = SYNTHETIC_CONFIG.replace("evaporation", "column").replace("workers = 2", "workers = 1")
    (folder / "run.toml").write_text(config.replace("top = 3", "top = 2"))
    return folder / "run.toml"


def emufort(*arguments: object) -> str:
    """Run a command; return what it prints."""
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("constants")
    emufort(
        "run",
        prepare(folder, contract(list(OUTPUTS)), column(list(OUTPUTS))),
        "--out",
        folder / "out",
    )
    return folder


@pytest.mark.filterwarnings("error")
def test_constant_tiny_and_huge_outputs_end_verified(finished: Path) -> None:
    out = finished / "out"
    assert read_json(out / "verification.json")["passed"]
    manifest = read_json(out / "bundle" / "manifest.json")
    known = {one["name"]: one for one in manifest["metadata"]["constant_outputs"]}
    assert {n: one["value"] for n, one in known.items()} == {**CONSTANTS, "ratio_fixed": 0.7}
    assert known["ratio_fixed"]["relative_to"] == "depth"
    assert known["heating[top]"]["units"] == "K s-1"
    n_varying = 4 + len(OUTPUTS) - len(known)
    assert manifest["architecture"]["n_outputs"] == n_varying
    assert read_json(out / "search" / "search.json")["n_outputs"] == n_varying
    skill = manifest["skill"]["test"]
    assert not set(known) & set(skill["columns"])
    assert len(skill["columns"]) == n_varying
    # What can be learned in its units is, however small or large these are.
    for name in ("heating[upper]", "tiny_standardise", "tiny_ln", "huge_standardise", "huge_ln"):
        assert skill["columns"][name]["r2"] > 0.3, name


def test_report_card_and_check_say_what_is_constant(finished: Path) -> None:
    page = (finished / "out" / "report.html").read_text()
    card = (finished / "out" / "bundle" / "MODEL_CARD.md").read_text()
    checked = emufort("check", finished / "run.toml")
    assert "heating[top] = 0 K s-1; " in page
    assert "| `heating[top]` | 0 | K s-1 |" in card
    assert "| `ratio_fixed` | 0.7 times `depth` | 1 |" in card
    for name, value in CONSTANTS.items():
        assert f"{name} = {value:.6g}" in page
        assert f"{name} = {value:.6g}" in checked
    assert "standard deviations" in page
    assert "standard deviations" in card


@pytest.mark.parametrize("backend", ["fortran", "onnxruntime"])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 3, 100])
def test_a_loaded_bundle_emits_the_constants(
    finished: Path, backend: str, kind: type, n: int
) -> None:
    from emufort.runtime.loaded import available

    if backend == "fortran" and not available():
        pytest.skip("the Fortran bindings are not built")
    emulator = load(finished / "out" / "bundle", backend)  # type: ignore[arg-type]
    names = [c.name for c in emulator.contract.output_columns]
    rng = np.random.default_rng(1)
    x = np.stack(
        [rng.uniform(-9, 9, n), rng.uniform(0.5, 2, n), np.zeros(n), np.full(n, 1e30)], axis=1
    ).astype(kind)
    y = emulator.predict_array(x)
    # ONNX is single precision within.
    within = np.float32 if backend == "onnxruntime" else kind
    for name, value in CONSTANTS.items():
        np.testing.assert_array_equal(y[:, names.index(name)], kind(within(value)), name)
    ratio = y[:, names.index("ratio_fixed")]
    np.testing.assert_allclose(ratio, 0.7 * x[:, 1], rtol=3e-7)
    x[0, 2] = np.nan
    assert np.isnan(emulator.predict_array(x)[0]).all()


def test_constant_outputs_change_nothing_of_the_others(tmp_path: Path) -> None:
    # One output alone, and the same among 59 that do not vary.
    found = {}
    base = column([])
    for name, n_constant in (("alone", 0), ("among", 59)):
        labels = [f"level_{i}" for i in range(n_constant + 1)]
        values = np.stack(
            [base.heating[:, 1].values, *(np.full(600, 0.1 * i) for i in range(n_constant))], axis=1
        )
        data = base.drop_vars(["heating", "level"])
        data["heating"] = (("sample", "level"), values, {"units": "K s-1"})
        text = contract([]).replace('["top", "upper", "lower", "bottom"]', json.dumps(labels))
        folder = tmp_path / name
        folder.mkdir()
        config = prepare(folder, text, data.assign_coords(level=labels))
        emufort("search", config, "--out", folder / "out")
        emufort("retrain", "--out", folder / "out")
        trials = read_csv(folder / "out" / "search" / "trials.csv")
        rows = read_csv(folder / "out" / "retrain" / "candidates.csv")
        kept = ("id", "label", "search_loss", "validation_loss", "r2")
        found[name] = (
            [{k: v for k, v in trial.items() if k != "seconds"} for trial in trials],
            sorted([row[k] for k in kept[:-1]] for row in rows),
        )
    assert found["alone"] == found["among"]


def test_a_perfect_baseline_and_a_split_without_variation(tmp_path: Path) -> None:
    # The oracle's RMSE is 0, and the truth does not vary on the test split: there is no R2.
    data = column(["tiny_standardise"])
    sink = data.heating[:, 1].values.copy()
    split = np.repeat([0, 1, 2], [480, 60, 60]).astype(np.int8)
    sink[split == 2] = 0.25
    data["sink"] = ("sample", sink, {"units": "1"})
    flags = {"flag_values": np.array([0, 1, 2], np.int8), "flag_meanings": "train validation test"}
    data["split"] = ("sample", split, flags)
    text = INPUTS + '[[output]]\nname = "sink"\n' + BASELINE + "[split]\n"
    config = prepare(tmp_path, text, data)
    printed = emufort("run", config, "--out", tmp_path / "out")
    selection = read_json(tmp_path / "out" / "selection.json")
    assert selection["baselines"][0]["rmse"] == 0.0
    assert "oracle has no error" in selection["reason"]
    skill = read_json(tmp_path / "out" / "bundle" / "manifest.json")["skill"]
    assert skill["test"]["overall"]["r2"] is None
    assert skill["baselines"]["oracle"]["overall"]["rmse"] == 0.0
    line = next(line for line in printed.splitlines() if "oracle" in line and "│" in line)
    assert [cell.strip() for cell in line.split("│")[1:4]] == ["oracle", "0", "-"]
    assert "oracle has no error" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("judged", "message"),
    [("", "nothing to learn"), ('[skill]\nvariables = ["zero_none"]', "judge by other outputs")],
)
def test_check_refuses_what_has_nothing_to_learn(tmp_path: Path, judged: str, message: str) -> None:
    data = column(["zero_none", "ratio"])
    names = ["zero_none", "ratio"] if judged else ["zero_none", "always_ln"]
    data = column(names)
    if not judged:
        data["heating"] = data.heating * 0
    config = prepare(tmp_path, contract(names, judged), data)
    for command in (["check", config], ["run", config, "--out", tmp_path / "out"]):
        done = CliRunner().invoke(app, list(map(str, command)))
        assert done.exit_code != 0
        assert message in str(done.exception)
        assert not (tmp_path / "out" / "search").exists()
