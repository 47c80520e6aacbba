"""Residual networks are searched, retrained, exported and run in Fortran like all others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emufort.checks import check_run
from emufort.config import Config, SpaceConfig
from emufort.errors import UsageError
from emufort.export.weights_file import WeightsFile
from emufort.files import read_csv, read_json
from emufort.native import bindings
from emufort.network.architecture import Architecture
from emufort.network.emulator import Emulator
from emufort.retrain.driver import retrain
from emufort.search.driver import search
from emufort.search.result import load_search
from emufort.search.space import at_point, dimensions, to_point
from tests.conftest import SYNTHETIC_CONFIG
from tests.pipeline.runs import emufort
from tests.search import pond

SPACE = {
    "family": "residual",
    "depth": [1, 3],
    "width": [4, 8],
    "activation": ["tanh", "leaky_relu:0.2"],
}


def test_a_point_is_a_residual_network_of_one_width() -> None:
    space = SpaceConfig.model_validate(SPACE)
    assert [d.name for d in dimensions(space)][:2] == ["depth", "width"]
    rng = np.random.default_rng(0)
    families = set()
    for point in rng.random((50, len(dimensions(space)))):
        candidate = at_point(space, point)
        assert at_point(space, to_point(space, candidate)) == candidate
        assert len(set(candidate.hidden)) == 1
        families.add((len(candidate.hidden) > 1, candidate.family))
        assert candidate.architecture(3, 2).plan.sizes["h1"] == candidate.hidden[0]
    assert families == {(False, "mlp"), (True, "residual_mlp")}


def test_they_are_searched_with_torch_and_run_in_fortran(tmp_path: Path) -> None:
    data, config = pond.data(), pond.config(trials=6, rungs=[1, 3], space=SPACE)
    found = search(data, config, tmp_path / "search")
    assert read_json(tmp_path / "search/search.json")["backend"] == "torch"
    assert load_search(tmp_path / "search").trials == found.trials
    best = retrain(tmp_path / "search", data, config, tmp_path / "retrain")
    residual = [row for row in best if row.label.endswith("residual_mlp")]
    assert residual
    rows = {row["id"]: row for row in read_csv(tmp_path / "retrain/candidates.csv")}
    x = data.part("test").x
    for row in residual:
        assert Architecture.from_label(rows[row.id]["label"]).family == "residual_mlp"
        emulator = Emulator.load(tmp_path / "retrain" / row.id / "weights.safetensors")
        assert any(operation.kind == "add" for operation in emulator.plan.operations)
        if bindings.available():
            content = WeightsFile.from_emulator(emulator).to_bytes()
            y = bindings.FortranEmulator.from_bytes(content).predict(x).y
            np.testing.assert_allclose(y, emulator.predict(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match='choose backend = "torch"'):
        native = pond.config(trials=6, rungs=[1, 3], space=SPACE, retrain__backend="native")
        retrain(tmp_path / "search", data, native, tmp_path / "other")


def test_the_native_trainer_is_refused_before_any_work(tmp_path: Path) -> None:
    for section in ("search", "retrain"):
        options = {"search": {"space": SPACE}}
        options.setdefault(section, {})["backend"] = "native"
        with pytest.raises(UsageError, match="plain multilayer perceptrons only") as caught:
            check_run(Config.from_dict(options), pond.data(), ["search", "retrain"])
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_whole_run_is_verified(synthetic: Path) -> None:
    lines = 'family = "residual"\nactivation = ["tanh", "elu:0.5"]\n'
    text = SYNTHETIC_CONFIG.replace("[search.space]\n", f"[search.space]\n{lines}")
    text = text.replace("depth = [1, 2]", "depth = [2, 3]")
    (synthetic / "run.toml").write_text(text)
    done = emufort("run", synthetic / "run.toml", "--out", synthetic / "out")
    assert done.returncode == 0, done.stderr
    assert "Verified" in done.stdout
    manifest = read_json(synthetic / "out/bundle/manifest.json")
    assert manifest["architecture"]["family"] == "residual_mlp"
    assert [o["kind"] for o in manifest["plan"]["operations"]][:3] == ["dense", "dense", "add"]
