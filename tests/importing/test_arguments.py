"""Arguments of `import_network`: options, examples and contracts of other origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from emufort.api import import_network
from emufort.contract import Contract
from emufort.errors import UsageError
from emufort.importing.refusal import ImportRefusedError
from tests.importing.models import model_of, node

SEARCHED = """
name = "searched"
[[input]]
name = "depth"
units = "m"
[[output]]
name = "evaporation"
units = "kg m-2 s-1"
[[baseline]]
name = "bulk"
variable = "bulk_evaporation"
gives = "evaporation"
[filter]
variable = "quality"
keep = ["good"]
[split]
variable = "part"
"""


def small(name: str = "x", size: int = 1) -> onnx.ModelProto:
    weight = np.linspace(1.0, 2.0, size)[:, None]
    nodes = [node("MatMul", f"{name} w", "z"), node("Tanh", "z", "y")]
    return model_of(nodes, {name: ["n", size]}, {"y": ["n", 1]}, {"w": weight})


@pytest.mark.parametrize(
    ("option", "value"), [("precision", "half"), ("weights", "elsewhere"), ("golden", 0)]
)
def test_unknown_options_are_refused_before_anything_is_written(
    tmp_path: Path, option: str, value: Any
) -> None:
    with pytest.raises(UsageError, match=option):
        import_network(small(), tmp_path / "b", **{option: value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "example",
    [
        "abc",
        1.0,
        np.ones((3, 2)) + 1j,
        [np.ones((3, 1)), np.ones((3, 4))],
        (np.ones((3, 1)), "abc"),
        {"x": None},
    ],
    ids=repr,
)
def test_examples_that_are_no_arrays_are_refused(tmp_path: Path, example: Any) -> None:
    with pytest.raises(ImportRefusedError, match="must be an array of real numbers"):
        import_network(small(size=2), tmp_path / "b", example=example)
    assert list(tmp_path.iterdir()) == []


def test_what_a_contract_says_of_training_data_is_ignored(tmp_path: Path) -> None:
    bundle = import_network(small(), tmp_path / "b", Contract.from_toml(SEARCHED))
    contract = bundle.manifest.contract
    assert (contract.baseline, contract.filter, contract.split) == ((), None, None)
    assert contract.output_columns[0].units == "kg m-2 s-1"


def test_names_of_the_generated_module_are_no_names_of_variables(tmp_path: Path) -> None:
    bundle = import_network(small("emufort_x"), tmp_path / "b")
    assert bundle.manifest.contract.input[0].name == "x_emufort_x"
