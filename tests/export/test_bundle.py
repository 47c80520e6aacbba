"""The bundle: whole or absent, its files chained to each other and to what they were made from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import xarray as xr

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError, UsageError
from emufort.export import Bundle, bundle, export
from emufort.export.golden import Golden
from emufort.export.manifest import HashChain, candidate_sha256, network_sha256
from emufort.export.weights_file import WeightsFile
from emufort.files import json_text
from emufort.network.emulator import Emulator
from emufort.provenance import file_sha256
from emufort.retrain.agreement_words import Agreement
from tests.conftest import SYNTHETIC_CONTRACT, synthetic_data
from tests.export.emulators import inputs, mixed, random_emulator

FILES = {
    "CMakeLists.txt",
    "LICENSE",
    "MODEL_CARD.md",
    "emufort.h",
    "emufort.hpp",
    "emufort_cpu_level.c",
    "emufort_runtime.F90",
    "evaporation_emulator.F90",
    "evaporation_emulator.h",
    "evaporation_emulator.hpp",
    "golden.nc",
    "manifest.json",
    "model.onnx",
    "weights.bin",
}


@pytest.fixture(scope="module")
def data() -> Dataset:
    return Dataset.from_xarray(
        synthetic_data(), Contract.from_toml(SYNTHETIC_CONTRACT), Path("pond.nc"), "d" * 64
    )


@pytest.fixture(scope="module")
def emulator(data: Dataset) -> Emulator:
    return random_emulator(data.contract, (8, 8), "tanh")


@pytest.fixture(scope="module")
def exported(data: Dataset, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(emulator, data, tmp_path_factory.mktemp("run") / "bundle", golden=16)


@pytest.fixture
def copy(exported: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


# ---------------------------------------------------------------------- content


def test_it_holds_what_the_design_lists(exported: Bundle) -> None:
    assert {p.name for p in exported.path.iterdir()} == FILES
    assert set(exported.manifest.files) == FILES - {"manifest.json"}
    assert Bundle.open(exported.path).manifest == exported.manifest


def test_the_chain_leads_from_the_data_to_fortran(exported: Bundle, emulator: Emulator) -> None:
    chain = exported.manifest.chain
    assert list(chain.links) == ["data", "study", "candidate", "onnx", "weights", "fortran"]
    assert chain.links["data"] == "d" * 64
    assert chain.links["study"] == "5" * 64
    assert chain.links["candidate"] == candidate_sha256(emulator)
    assert chain.links["onnx"] == file_sha256(exported.onnx)
    assert chain.links["weights"] == file_sha256(exported.weights)
    assert chain.links["fortran"] == file_sha256(exported.module_source)
    # each file carries the chain up to the link before it
    properties = {p.key: p.value for p in onnx.load(exported.onnx).metadata_props}
    assert properties["chain"] == chain.upto("candidate")
    assert WeightsFile.read(exported.weights).about["chain"] == chain.upto("onnx")
    assert exported.hash == chain.upto("weights")
    assert exported.hash in exported.module_source.read_text()
    assert exported.manifest.to_dict()["hash"] == exported.hash
    assert exported.hash in (exported.path / "MODEL_CARD.md").read_text()


def test_a_changed_link_changes_all_that_follow() -> None:
    links = {"data": "1", "study": "2", "candidate": "3"}
    chain = HashChain(links)
    assert HashChain.from_list(chain.to_list()) == chain
    for link in links:
        other = HashChain({**links, link: "x"})
        assert other.head != chain.head
        broken = chain.to_list()
        broken[list(links).index(link)]["sha256"] = "x"
        with pytest.raises(EmufortError, match="do not follow"):
            HashChain.from_list(broken)


def test_the_same_emulator_gives_the_same_bytes(
    exported: Bundle, data: Dataset, emulator: Emulator, tmp_path: Path
) -> None:
    again = export(emulator, data, tmp_path / "bundle", golden=16)
    for name in ("model.onnx", "weights.bin", "evaporation_emulator.F90", "emufort_runtime.F90"):
        assert (again.path / name).read_bytes() == (exported.path / name).read_bytes()


@pytest.mark.parametrize("hidden", [(), (8,), (5, 17)])
@pytest.mark.parametrize("activation", ["relu", "squared_relu", "tanh", "silu", "gelu"])
@pytest.mark.parametrize("constant", [False, True])
def test_sources_and_candidate_follow_from_weights_bin(
    hidden: tuple[int, ...], activation: str, constant: bool, tmp_path: Path
) -> None:
    """Bit by bit, though scalers are stored as what the runtime computes with."""
    made = random_emulator(mixed(), hidden, activation, seed=len(hidden), constant=constant)
    x = inputs(made.contract, 30)
    rows = np.arange(30)
    split = np.zeros(30, np.int8)
    y = made.predict(x)
    source = Dataset(made.contract, Path("memory.nc"), "d" * 64, x, y, split, rows)
    found = export(made, source, tmp_path / "bundle", name="renamed", golden=4)
    assert found.foreign_sources() == []
    assert network_sha256(made.contract, found.weights_file.flat) == candidate_sha256(made)


def test_what_weights_bin_holds_is_the_emulator(exported: Bundle, emulator: Emulator) -> None:
    restored = exported.emulator()
    assert restored.contract == emulator.contract
    assert restored.architecture == emulator.architecture
    for mine, theirs in zip(restored.weights, emulator.weights, strict=True):
        assert (mine == theirs).all()
    x = exported.golden.x
    np.testing.assert_allclose(restored.predict(x), emulator.predict(x), rtol=1e-13)


def test_the_model_card_says_what_it_is(exported: Bundle) -> None:
    card = (exported.path / "MODEL_CARD.md").read_text()
    assert "| `wind_speed`: wind speed | m s-1 | (ncol) | 0.1 to 30 | ln |" in card
    assert "| `evaporation_rate`: evaporation rate | kg m-2 s-1 | (ncol) | at least 0 |" in card
    assert "RMSE" in card
    assert "call evaporation_emulator_predict(ncol, wind_speed" in card
    assert "built-in method" not in card
    for name in FILES - {"manifest.json", "MODEL_CARD.md"}:
        assert file_sha256(exported.path / name) in card


def test_the_model_card_names_inputs_that_the_network_does_not_see(
    data: Dataset, emulator: Emulator, tmp_path: Path
) -> None:
    scale = emulator.input_scaler.scale.copy()
    scale[[c.name for c in emulator.contract.input_columns].index("wind_speed")] = 0.0
    blind = replace(emulator, input_scaler=replace(emulator.input_scaler, scale=scale))
    card = (export(blind, data, tmp_path / "bundle", golden=2).path / "MODEL_CARD.md").read_text()
    row = "| `wind_speed`: wind speed | m s-1 | (ncol) | 0.1 to 30 |"
    assert f"{row} not seen by it: constant in training |" in card
    assert card.count("constant in training |") == 1


def test_card_and_manifest_say_how_well_step_1_foretold_step_2(
    data: Dataset, emulator: Emulator, exported: Bundle, tmp_path: Path
) -> None:
    interval = {"value": 0.783, "low": 0.44, "high": 0.93}
    whole = {"n": 128, "control_group": 16, "spearman_at_equal_cost": interval}
    verdict = "Step 1 may *rank* by chance | raise search.share."
    content = {
        "compares": "loss of the network's side",
        "all_candidates": {**whole, "spearman": None, "verdict": verdict, "unknown": 1},
        "retrained": {"n": 28, "spearman": 0.95},
    }
    found = export(emulator, data, tmp_path / "bundle", golden=2, agreement=Agreement.of(content))
    card = (found.path / "MODEL_CARD.md").read_text()
    assert "Step 1 compared 128 candidates on little data. Step 2 trained 28 candidates" in card
    assert "| rank correlation at equal cost | 0.78 | 0.44 to 0.93 |" in card
    assert "Over the 28 retrained candidates alone" in card
    assert "*rank*" not in card, "a text is no markup"
    kept = Bundle.open(found.path).manifest.metadata["agreement"]
    assert kept == {**whole, "verdict": verdict}
    # Where nothing is known, nothing is said; what the network computes does not depend on it.
    assert "## Search" not in (exported.path / "MODEL_CARD.md").read_text()
    assert "agreement" not in exported.manifest.metadata
    assert candidate_sha256(found.emulator()) == candidate_sha256(exported.emulator())


def test_the_model_card_sets_the_skill_beside_the_baselines() -> None:
    from emufort.export.model_card import TestSkill

    contract = Contract.load("activation")
    whole = Dataset.open(None, contract)
    part = whole.part("test").take(np.arange(200))
    skill = TestSkill.of(random_emulator(contract), part)
    assert skill is not None
    assert set(skill.to_dict()["baselines"]) == {"ARG2000", "MBN2014", "Ghosh2025"}
    assert TestSkill.of(random_emulator(contract), whole.part("train")) is None


def test_another_name_renames_the_module(data: Dataset, emulator: Emulator, tmp_path: Path) -> None:
    named = export(emulator, data, tmp_path / "bundle", name="pond", golden=2)
    assert named.module_source.name == "pond_emulator.F90"
    assert "module pond_emulator" in named.module_source.read_text()
    assert "pond_emulator" in (named.path / "CMakeLists.txt").read_text()
    assert named.manifest.contract.name == "evaporation"


# --------------------------------------------------------------- golden vectors


def test_golden_vectors_survive_their_file_exactly(
    exported: Bundle, data: Dataset, emulator: Emulator
) -> None:
    golden = exported.golden
    drawn = Golden.draw(emulator, data, 16)
    assert (golden.x == drawn.x).all()
    assert (golden.y == drawn.y).all()
    assert (WeightsFile.read(exported.weights).golden_x == golden.x).all()
    assert (golden.x == golden.x.astype(np.float32)).all()
    columns = data.contract.input_columns
    assert all(
        c.lower <= v <= c.upper for row in golden.x for c, v in zip(columns, row, strict=True)
    )
    np.testing.assert_allclose(golden.x[0], [c.lower for c in columns], rtol=1e-6)
    np.testing.assert_allclose(golden.x[1], [c.upper for c in columns], rtol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 1000])
def test_any_number_of_golden_vectors(data: Dataset, emulator: Emulator, n: int) -> None:
    assert len(Golden.draw(emulator, data, n)) == n


def test_golden_nc_has_the_variables_and_units_of_the_contract(exported: Bundle) -> None:
    with xr.open_dataset(exported.path / "golden.nc") as file:
        assert file["wind_speed"].attrs["units"] == "m s-1"
        assert file["evaporation_rate"].dims == ("sample",)
        assert file.attrs["Conventions"].startswith("CF-")


# ------------------------------------------------------------- damaged or missing


@pytest.mark.parametrize("name", sorted(FILES - {"manifest.json"}))
def test_a_damaged_or_missing_file_is_named(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(EmufortError, match=f"{name} is not the file that was exported"):
        Bundle.open(copy)
    (copy / name).unlink()
    with pytest.raises(EmufortError, match=f"lacks {name}"):
        Bundle.open(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("chain"), "lacks the entry 'chain'"),
        (lambda c: c.update(format="other"), "not a manifest"),
        (lambda c: c["chain"][2].update(sha256="0" * 64), "do not follow"),
        (lambda c: c["contract"]["input"][0].update(units="km h-1"), "was changed"),
        (lambda c: c.update(files=3), "wrong type"),
    ],
)
def test_a_damaged_manifest_is_refused(copy: Path, change: object, message: str) -> None:
    content = json.loads((copy / "manifest.json").read_text())
    change(content)  # type: ignore[operator]
    (copy / "manifest.json").write_text(json_text(content))
    with pytest.raises(EmufortError, match=message):
        Bundle.open(copy)


def test_no_bundle_and_no_json_are_errors_of_one_line(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(EmufortError, match="is no bundle"):
        Bundle.open(tmp_path)
    (copy / "manifest.json").write_text("{")
    with pytest.raises(EmufortError, match="not valid JSON"):
        Bundle.open(copy)


# ------------------------------------------------------------------ replacing it


def test_exporting_again_replaces_all_of_it(copy: Path, data: Dataset, emulator: Emulator) -> None:
    export(emulator, data, copy, name="pond", golden=2)
    wanted = {name.replace("evaporation_emulator", "pond_emulator") for name in FILES}
    assert {p.name for p in copy.iterdir()} == wanted
    assert [p.name for p in copy.parent.iterdir()] == ["bundle"]


def test_a_failing_export_leaves_the_old_bundle(
    copy: Path, data: Dataset, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "write_json", fail)
    with pytest.raises(EmufortError, match="No space left on device"):
        export(emulator, data, copy, golden=2)
    Bundle.open(copy)
    assert [p.name for p in copy.parent.iterdir()] == ["bundle"]


def test_a_killed_export_leaves_the_old_bundle_and_is_swept_later(
    copy: Path, data: Dataset, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = os.fork()
    if child == 0:  # dies without a chance to clean up
        monkeypatch.setattr(bundle, "write_json", lambda *_: os._exit(9))
        export(emulator, data, copy, golden=2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    Bundle.open(copy)
    left = [p for p in copy.parent.iterdir() if p.name.startswith(".")]
    assert len(left) == 1
    os.utime(left[0], (0, 0))
    export(emulator, data, copy, golden=2)
    assert [p.name for p in copy.parent.iterdir()] == ["bundle"]


def test_a_folder_with_something_else_is_never_replaced(
    copy: Path, data: Dataset, emulator: Emulator
) -> None:
    (copy / "thesis.tex").write_text("years of work")
    with pytest.raises(EmufortError, match=r"thesis\.tex"):
        export(emulator, data, copy)
    assert (copy / "thesis.tex").exists()
    file = copy.parent / "file"
    file.write_text("")
    with pytest.raises(EmufortError, match="is a file"):
        export(emulator, data, file)


def test_wrong_requests_are_refused(data: Dataset, emulator: Emulator, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot name a Fortran module"):
        export(emulator, data, tmp_path / "b", name="2d-pond")
    with pytest.raises(UsageError, match="at least 1"):
        export(emulator, data, tmp_path / "b", golden=0)
    other = random_emulator(Contract.load("activation"))
    with pytest.raises(EmufortError, match="another contract"):
        export(other, data, tmp_path / "b")
    assert not (tmp_path / "b").exists()


# -------------------------------------------------------------------------- CMake


@pytest.mark.skipif(
    shutil.which("cmake") is None or shutil.which("gfortran") is None, reason="needs a compiler"
)
def test_two_bundles_go_into_one_host_by_add_subdirectory(
    exported: Bundle, data: Dataset, emulator: Emulator, tmp_path: Path
) -> None:
    export(emulator, data, tmp_path / "second", name="pond", golden=2)
    shutil.copytree(exported, tmp_path / "first")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\n"
        "project(host LANGUAGES Fortran)\n"
        "add_subdirectory(first)\nadd_subdirectory(second)\n"
        "add_executable(host host.f90)\n"
        "target_link_libraries(host emufort::evaporation_emulator emufort::pond_emulator)\n"
    )
    (tmp_path / "host.f90").write_text(
        "program host\n"
        "  use evaporation_emulator, only: evaporation_emulator_predict, status_type\n"
        "  use pond_emulator, only: pond_emulator_predict\n"
        "  real :: rate(2), cooling(2), rate2(2), cooling2(2)\n"
        "  type(status_type) :: status\n"
        "  call evaporation_emulator_predict(2, [1.0, 5.0], [0.5, 0.6], [280.0, 300.0], rate, &\n"
        "    cooling, status)\n"
        "  call pond_emulator_predict(2, [1.0, 5.0], [0.5, 0.6], [280.0, 300.0], rate2, &\n"
        "    cooling2, status)\n"
        "  if (any(rate /= rate2) .or. any(cooling /= cooling2)) error stop\n"
        "  print *, rate, cooling\n"
        "end program host\n"
    )
    build = tmp_path / "build"
    for command in (
        ["cmake", "-S", tmp_path, "-B", build, "-DEMUFORT_FLAGS=-O0", "-Werror=dev"],
        ["cmake", "--build", build],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    said = subprocess.run([build / "host"], capture_output=True, text=True, check=True).stdout
    x = np.array([[1.0, 0.5, 280.0], [5.0, 0.6, 300.0]], dtype=np.float32)
    np.testing.assert_allclose(
        np.array(said.split(), float), emulator.predict(x).T.ravel(), rtol=1e-4
    )
