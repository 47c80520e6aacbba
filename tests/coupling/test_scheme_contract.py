"""Ranges, widths and places of the activation scheme come from the contract alone."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.export import export
from emufort.export.host import write_host
from emufort.processes.aerosol_activation.fortran import (
    CONTRACT_MODULE,
    contract_source,
    scheme_contract,
)
from emufort.processes.registry import process
from tests.coupling.conftest import COUPLING
from tests.export.emulators import random_emulator


def test_the_module_is_that_of_the_contract() -> None:
    path = COUPLING / "aerosol_activation/scheme" / f"{CONTRACT_MODULE}.F90"
    assert path.read_text() == contract_source(scheme_contract()), "run make aerosol-contract"


def test_the_contracts_of_the_process_agree() -> None:
    wanted = scheme_contract()
    for path in process("aerosol_activation").contract_files().values():
        contract = Contract.load(path)
        assert contract.dimensions == wanted.dimensions
        assert contract.parameter == wanted.parameter
        assert contract.input[: len(wanted.input)] == wanted.input


@pytest.mark.parametrize("folder", ["coupling", "data_prep", "python", "fortran"])
def test_no_source_repeats_ranges_or_widths(folder: str) -> None:
    repeated = re.compile(r"2\.675[ed]-0?8|\b1\.8(_\w+)?, 1\.6(_\w+)?, 1\.8")
    homes = {f"{CONTRACT_MODULE}.F90", *(f"{n}.toml" for n in process_contracts())}
    for path in (COUPLING.parent / folder).rglob("*"):
        if path.suffix in {".py", ".F90", ".f90", ".inc", ".j2", ".toml"}:
            assert path.name in homes or not repeated.search(path.read_text()), path


def process_contracts() -> list[str]:
    return list(process("aerosol_activation").contract_files())


def test_a_bundle_of_another_range_and_other_widths_brings_them(tmp_path: Path) -> None:
    content = scheme_contract().to_dict()
    content["parameter"][0]["values"] = [1.7, 1.5, 1.9, 1.65]
    content["input"][0]["range"] = [250.0, 305.5]
    contract = Contract.from_dict(content)
    data = Dataset.open(None, scheme_contract())
    inside = (data.x[:, 0] > 250.0) & (data.x[:, 0] < 305.0)
    data = replace(data.take(np.flatnonzero(inside)), contract=contract, parent=None)
    bundle = export(random_emulator(contract, (4,)), data, tmp_path / "bundle", golden=4)
    folder = write_host(bundle, "cime", tmp_path / "glue").path
    text = (folder / "src" / f"{CONTRACT_MODULE}.F90").read_text()
    assert "1.7d0, 1.5d0, 1.9d0, 1.65d0" in text
    assert "    250.0d0, 50000.0d0" in text and "    305.5d0, 105000.0d0" in text
