"""Node tests of ONNX: none gives a wrong answer, and what is refused is refused by name."""

from __future__ import annotations

import pytest

from benchmarks import onnx_node_tests

#: Module of the package onnx -> tests that are refused.
MODULES: dict[str, set[str]] = {
    "convtranspose": set(),
    "einsum": set(),
    "groupnormalization": set(),
    "gru": set(),
    "globalmaxpool": set(),
    "hardmax": set(),
    "instance_normalization": set(),
    "logsoftmax": set(),
    "lstm": set(),
    "pow": set(),
    "rnn": set(),
    "softmax": set(),
    "topk": {"test_top_k", "test_top_k_negative_axis", "test_top_k_smallest"},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("module", MODULES)
def test_node_tests_of_onnx_are_accepted_or_refused(module: str) -> None:
    found = list(onnx_node_tests.outcomes(onnx_node_tests.tests_of_package([module])))
    assert found
    assert [outcome for outcome in found if outcome.verdict == "wrong"] == []
    refused = {outcome.name for outcome in found if outcome.verdict == "refused"}
    assert {name for name in refused if name not in MODULES[module]} == set()
    assert refused >= {name for name in MODULES[module] if name in {o.name for o in found}}
