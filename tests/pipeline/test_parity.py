"""The command line and the Python API give the same result for every step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emufort.api as ef
import emufort.timing.measure
from emufort import cli, steps
from emufort.config import Config
from emufort.errors import EmufortError
from emufort.files import read_csv, read_json
from emufort.run.folder import RunFolder
from emufort.run.pipeline import Run
from tests.conftest import SYNTHETIC_CONFIG, SYNTHETIC_CONTRACT, synthetic_data

SEED = 5
#: A contract of other transforms than the run's: what is chosen is then of another contract.
TARGET = "evaporation_rate=standardise"


@pytest.fixture(scope="module", params=[(), (TARGET,)], ids=["no targets", "targets"])
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Config]:
    """Carry out a whole run by the command line."""
    folder = tmp_path_factory.mktemp("parity")
    (folder / "evaporation.toml").write_text(SYNTHETIC_CONTRACT)
    target = f"target = {json.dumps(request.param)}\n[retrain]"
    text = f"seed = {SEED}\n" + SYNTHETIC_CONFIG.replace("[retrain]", target)
    (folder / "run.toml").write_text(text.replace("workers = 2", "workers = 1"))
    synthetic_data().to_netcdf(folder / "evaporation.nc")
    arguments = ["run", str(folder / "run.toml"), "--out", str(folder / "out")]
    assert cli.execute(arguments) == 0
    return folder / "out", Config.load(folder / "run.toml")


@pytest.fixture(scope="module")
def by_api(run: tuple[Path, Config]) -> Path:
    """Do the same with the functions; times differ by nature, so those of the command are taken."""
    cli_out, config = run
    out = cli_out.parent / "api"
    data = ef.Dataset.open(str(config.data), ef.Contract.load(config.contract))
    options = config.model_dump(mode="json", exclude_none=True)
    study = ef.search(
        data,
        out=str(out / "search"),
        seed=SEED,
        workers=1,
        retrain=options["retrain"],
        **options["search"],
    )
    models = ef.retrain(study, data, out=str(out / "retrain"), workers=1, **options["retrain"])
    shutil.copy(cli_out / "timing.csv", out / "timing.csv")
    times = steps.read_times(out / "timing.csv")
    selection = ef.select(models, times, out=str(out / "selection.json"))
    bundle = ef.export(selection, data, str(out / "bundle"))
    verification = ef.verify(
        bundle, selection, rows=config.verify.rows, out=str(out / "verification.json")
    )
    verification.raise_if_failed()
    assert ef.report(str(out), data) == out / "report.html"
    return out


def without_times(path: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_csv(path)]


@pytest.mark.parametrize(
    "table",
    [
        "search/trials.csv",
        "retrain/candidates.csv",
        "retrain/ranking.csv",
        "retrain/predictions.csv",
    ],
)
def test_tables(run: tuple[Path, Config], by_api: Path, table: str) -> None:
    assert without_times(by_api / table) == without_times(run[0] / table)


def test_retrained_weights(run: tuple[Path, Config], by_api: Path) -> None:
    found = sorted((run[0] / "retrain").glob("*/weights.safetensors"))
    rows = read_csv(run[0] / "retrain" / "candidates.csv")
    # The longer trainings of the front take the place of others, whose folders stay.
    assert {row["id"] for row in rows} <= {path.parent.name for path in found}
    assert len({row["trial"] for row in rows}) >= 7
    for path in found:
        ours, theirs = ef.Emulator.load(by_api / path.relative_to(run[0])), ef.Emulator.load(path)
        assert (ours.metadata, ours.contract) == (theirs.metadata, theirs.contract)
        arrays = [(*one.weights, *one.biases) for one in (ours, theirs)]
        assert all(a.tobytes() == b.tobytes() for a, b in zip(*arrays, strict=True))


def test_selection(run: tuple[Path, Config], by_api: Path) -> None:
    assert read_json(by_api / "selection.json") == read_json(run[0] / "selection.json")


@pytest.mark.parametrize(
    "name", ["weights.bin", "model.onnx", "evaporation_emulator.F90", "emufort_runtime.F90"]
)
def test_files_of_the_bundle(run: tuple[Path, Config], by_api: Path, name: str) -> None:
    assert (by_api / "bundle" / name).read_bytes() == (run[0] / "bundle" / name).read_bytes()


def test_verification(run: tuple[Path, Config], by_api: Path) -> None:
    """The content is the same, apart from the path of the folder, which it contains."""
    texts = {out: (out / "verification.json").read_text() for out in (by_api, run[0])}
    ours, theirs = (json.loads(text.replace(str(out), "OUT")) for out, text in texts.items())
    assert ours["bundle"] == "OUT/bundle"
    assert ours == theirs


@contextmanager
def what_is_timed(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Catch what is handed to the timing instead of measuring."""
    caught: dict[str, Any] = {}

    def time_candidates(
        weights: Any, contract: Any, config: Any, out: Any, work: Any, x: Any, report: Any, own: Any
    ) -> list[Any]:
        caught.update(
            ids=list(weights), contract=contract.sha256, config=config, x=x, own=own,
            places=(out.name, work.relative_to(out.parent)),
        )  # fmt: skip
        return []

    with monkeypatch.context() as patch:
        patch.setattr(emufort.timing.measure, "time_candidates", time_candidates)
        yield caught


def test_the_same_networks_are_timed_on_the_same_samples(
    run: tuple[Path, Config], by_api: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli_out, config = run
    opened = Run.open(RunFolder(cli_out), config)
    with what_is_timed(monkeypatch) as by_command:
        models = ef.Models.load(opened.folder.retrain, opened.data)
        steps.time(models, config.timing, opened.folder.timing, opened.folder.work)
    models = ef.Models.load(str(by_api / "retrain"), opened.data)
    with what_is_timed(monkeypatch) as by_function:
        ef.time(models, out=str(by_api / "timing.csv"), ncol=(1, 16), repeats=2)
    assert np.array_equal(by_function.pop("x"), by_command.pop("x"))
    ours, theirs = by_function.pop("own"), by_command.pop("own")
    assert ours.keys() == theirs.keys()
    assert bool(ours) == bool(config.search.space.target)
    assert all(np.array_equal(ours[key], theirs[key]) for key in ours)
    assert by_function == by_command


def test_models_read_again_are_those_that_were_returned(
    run: tuple[Path, Config], by_api: Path
) -> None:
    opened = Run.open(RunFolder(run[0]), run[1])
    study = ef.load_search(str(by_api / "search"))
    options = run[1].retrain.model_dump(mode="json")
    again = ef.retrain(study, opened.data, out=by_api / "retrain", workers=1, **options)
    models = ef.Models.load(by_api / "retrain", opened.data)
    assert models.rows == again.rows
    assert models.seed == again.seed == SEED


def test_the_selection_holds_all_that_the_command_writes(
    run: tuple[Path, Config], by_api: Path
) -> None:
    opened = Run.open(RunFolder(run[0]), run[1])
    models = ef.Models.load(by_api / "retrain", opened.data)
    times = steps.read_times(by_api / "timing.csv")
    selection = ef.select(models, times, rule="best", ncol=1)
    assert selection.choice in selection.front
    assert len(selection.all) == len(models.trained) >= 7
    assert selection.choice.id in selection.reason
    assert selection.emulator().metadata["id"] == selection.choice.id


def test_the_whole_run_as_one_call(run: tuple[Path, Config], tmp_path: Path) -> None:
    """On a copy of the finished run nothing is done again, so the call knows the same run."""
    shutil.copytree(run[0], tmp_path / "out")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.csv")}
    bundle = ef.run(str(run[0].parent / "run.toml"), out=str(tmp_path / "out"))
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.csv")} == before
    assert bundle.hash == read_json(run[0] / "bundle" / "manifest.json")["hash"]
    assert ef.status(str(tmp_path / "out")).state == "finished"


def test_a_selection_of_tables_alone_says_that_its_networks_are_unknown() -> None:
    from emufort.selection.select import select

    candidates = [{"id": "a", "label": "3-4-2 relu", "rmse": 0.1}]
    times = [{"id": "a", "kind": "candidate", "ncol": 16, "ns_per_sample": 10.0}]
    with pytest.raises(EmufortError, match="it is not known where a is kept"):
        select(candidates, times).emulator()
