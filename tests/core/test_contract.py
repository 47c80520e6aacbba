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


@given(st.text(max_size=200))
def test_any_text_is_a_contract_or_a_clear_error(text: str) -> None:
    try:
        Contract.from_toml(text)
    except ContractError as error:
        assert str(error)


def test_missing_contract_says_what_there_is() -> None:
    with pytest.raises(ContractError, match="did you mean 'activation'"):
        Contract.load("activatoin")
