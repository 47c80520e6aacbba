"""`emufort init`: a draft of a contract and a configuration that can be used as it is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from emufort.cli import execute
from emufort.config import Config
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from tests.core.test_gridded_data import gridded


def gridded_file(folder: Path) -> Path:
    raw = gridded(times=20).drop_vars("newton")
    raw["pressure"].values[:] = np.geomspace(1.0, 1e5, raw["pressure"].size).reshape(20, 3, 5)
    raw["temperature"].attrs["long_name"] = "air temperature"
    raw["gravity"] = ((), 9.81, {"units": "m s-2"})
    raw["bad name"] = raw["pressure"]
    raw["broken"] = raw["pressure"].copy(data=np.ones((20, 3, 5))).assign_attrs(long_name="a\nb")
    raw.to_netcdf(folder / "part_1.nc")
    raw.to_netcdf(folder / "part_2.nc")
    return folder / "part_*.nc"


def test_the_draft_is_a_contract_of_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern = gridded_file(tmp_path)
    out = tmp_path / "draft"
    assert execute(["init", str(pattern), "--outputs", "heating", "--out", str(out)]) == 0
    assert f"emufort check {out / 'run.toml'}" in capsys.readouterr().out
    text = (out / "contract.toml").read_text()
    contract = Contract.load(out / "contract.toml")
    assert contract.sample_dimensions == ("time", "lat", "lon")
    assert contract.dimensions == {"lev": 4, "band": ("green", "red")}
    assert [v.name for v in contract.input] == ["temperature", "albedo", "pressure"]
    assert [v.name for v in contract.output] == ["heating"]
    assert contract.output[0].dimensions == ("band", "lev")
    assert [v.transform for v in contract.input] == ["standardise", "standardise", "ln"]
    assert contract.input[0].long_name == "air temperature"
    assert contract.input[2].units == "hPa"
    assert "# gravity: it has no sample dimension" in text
    assert "# bad name: 'bad name' cannot name a variable" in text
    assert "# broken: " in text
    assert "# range = [1.0, 1e+05]" in text or "# range = [1.0, 100000.0]" in text
    assert "# [split]" in text
    config = Config.load(out / "run.toml")
    assert config.data == str(pattern)
    data = Dataset.open(config.data, contract)
    assert len(data) == 2 * 20 * 15
    assert execute(["check", str(out / "run.toml")]) == 0


def test_a_split_in_the_data_is_used(tmp_path: Path) -> None:
    flags = {"flag_values": np.array([0, 1, 2], "i1"), "flag_meanings": "train validation test"}
    raw = xr.Dataset(
        {
            "depth": ("sample", np.arange(1.0, 61.0), {"units": "m"}),
            "flux": ("sample", np.arange(60.0), {"units": "W m-2"}),
            "split": ("sample", (np.arange(60) % 3).astype("i1"), flags),
        }
    )
    raw.to_netcdf(tmp_path / "pond.nc")
    command = ["init", str(tmp_path / "pond.nc"), "--outputs", "flux", "--out", str(tmp_path)]
    assert execute(command) == 0
    contract = Contract.load(tmp_path / "contract.toml")
    assert contract.split is not None
    assert [v.name for v in contract.input] == ["depth"]
    assert len(Dataset.open(tmp_path / "pond.nc", contract).part("test")) == 20


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["part_*.nc", "--outputs", "heatin"], "did you mean 'heating'"),
        (["part_*.nc", "--outputs", "gravity"], "'gravity' of .* cannot be an output: it has no"),
        (["nothing.nc", "--outputs", "heating"], "there is no data file"),
        (
            ["part_*.nc", "--outputs", "heating,temperature,albedo,pressure"],
            "no variable that can be an input",
        ),
    ],
)
def test_what_cannot_be_drafted(
    tmp_path: Path,
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gridded_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert execute(["init", *arguments, "--out", "draft"]) != 0
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert re.search(words, message)
    assert not Path("draft").exists()


def test_a_contract_is_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern = gridded_file(tmp_path)
    command = ["init", str(pattern), "--outputs", "heating", "--out", str(tmp_path)]
    assert execute(command) == 0
    before = (tmp_path / "contract.toml").read_text()
    assert execute(command) != 0
    assert "contract.toml exists" in capsys.readouterr().err
    assert (tmp_path / "contract.toml").read_text() == before
