"""Names of contracts are names: no file of the working directory takes their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from emufort.cli.running import contract_option
from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.targets import target_contract
from emufort.errors import ContractError
from tests.conftest import SYNTHETIC_CONTRACT


@pytest.fixture(params=["file", "folder"])
def occupied(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The working directory, in which everything is called as a contract."""
    for name in ("activation", "activation_ratio", "evaporation"):
        if request.param == "folder":
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_text(SYNTHETIC_CONTRACT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_bundled_name_wins_over_what_lies_in_the_working_directory(occupied: Path) -> None:
    contract = Contract.load("activation")
    assert contract.name == "activation"
    assert target_contract("activation_ratio", contract).skill == contract.skill


def test_a_file_without_a_suffix_is_found_by_its_path(occupied: Path) -> None:
    is_file = (occupied / "evaporation").is_file()
    with pytest.raises(ContractError, match="there is no contract 'evaporation'") as caught:
        Contract.load("evaporation")
    assert ("give './evaporation'" in str(caught.value)) is is_file
    for path in ("./evaporation", str(occupied / "evaporation"), Path("evaporation")):
        if is_file:
            assert Contract.load(path).name == "evaporation"
        else:
            with pytest.raises(ContractError, match="cannot read the contract"):
                Contract.load(path)


def test_a_configuration_resolves_paths_and_leaves_names(occupied: Path) -> None:
    (occupied / "pond.toml").write_text(SYNTHETIC_CONTRACT)
    (occupied / "times.csv").touch()
    file = occupied / "run.toml"
    file.write_text(
        'contract = "activation"\n[search]\ncost_table = "times.csv"\n[search.space]\n'
        'target = ["activation_ratio", "pond.toml", "./evaporation", "evaporation_rate=ln"]\n'
    )
    config = Config.load(file)
    assert config.contract == "activation"
    assert config.search.cost_table == str(occupied / "times.csv")
    named, path, without_suffix, transform = config.search.space.target
    assert (named, path) == ("activation_ratio", str(occupied / "pond.toml"))
    assert transform == "evaporation_rate=ln"
    if (occupied / "evaporation").is_file():
        assert without_suffix == str(occupied / "evaporation")


def test_a_path_with_an_equals_sign_is_no_transform(tmp_path: Path) -> None:
    (tmp_path / "a=b.toml").write_text(SYNTHETIC_CONTRACT)
    contract = Contract.from_toml(SYNTHETIC_CONTRACT)
    assert target_contract(str(tmp_path / "a=b.toml"), contract) == contract


def test_the_option_keeps_a_name_and_makes_a_path_absolute(occupied: Path) -> None:
    assert contract_option("activation") == "activation"
    assert contract_option("pond.toml") == str(occupied / "pond.toml")
    assert contract_option(None) is None
