"""What agreement.json says, in words: for the terminal, the report and the model card."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emufort.files import json_text, write_json
from emufort.retrain.agreement_words import Agreement
from emufort.search.rung_words import rungs_in_words

sys.path.insert(0, str(Path(__file__).parent))
from folders import OF_ALL, old_agreement

CONTENT: dict[str, Any] = {
    "compares": "loss of the network's side",
    "all_candidates": OF_ALL,
    "retrained": {"n": 28, "spearman": 0.954, "regret_top1": 0.09, "regret_top5": 0.0},
    "seed_spread": 0.021,
    "pairs": [],
}


def test_all_candidates_come_first_and_the_retrained_are_called_so() -> None:
    found = Agreement.of(CONTENT)
    assert (
        found.title == "Step 1 against step 2, all 128 candidates (by a random control group of 16)"
    )
    assert [(row.value, row.interval) for row in found.rows] == [
        ("0.91", "0.71 to 0.97"),
        ("0.78", "0.44 to 0.93"),
        ("0.75", "0.52 to 0.88"),
        ("1.2 %", "0.0 % to 5.5 %"),
        ("3.4 %", "0.5 % to 8.1 %"),
    ]
    assert found.sentences() == [
        "A predicted loss is off by a factor of 1.22 (rms), uncalibrated by 1.65.",
        "Over the 28 retrained candidates alone, most of which were chosen for a low prediction: "
        "rank correlation 0.95; the first of step 1 exceeds the best by 9.0 %; the best of its "
        "first five exceeds the best by 0.0 %.",
        "The loss differs between seeds by 2.1 %.",
    ]
    assert "rank correlation at equal cost is 0.78 (0.44 to 0.93)" in found.brief


def test_what_is_not_known_is_not_said() -> None:
    found = Agreement.of(old_agreement([{"trial": 0, "search_loss": 1.0, "validation_loss": 1.0}]))
    assert (found.title, found.rows, found.verdict) == ("", [], "")
    assert found.sentences()[0] == "Over the 1 retrained candidates alone: rank correlation 0.90."
    found = Agreement.of({"retrained": {"n": 2, "spearman": None}, "all_candidates": {"n": 4}})
    assert "A control group of 0 is too small" in found.sentences()[0]
    assert "rank correlation not defined" in found.sentences()[1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*OF_ALL, "value", "low", "high"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(
    content=json_values
    | st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("all_candidates", "retrained", "seed_spread", "compares", "n", "regret_top1"),
            json_values,
        ),
    )
)
def test_any_content_is_said_or_left_out(content: object) -> None:
    """The file is untrusted, and what is made of it goes into a manifest."""
    found = Agreement.of(content)
    json_text(found.to_dict())
    assert all("nan" not in row.value + row.interval for row in found.rows)
    assert isinstance(found.brief, str)


def test_a_folder_without_the_file(tmp_path: Path) -> None:
    assert Agreement.read(tmp_path) is None
    write_json(tmp_path / "agreement.json", CONTENT)
    assert Agreement.read(tmp_path) == Agreement.of(CONTENT)


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        ({}, ""),
        ({"rungs": [5], "subset": 2000}, "Step 1 trained in 1 rung: 5 epochs of 2000 rows."),
        (
            {"rungs": [1, 2], "rung_rows": [500, 1000], "subset_reason": "1000 rows are all"},
            "Step 1 trained in 2 rungs: 1 epoch of 500 rows, 2 epochs of 1000 rows. "
            "1000 rows are all.",
        ),
    ],
)
def test_rungs_in_words(summary: dict[str, Any], words: str) -> None:
    assert rungs_in_words(summary) == words
