import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emufort.contract import Contract
from emufort.contract_files import bundled_contracts
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


#: Hashes from before variables had several dimensions.
OLD_HASHES = {
    SMALL: "3f7664ed9fa5d36c337e1915cefe055b63f5c04af943bc63198e4b25b0ced3af",
    FULL: "98b0591c442e943cdbdf618651fd09e5a21accb4a37c5e54cb2c00b145d0cb1e",
}


@pytest.mark.parametrize("text", OLD_HASHES, ids=["small", "full"])
def test_contracts_with_one_dimension_keep_their_hash(text: str) -> None:
    contract = Contract.from_toml(text)
    assert contract.sha256 == OLD_HASHES[text]
    several = Contract.from_toml(text.replace('dimension = "layer"', 'dimensions = ["layer"]'))
    assert several == contract
    assert several.sha256 == contract.sha256
    assert list(several.to_dict()["input"][1])[:5] == [
        "name", "long_name", "units", "dimension", "range",
    ]  # fmt: skip


def test_sample_dimensions_have_a_short_form() -> None:
    one = Contract.from_toml('sample_dimensions = ["sample"]\n' + SMALL)
    assert one.sha256 == Contract.from_toml(SMALL).sha256
    assert one.row_dimension == "sample"
    two = Contract.from_toml('sample_dimensions = ["time", "ncol"]\n' + SMALL)
    assert two.to_dict()["sample_dimensions"] == ["time", "ncol"]
    assert two.row_dimension == "sample"
    assert two.sha256 != one.sha256


def test_several_dimensions_are_unrolled_the_last_one_fastest() -> None:
    contract = Contract.from_toml(
        SMALL.replace("[[input]]", "band = 3\n[[input]]", 1)
        .replace('dimension = "layer"', 'dimensions = ["layer", "band"]')
        .replace("range = [[0.0, 40.0], [1.0, 50.0]]", "range = [0.0, 50.0]")
    )
    salinity = contract.input[1]
    assert contract.shape(salinity) == (2, 3)
    assert contract.width(salinity) == 6
    assert [c.name for c in contract.input_columns][1:] == [
        "salinity[top, 0]",
        "salinity[top, 1]",
        "salinity[top, 2]",
        "salinity[bottom, 0]",
        "salinity[bottom, 1]",
        "salinity[bottom, 2]",
    ]
    assert contract.labels("band") == ("0", "1", "2")
    assert Contract.from_dict(contract.to_dict()).sha256 == contract.sha256


def test_labels_with_commas_must_not_give_two_columns_one_name() -> None:
    text = SMALL.replace('layer = ["top", "bottom"]', 'layer = ["a", "a, b"]\nband = ["b, c", "c"]')
    text = text.replace('dimension = "layer"', 'dimensions = ["layer", "band"]')
    text = text.replace("range = [[0.0, 40.0], [1.0, 50.0]]", "range = [0.0, 50.0]")
    with pytest.raises(ContractError, match=r"two columns are called 'salinity\[a, b, c\]'"):
        Contract.from_toml(text)


def test_columns_that_no_file_needs_are_not_made() -> None:
    """A few digits of an untrusted manifest may not take the memory of billions of columns."""
    names = [f"d{i}" for i in range(14)]
    content = {
        "name": "huge",
        "dimensions": dict.fromkeys(names, 65_536),
        "input": [{"name": "x", "dimensions": names}],
        "output": [{"name": "y"}],
    }
    with pytest.raises(ContractError, match=r"values in one sample; at most 65,536"):
        Contract.from_dict(content)
    content["dimensions"]["d14"] = 1  # type: ignore[index]
    content["input"][0]["dimensions"].append("d14")  # type: ignore[index]
    with pytest.raises(ContractError, match="15 dimensions; a Fortran array has 14"):
        Contract.from_dict(content)
