"""Files of a run folder that are lost or damaged, as it is after each step."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from emufort.cli import execute
from emufort.files import read_json
from emufort.steps import STEP_NAMES
from tests.conftest import SYNTHETIC_CONFIG, SYNTHETIC_CONTRACT, synthetic_data
from tests.pipeline.runs import results

Damage = Callable[[Path, random.Random], None]


def _delete(path: Path, rng: random.Random) -> None:
    path.unlink()


def _empty(path: Path, rng: random.Random) -> None:
    os.truncate(path, 0)


def _halve(path: Path, rng: random.Random) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


DAMAGES: dict[str, Damage] = {
    "deleted": _delete,
    "emptied": _empty,
    "cut": _halve,
    "flipped": _flip,
}


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with the run as it is after each step, in folders named by the step."""
    folder = tmp_path_factory.mktemp("stages")
    (folder / "evaporation.toml").write_text(SYNTHETIC_CONTRACT)
    config = SYNTHETIC_CONFIG.replace("workers = 2", "workers = 1").replace("top = 3", "top = 2")
    (folder / "run.toml").write_text(config)
    synthetic_data().to_netcdf(folder / "evaporation.nc")
    out = folder / "out"
    for step in STEP_NAMES:
        arguments = [str(folder / "run.toml")] if step == "search" else []
        assert execute([step, *arguments, "--out", str(out)]) == 0
        shutil.copytree(out, folder / step)
    for step in STEP_NAMES:  # what is compiled may be there or not: then it is quicker
        shutil.rmtree(folder / step / "work", ignore_errors=True)
        shutil.copytree(out / "work", folder / step / "work")
    return folder


def files_of(folder: Path) -> list[str]:
    """Return the files of a run, those of one network for all of them."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    networks = sorted({name.split("/")[1] for name in names if name.count("/") == 2})
    return [
        name
        for name in names
        if not name.startswith("work/") and not (name.count("/") == 2 and networks[0] not in name)
    ]


def go_on(
    stages: Path,
    stage: str,
    name: str,
    damage: str,
    out: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Damage one file of a stage; the run ends as it would have."""
    case = f"{name} {damage} after {stage}"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(stages / stage, out)
    DAMAGES[damage](out / name, random.Random(case))
    capsys.readouterr()
    other = random.Random(case).choice(["select", "export", "verify", "report"])
    for command in ("status", other):
        code = execute([command, "--out", str(out)])
        said = capsys.readouterr().err
        assert code in (0, 1, 2, 3), f"{case}: {command} gives {code}, {said}"
        errors = [line for line in said.splitlines() if not line.startswith("warning: ")]
        assert len(errors) == (code != 0), f"{case}: {command} says {said}"
        assert "internal error" not in said, f"{case}: {command} says {said}"
    code = execute(["run", "--out", str(out)])
    said = capsys.readouterr().err
    assert code == 0, f"{case}: {said}"
    assert results(out) == results(stages / "out"), case
    assert read_json(out / "verification.json")["passed"], case
    missing = set(files_of(stages / "out")) - set(files_of(out))
    assert all(Path(n).name in (".lock", "run.log") for n in missing), f"{case}: {missing}"
    execute(["status", "--out", str(out)])
    assert capsys.readouterr().out.count("finished ") == len(STEP_NAMES), case


#: One file of each kind, damaged in one way each, in the folder of a finished run.
SAMPLE = [
    ("config.toml", "deleted"),
    ("config.toml", "cut"),
    ("steps.json", "flipped"),
    ("provenance.json", "cut"),
    ("search/trials.csv", "flipped"),
    ("search/study.journal", "flipped"),
    ("search/search.json", "emptied"),
    ("search/subset.json", "flipped"),
    ("retrain/ranking.csv", "deleted"),
    ("retrain/ranking.csv", "flipped"),
    ("retrain/predictions.csv", "deleted"),
    ("retrain/retrain.json", "flipped"),
    ("selection.json", "flipped"),
]


@pytest.mark.parametrize(("name", "damage"), SAMPLE)
def test_a_damaged_file_is_noticed(
    stages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, damage: str
) -> None:
    go_on(stages, "report", name, damage, tmp_path / "out", capsys)


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_verify_says_nothing_good_of_a_bundle_that_was_changed_since(
    stages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    out = tmp_path / "out"
    shutil.copytree(stages / "report", out)
    DAMAGES[damage](out / "bundle" / "model.onnx", random.Random(damage))
    for step in ("verify", "report"):
        capsys.readouterr()
        assert execute([step, "--out", str(out)]) == 1
        assert capsys.readouterr().err == (
            f"error: bundle/model.onnx is missing or changed: the step 'export' of {out} is not "
            f"finished; run 'emufort export --out {out}' first, or 'emufort run'\n"
        )
    for step in ("export", "verify", "report"):
        assert execute([step, "--out", str(out)]) == 0
    assert results(out) == results(stages / "out")


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("damage", list(DAMAGES))
def test_any_damaged_file_of_a_finished_run_is_noticed(
    stages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    for name in files_of(stages / "report"):
        go_on(stages, "report", name, damage, tmp_path / "out", capsys)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("stage", STEP_NAMES[:-1])
def test_any_damaged_file_of_a_begun_run_is_noticed(
    stages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    rng = random.Random(stage)
    for name in files_of(stages / stage):
        go_on(stages, stage, name, rng.choice(list(DAMAGES)), tmp_path / "out", capsys)
