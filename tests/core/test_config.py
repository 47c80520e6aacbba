from pathlib import Path

import pytest

from emufort.config import Config, TimingConfig
from emufort.errors import UsageError


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"serach": {}}, r"unknown key 'serach' \(did you mean 'search'\?\)"),
        ({"search": {"subsett": 1}}, r"'search.subsett' \(did you mean 'subset'\?\)"),
        ({"search": {"trials": "many"}}, "search.trials"),
        ({"timing": {"ncol": [0, 16]}}, "timing.ncol: .* at least 1"),
        ({"timing": {"ncol": []}}, "timing.ncol: .* at least"),
        ({"timing": {"ncol": [1, 8]}}, "select.ncol = 16 is none of"),
        ({"timing": {"flags": "-O2 '"}}, "timing.flags: .* no list of options"),
        ({"select": {"rule": "kneee"}}, "did you mean 'knee'"),
        ({"search": {"rungs": [5, 5]}}, "ascending"),
    ],
)
def test_a_wrong_option_is_named(content: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Config.from_dict(content)


def test_columns_are_timed_once_and_in_order() -> None:
    assert TimingConfig(ncol=(16, 1, 16)).ncol == (1, 16)


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "pond.nc").touch()
    (tmp_path / "run.toml").write_text('data = "pond.nc"\ncontract = "activation"\n')
    config = Config.load(tmp_path / "run.toml")
    assert config.data == str(tmp_path / "pond.nc")
    assert config.contract == "activation"
