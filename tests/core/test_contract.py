import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emufort.contract import Contract, bundled_contracts
from emufort.errors import ContractError

SMALL = """
name = "pond"
[dimensions]
layer = ["top", "bottom"]
[[input]]
name = "depth"
units = "m"
transform = "ln"
range = [0.1, 10.0]
[[input]]
name = "salinity"
units = "1"
dimension = "layer"
range = [[0.0, 40.0], [1.0, 50.0]]
[[output]]
name = "evaporation"
units = "mm"
lower_bound = 0.0
"""


@pytest.mark.parametrize("name", sorted(bundled_contracts()))
def test_bundled_contracts_survive_a_round_trip(name: str) -> None:
    contract = Contract.load(name)
    again = Contract.from_dict(contract.to_dict())
    assert again == contract
    assert again.sha256 == contract.sha256


def test_columns_are_in_contract_order_with_a_dimension_unrolled_in_place() -> None:
    contract = Contract.from_toml(SMALL)
    assert [c.name for c in contract.input_columns] == [
        "depth",
        "salinity[top]",
        "salinity[bottom]",
    ]
    assert [(c.lower, c.upper) for c in contract.input_columns][1:] == [(0.0, 40.0), (1.0, 50.0)]
    assert contract.output_bounds == ((0.0, math.inf),)


def test_the_activation_contract_has_the_ranges_of_mam4() -> None:
    columns = {c.name: c for c in Contract.load("activation").input_columns}
    assert len(columns) == 15
    coarse = columns["dry_median_radius[coarse]"]
    assert (coarse.lower, coarse.upper, coarse.units) == (0.5e-6, 2e-6, "m")
    carbon = columns["number_concentration[primary_carbon]"]
    assert (carbon.lower, carbon.upper) == (1e4, 1e10)


def test_hash_ignores_the_layout_of_the_file_and_sees_the_meaning() -> None:
    contract = Contract.from_toml(SMALL)
    assert Contract.from_toml("# a comment\n" + SMALL).sha256 == contract.sha256
    assert Contract.from_toml(SMALL.replace("10.0]", "11.0]")).sha256 != contract.sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[[output]]", "[[outputs]]"), "output"),
        (('units = "m"', 'unit = "m"'), "did you mean 'units'"),
        (('dimension = "layer"', 'dimension = "layers"'), "did you mean 'layer'"),
        (('transform = "ln"', 'transform = "log"'), "transform"),
        (("range = [0.1, 10.0]", "range = [0.0, 10.0]"), "logarithm"),
        (("range = [0.1, 10.0]", "range = [10.0, 0.1]"), "empty"),
        (("[1.0, 50.0]]", "[1.0, 50.0], [1.0, 2.0]]"), "2 columns and 3 ranges"),
        (('name = "evaporation"', 'name = "DEPTH"'), "twice"),
        (('name = "evaporation"', 'name = "evaporation rate"'), "cannot name a variable"),
        (('name = "evaporation"', f'name = "{"e" * 64}"'), "longer than 63"),
        (("lower_bound = 0.0", 'relative_to = "dept"'), "did you mean 'depth'"),
        (('name = "pond"', "name = 3"), "name"),
        (('name = "pond"', "name = "), "not valid TOML"),
    ],
)
def test_errors_name_what_is_wrong(change: tuple[str, str], message: str) -> None:
    with pytest.raises(ContractError, match=message) as caught:
        Contract.from_toml(SMALL.replace(*change), "pond.toml")
    assert "pond.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


#: The same with all that a contract may have.
FULL = (
    SMALL
    + """upper_bound = 5.0
[[parameter]]
name = "albedo"
values = [0.1]
[skill]
variables = ["evaporation"]
[[baseline]]
name = "Dalton"
variable = "dalton"
gives = "evaporation"
[filter]
variable = "status"
keep = ["good"]
"""
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("range = [0.1, 10.0]", "range = [0.1, inf]"), "input.0.range.1: .* finite"),
        (("range = [0.1, 10.0]", "range = [nan, 10.0]"), "input.0.range.0: .* finite"),
        (("[1.0, 50.0]]", "[1.0, nan]]"), "input.1.range.1.1: .* finite"),
        (("range = [0.1, 10.0]", "range = []"), "the range of 'depth' has no numbers"),
        (("range = [0.1, 10.0]", "range = [0.1, 1e39]"), "single precision cannot hold the range"),
        (("range = [0.1, 10.0]", "range = [1.0, 1.00000001]"), "empty in single precision"),
        (("lower_bound = 0.0", "lower_bound = nan"), "output.0.lower_bound: .* finite"),
        (("lower_bound = 0.0", "lower_bound = -1e39"), "single precision cannot hold the bound"),
        (("lower_bound = 0.0", "lower_bound = 7.0"), "of 'evaporation', 7, is not below"),
        (("lower_bound = 0.0", "lower_bound = 5.0"), "not below"),
        (('name = "pond"', 'name = "pond"\nversion = 1e30'), "version: .* integer"),
        (('name = "pond"', 'name = "pond"\nversion = 2147483648'), "version: .* 2147483647"),
        (('name = "pond"', f'name = "pond"\nversion = {"9" * 5000}'), "not valid TOML"),
        (('name = "pond"', f'name = "pond"\nversion = {"[" * 5000}'), "not valid TOML"),
        (('name = "pond"', 'name = "pond"\ntitle = "a\\tb"'), r"title: .* control character '\\t'"),
        (('name = "pond"', 'name = "pond"\ntitle = "a\\nb"'), "title: .* control character"),
        (('name = "pond"', 'name = "pond"\ntitle = "a\\u2028b"'), "title: .* control character"),
        (('name = "depth"', 'name = "depth"\nlong_name = "a\\tb"'), "long_name: .* control"),
        (('units = "mm"', 'units = "m\\nm"'), "units: .* control character"),
        (('units = "mm"', f'units = "{"é" * 33}"'), "longer than 64 bytes"),
        (('["top", "bottom"]', '["top", "bot\\ttom"]'), "control character"),
        (('["top", "bottom"]', '["top", "top"]'), "has the label 'top' twice"),
        (('["top", "bottom"]', '["top", " bottom"]'), "blanks at an end"),
        (('["top", "bottom"]', "[]"), "'layer' has no labels"),
        (('["top", "bottom"]', f'["top", "{"é" * 60}"]'), "a name of 130 bytes and may have 128"),
        (("layer = [", 'Layer = ["x"]\nlayer = ['), "apart from upper and lower case"),
        (("layer = [", 'sample = ["x"]\nlayer = ['), "which is the sample_dimension"),
        (('name = "salinity"', 'name = "Depth"'), "twice"),
        (('name = "albedo"', 'name = "DEPTH"'), "twice"),
        (('name = "albedo"', 'name = "al bedo"'), "cannot name a variable"),
        (("values = [0.1]", "values = [inf]"), "parameter.0.values.0: .* finite"),
        (('variables = ["evaporation"]', 'variables = ["evaporatin"]'), "mean 'evaporation'"),
        (('variables = ["evaporation"]', 'variables = ["depth"]'), "'depth', .* not an output"),
        (
            ('variables = ["evaporation"]', 'variables = ["evaporation", "evaporation"]'),
            "names 'evaporation' twice",
        ),
        (('gives = "evaporation"', 'gives = "evaporatin"'), "did you mean 'evaporation'"),
        (('name = "Dalton"', 'name = "Dal/ton"'), "baseline.0.name: .* not a name"),
        (('name = "Dalton"', 'name = "emulator"'), "cannot be called 'emulator'"),
        (
            (
                "[filter]",
                '[[baseline]]\nname = "DALTON"\nvariable = "a"\ngives = "evaporation"\n[filter]',
            ),
            "two baselines are called 'dalton'",
        ),
        (('variable = "status"', 'variable = ""'), "filter.variable: .* not a name"),
        (('keep = ["good"]', "keep = []"), "filter.keep: .* at least 1"),
        (('keep = ["good"]', "keep = 3"), "filter.keep: .* list"),
    ],
)  # fmt: skip
def test_what_a_later_step_cannot_work_with_is_found_at_once(
    change: tuple[str, str], message: str
) -> None:
    Contract.from_toml(FULL)
    text = FULL.replace(*change)
    assert text != FULL
    with pytest.raises(ContractError, match=message) as caught:
        Contract.from_toml(text, "pond.toml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_texts_at_the_limits_of_the_runtime_are_taken() -> None:
    label = "é" * 59
    text = FULL.replace('units = "mm"', f'units = "{"é" * 32}"').replace('"bottom"', f'"{label}"')
    columns = Contract.from_toml(text).input_columns
    assert len(columns[2].name.encode()) == 128


@given(st.text(max_size=200))
def test_any_text_is_a_contract_or_a_clear_error(text: str) -> None:
    try:
        Contract.from_toml(text)
    except ContractError as error:
        assert str(error)


def test_missing_contract_says_what_there_is() -> None:
    with pytest.raises(ContractError, match="did you mean 'activation'"):
        Contract.load("activatoin")


def test_a_hostile_key_is_named_in_one_line_of_bearable_length() -> None:
    for key in ("a\nb", "x" * 100_000):
        with pytest.raises(ContractError, match="unknown key") as caught:
            Contract.from_dict({**Contract.load("activation").to_dict(), key: 1})
        assert len(str(caught.value).splitlines()) == 1
        assert len(str(caught.value)) < 1000
