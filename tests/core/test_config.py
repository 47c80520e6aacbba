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
        ({"timing": {"flags": "-O2 '"}}, "timing.flags: .* not a list of options"),
        ({"select": {"rule": "kneee"}}, "did you mean 'knee'"),
        ({"search": {"rungs": [5, 5]}}, "ascending"),
        ({"search": {"rungs": [5, 10**9]}}, "rungs go up to 1000000"),
        ({"search": {"space": {"learning_rate": [1e-3, float("inf")]}}}, "rate.1: .* finite"),
        ({"search": {"space": {"weight_decay": [float("nan")]}}}, "weight_decay.0: .* finite"),
        ({"search": {"space": {"depth": [1, 64]}}}, "at most 63 hidden layers"),
        ({"search": {"space": {"width": [10**9]}}}, "4096 neurons"),
        ({"search": {"space": {"width": 8}}}, "space.width: .* a list"),
        ({"search": {"space": {"target": ["a\0b"]}}}, "target.0: .* control character"),
        ({"search": 3}, "search: .* a table"),
        ({"verify": {"tolerance": float("inf")}}, "tolerance: .* finite"),
        ({"timing": {"ncol": [16, 10**9]}}, "a call takes up to 1000000 columns"),
        ({"timing": {"flags": "-O2 \0"}}, "control character"),
        ({"timing": {"compiler": "f\0"}}, "compiler: .* control character"),
        ({"contract": "a\0"}, "contract: .* control character"),
        ({"data": "a\tb.nc"}, "data: .* control character"),
        ({"seed": 2**31}, "seed: .* 2000000000"),
        ({"workers": 10**9}, "workers"),
    ],
)
def test_a_wrong_option_is_named(content: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Config.from_dict(content)


@pytest.mark.parametrize("text", ["seed = " + "9" * 5000, "seed = " + "[" * 5000, "seed = \\xff"])
def test_a_file_that_no_parser_takes_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.toml").write_bytes(text.encode().replace(b"\\xff", b"\xff"))
    with pytest.raises(UsageError, match=r"run\.toml is not valid TOML") as caught:
        Config.load(tmp_path / "run.toml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_columns_are_timed_once_and_in_order() -> None:
    assert TimingConfig(ncol=(16, 1, 16)).ncol == (1, 16)


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "pond.nc").touch()
    (tmp_path / "run.toml").write_text('data = "pond.nc"\ncontract = "activation"\n')
    config = Config.load(tmp_path / "run.toml")
    assert config.data == str(tmp_path / "pond.nc")
    assert config.contract == "activation"
    (tmp_path / "several.toml").write_text('data = "p*.nc"\n')
    assert Config.load(tmp_path / "several.toml").data == str(tmp_path / "p*.nc")
