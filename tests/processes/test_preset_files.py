"""Files of presets: each gives a valid contract, or is refused in one line that names the key."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emufort.cli import execute
from emufort.contract import Contract
from emufort.errors import UsageError
from emufort.export import Bundle
from emufort.files import read_csv
from emufort.processes.aerosol_activation.constants import CONSTANTS
from emufort.processes.aerosol_activation.fortran import constants_of, misfit, widths
from emufort.processes.aerosol_activation.ghosh2025 import FITTED_WIDTHS
from emufort.processes.aerosol_activation.preset import PRESETS, Preset, names
from emufort.processes.presets import load_preset
from emufort.processes.registry import check_functions
from tests.processes.tiny import TINY

#: Ranges of an input variable of a mode: key, lowest and highest value, factor to SI units.
RANGES = (
    ("number", 1e-6, 1e7, 1e6),
    ("diameter", 1e-3, 100.0, 5e-7),
    ("hygroscopicity", 1e-4, 2.0, 1.0),
)
HOSTS = {
    "cam6_mam4": 4, "e3sm_mam4": 4, "e3sm_mam5": 5, "echam_ham": 3, "mam3": 3, "mam7": 7,
    "ukesm_glomap": 4,
}  # fmt: skip

no_limit = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def between(lowest: float, highest: float) -> st.SearchStrategy[list[float]]:
    """Ranges [lower, upper] within two values, also integers where TOML would have them."""
    ends = st.floats(lowest, highest, allow_nan=False, allow_subnormal=False)
    pairs = st.lists(ends, min_size=2, max_size=2, unique=True).map(sorted)
    # A contract refuses ranges that are empty in single precision.
    return pairs.filter(lambda pair: pair[1] > 1.00001 * pair[0])


identifiers = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=40
)
modes = st.fixed_dictionaries(
    {
        "sigma": st.floats(1.01, 5.0),
        **{key: between(lowest, highest) for key, lowest, highest, _ in RANGES},
    },
    optional={"hygroscopicity_distribution": st.sampled_from(["uniform", "log-uniform"])},
)
presets = st.fixed_dictionaries(
    {
        "process": st.just("aerosol_activation"),
        "name": identifiers,
        "constants": st.fixed_dictionaries(
            {
                "gravity": st.floats(1.0, 30.0),
                "gas_constant_air": st.floats(100.0, 1000.0),
                "gas_constant_vapour": st.floats(200.0, 1000.0),
                "heat_capacity_air": st.floats(500.0, 2000.0),
                "latent_heat": st.floats(1.5e6, 3.5e6),
            },
            optional={"density_water": st.floats(500.0, 2000.0)},
        ),
        "modes": st.dictionaries(identifiers, modes, min_size=1, max_size=16),
    },
    optional={
        "title": texts,
        "serves": st.lists(texts, max_size=3),
        "air_temperature": between(180.0, 350.0),
        "air_pressure": between(10.0, 1200.0),
        "updraft_speed": between(1e-4, 100.0),
        "parcel": st.fixed_dictionaries(
            {}, optional={"accommodation_coefficient": st.floats(0.01, 1.0)}
        ),
    },
)


def load(content: dict[str, Any], folder: Path) -> Preset:
    path = folder / "preset.toml"
    path.write_bytes(tomli_w.dumps(content).encode())
    return Preset.load(path)


@given(content=presets)
@no_limit
def test_a_valid_preset_gives_a_valid_contract(content: dict[str, Any], tmp_path: Path) -> None:
    preset = load(content, tmp_path)
    contract = preset.contract()
    assert contract == Contract.from_toml(preset.contract_text(), "text")
    check_functions(contract)
    assert misfit(contract) == ""
    assert list(contract.dimensions["mode"]) == list(content["modes"])
    assert widths(contract) == tuple(mode["sigma"] for mode in content["modes"].values())
    constants = constants_of(contract)
    for name, value in content["constants"].items():
        assert getattr(constants, name) == value
    assert {p.name for p in contract.parameter} >= set(CONSTANTS)
    columns = contract.input_columns[3:]
    for i, (key, _, _, factor) in enumerate(RANGES):
        part = columns[i * len(content["modes"]) : (i + 1) * len(content["modes"])]
        for column, mode in zip(part, content["modes"].values(), strict=True):
            np.testing.assert_allclose(
                (column.lower, column.upper), np.array(mode[key]) * factor, rtol=1e-15
            )
    width = content["modes"].get("accumulation", {}).get("sigma", 0.0)
    has_ghosh = FITTED_WIDTHS[0] <= width <= FITTED_WIDTHS[1]
    assert ("Ghosh2025" in {b.name for b in contract.baseline}) == has_ghosh


@given(data=st.data())
@settings(parent=no_limit, max_examples=150)
def test_a_mutated_file_is_a_preset_or_one_line(data: st.DataObject, tmp_path: Path) -> None:
    text = (PRESETS / f"{data.draw(st.sampled_from(names()))}.toml").read_bytes()
    text = text[text.index(b"process") :]  # not the comments
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text) - 1))
        end = start + data.draw(st.integers(0, 12))
        new = data.draw(st.one_of(st.binary(max_size=4), st.sampled_from(
            [b"-1", b"1e999", b"nan", b"[", b"]", b"{", b"}", b'"', b"\n", b"=", b"[1, 2, 3]", b"0"]
        )))  # fmt: skip
        text = text[:start] + new + text[end:]
    path = tmp_path / "mutated.toml"
    path.write_bytes(text)
    try:
        Preset.load(path).contract()
    except UsageError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", names())
def test_a_preset_of_a_host_is_served_by_scheme_and_glue(name: str) -> None:
    preset, found = Preset.load(name), load_preset(name)
    assert preset.name == found.name == name
    assert len(preset.modes) == HOSTS[name]
    assert preset.serves
    assert preset.title
    assert preset.accumulation_width is not None
    assert misfit(found.contract) == ""
    # Hosts have the latent heat at 0 degrees Celsius, not that of pyrcel.
    assert 2.5e6 <= preset.constants.latent_heat <= 2.502e6
    text = (PRESETS / f"{name}.toml").read_text()
    assert text.startswith("# ")
    assert "\n# Constants: " in text


def test_every_preset_is_known() -> None:
    assert names() == sorted(HOSTS)


def test_gas_constants_of_e3sm_come_from_its_shared_constants() -> None:
    boltzmann, avogadro = 1.38065e-23, 6.02214e26
    constants = Preset.load("e3sm_mam5").constants
    assert constants.gas_constant_air == boltzmann * avogadro / 28.966
    assert constants.gas_constant_vapour == boltzmann * avogadro / 18.016
    for name in ("e3sm_mam4", "cam6_mam4", "mam3", "mam7"):
        assert Preset.load(name).constants == constants


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nam": "x"}, "unknown key 'nam' (did you mean 'name'?)"),
        ({"name": "with blank"}, "name"),
        ({"name": "a" * 41}, "name: String should have at most 40 characters"),
        ({"process": "pond"}, "process"),
        ({"constants": {}}, "the key 'constants.gravity' is missing"),
        ({"constants.latent_heat": 2501.0}, "constants.latent_heat"),
        ({"constants.gravity": float("nan")}, "constants.gravity"),
        ({"modes": {}}, "modes"),
        ({"modes.aitken.sigma": 0.9}, "modes.aitken.sigma"),
        ({"modes.aitken.number": [1e6, 1e10]}, "is not between 1e-06 and 1e+07 cm-3"),
        ({"modes.aitken.diameter": [8.7e-9, 5.2e-8]}, "is not between 0.001 and 100 um"),
        ({"modes.aitken.hygroscopicity": [0.0, 1.0]}, "modes.aitken.hygroscopicity"),
        ({"modes.aitken.hygroscopicity": [0.2]}, "modes.aitken.hygroscopicity"),
        ({"modes.aitken.kappa": [0.2, 1]}, "unknown key 'modes.aitken.kappa'"),
        ({"air_pressure": [50000.0, 105000.0]}, "is not between 10 and 1200 hPa"),
        ({"parcel": {"initial_supersaturation": 0.01}}, "parcel.initial_supersaturation"),
        ({"accumulation": "acumulation"}, "is none of the modes accumulation, aitken"),
        ({"glue": ["a/b"]}, "glue"),
    ],
)
def test_a_wrong_key_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    content = tomllib.loads((PRESETS / "e3sm_mam4.toml").read_text())
    for place, value in change.items():
        *parents, key = place.split(".")
        table = content
        for parent in parents:
            table = table[parent]
        table[key] = value
    with pytest.raises(UsageError) as caught:
        load(content, tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path / "preset.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not (shutil.which("gfortran") and shutil.which("cmake")), reason="no compiler")
def test_the_preset_of_the_document_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = (Path(__file__).parents[2] / "docs/presets.md").read_text()
    (text,) = re.findall(r"^```toml my_model\n(.*?)^```", document, re.M | re.S)
    (command,) = re.findall(r"^```bash my_model\nemufort (.*?)\n```", document, re.M | re.S)
    assert len(text.strip().splitlines()) <= 10
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_model.toml").write_text(text)
    (tmp_path / "tiny.toml").write_text(TINY)
    assert execute([*command.split(), "tiny.toml"]) == 0
    shown = capsys.readouterr().out
    assert "glue for the host" in shown
    assert "Ghosh2025" in shown
    run = tmp_path / "runs/my_model"
    bundle = Bundle.open(run / "bundle")
    assert list(bundle.manifest.contract.dimensions["mode"]) == [
        *("aitken", "accumulation", "sea_salt", "soot")
    ]
    assert {row["id"] for row in read_csv(run / "timing.csv")} >= {"ARG2000"}
    contract = (run / "host/plain/src/emufort_aerosol_contract.F90").read_text()
    assert "1.6d0, 1.5d0, 2.0d0, 1.6d0" in contract
    assert "aerosol_latent_heat = 2501000.0d0" in contract
