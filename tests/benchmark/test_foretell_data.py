"""The data on which step 1 and step 2 are compared: other rows, 16 inputs, fluxes over the sea."""

from __future__ import annotations

from importlib import import_module as load
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import UsageError
from emufort.training import Arrays


def request(folder: Path, **config: Any) -> Any:
    return load("benchmarks.foretell.cases").Request(Config.from_dict(config), None, folder)


def made(case: str, of: Any) -> Arrays:
    found: Arrays = load("benchmarks.foretell.cases").CASES[case][1](of)
    return found


def test_cases_that_are_not_known_or_lack_their_file_say_what_to_do(tmp_path: Path) -> None:
    module = load("benchmarks.foretell.cases")
    assert module.parse_cases("embedded, large,embedded") == ["embedded", "large"]
    with pytest.raises(UsageError, match=r"no case 'lage' .did you mean 'large'..; choose"):
        module.parse_cases("lage")
    with pytest.raises(UsageError, match="--large FILE; make it with python data_prep/make_dat"):
        made("large", request(tmp_path))


def test_fractions_have_the_16_inputs_of_the_paper(tmp_path: Path) -> None:
    found = made("fractions", request(tmp_path))
    plain = made("config", request(tmp_path, contract="activation_fractions"))
    assert found.x_train.shape[1] == found.x_validation.shape[1] == 16
    assert found.y_train.shape[1] == 4 and all(found.sigmoid)
    # Fifteen are the contract's, the last is noise.
    assert np.array_equal(found.x_train[:, :15], plain.x_train)
    noise = found.x_train[:, 15]
    assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
    correlations = np.corrcoef(np.column_stack([noise, plain.x_train, plain.y_train]).T)[0, 1:]
    assert np.abs(correlations).max() < 0.03


def test_a_larger_file_is_the_same_process(tmp_path: Path) -> None:
    embedded = made("embedded", request(tmp_path))
    module = load("benchmarks.foretell.cases")
    file = Dataset.open(None, Contract.load("activation")).source
    found = made("large", module.Request(Config(), file, tmp_path))
    assert np.array_equal(found.x_train, embedded.x_train)
    assert len(embedded.x_train) == 31_697


# ------------------------------------------------------------ fluxes over the sea


def fluxes(wind: float = 8.0, difference: float = 0.0, humidity: float = 0.7, height: float = 10.0):  # type: ignore[no-untyped-def]
    values = (wind, 290.0, difference, humidity, 1e5, height)
    return [float(v) for v in load("benchmarks.sea_fluxes").fluxes(*map(np.float64, values))]


def test_the_drag_is_that_of_the_source() -> None:
    coefficients = load("benchmarks.sea_fluxes").neutral_coefficients
    drag, heat, vapour = coefficients(np.array([10.0, 40.0]), np.array([True, False]))
    wanted = 1e-3 * (0.27 + 0.142 + 0.764 - 3.14807e-4)
    assert drag == pytest.approx([wanted, 2.34e-3], rel=1e-12)
    assert heat == pytest.approx([18e-3 * wanted**0.5, 32.7e-3 * 2.34e-3**0.5], rel=1e-12)
    assert vapour == pytest.approx(34.6e-3 * drag**0.5, rel=1e-12)


def test_neutral_air_has_the_logarithmic_profile() -> None:
    sea = load("benchmarks.sea_fluxes")
    momentum, heat = sea.stability_functions(np.array([0.0, -1.0, 1.0]))
    assert (momentum[0], heat[0]) == (pytest.approx(0, abs=1e-12), 0.0)
    assert momentum[1] > 0 and heat[1] > momentum[1] and momentum[2] == heat[2] == -5.0
    # Saturated air of the sea's temperature: all but neutral (salt leaves 2 % of evaporation).
    _, _, low = fluxes(wind=10.0, humidity=0.98)
    drag = 1e-3 * (0.27 + 0.142 + 0.764 - 3.14807e-4)
    moist = 0.98 * 640380.0 / (1e5 / (287.04 * 290.0)) * np.exp(-5107.4 / 290.0)
    density = 1e5 / (287.04 * 290.0 * (1 + 0.608 * moist))
    assert low == pytest.approx(density * drag * 100.0, rel=1e-3)
    # The same stress at 40 m needs a wind that is larger by the logarithm of the height.
    wind = 10.0 * (1 + drag**0.5 / 0.4 * np.log(4.0))
    assert fluxes(wind=wind, humidity=0.98, height=40.0)[2] == pytest.approx(low, rel=2e-3)


def test_fluxes_have_the_signs_of_physics() -> None:
    evaporation, heat, _ = fluxes(difference=-5.0)
    assert evaporation > 0 and heat > 0
    assert fluxes(difference=3.0, humidity=1.0)[:2] < [0.0, 0.0]  # warm moist air: dew
    assert fluxes(difference=0.0)[1] == 0.0
    per_kelvin = [abs(fluxes(difference=d)[1] / d) for d in (2.5, -2.5)]
    assert per_kelvin[1] > 1.5 * per_kelvin[0]
    assert 20 < 2.5e6 * evaporation < 400  # W m-2, as over the oceans


def test_states_of_the_data_set_have_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    sea = load("benchmarks.sea_fluxes")
    names = [variable.name for variable in Contract.from_toml(sea.CONTRACT).output]
    first = sea.dataset(20_000)
    monkeypatch.setattr(sea, "ITERATIONS", 60)
    more = sea.dataset(20_000)
    for name in names:
        change = np.abs(first[name] - more[name]) / more[name].std()
        assert float((change > 1e-3).mean()) < 1e-3


def test_the_data_set_follows_its_contract(tmp_path: Path) -> None:
    sea = load("benchmarks.sea_fluxes")
    paths = sea.write(tmp_path / "a", 500)
    again = sea.write(tmp_path / "b", 500)
    opened = Dataset.open(paths[0], Contract.load(paths[1]))
    assert len(opened) == 500 and opened.x.shape[1] == 6 and opened.y.shape[1] == 3
    assert not opened.constant_columns()
    assert np.array_equal(opened.y, Dataset.open(again[0], Contract.load(again[1])).y)
    found = made("evaporation", request(tmp_path))
    assert len(found.x_train) == 32_000
